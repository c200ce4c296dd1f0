//! Which rows differ, and which of the paper's orderings hold here.
//!
//! The main row is compared with every other under the seeds that both have, in each metric that users have shares in. The
//! interval draws users and seeds together ([`eliverec_metrics::significance`]) and is corrected for the number of comparisons
//! of its table.

use eliverec_metrics::shares::{BY_USER, leverage};
use eliverec_metrics::significance::{Interval, Paired, SeedDifference, interval};
use eliverec_metrics::{Metric, report};

use crate::Error;
use crate::experiment::{Experiment, ExperimentRow};
use crate::paper;

/// Draws per comparison.
pub const REPLICATES: usize = 2_000;
const SEED: u64 = 1;
/// A table's comparisons together miss a true difference with at most this probability.
const MISS: f64 = 0.05;
/// What seeds say about their own spread below this number is no ground for a verdict.
pub const FEWEST_SEEDS: usize = 3;

/// What can be said of a difference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The corrected interval is above 0, and so is every seed.
    Ahead,
    /// The corrected interval is below 0, and so is every seed.
    Behind,
    /// The interval has 0 in it, or the seeds disagree.
    Undecided,
    /// Fewer seeds than [`FEWEST_SEEDS`].
    TooFewSeeds,
    /// The seeds agree, and the users' values were not kept, so that there is no interval.
    NoUsers,
}

impl Verdict {
    /// For a table.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ahead => "ahead",
            Self::Behind => "behind",
            Self::Undecided => "undecided",
            Self::TooFewSeeds => "too few seeds",
            Self::NoUsers => "no verdict",
        }
    }
}

/// The main row against the others in one metric.
#[derive(Clone, Debug)]
pub struct Verdicts {
    /// In which.
    pub metric: Metric,
    /// The main row.
    pub main: String,
    /// Intervals in the table, for whose number each is corrected.
    pub intervals: usize,
    /// One per other row that has the metric.
    pub orderings: Vec<Ordering>,
}

/// The main row against another.
#[derive(Clone, Debug)]
pub struct Ordering {
    /// The other.
    pub other: String,
    /// Main minus other, the paper's; `None` where it gives none.
    pub paper: Option<f64>,
    /// Main minus other under each seed that both have.
    pub seeds: Vec<f64>,
    /// Over users and seeds; `None` with too few seeds or without users' values.
    pub interval: Option<Interval>,
    /// What all that says.
    pub verdict: Verdict,
}

impl Ordering {
    /// The mean of the seeds' differences.
    pub fn here(&self) -> f64 {
        self.seeds.iter().sum::<f64>() / self.seeds.len() as f64
    }
}

/// The row that the others are compared with: the one asked for, the paper's main row, or else the first.
pub fn main_row<'a>(experiment: &'a Experiment, asked: Option<&str>) -> Option<&'a ExperimentRow> {
    let of_paper = experiment.source().map(|source| source.main);
    asked.or(of_paper).and_then(|name| experiment.row(name)).or_else(|| experiment.rows.first())
}

/// The main row against every other, a table per metric; none for an experiment of one row.
///
/// # Errors
/// Values that cannot be drawn.
pub fn verdicts(experiment: &Experiment, main: &ExperimentRow) -> Result<Vec<Verdicts>, Error> {
    let tables = BY_USER.iter().filter_map(|name| report::metric(name));
    let tables = tables.map(|metric| in_metric(experiment, main, metric));
    let found = tables.collect::<Result<Vec<_>, _>>()?;
    Ok(found.into_iter().filter(|table| !table.orderings.is_empty()).collect())
}

fn in_metric(
    experiment: &Experiment,
    main: &ExperimentRow,
    metric: &Metric,
) -> Result<Verdicts, Error> {
    let others = experiment.rows.iter().filter(|row| row.name != main.name);
    let compared: Vec<(&ExperimentRow, Compared)> = others
        .filter_map(|other| Some((other, Compared::of(experiment, main, other, metric)?)))
        .collect();
    let intervals = compared.iter().filter(|(_, compared)| compared.paired.is_some()).count();
    let miss = MISS / intervals.max(1) as f64;
    let figure = |row: &ExperimentRow| {
        let place = paper::METRICS.iter().position(|name| *name == metric.name)?;
        Some(experiment.source()?.row(&row.name)?.1?[place])
    };
    let ordering = |(other, compared): (&ExperimentRow, Compared)| {
        let Compared { seeds, paired } = compared;
        let interval =
            paired.map(|paired| interval(&paired, miss, REPLICATES, SEED)).transpose()?;
        Ok(Ordering {
            other: other.name.clone(),
            paper: figure(main).zip(figure(other)).map(|(main, other)| main - other),
            verdict: verdict(&seeds, interval.as_ref()),
            seeds,
            interval,
        })
    };
    Ok(Verdicts {
        metric: metric.clone(),
        main: main.name.clone(),
        intervals,
        orderings: compared.into_iter().map(ordering).collect::<Result<_, Error>>()?,
    })
}

fn verdict(seeds: &[f64], interval: Option<&Interval>) -> Verdict {
    let all = |sign: f64| seeds.iter().all(|difference| difference * sign > 0.0);
    match interval {
        _ if seeds.len() < FEWEST_SEEDS => Verdict::TooFewSeeds,
        _ if !all(1.0) && !all(-1.0) => Verdict::Undecided,
        None => Verdict::NoUsers,
        Some(interval) if interval.low > 0.0 && all(1.0) => Verdict::Ahead,
        Some(interval) if interval.high < 0.0 && all(-1.0) => Verdict::Behind,
        Some(_) => Verdict::Undecided,
    }
}

/// Two rows under the seeds that both have.
struct Compared {
    seeds: Vec<f64>,
    paired: Option<Paired>,
}

impl Compared {
    /// `None` where no seed has the metric in both.
    fn of(
        experiment: &Experiment,
        main: &ExperimentRow,
        other: &ExperimentRow,
        metric: &Metric,
    ) -> Option<Self> {
        let mut seeds = Vec::new();
        let mut users = Vec::new();
        for ours in &main.runs {
            let Some(theirs) = other.runs.iter().find(|run| run.seed == ours.seed) else {
                continue;
            };
            let whole = metric.of(&ours.report).zip(metric.of(&theirs.report));
            let Some(whole) = whole.map(|(ours, theirs)| ours - theirs) else { continue };
            seeds.push(whole);
            let units = ours.users(&metric.name).zip(theirs.users(&metric.name));
            users.push(units.map(|(ours, theirs)| {
                let units = ours.iter().zip(&theirs).map(|(ours, theirs)| ours - theirs).collect();
                SeedDifference { whole, units }
            }));
        }
        let enough = seeds.len() >= FEWEST_SEEDS;
        let users: Option<Vec<SeedDifference>> = users.into_iter().collect();
        let paired = users.zip(experiment.weights(&metric.name)).filter(|_| enough);
        let paired = paired.map(|(seeds, weights)| Paired {
            weights,
            seeds,
            leverage: leverage(&metric.name),
        });
        (!seeds.is_empty()).then_some(Self { seeds, paired })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Results;
    use crate::results::tests::{run, users};

    /// Rows `elive` and `other`; `gaps` are elive's lead under each seed, by user within a tenth of it.
    fn experiment(gaps: &[f64], with_users: bool) -> Experiment {
        let mut results = Results::new("table3", "d");
        for (seed, gap) in (1..).zip(gaps) {
            for (row, lead) in [("elive", *gap), ("other", 0.0)] {
                let own = (0..300).map(|user| 0.6 + lead * (1.0 + f64::from(user % 3 - 1) / 10.0));
                let own = with_users.then(|| users(own));
                results.insert(run(row, seed, 0.6 + lead), own.as_deref()).unwrap();
            }
        }
        Experiment::of(&results).unwrap()
    }

    fn of(gaps: &[f64], with_users: bool, main: &str) -> Ordering {
        let experiment = experiment(gaps, with_users);
        let main = main_row(&experiment, Some(main)).unwrap();
        let mut tables = verdicts(&experiment, main).unwrap();
        // Nobody has a gAUC per feed.
        assert_eq!(tables.len(), 2);
        tables.remove(1).orderings.remove(0)
    }

    #[test]
    fn a_verdict_needs_an_interval_on_one_side_and_every_seed_there() {
        let verdict = |gaps: &[f64]| of(gaps, true, "elive").verdict;
        assert_eq!(verdict(&[0.020, 0.021, 0.022]), Verdict::Ahead);
        assert_eq!(of(&[0.020, 0.021, 0.022], true, "other").verdict, Verdict::Behind);
        // All seeds on one side, too far apart to be sure of it.
        assert_eq!(verdict(&[0.001, 0.040, 0.090]), Verdict::Undecided);
        // One seed on the other side, whatever the interval says.
        assert_eq!(
            verdict(&[0.020, 0.021, 0.022, 0.019, 0.020, 0.021, 0.020, -0.001]),
            Verdict::Undecided
        );
        assert_eq!(verdict(&[0.0, 0.0, 0.0]), Verdict::Undecided);
        assert_eq!(verdict(&[0.020, 0.021]), Verdict::TooFewSeeds);
    }

    #[test]
    fn without_users_only_seeds_that_disagree_are_judged() {
        let found = of(&[0.020, 0.021, 0.022], false, "elive");
        assert_eq!((found.verdict, found.interval), (Verdict::NoUsers, None));
        assert!((found.here() - 0.021).abs() < 1e-12);
        assert_eq!(of(&[0.02, -0.02, 0.02], false, "elive").verdict, Verdict::Undecided);
        assert_eq!(of(&[0.02], false, "elive").verdict, Verdict::TooFewSeeds);
    }

    #[test]
    fn rows_are_paired_by_seed_and_corrected_for_their_number() {
        let mut results = Results::new("table3", "d");
        let own = |lead: f64| users((0..300).map(|user| 0.6 + lead * f64::from(user % 3)));
        for seed in 1..=4 {
            let luck = 0.001 * seed as f64;
            results.insert(run("elive", seed, 0.6 + luck), Some(&own(0.01 + luck))).unwrap();
            results.insert(run("first", seed + 1, 0.6), Some(&own(0.0))).unwrap();
        }
        let table = |results: &Results| {
            let experiment = Experiment::of(results).unwrap();
            let main = main_row(&experiment, None).unwrap();
            verdicts(&experiment, main).unwrap().remove(1)
        };
        let alone = table(&results);
        // Seeds 2, 3 and 4 are common.
        let seeds: Vec<f64> = alone.orderings[0].seeds.iter().map(|d| (d * 1e6).round()).collect();
        assert_eq!((seeds, alone.intervals), (vec![2000.0, 3000.0, 4000.0], 1));
        for seed in 2..=4 {
            results.insert(run("second", seed, 0.61), Some(&own(0.005))).unwrap();
        }
        let both = table(&results);
        assert_eq!(both.intervals, 2);
        let [one, other] = [&alone, &both].map(|table| table.orderings[0].interval.unwrap());
        assert_eq!(one.standard_error, other.standard_error);
        assert!(other.low < one.low && other.high > one.high, "{one:?} {other:?}");
        assert_eq!(both.orderings[0].other, "first");
        assert!(both.orderings.iter().all(|ordering| ordering.paper.is_none()));
    }

    #[test]
    fn no_order_of_rows_seeds_or_users_changes_an_interval() {
        let run_of = |row: u64, seed: u64| {
            let value = |user: u64| ((user * (7 + row) + seed * 13) % 97) as f64 / 97.0;
            let own: Vec<f64> = (0..450).map(value).collect();
            let mean = own.iter().sum::<f64>() / 450.0;
            (run(["elive", "a", "b"][row as usize], seed, mean), users(own))
        };
        let mut runs: Vec<_> =
            (0..3).flat_map(|row| (1..=4).map(move |seed| (row, seed))).collect();
        let mut shown = Vec::new();
        for backwards in [false, true] {
            let mut results = Results::new("table3", "d");
            for (row, seed) in &runs {
                let (run, mut own) = run_of(*row, *seed);
                if backwards {
                    own.reverse();
                }
                results.insert(run, Some(&own)).unwrap();
            }
            let experiment = Experiment::of(&results).unwrap();
            let main = main_row(&experiment, None).unwrap();
            shown.push(format!("{:?}", verdicts(&experiment, main).unwrap()));
            runs.reverse();
        }
        assert!(shown[0].contains("interval: Some"), "{}", shown[0]);
        assert_eq!(shown[0], shown[1]);
    }
}
