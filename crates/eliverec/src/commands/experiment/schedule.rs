//! Which runs are left, and running them: some at a time, each from where it was.

use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use eliverec_report::RunResult;
use eliverec_report::result::{self, file_name};
use eliverec_tables::check::Checked;
use eliverec_tables::{FeedDirectory, Split};
use eliverec_train::{Progress, TrainingEnd, TrainingOrder, train};

use super::folder::{Folder, Job};
use super::outcome::Keeper;
use crate::commands::causes::Causes;
use crate::commands::kept_feeds::KeptFeeds;
use crate::commands::queue::{self, Ended};
use crate::commands::{fingerprint, tell};

/// Runs of a folder that have no result yet.
pub(super) struct Schedule {
    left: Vec<Job>,
    all: usize,
    keeper: Keeper,
    keep_runs: bool,
    kept: KeptFeeds,
    /// Held while this lives.
    _lock: fs_err::File,
}

/// Refuses a result that was compared with the truth of another log; tells of one that was compared with none.
fn check_truth(
    job: &Job,
    path: &Path,
    found: &RunResult,
    causes: &Causes,
) -> Result<(), eliverec_run::Error> {
    match &found.truth_fingerprint {
        Some(truth) if *truth != causes.fingerprint => {
            let reason = "was compared with the truth of another log; choose another --out, or give that log";
            Err(eliverec_run::Error::Run { path: path.into(), reason: reason.into() })
        }
        None if found.truth.is_empty() => {
            let path = path.display();
            tell(&format!(
                "{job}: was compared with no log's truth; remove {path} to have that made anew"
            ));
            Ok(())
        }
        _ => Ok(()),
    }
}

impl Schedule {
    /// Looks at what `results` holds already.
    pub(super) fn open(
        folder: Folder,
        feeds: FeedDirectory,
        results: &Path,
        causes: Option<Causes>,
        keep_runs: bool,
    ) -> anyhow::Result<Self> {
        let lock = queue::lock(results)?;
        let kept = KeptFeeds::of(&feeds, results, &[Split::Validation, Split::Test])?;
        let all = folder.jobs.len();
        let mut left = Vec::new();
        for job in folder.jobs {
            let path = results.join(file_name(&job.row, job.seed));
            if !path.exists() {
                left.push(job);
                continue;
            }
            let found = result::read(&path)?;
            if found.experiment != folder.name {
                let reason = format!(
                    "is a result of {}, which is another folder; choose another --out",
                    found.experiment
                );
                return Err(eliverec_run::Error::Run { path, reason }.into());
            }
            kept.check(&path, &found.data_fingerprint)?;
            if let Some(causes) = &causes {
                check_truth(&job, &path, &found, causes)?;
            }
            let differences = fingerprint::differences(&found.config, &job.config);
            if !differences.is_ok_and(|keys| keys.is_empty()) {
                tell(&format!("{job}: the config has changed, made anew"));
                left.push(job);
            }
        }
        kept.keep()?;
        let keeper = Keeper {
            experiment: folder.name,
            feeds,
            data_fingerprint: kept.fingerprint.clone(),
            results: results.into(),
            causes,
        };
        Ok(Self { left, all, keeper, keep_runs, kept, _lock: lock })
    }

    /// What the runs read.
    pub(super) const fn checked(&self) -> &Checked {
        &self.kept.checked
    }

    /// Runs what is left, `workers` at a time.
    pub(super) fn run(&self, workers: usize, stop: &AtomicBool) -> Ended<Job> {
        let all = (self.all, "error");
        queue::run(self.left.clone(), all, workers, stop, |job| self.one(job, stop))
    }

    /// Trains and evaluates one run; `false` if it was interrupted.
    fn one(&self, job: &Job, stop: &AtomicBool) -> anyhow::Result<bool> {
        // By config, so that a run of a changed one never resumes from the old.
        let run = self
            .keeper
            .results
            .join("runs")
            .join(format!("{}-seed{}-{}", job.row, job.seed, job.fingerprint));
        let order = TrainingOrder {
            config: Some(job.config.clone()),
            overrides: job.overrides.clone(),
            feeds: self.keeper.feeds.clone(),
            run: run.clone(),
            resume: true,
            init_from: None,
        };
        let begun = Instant::now();
        if let TrainingEnd::Interrupted { .. } = train(&order, Progress::Silent, stop)? {
            return Ok(false);
        }
        let trained = begun.elapsed();
        let threads = job.config.training.threads.unwrap_or(0);
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build()?;
        pool.install(|| self.keeper.keep(job, &run, trained))?;
        if !self.keep_runs {
            fs_err::remove_dir_all(&run)?;
        }
        Ok(true)
    }
}
