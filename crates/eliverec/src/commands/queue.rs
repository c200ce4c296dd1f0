//! Runs that are left to make, some at a time: progress is told, a failure stops nobody, an interruption stops everybody.

use std::collections::{HashMap, VecDeque};
use std::fmt::Display;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use eliverec_run::{Error, kept};
use indicatif::HumanDuration;

use super::tell;
use crate::exit;

/// How running ended.
pub(super) enum Ended<J> {
    Interrupted,
    /// Every run was tried.
    Done {
        /// Those that failed, and why.
        failures: Vec<(J, anyhow::Error)>,
    },
}

/// Shared by the workers.
struct Progressing<J> {
    /// With what each costs, in any unit.
    waiting: VecDeque<(J, f64)>,
    finished: usize,
    /// Seconds that finished runs took, and what they cost.
    seconds: f64,
    cost: f64,
    failures: Vec<(J, anyhow::Error)>,
    /// Why runs failed, and the first that did so.
    told: HashMap<String, String>,
}

/// Makes the runs that are `left` of `all`, each with what it costs in any unit, `workers` at a time. `make` makes one and returns `false` if `stop` interrupted it. Why one
/// failed is told once, after the word `failed`, however many fail alike.
pub(super) fn run<J: Display + Send>(
    left: Vec<(J, f64)>,
    (all, failed): (usize, &str),
    workers: usize,
    stop: &AtomicBool,
    make: impl Fn(&J) -> anyhow::Result<bool> + Sync,
) -> Ended<J> {
    let finished = all - left.len();
    if finished > 0 {
        tell(&format!("{finished} of {all} runs were finished before"));
    }
    let progressing = Mutex::new(Progressing {
        waiting: left.into(),
        finished,
        seconds: 0.0,
        cost: 0.0,
        failures: Vec::new(),
        told: HashMap::new(),
    });
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| work(&progressing, (all, failed), workers, stop, &make));
        }
    });
    if stop.load(Ordering::Relaxed) {
        return Ended::Interrupted;
    }
    let progressing = progressing.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    Ended::Done { failures: progressing.failures }
}

fn work<J: Display>(
    progressing: &Mutex<Progressing<J>>,
    (all, failed): (usize, &str),
    workers: usize,
    stop: &AtomicBool,
    make: impl Fn(&J) -> anyhow::Result<bool>,
) {
    let locked = || progressing.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    loop {
        if stop.load(Ordering::Relaxed) {
            return;
        }
        let Some((job, cost)) = locked().waiting.pop_front() else { return };
        tell(&format!("{job}: begun"));
        let begun = Instant::now();
        let ended = make(&job);
        let mut progressing = locked();
        match ended {
            Ok(false) => return,
            Ok(true) => {
                progressing.finished += 1;
                progressing.seconds += begun.elapsed().as_secs_f64();
                progressing.cost += cost;
                let waiting: f64 = progressing.waiting.iter().map(|(_, cost)| cost).sum();
                let left = waiting / workers as f64 * progressing.seconds / progressing.cost;
                let left = HumanDuration(Duration::from_secs_f64(left));
                tell(&format!(
                    "{job}: finished in {}; {} of {all} runs, {left} left",
                    HumanDuration(begun.elapsed()),
                    progressing.finished,
                ));
            }
            Err(error) => {
                let (name, why) = (job.to_string(), exit::line(&error));
                match progressing.told.get(&why) {
                    Some(first) => tell(&format!("{name}: failed as {first} did")),
                    None => tell(&format!("{failed}: {name}: {why}")),
                }
                progressing.told.entry(why).or_insert(name);
                progressing.failures.push((job, error));
            }
        }
    }
}

/// Makes a directory of results and takes it for this process, until the file is dropped.
pub(super) fn lock(results: &Path) -> Result<fs_err::File, Error> {
    fs_err::create_dir_all(results)?;
    let lock = results.join(".lock");
    kept::check(&lock)?;
    let lock = fs_err::File::create(lock)?;
    lock.try_lock().map_err(|_| Error::Run {
        path: results.into(),
        reason: "another process is running it; wait for that or choose another --out".into(),
    })?;
    Ok(lock)
}
