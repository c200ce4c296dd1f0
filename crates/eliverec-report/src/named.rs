//! Tables of figures that carry their names: statistics of the intents, and what a simulated world's truth says of them.

use std::collections::{BTreeMap, BTreeSet};

use eliverec_metrics::table::mean_and_deviation;

use crate::RunResult;
use crate::experiment::Experiment;

/// One table of the report: a row per config, a column per name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Figures {
    /// Its heading.
    pub title: &'static str,
    /// `row`, then the names.
    pub head: Vec<String>,
    /// Name of the row, then mean and deviation over seeds; rows without any figure are left out.
    pub rows: Vec<Vec<String>>,
    /// What the names of the columns mean, printed below.
    pub note: &'static str,
}

/// The tables that have a row.
pub fn all(experiment: &Experiment) -> impl Iterator<Item = Figures> {
    let intents = of(
        experiment,
        "Intents at the last evaluation",
        "Of p_c (Eq. 5) over all elements: the mean distance from one half, and the share above it.",
        |run| &run.intent,
    );
    let truth = of(
        experiment,
        "Intents against the truth",
        "Behaviours of the test split whose cause is known: the share that came from an interest shared by both domains; the AUC of p_c (mean over elements) as a score for that, 0.5 knows nothing; the share of the attention of z_c and z_s (Eq. 7) that falls on them.",
        |run| &run.truth,
    );
    [intents, truth].into_iter().filter(|figures| !figures.rows.is_empty())
}

fn of(
    experiment: &Experiment,
    title: &'static str,
    note: &'static str,
    figures: fn(&RunResult) -> &BTreeMap<String, f64>,
) -> Figures {
    let runs = || experiment.rows.iter().flat_map(|row| &row.runs);
    let names: BTreeSet<&String> = runs().flat_map(|run| figures(run).keys()).collect();
    let known =
        experiment.rows.iter().filter(|row| row.runs.iter().any(|run| !figures(run).is_empty()));
    let rows = known.map(|row| {
        let value = |name: &&String| {
            spread(row.runs.iter().filter_map(|run| figures(run).get(*name)).copied())
        };
        std::iter::once(row.name.clone()).chain(names.iter().map(value)).collect()
    });
    let rows = rows.collect();
    let head = std::iter::once("row".into()).chain(names.into_iter().cloned()).collect();
    Figures { title, head, rows, note }
}

/// Mean and sample standard deviation of a figure; a dash where there is none.
pub(crate) fn spread(values: impl Iterator<Item = f64>) -> String {
    let values: Vec<f64> = values.collect();
    let (mean, deviation) = mean_and_deviation(&values);
    match values.len() {
        0 => "-".into(),
        1 => format!("{mean:.4}"),
        _ => format!("{mean:.4} ± {deviation:.4}"),
    }
}
