//! Running the rungs of a search. Every finished run is one small file, and what is left follows from those files alone.

use std::collections::HashMap;
use std::fmt::{self, Display};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use anyhow::anyhow;
use eliverec_report::results::parse;
use eliverec_run::{Config, RunDirectory, checkpoint, durable};
use eliverec_tables::{FeedDirectory, Split};
use eliverec_train::{Error, Progress, TrainingEnd, TrainingOrder, ranks, train};
use serde::{Deserialize, Serialize};

use super::space::Budget;
use crate::commands::fingerprint;
use crate::commands::kept_feeds::KeptFeeds;
use crate::commands::queue::{self, Ended};

/// A search in its directory.
pub(super) struct Search {
    /// What a run of each rung may cost.
    pub(super) rungs: Vec<Budget>,
    /// The base config first.
    pub(super) trials: Vec<Config>,
    /// What the runs are made on.
    pub(super) kept: KeptFeeds,
    feeds: FeedDirectory,
    out: PathBuf,
    /// Held while this lives.
    _lock: fs_err::File,
}

/// One run: a configuration with the budget of a rung, both from 0.
#[derive(Clone, Copy, Debug)]
struct Job {
    rung: usize,
    trial: usize,
}

impl Display for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "rung {} config {}", self.rung + 1, self.trial + 1)
    }
}

/// A configuration's place in a rung.
#[derive(Debug)]
pub(super) struct Ranked {
    /// From 0.
    pub(super) trial: usize,
    /// The best validation value, larger being better, or why there is none.
    pub(super) outcome: anyhow::Result<f64>,
}

/// What stays of a finished run.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Tried {
    config: String,
    data_fingerprint: String,
    verdict: Verdict,
    /// Wall time, on whatever else the machine did.
    seconds: f64,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Verdict {
    /// The best value of the stop metric, larger being better.
    Validation(f64),
    /// A number that is none: the same run would end the same way, so it is not made again either.
    Diverged(String),
}

impl Search {
    /// Takes `out`, and checks that what it holds belongs to this search.
    pub(super) fn open(
        rungs: Vec<Budget>,
        trials: Vec<Config>,
        feeds: FeedDirectory,
        out: &Path,
    ) -> anyhow::Result<Self> {
        if feeds.feeds(Split::Validation)? == 0 {
            let reason = "has no validation feeds, by which configurations are chosen".into();
            let path = feeds.path().into();
            return Err(eliverec_run::Error::Run { path, reason }.into());
        }
        let lock = queue::lock(out)?;
        let kept = KeptFeeds::of(&feeds, out, &[Split::Validation])?;
        let search = Self { rungs, trials, kept, feeds, out: out.into(), _lock: lock };
        for rung in 0..search.rungs.len() {
            for trial in 0..search.trials.len() {
                search.known(Job { rung, trial })?;
            }
        }
        search.kept.keep()?;
        Ok(search)
    }

    /// Makes the runs of a rung that are left and ranks its configurations; `None` if `stop` was set.
    pub(super) fn rung(
        &self,
        rung: usize,
        trials: &[usize],
        workers: usize,
        stop: &AtomicBool,
    ) -> anyhow::Result<Option<Vec<Ranked>>> {
        let mut left = Vec::new();
        for &trial in trials {
            let job = Job { rung, trial };
            if self.known(job)?.is_none() {
                left.push(job);
            }
        }
        let make = |job: &Job| self.make(*job, workers, stop);
        let left = left.into_iter().map(|job| (job, 1.0)).collect();
        let ended = queue::run(left, (trials.len(), "failed"), workers, stop, make);
        let Ended::Done { failures } = ended else { return Ok(None) };
        let mut failures: HashMap<usize, anyhow::Error> =
            failures.into_iter().map(|(job, error)| (job.trial, error)).collect();
        let mut ranking = Vec::new();
        for &trial in trials {
            let outcome = match self.known(Job { rung, trial })?.map(|tried| tried.verdict) {
                Some(Verdict::Validation(value)) => Ok(value),
                Some(Verdict::Diverged(reason)) => Err(anyhow::Error::msg(reason)),
                None => Err(failures.remove(&trial).expect("every trial was made or has failed")),
            };
            ranking.push(Ranked { trial, outcome });
        }
        rank(&mut ranking);
        Ok(Some(ranking))
    }

    fn config(&self, job: Job) -> Config {
        self.rungs[job.rung].of(&self.trials[job.trial])
    }

    fn file(&self, job: Job) -> PathBuf {
        self.out.join(format!("rung-{}", job.rung + 1)).join(format!("{:03}.json", job.trial + 1))
    }

    /// What is known of a run, if it was made.
    fn known(&self, job: Job) -> anyhow::Result<Option<Tried>> {
        let path = self.file(job);
        if !path.exists() {
            return Ok(None);
        }
        let tried: Tried = parse(&path)?;
        self.kept.check(&path, &tried.data_fingerprint)?;
        let differences = fingerprint::differences(&tried.config, &self.config(job));
        let differences = differences.map_err(|error| eliverec_report::Error::Damaged {
            path: path.clone(),
            reason: error.to_string(),
        })?;
        if differences.is_empty() {
            return Ok(Some(tried));
        }
        let reason = format!(
            "was made by another space or base config: {}; choose another --out, or ask for the same as before",
            differences.join(", ")
        );
        Err(eliverec_run::Error::Run { path, reason }.into())
    }

    /// Trains one run and keeps its verdict; `false` if it was interrupted.
    fn make(&self, job: Job, workers: usize, stop: &AtomicBool) -> anyhow::Result<bool> {
        let mut config = self.config(job);
        let resolved = config.to_toml();
        // By config, so that a run of a changed one never resumes from the old.
        let name = format!("{job}-{}", fingerprint::of_config(&config)).replace(' ', "-");
        let run = self.out.join("runs").join(name);
        if workers > 1 {
            config.training.threads = Some(1);
        }
        let metric = config.training.stop_metric.name();
        let order = TrainingOrder {
            config: Some(config),
            overrides: Vec::new(),
            feeds: self.feeds.clone(),
            run: run.clone(),
            resume: true,
            init_from: None,
            ranks: ranks::alone(),
        };
        let begun = Instant::now();
        let verdict = match train(&order, Progress::Silent, stop) {
            Ok(TrainingEnd::Interrupted { .. }) => return Ok(false),
            Ok(TrainingEnd::Finished { .. } | TrainingEnd::AlreadyFinished(_)) => {
                let commit = checkpoint::read_commit(&RunDirectory::at(&run))?;
                let value = commit.and_then(|commit| commit.position.best_value);
                Verdict::Validation(value.ok_or_else(|| {
                    anyhow!("training.stop_metric {metric} is undefined on the validation split")
                })?)
            }
            Err(error @ Error::NotFinite { .. }) => Verdict::Diverged(error.to_string()),
            Err(error) => return Err(error.into()),
        };
        let failure = match &verdict {
            Verdict::Validation(_) => None,
            Verdict::Diverged(reason) => Some(anyhow!(reason.clone())),
        };
        let tried = Tried {
            config: resolved,
            data_fingerprint: self.kept.fingerprint.clone(),
            verdict,
            seconds: begun.elapsed().as_secs_f64().round(),
        };
        let file = self.file(job);
        fs_err::create_dir_all(self.out.join(format!("rung-{}", job.rung + 1)))?;
        durable::write(&file, serde_json::to_string(&tried)?.as_bytes())?;
        fs_err::remove_dir_all(&run)?;
        failure.map_or(Ok(true), Err)
    }
}

/// Best first, failures last; equals by their number.
fn rank(ranking: &mut [Ranked]) {
    ranking.sort_by(|a, b| {
        let value = |ranked: &Ranked| ranked.outcome.as_ref().map_or(f64::NEG_INFINITY, |v| *v);
        let failed = a.outcome.is_err().cmp(&b.outcome.is_err());
        failed.then(value(b).total_cmp(&value(a))).then(a.trial.cmp(&b.trial))
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_are_by_value_then_number_with_failures_last() {
        let outcomes = [Err("no"), Ok(-0.4), Ok(-0.2), Err("no"), Ok(-0.2)];
        let outcomes = outcomes.map(|outcome| outcome.map_err(anyhow::Error::msg));
        let mut ranking: Vec<Ranked> = outcomes
            .into_iter()
            .enumerate()
            .map(|(trial, outcome)| Ranked { trial, outcome })
            .collect();
        rank(&mut ranking);
        let order: Vec<usize> = ranking.iter().map(|ranked| ranked.trial).collect();
        assert_eq!(order, [2, 4, 1, 0, 3]);
    }
}
