//! Which runs are left, and running them: some at a time, each from where it was.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use eliverec_report::result::{self, file_name};
use eliverec_tables::FeedDirectory;
use eliverec_train::{Error, Outcome, Progress, Request, train};
use indicatif::HumanDuration;

use super::folder::{Folder, Job, fingerprint_of_feeds};
use super::outcome;
use crate::commands::tell;

/// Runs of a folder that have no result yet.
pub(super) struct Schedule {
    experiment: String,
    left: Vec<Job>,
    all: usize,
    feeds: FeedDirectory,
    data_fingerprint: String,
    results: PathBuf,
    keep_runs: bool,
    /// Held while this lives.
    _lock: fs_err::File,
}

/// How running ended.
pub(super) enum Ended {
    Interrupted,
    /// Runs and why they failed.
    Done {
        failures: Vec<(String, String)>,
    },
}

/// Shared by the workers.
struct Progressing {
    waiting: VecDeque<Job>,
    finished: usize,
    seconds: Vec<f64>,
    failures: Vec<(String, String)>,
}

impl Schedule {
    /// Looks at what `results` holds already.
    pub(super) fn open(
        folder: Folder,
        feeds: FeedDirectory,
        results: &Path,
        keep_runs: bool,
    ) -> Result<Self, Error> {
        let wrong = |reason: String| Error::Run { path: results.into(), reason };
        fs_err::create_dir_all(results)?;
        let lock = fs_err::File::create(results.join(".lock"))?;
        lock.try_lock().map_err(|_| {
            wrong("another process is running it; wait for that or choose another --out".into())
        })?;
        let data_fingerprint = fingerprint_of_feeds(&feeds)?;
        let all = folder.jobs.len();
        let mut left = Vec::new();
        for job in folder.jobs {
            let path = results.join(file_name(&job.row, job.seed));
            if !path.exists() {
                left.push(job);
                continue;
            }
            let found = result::read(&path).map_err(|e| wrong(e.to_string()))?;
            if found.experiment != folder.name || found.data_fingerprint != data_fingerprint {
                return Err(wrong(format!(
                    "holds results of {} on other feeds or of another folder; choose another --out",
                    found.experiment
                )));
            }
            if !job.has_config(&found.config) {
                tell(&format!("{} seed {}: the config has changed, made anew", job.row, job.seed));
                left.push(job);
            }
        }
        let (experiment, results) = (folder.name, results.into());
        Ok(Self { experiment, left, all, feeds, data_fingerprint, results, keep_runs, _lock: lock })
    }

    /// Runs what is left, `workers` at a time.
    pub(super) fn run(self, workers: usize, stop: &AtomicBool) -> Ended {
        if self.left.len() < self.all {
            tell(&format!(
                "{} of {} runs were finished before",
                self.all - self.left.len(),
                self.all
            ));
        }
        let progressing = Mutex::new(Progressing {
            waiting: self.left.iter().cloned().collect(),
            finished: self.all - self.left.len(),
            seconds: Vec::new(),
            failures: Vec::new(),
        });
        std::thread::scope(|scope| {
            for _ in 0..workers {
                scope.spawn(|| self.work(&progressing, workers, stop));
            }
        });
        if stop.load(Ordering::Relaxed) {
            return Ended::Interrupted;
        }
        let progressing =
            progressing.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
        Ended::Done { failures: progressing.failures }
    }

    fn work(&self, progressing: &Mutex<Progressing>, workers: usize, stop: &AtomicBool) {
        let locked = || progressing.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        loop {
            if stop.load(Ordering::Relaxed) {
                return;
            }
            let Some(job) = locked().waiting.pop_front() else { return };
            let name = format!("{} seed {}", job.row, job.seed);
            tell(&format!("{name}: begun"));
            let begun = Instant::now();
            let ended = self.one(&job, stop);
            let mut progressing = locked();
            match ended {
                Ok(false) => return,
                Ok(true) => {
                    progressing.finished += 1;
                    progressing.seconds.push(begun.elapsed().as_secs_f64());
                    let mean =
                        progressing.seconds.iter().sum::<f64>() / progressing.seconds.len() as f64;
                    let rounds = (progressing.waiting.len() as f64 / workers as f64).ceil();
                    let left = HumanDuration(Duration::from_secs_f64(mean * rounds));
                    tell(&format!(
                        "{name}: finished in {}; {} of {} runs, {left} left",
                        HumanDuration(begun.elapsed()),
                        progressing.finished,
                        self.all
                    ));
                }
                Err(error) => {
                    tell(&format!("{name}: failed: {error:#}"));
                    progressing.failures.push((name, format!("{error:#}")));
                }
            }
        }
    }

    /// Trains and evaluates one run; `false` if it was interrupted.
    fn one(&self, job: &Job, stop: &AtomicBool) -> anyhow::Result<bool> {
        // By config, so that a run of a changed one never resumes from the old.
        let run = self
            .results
            .join("runs")
            .join(format!("{}-seed{}-{}", job.row, job.seed, job.fingerprint));
        let request = Request {
            config: Some(job.config.clone()),
            overrides: job.overrides.clone(),
            feeds: self.feeds.path().into(),
            run: run.clone(),
            resume: true,
            init_from: None,
        };
        let begun = Instant::now();
        if let Outcome::Interrupted { .. } = train(&request, Progress::Silent, stop)? {
            return Ok(false);
        }
        let trained = begun.elapsed();
        let threads = job.config.training.threads.unwrap_or(0);
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build()?;
        pool.install(|| {
            outcome::keep(
                &self.experiment,
                job,
                &run,
                &self.feeds,
                &self.data_fingerprint,
                &self.results,
                trained,
            )
        })?;
        if !self.keep_runs {
            fs_err::remove_dir_all(&run)?;
        }
        Ok(true)
    }
}
