//! The results of a folder, by row.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use eliverec_metrics::table::mean_and_deviation;
use eliverec_metrics::{Report, UserAuc};

use crate::Error;
use crate::paper::{self, Source};
use crate::result::{self, RunResult, USERS};

/// Everything that a results directory holds.
#[derive(Clone, Debug)]
pub struct Experiment {
    /// The folder of configs, as `table3`.
    pub name: String,
    /// What it is about.
    pub title: String,
    /// In the paper's order, then by name.
    pub rows: Vec<ExperimentRow>,
}

/// A row with its seeds.
#[derive(Clone, Debug)]
pub struct ExperimentRow {
    /// The config's name.
    pub name: String,
    /// One per seed, in their order.
    pub runs: Vec<RunResult>,
    /// The AUC of every user, a mean over the seeds; `None` where a side file is missing.
    pub users: Option<Vec<UserAuc>>,
}

/// What results must have in common: figures on other feeds, or of another experiment, say nothing beside each other.
struct Comparable {
    experiment: String,
    feeds: String,
}

impl Comparable {
    fn of(run: &RunResult) -> Self {
        Self { experiment: run.experiment.clone(), feeds: run.data_fingerprint.clone() }
    }

    /// Refuses the run of `path`, if it is not that of `first`.
    fn check(&self, run: &RunResult, first: &Path, path: &Path) -> Result<(), Error> {
        let what = if run.data_fingerprint != self.feeds {
            "was made on other feeds than"
        } else if run.experiment != self.experiment {
            "is of another experiment than"
        } else {
            return Ok(());
        };
        let reason = format!("{what} {}", first.display());
        Err(Error::Other { path: path.into(), reason })
    }
}

impl Experiment {
    /// Reads a results directory.
    ///
    /// # Errors
    /// No results, files that do not parse, results of other experiments or on other feeds beside each other.
    pub fn read(directory: &Path) -> Result<Self, Error> {
        let mut found: BTreeMap<String, Vec<RunResult>> = BTreeMap::new();
        let entries = fs_err::read_dir(directory)
            .map_err(|_| Error::NoResults(directory.into()))?
            .collect::<Result<Vec<_>, _>>()?;
        let mut paths: Vec<PathBuf> = entries.iter().map(fs_err::DirEntry::path).collect();
        paths.sort();
        let mut first: Option<(PathBuf, Comparable)> = None;
        for path in paths {
            if path.extension().is_some_and(|ending| ending == "json") {
                let run = result::read(&path)?;
                let (first, of) = first.get_or_insert_with(|| (path.clone(), Comparable::of(&run)));
                of.check(&run, first, &path)?;
                found.entry(run.row.clone()).or_default().push(run);
            }
        }
        let name = found.values().next().map(|runs| runs[0].experiment.clone());
        let name = name.ok_or_else(|| Error::NoResults(directory.into()))?;
        let mut rows = Vec::with_capacity(found.len());
        for (name, mut runs) in found {
            runs.sort_by_key(|run| run.seed);
            let side = |run: &RunResult| {
                result::read_users(&directory.join(USERS).join(result::file_name(&name, run.seed)))
            };
            let users = runs.iter().map(side).collect::<Result<Option<Vec<_>>, Error>>()?;
            let users = users.and_then(|seeds| mean_of_users(&seeds));
            rows.push(ExperimentRow { name, runs, users });
        }
        let source = paper::source(&name);
        let place = |row: &ExperimentRow| {
            source
                .and_then(|source| source.rows.iter().position(|(name, _, _)| *name == row.name))
                .unwrap_or(usize::MAX)
        };
        rows.sort_by_key(place);
        let title = source.map_or_else(|| name.clone(), |source| source.title.into());
        Ok(Self { name, title, rows })
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

/// The AUC of each user as a mean over runs on the same split; `None` if the runs have different users.
fn mean_of_users(seeds: &[Vec<UserAuc>]) -> Option<Vec<UserAuc>> {
    let (first, rest) = seeds.split_first()?;
    let mut mean = first.clone();
    for users in rest {
        if users.len() != mean.len() {
            return None;
        }
        for (sum, user) in mean.iter_mut().zip(users) {
            if (sum.user, sum.impressions) != (user.user, user.impressions) {
                return None;
            }
            sum.auc += user.auc;
        }
    }
    mean.iter_mut().for_each(|user| user.auc /= seeds.len() as f64);
    Some(mean)
}
