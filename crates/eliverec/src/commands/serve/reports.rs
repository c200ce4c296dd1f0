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
                catch_unwind(AssertUnwindSafe(|| compare(&Arguments::of_log(&logs, &layer, pre)?)));
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
        let Seen { made_of, pre, bytes } = look(&self.logs);
        let mut layers = lock(&self.layers);
        let kept = layers.entry(layer.into()).or_default();
        if !kept.is_begun && made_of.len() > 1 && made_of != kept.made_of {
            kept.made_of = made_of;
            let begun = if bytes > MOST_BYTES {
                Err(format!(
                    "its days have {} MiB of events, and one of more than {} MiB is not made beside requests, for its memory; `eliverec ab report --logs {} --layer {layer} --pre {pre}` makes it elsewhere",
                    bytes >> 20,
                    MOST_BYTES >> 20,
                    self.logs.display()
                ))
            } else {
                self.begin(layer, pre).map_err(|error| error.to_string())
            };
            match begun {
                Ok(()) => kept.is_begun = true,
                Err(reason) => kept.last = Some((Instant::now(), Err(reason))),
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

/// Bytes of events of the days that are compared, at most. A service packs an event into some six bytes (the demo's log), so these are
/// ten million events; the report of fourteen million takes 700 MiB of memory (`docs/performance.md`).
const MOST_BYTES: u64 = 64 << 20;

/// What a look at the folders of a log tells; they appear when they are whole.
struct Seen {
    /// The file of experiments and the files of answers with their sizes, in order.
    made_of: Vec<(PathBuf, u64)>,
    /// Days before the first with answers that it has, up to [`MOST_BEFORE`].
    pre: u32,
    /// Of the files of the days with answers.
    bytes: u64,
}

/// What is in a folder; nothing if it cannot be read.
fn entries(folder: &Path) -> impl Iterator<Item = PathBuf> + use<> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.path())
}

fn look(logs: &Path) -> Seen {
    let size = |path: PathBuf| {
        let bytes = path.metadata().ok()?.len();
        Some((path, bytes))
    };
    let day_of = |folder: &Path| {
        let name = folder.file_name()?.to_str()?;
        name.strip_prefix(PARTITION)?.strip_prefix('=')?.parse::<Day>().ok()
    };
    let folders = entries(&logs.join(EVENTS_FOLDER));
    let days: BTreeMap<Day, PathBuf> =
        folders.filter_map(|folder| Some((day_of(&folder)?, folder))).collect();
    let answers = |folder: &PathBuf| folder.join(ANSWERS_FILE);
    let answered = days.iter().filter(|(_, folder)| answers(folder).is_file());
    let answered: Vec<Day> = answered.map(|(day, _)| *day).collect();
    let is_there = |pre: &u32| {
        let day = answered.first().and_then(|first| first.plus(-(*pre as i32)));
        day.is_some_and(|day| days.contains_key(&day))
    };
    let files = answered.iter().flat_map(|day| entries(&days[day])).filter_map(size);
    let journal = std::iter::once(logs.join(EXPERIMENTS_FILE));
    Seen {
        pre: (1..=MOST_BEFORE).take_while(is_there).last().unwrap_or(0),
        bytes: files.map(|(_, bytes)| bytes).sum(),
        made_of: journal.chain(days.values().map(answers)).filter_map(size).collect(),
    }
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
        let seen = || look(logs.path());
        assert_eq!((seen().made_of, seen().pre), (Vec::new(), 0));
        // A day is missing further back.
        [1, 3, 4, 5].into_iter().for_each(|of| day(of, false));
        assert_eq!((seen().made_of, seen().pre), (Vec::new(), 0));
        [6, 7].into_iter().for_each(|of| day(of, true));
        fs_err::write(logs.path().join(EXPERIMENTS_FILE), "{}").expect("it can be written");
        let Seen { made_of, pre, bytes } = seen();
        assert_eq!((made_of.len(), made_of[1].1, pre, bytes), (3, 4, 3, 8));
        (8..=20).for_each(|of| day(of, true));
        assert_eq!(seen().pre, 3);
    }
}
