//! Which rows differ, and which of the paper's orderings hold here.
//!
//! A row's gAUC per user is first averaged over its seeds, user by user; users are then drawn with replacement. The interval is
//! thus about other users of the same platform, under the seeds that ran.

use eliverec_metrics::significance::{Comparison, pair, paired_bootstrap};

use crate::Error;
use crate::experiment::{Experiment, ExperimentRow};

/// Draws per comparison.
const REPLICATES: usize = 1_000;
const SEED: u64 = 1;

/// What became of an ordering of the paper.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The interval is on the paper's side of 0.
    Holds,
    /// The interval is on the other side.
    Reversed,
    /// The interval has 0 in it.
    Undecided,
    /// The paper gives no figures for the row.
    NotInPaper,
}

impl Verdict {
    /// For a table.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Holds => "holds",
            Self::Reversed => "reversed",
            Self::Undecided => "undecided",
            Self::NotInPaper => "-",
        }
    }
}

/// The main row against another.
#[derive(Clone, Debug)]
pub struct Ordering {
    /// The main row.
    pub main: String,
    /// The other.
    pub other: String,
    /// Main minus other, the paper's gAUC; `None` where it gives none.
    pub paper: Option<f64>,
    /// Main minus other, gAUC per user here.
    pub here: Comparison,
    /// The paper's sign against ours.
    pub verdict: Verdict,
}

/// The row that the others are compared with: the one asked for, the paper's main row, or else the first.
pub fn main_row<'a>(experiment: &'a Experiment, asked: Option<&str>) -> Option<&'a ExperimentRow> {
    let of_paper = experiment.source().map(|source| source.main);
    asked.or(of_paper).and_then(|name| experiment.row(name)).or_else(|| experiment.rows.first())
}

/// The main row against every other; empty without the users' side files.
///
/// # Errors
/// Rows that were evaluated on different users.
pub fn orderings(experiment: &Experiment, main: &ExperimentRow) -> Result<Vec<Ordering>, Error> {
    let mut orderings = Vec::new();
    for other in experiment.rows.iter().filter(|row| row.name != main.name) {
        let (Some(ours), Some(theirs)) = (&main.users, &other.users) else { continue };
        let here = paired_bootstrap(&pair(ours, theirs)?, REPLICATES, SEED)?;
        let gauc =
            |row: &ExperimentRow| experiment.source()?.row(&row.name)?.1.map(|figures| figures[1]);
        let paper = gauc(main).zip(gauc(other)).map(|(main, other)| main - other);
        let verdict = match paper {
            None => Verdict::NotInPaper,
            Some(_) if here.low <= 0.0 && here.high >= 0.0 => Verdict::Undecided,
            Some(paper) if (paper > 0.0) == (here.difference > 0.0) => Verdict::Holds,
            Some(_) => Verdict::Reversed,
        };
        let (main, other) = (main.name.clone(), other.name.clone());
        orderings.push(Ordering { main, other, paper, here, verdict });
    }
    Ok(orderings)
}
