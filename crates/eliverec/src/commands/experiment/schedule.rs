//! Which runs are left, and running them: some at a time, each from where it was.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use eliverec_report::results::{RESULTS_FILE, Results, RunResult};
use eliverec_tables::check::Checked;
use eliverec_tables::{FeedDirectory, Split};
use eliverec_train::expected::expected;
use eliverec_train::{Progress, TrainingEnd, TrainingOrder, ranks, train};
use indicatif::HumanDuration;

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
                "{job}: was compared with no log's truth; choose another --out than that of {path} to have that made anew"
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
        let path = results.join(RESULTS_FILE);
        let found = Results::read(results)?
            .unwrap_or_else(|| Results::new(&folder.name, &kept.fingerprint));
        if found.head.experiment != folder.name {
            let reason = format!(
                "holds results of {}, which is another folder; choose another --out",
                found.head.experiment
            );
            return Err(eliverec_run::Error::Run { path, reason }.into());
        }
        kept.check(&path, &found.head.data_fingerprint)?;
        let mut left = Vec::new();
        for job in folder.jobs {
            let Some(finished) = found.find(&job.row, job.seed) else {
                left.push(job);
                continue;
            };
            if let Some(causes) = &causes {
                check_truth(&job, &path, finished, causes)?;
            }
            let differences = fingerprint::differences(&finished.config, &job.config);
            if !differences.is_ok_and(|keys| keys.is_empty()) {
                tell(&format!("{job}: the config has changed, made anew"));
                left.push(job);
            }
        }
        kept.keep()?;
        let keeper =
            Keeper { feeds, directory: results.into(), results: Mutex::new(found), causes };
        Ok(Self { left, all, keeper, keep_runs, kept, _lock: lock })
    }

    /// What the runs read.
    pub(super) const fn checked(&self) -> &Checked {
        &self.kept.checked
    }

    /// Runs what is left, `workers` at a time: where several are at it the longest first, so that none is left to be waited for alone.
    pub(super) fn run(&self, workers: usize, stop: &AtomicBool) -> Ended<Job> {
        let mut rows: BTreeMap<&str, f64> = BTreeMap::new();
        for job in &self.left {
            if !rows.contains_key(job.row.as_str()) && !stop.load(Ordering::Relaxed) {
                // A row that cannot run says why when its turn comes.
                let expected = expected(&job.config, &self.keeper.feeds).unwrap_or_default();
                rows.insert(&job.row, expected.as_secs_f64());
            }
        }
        let seconds = |job: &Job| rows.get(job.row.as_str()).copied().unwrap_or_default();
        let time = |seconds| HumanDuration(Duration::from_secs_f64(seconds));
        let mut left: Vec<(Job, f64)> = Vec::new();
        left.extend(self.left.iter().map(|job| (job.clone(), seconds(job).max(1e-3))));
        let by_time = |a: &&(Job, f64), b: &&(Job, f64)| a.1.total_cmp(&b.1);
        let ends = (left.iter().min_by(by_time), left.iter().max_by(by_time));
        if let (Some((shortest, least)), Some((longest, most))) = ends {
            let sum: f64 = left.iter().map(|(_, seconds)| seconds).sum();
            tell(&format!(
                "{} runs are left, {workers} at a time: at most about {} by their first updates, from {} ({}) to {} ({}) a run",
                left.len(),
                time((sum / workers as f64).max(*most)),
                time(*least),
                shortest.row,
                time(*most),
                longest.row,
            ));
        }
        if workers > 1 {
            left.sort_by(|a, b| b.1.total_cmp(&a.1));
        }
        let all = (self.all, "error");
        queue::run(left, all, workers, stop, |job| self.one(job, stop))
    }

    /// Trains and evaluates one run; `false` if it was interrupted.
    fn one(&self, job: &Job, stop: &AtomicBool) -> anyhow::Result<bool> {
        // By config, so that a run of a changed one never resumes from the old.
        let run = self
            .keeper
            .directory
            .join("runs")
            .join(format!("{}-seed{}-{}", job.row, job.seed, job.fingerprint));
        let order = TrainingOrder {
            config: Some(job.config.clone()),
            overrides: job.overrides.clone(),
            feeds: self.keeper.feeds.clone(),
            run: run.clone(),
            resume: true,
            init_from: None,
            ranks: ranks::alone(),
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
