//! Reports of running experiments for the console: of the days of the log that are over, as `eliverec ab report` makes them, one at a
//! time on a thread that stands back, when somebody looks and the log has days that the last one has not.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use eliverec_console::{Made, Reports, Standing};
use eliverec_core::Day;
use eliverec_http::background::stand_back;
use eliverec_tables::events::ANSWERS_FILE;
use eliverec_tables::events::layout::{EVENTS_FOLDER, EXPERIMENTS_FILE, PARTITION};

use crate::commands::ab::report::{Arguments, compare};
use crate::exit;

/// See the module.
#[derive(Debug)]
pub(super) struct LogReports {
    logs: PathBuf,
    layers: Arc<Mutex<BTreeMap<String, Kept>>>,
    /// Held while one is made.
    making: Arc<Mutex<()>>,
}

/// Of a layer.
#[derive(Debug, Default)]
struct Kept {
    last: Option<(Instant, Result<Made, String>)>,
    /// What the log had when the last one was begun.
    made_of: Vec<(PathBuf, u64)>,
    is_begun: bool,
}

/// A lock that a panic has left is as good as before: what it guards is replaced as a whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl LogReports {
    pub(super) fn new(logs: PathBuf) -> Self {
        Self { logs, layers: Arc::default(), making: Arc::default() }
    }

    /// Makes a layer's report on a thread of its own, with so many days before.
    fn begin(&self, layer: &str, pre: u32) -> std::io::Result<()> {
        let (layers, making) = (Arc::clone(&self.layers), Arc::clone(&self.making));
        let (logs, layer) = (self.logs.clone(), layer.to_owned());
        let thread = std::thread::Builder::new().name("eliverec-report".into());
        thread.spawn(move || {
            stand_back();
            let alone = lock(&making);
            let begun = Instant::now();
            let made =
                catch_unwind(AssertUnwindSafe(|| compare(&Arguments::of(logs, &layer, pre))));
            let made = match made {
                Ok(Ok((report, _))) => {
                    let (report, took) = (Arc::new(report), begun.elapsed());
                    Ok(Made { report, pre, took, age: Duration::ZERO })
                }
                Ok(Err(error)) => Err(exit::line(&error)),
                Err(_) => Err("it failed; the log of the service says where".into()),
            };
            drop(alone);
            let mut layers = lock(&layers);
            let kept = layers.entry(layer).or_default();
            kept.last = Some((Instant::now(), made));
            kept.is_begun = false;
        })?;
        Ok(())
    }
}

impl Reports for LogReports {
    fn standing(&self, layer: &str) -> Standing {
        let (now, pre) = look(&self.logs);
        let mut layers = lock(&self.layers);
        let kept = layers.entry(layer.into()).or_default();
        if !kept.is_begun && now.len() > 1 && now != kept.made_of {
            match self.begin(layer, pre) {
                Ok(()) => {
                    kept.made_of = now;
                    kept.is_begun = true;
                }
                Err(error) => kept.last = Some((Instant::now(), Err(error.to_string()))),
            }
        }
        let last = kept
            .last
            .as_ref()
            .map(|(at, made)| made.clone().map(|made| Made { age: at.elapsed(), ..made }));
        Standing { last, is_begun: kept.is_begun }
    }
}

/// Days before the first answers that tell how active users were, at most: a week has every day of the week.
const MOST_BEFORE: u32 = 7;

/// The file of experiments and the files of answers of a log with their sizes, in order: what a report is made of, as far as a look at
/// the folders tells, which appear when they are whole. And how many of the days before the answers it has, up to [`MOST_BEFORE`].
fn look(logs: &Path) -> (Vec<(PathBuf, u64)>, u32) {
    let size = |path: PathBuf| {
        let bytes = path.metadata().ok()?.len();
        Some((path, bytes))
    };
    let folders = std::fs::read_dir(logs.join(EVENTS_FOLDER)).into_iter().flatten().flatten();
    let day_of = |name: &str| name.strip_prefix(PARTITION)?.strip_prefix('=')?.parse::<Day>().ok();
    let days = folders.filter_map(|folder| {
        Some((day_of(folder.file_name().to_str()?)?, folder.path().join(ANSWERS_FILE)))
    });
    let days: BTreeMap<Day, PathBuf> = days.collect();
    let answered = days.iter().find(|(_, answers)| answers.is_file()).map(|(day, _)| *day);
    let is_there = |pre: &u32| {
        let day = answered.and_then(|first| first.plus(-(*pre as i32)));
        day.is_some_and(|day| days.contains_key(&day))
    };
    let pre = (1..=MOST_BEFORE).take_while(is_there).last().unwrap_or(0);
    let journal = std::iter::once(logs.join(EXPERIMENTS_FILE));
    (journal.chain(days.into_values()).filter_map(size).collect(), pre)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_look_finds_the_answers_and_the_days_before_them() {
        let logs = tempfile::tempdir().expect("a folder");
        let day = |day: u32, answers: bool| {
            let folder = logs.path().join(format!("events/date=2024-05-{day:02}"));
            fs_err::create_dir_all(&folder).expect("it can be made");
            if answers {
                fs_err::write(folder.join(ANSWERS_FILE), "rows").expect("it can be written");
            }
        };
        assert_eq!(look(logs.path()), (Vec::new(), 0));
        // A day is missing further back.
        [1, 3, 4, 5].into_iter().for_each(|of| day(of, false));
        assert_eq!(look(logs.path()), (Vec::new(), 0));
        [6, 7].into_iter().for_each(|of| day(of, true));
        fs_err::write(logs.path().join(EXPERIMENTS_FILE), "{}").expect("it can be written");
        let (found, pre) = look(logs.path());
        assert_eq!((found.len(), found[1].1, pre), (3, 4, 3));
        (8..=20).for_each(|of| day(of, true));
        assert_eq!(look(logs.path()).1, 3);
    }
}
