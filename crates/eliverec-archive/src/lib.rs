//! Days of a service's log that are over become folders of an event log (docs/logs.md), and then leave the service.
//!
//! It stands apart from `eliverec-state` because that knows no file format of logs, and from what speaks HTTP because it needs no
//! network.
//!
//! # A day is in one place
//! A day is first written beside the others under a name that readers pass over, put on disk and then renamed, so `events` has the
//! whole day or nothing of it; only then the state is told that it may drop it. A kill in between leaves the day in both, and the next
//! call finds the folder, sees that it has as many events, and tells the state. Rows of tables that changed on the day are added to
//! the tables before the folder appears, each with the moment from which it is known; adding them again changes nothing. With what
//! probability channels of answers were drawn goes into the folder, too, in a file that readers pass over by its name ([`DRAWN_FILE`]).

mod drawn;
mod error;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use eliverec_core::{Day, Dimensions, IdKinds, Schema};
use eliverec_state::{LoggedDay, Record, State, Table, Upsert};
use eliverec_tables::events::{
    EventLog, EventWriter, Store, read_dimensions, read_id_kinds, write_dimensions, write_id_kinds,
};

pub use drawn::DRAWN_FILE;
use drawn::DrawnWriter;
pub use error::Error;

/// What went into folders.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Archived {
    /// Events by day.
    pub days: BTreeMap<Day, u64>,
    /// Rows added to the tables.
    pub rows: u64,
    /// Answers some of whose channels were drawn.
    pub drawn: u64,
}

/// Where a day is made; readers pass the name over.
const PARTIAL: &str = ".archive-partial";
/// Begins the name of a day's folder that is on its way out; readers pass it over.
const REMOVED: &str = ".removed-";

/// Makes the log at `logs` that days go to, with the tables that the state begins with. One that is there stays as it is, but for how
/// callers write ids, as far as that was not known.
///
/// # Errors
/// What the file system refuses, and a log of another schema, or whose ids are written in another way.
pub fn begin(
    logs: &Path,
    schema: &Schema,
    dimensions: &Dimensions,
    ids: &IdKinds,
) -> Result<(), Error> {
    let store = Store::local(logs)?;
    let mut kinds = read_id_kinds(&store)?.unwrap_or_default();
    let differences = kinds.differences(ids);
    if !differences.is_empty() {
        return Err(Error::OtherIds { path: logs.into(), differences: differences.join(", ") });
    }
    if logs.join("schema.toml").exists() {
        let found = EventLog::open(&store)?;
        let differences = schema.differences(found.schema());
        if !differences.is_empty() {
            return Err(Error::Core(eliverec_core::Error::SchemaMismatch {
                expected: "the state".into(),
                found: logs.display().to_string(),
                differences: differences.join("; "),
            }));
        }
    }
    kinds.extend(ids);
    // Without it the numbers of the folders would be taken for what callers write.
    write_id_kinds(&kinds, &store)?;
    if logs.join("schema.toml").exists() {
        return Ok(());
    }
    // The schema makes it a log, so the tables come first.
    write_dimensions(dimensions, &store)?;
    EventWriter::create(&store, schema)?.finish()?;
    Ok(())
}

/// Moves the days that are over when it is `now_ms` from the state's log into the log at `logs`, which [`begin`] made.
///
/// # Errors
/// A damaged file of the state's log, a folder of such a day that has other events, and what the file system refuses; the days
/// before have moved.
pub fn archive(state: &State, logs: &Path, now_ms: i64) -> Result<Archived, Error> {
    let mut archived = Archived::default();
    for day in state.days_over(now_ms)? {
        let moved = move_day(state, logs, day)?;
        archived.days.insert(day.day, moved.events);
        archived.rows += moved.rows;
        archived.drawn += moved.drawn;
        state.leave(day.day)?;
    }
    Ok(archived)
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
    let mut days: Vec<Day> = Vec::new();
    for entry in fs_err::read_dir(&events)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with(REMOVED) {
            fs_err::remove_dir_all(entry.path())?;
        }
        days.extend(name.strip_prefix("date=").and_then(|day| day.parse::<Day>().ok()));
    }
    days.sort_unstable();
    days.truncate(days.len().saturating_sub(keep));
    for day in &days {
        let removed = events.join(format!("{REMOVED}{day}"));
        fs_err::rename(folder(logs, *day), &removed)?;
        sync(&events)?;
        fs_err::remove_dir_all(&removed)?;
    }
    Ok(days)
}

/// What became of a day.
struct Moved {
    events: u64,
    /// Rows of tables that are new.
    rows: u64,
    drawn: u64,
}

/// Writes a day, unless it is there.
fn move_day(state: &State, logs: &Path, day: LoggedDay) -> Result<Moved, Error> {
    let store = Store::local(logs)?;
    let partial = logs.join(PARTIAL);
    if partial.exists() {
        fs_err::remove_dir_all(&partial)?;
    }
    let folder = folder(logs, day.day);
    let is_there = folder.exists();
    let schema = EventLog::open(&store)?.schema().clone();
    let mut writer = if is_there {
        None
    } else {
        fs_err::create_dir(&partial)?;
        Some(EventWriter::create(&Store::local(&partial)?, &schema)?)
    };
    let mut upserts = BTreeMap::new();
    let (mut events, mut drawn) = (0, DrawnWriter::new(&partial));
    state.read_day(day, |_, record| {
        match record {
            Record::Event(event) => {
                events += 1;
                if let Some(writer) = &mut writer {
                    writer.push(&event)?;
                }
            }
            // Of several changes of one row in one moment the last counts.
            Record::Upsert(of) => {
                upserts.insert((of.table, of.id, of.available_at_ms), of);
            }
            Record::Drawn(of) if writer.is_some() => drawn.push(&of)?,
            Record::Drawn(_) => {}
        }
        Ok::<(), Error>(())
    })?;
    let rows = add_rows(&store, &schema, upserts)?;
    let drawn = drawn.finish()?;
    if let Some(writer) = writer {
        writer.finish()?;
        if events > 0 {
            fs_err::create_dir_all(logs.join("events"))?;
            let made = self::folder(&partial, day.day);
            if drawn > 0 {
                fs_err::rename(partial.join(DRAWN_FILE), made.join(DRAWN_FILE))?;
                sync(&made)?;
            }
            fs_err::rename(made, &folder)?;
            sync(&logs.join("events"))?;
            sync(logs)?;
        }
        fs_err::remove_dir_all(&partial)?;
    } else {
        let mut found = 0;
        for row in EventLog::open(&store)?.read(day.day..=day.day)? {
            row?;
            found += 1;
        }
        if found != events {
            return Err(Error::OtherDay { path: folder, found, expected: events });
        }
    }
    Ok(Moved { events, rows, drawn })
}

/// Adds the rows that are newer than those of their ids, in the order of their moments.
fn add_rows(
    store: &Store,
    schema: &Schema,
    upserts: BTreeMap<(Table, u64, i64), Upsert>,
) -> Result<u64, Error> {
    if upserts.is_empty() {
        return Ok(0);
    }
    let mut dimensions = read_dimensions(store, schema)?;
    let mut rows = 0;
    for ((table, id, moment), upsert) in upserts {
        let Some(table) = dimensions.table_mut(table.group()) else { continue };
        if table.row(id).is_none_or(|row| table.known_from_ms()[row] < moment) {
            table.upsert(id, moment, &upsert.values)?;
            rows += 1;
        }
    }
    write_dimensions(&dimensions, store)?;
    Ok(rows)
}

fn folder(logs: &Path, day: Day) -> PathBuf {
    logs.join("events").join(format!("date={day}"))
}

/// Puts the names in a directory on disk.
fn sync(path: &Path) -> Result<(), Error> {
    // Only Unix can open a directory as a file; elsewhere the rename itself is durable enough.
    if cfg!(unix) {
        fs_err::File::open(path)?.sync_all()?;
    }
    Ok(())
}
