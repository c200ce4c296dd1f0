//! Days of a service's log that are over become folders of an event log (docs/logs.md), and then leave the service.
//!
//! It stands apart from `eliverec-state` because that knows no file format of logs, and from what speaks HTTP because it needs no
//! network.
//!
//! # A day is in one place
//! A day is first written beside the others under a name that readers pass over, put on disk and then renamed, so `events` has the
//! whole day or nothing of it; only then the state is told that it may drop it. A kill in between leaves the day in both, and the next
//! call finds the folder, sees that it has the same events, and tells the state. So does the first call after a start with all days that
//! are still in the state's log, for only what has been compared is dropped: a day whose folder is gone is written again. Rows of tables that changed on the day are added to
//! the tables before the folder appears, each with the moment from which it is known; adding them again changes nothing. How answers
//! came to be goes into the folder, too, in a file that readers pass over by its name ([`eliverec_tables::events::ANSWERS_FILE`]).

mod answers;
mod day;
mod error;
mod folder;
mod logs;
mod rows;

use std::collections::BTreeMap;
use std::path::Path;

use eliverec_core::Day;
use eliverec_state::State;

use day::{Fate, move_day};
pub use error::Error;
use folder::{folder, sync};
pub use logs::{Logs, begin, check, keep_ids};

/// What went into folders.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Archived {
    /// Events by day.
    pub days: BTreeMap<Day, u64>,
    /// Days whose folders were there before, were gone, and are written again.
    pub again: Vec<Day>,
    /// Rows added to the tables.
    pub rows: u64,
    /// Answers whose making is kept.
    pub answers: u64,
}

/// Begins the name of a day's folder that is on its way out; readers pass it over.
const REMOVED: &str = ".removed-";

/// Moves the days that are over when it is `now_ms` from the state's log into the log at `logs`, which [`begin`] made. Those that were
/// moved before are compared with their folders; where `keep` days stay and there are as many newer ones, no folder is expected.
///
/// # Errors
/// A damaged file of the state's log, a folder of such a day that has other events, and what the file system refuses; the days
/// before have moved.
pub fn archive(
    state: &State,
    logs: &Path,
    now_ms: i64,
    keep: Option<usize>,
) -> Result<Archived, Error> {
    let mut archived = Archived::default();
    let left = state.left();
    for day in state.days_over(now_ms)? {
        let before = left.get(&day.day).copied();
        if let Some(events) = before
            && is_removed(&folders(logs)?, day.day, keep)
        {
            state.leave(day.day, events)?;
            continue;
        }
        let moved = move_day(state, logs, day)?;
        archived.rows += moved.rows;
        archived.answers += moved.answers;
        match (before, moved.fate) {
            (None, _) => {
                archived.days.insert(day.day, moved.events);
            }
            (Some(_), Fate::Written) if moved.events > 0 => archived.again.push(day.day),
            (Some(_), _) => {}
        }
        state.leave(day.day, moved.events)?;
    }
    Ok(archived)
}

/// The days that were moved to `logs`, by what the state says, and have no folder there any more, although `keep` does not say so.
///
/// # Errors
/// What the file system refuses.
pub fn gone(state: &State, logs: &Path, keep: Option<usize>) -> Result<Vec<Day>, Error> {
    let there = folders(logs)?;
    let days = state.left().into_iter().filter(|(day, events)| {
        *events > 0 && !there.contains(day) && !is_removed(&there, *day, keep)
    });
    Ok(days.map(|(day, _)| day).collect())
}

/// Whether the folder of a day is one that `keep` removes.
fn is_removed(there: &[Day], day: Day, keep: Option<usize>) -> bool {
    let newer = there.iter().filter(|of| **of > day).count();
    !there.contains(&day) && keep.is_some_and(|keep| newer >= keep)
}

/// The days that have a folder, in order.
fn folders(logs: &Path) -> Result<Vec<Day>, Error> {
    let events = logs.join("events");
    let mut days: Vec<Day> = Vec::new();
    if events.exists() {
        for entry in fs_err::read_dir(&events)? {
            let name = entry?.file_name().to_string_lossy().into_owned();
            days.extend(name.strip_prefix("date=").and_then(|day| day.parse::<Day>().ok()));
        }
    }
    days.sort_unstable();
    Ok(days)
}

/// Removes the folders of all days but the newest `keep`, each as a whole whatever kills the process; the days removed.
///
/// # Errors
/// What the file system refuses; the days before are removed.
pub fn keep_newest(logs: &Path, keep: usize) -> Result<Vec<Day>, Error> {
    let events = logs.join("events");
    if !events.exists() {
        return Ok(Vec::new());
    }
    for entry in fs_err::read_dir(&events)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(REMOVED) {
            fs_err::remove_dir_all(entry.path())?;
        }
    }
    let mut days = folders(logs)?;
    days.truncate(days.len().saturating_sub(keep));
    for day in &days {
        let removed = events.join(format!("{REMOVED}{day}"));
        fs_err::rename(folder(logs, *day), &removed)?;
        sync(&events)?;
        fs_err::remove_dir_all(&removed)?;
    }
    Ok(days)
}
