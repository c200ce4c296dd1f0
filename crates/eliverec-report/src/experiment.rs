//! The results of a folder, by row.

use std::path::Path;

use eliverec_metrics::Report;
use eliverec_metrics::shares::BY_USER;
use eliverec_metrics::table::mean_and_deviation;

use crate::Error;
use crate::paper::{self, Source};
use crate::results::{Results, RunResult};

/// Everything that a results directory holds.
#[derive(Clone, Debug)]
pub struct Experiment {
    /// The folder of configs, as `table3`.
    pub name: String,
    /// What it is about.
    pub title: String,
    /// Of schema and files of the feeds.
    pub data_fingerprint: String,
    /// In the paper's order, then by name.
    pub rows: Vec<ExperimentRow>,
    /// Weights of the groups of users, in the order of [`BY_USER`]; empty where no values of users are kept.
    weights: Vec<Vec<u64>>,
}

/// A row with its seeds.
#[derive(Clone, Debug)]
pub struct ExperimentRow {
    /// The config's name.
    pub name: String,
    /// One per seed, in their order.
    pub runs: Vec<RunResult>,
}

impl Experiment {
    /// Reads a results directory.
    ///
    /// # Errors
    /// No results, a damaged file.
    pub fn read(directory: &Path) -> Result<Self, Error> {
        let results =
            Results::read(directory)?.ok_or_else(|| Error::NoResults(directory.into()))?;
        Self::of(&results).ok_or_else(|| Error::NoResults(directory.into()))
    }

    /// From results; `None` of no run.
    pub fn of(results: &Results) -> Option<Self> {
        let mut rows: Vec<ExperimentRow> = Vec::new();
        for run in results.runs() {
            match rows.last_mut() {
                Some(row) if row.name == run.row => row.runs.push(run.clone()),
                _ => rows.push(ExperimentRow { name: run.row.clone(), runs: vec![run.clone()] }),
            }
        }
        let name = results.head.experiment.clone();
        let source = paper::source(&name);
        let place = |row: &ExperimentRow| {
            source
                .and_then(|source| source.rows.iter().position(|(name, _, _)| *name == row.name))
                .unwrap_or(usize::MAX)
        };
        rows.sort_by_key(place);
        let title = source.map_or_else(|| name.clone(), |source| source.title.into());
        let data_fingerprint = results.head.data_fingerprint.clone();
        let weights = results.head.weights.clone();
        (!rows.is_empty()).then_some(Self { name, title, data_fingerprint, rows, weights })
    }

    /// The weights of the groups of users in a metric; `None` where no values of users are kept.
    pub fn weights(&self, metric: &str) -> Option<Vec<f64>> {
        let place = BY_USER.iter().position(|name| *name == metric)?;
        Some(self.weights.get(place)?.iter().map(|weight| *weight as f64).collect())
    }

    /// What the paper has for it.
    pub fn source(&self) -> Option<&'static Source> {
        paper::source(&self.name)
    }

    /// The row of a name.
    pub fn row(&self, name: &str) -> Option<&ExperimentRow> {
        self.rows.iter().find(|row| row.name == name)
    }
}

impl ExperimentRow {
    /// The metric under every seed.
    pub fn values(&self, metric: &str) -> Vec<f64> {
        let metric = eliverec_metrics::report::metric(metric);
        let value = |run: &RunResult| metric.and_then(|metric| metric.of(&run.report));
        self.runs.iter().filter_map(value).collect()
    }

    /// Mean and sample standard deviation over the seeds; `None` where the metric is undefined.
    pub fn mean_and_spread(&self, metric: &str) -> Option<(f64, f64)> {
        let values = self.values(metric);
        (!values.is_empty()).then(|| mean_and_deviation(&values))
    }

    /// One per seed.
    pub fn reports(&self) -> Vec<Report> {
        self.runs.iter().map(|run| run.report.clone()).collect()
    }
}
