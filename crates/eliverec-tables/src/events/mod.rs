//! The event log on disk: plain Parquet files in one folder per day, on the local disk or any object store.
//!
//! ```text
//! LOGS/schema.toml                                   the feed schema; its context fields are columns of the log
//! LOGS/users.parquet, products.parquet, channels.parquet
//! LOGS/events/date=2024-05-31/part-00000.parquet     events that arrived on that day in UTC, in any order
//! ```
//!
//! The day is that of arrival, not that of the event: when it is over its folder is complete, and a late event changes
//! no folder that has been read. Any tool that knows Parquet and `name=value` folders can read a log; rows written by
//! other tools are checked here. The order of rows, and repeated event ids, are no faults: those who fold events see
//! to them.
//!
//! A row that is no event is an error that names it ([`EventReader::strict`]), or is counted and set aside
//! ([`EventReader::lenient`]); a file that cannot be read at all is always an error.

pub mod check;
pub mod day;
pub mod decode;
pub mod dimensions;
mod encode;
pub mod layout;
mod local;
mod marks;
pub mod new;
mod part;
pub mod read;
pub mod rejected;
mod source;
pub mod store;
pub mod write;

use std::collections::BTreeMap;
use std::ops::RangeBounds;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use eliverec_core::{Dimensions, Schema};

pub use day::Day;
pub use decode::{EventBatch, Fault, Reason};
pub use dimensions::{read_dimensions, write_dimensions};
pub use marks::Marks;
pub use new::NewLog;
pub use read::{EventReader, Events, ReadCounts, Row};
pub use rejected::{Rejected, RejectedWriter};
pub use store::Store;
pub use write::{EventWriter, Written};

use crate::error::Error;
use crate::layout::SCHEMA_FILE;
use layout::{EVENTS_FOLDER, day_of_folder};
use store::StoredFile;

/// What makes a log, for messages about a place that has none.
const EXPECTED: &str = "expected schema.toml and folders events/date=YYYY-MM-DD with Parquet files, as `eliverec simulate \
                        --out DIR` makes them";

/// An event log, as it was when it was opened: files that appear later are not seen.
#[derive(Clone, Debug)]
pub struct EventLog {
    store: Store,
    schema: Arc<Schema>,
    days: BTreeMap<Day, Vec<StoredFile>>,
}

impl EventLog {
    /// Opens a log by its schema and the names of its files; the files are opened as they are read.
    ///
    /// # Errors
    /// No log there, an unusable schema, a folder `date=...` that names no day or has folders, and what the store
    /// refuses.
    pub fn open(store: &Store) -> Result<Self, Error> {
        let schema = Self::read_schema(store)?;
        let mut days = BTreeMap::new();
        for folder in store.list(EVENTS_FOLDER)?.0 {
            let Some(day) = day_of_folder(&folder) else { continue };
            let day = day.map_err(|reason| Error::directory(&store.path(&folder), reason))?;
            let (inner, mut files) = store.list(&folder)?;
            if let Some(inner) = inner.first() {
                let reason =
                    "a folder within a day's folder; put the Parquet files right into the day's";
                return Err(Error::directory(&store.path(inner), reason));
            }
            files.retain(|file| is_part(&file.name));
            if !files.is_empty() {
                days.insert(day, files);
            }
        }
        Ok(Self { store: store.clone(), schema: Arc::new(schema), days })
    }

    /// Where it is.
    pub const fn store(&self) -> &Store {
        &self.store
    }

    /// The feed schema whose context, user, product and channel fields the log carries.
    pub fn schema(&self) -> &Schema {
        &self.schema
    }

    /// The days that have files, in order.
    pub fn days(&self) -> impl DoubleEndedIterator<Item = Day> + '_ {
        self.days.keys().copied()
    }

    /// The files of a day, in the order in which they are read: paths of the local disk, or addresses.
    pub fn files(&self, day: Day) -> Vec<PathBuf> {
        let files = self.days.get(&day).map(Vec::as_slice).unwrap_or_default();
        files.iter().map(|file| self.store.path(&file.name)).collect()
    }

    /// The rows that arrived on some days: day by day, file by file (by name), row by row.
    ///
    /// # Errors
    /// None of the days has files. What is wrong with a file comes when it is its turn.
    pub fn read(&self, days: impl RangeBounds<Day>) -> Result<EventReader, Error> {
        let files: Vec<(Day, StoredFile)> = self
            .days
            .iter()
            .filter(|(day, _)| days.contains(day))
            .flat_map(|(day, files)| files.iter().map(|file| (*day, file.clone())))
            .collect();
        if files.is_empty() {
            let reason = match (self.days.first_key_value(), self.days.last_key_value()) {
                (Some((first, _)), Some((last, _))) => {
                    format!("no events on the days asked for; the log goes from {first} to {last}")
                }
                _ => format!("no events; {EXPECTED}"),
            };
            return Err(Error::directory(self.store.root(), reason));
        }
        Ok(EventReader::new(&self.store, &self.schema, files))
    }

    /// The dimension tables, as a whole.
    ///
    /// # Errors
    /// As [`read_dimensions`].
    pub fn dimensions(&self) -> Result<Dimensions, Error> {
        read_dimensions(&self.store, &self.schema)
    }

    pub(crate) fn read_schema(store: &Store) -> Result<Schema, Error> {
        let path = store.path(SCHEMA_FILE);
        let contents = match store.read(SCHEMA_FILE) {
            Ok(Some(contents)) => contents,
            Err(error) if !store.is_local() || store.root().is_dir() => return Err(error),
            Ok(None) | Err(_) => return Err(no_log(store)),
        };
        let text = std::str::from_utf8(&contents).map_err(|_| {
            let source = eliverec_core::Error::SchemaSyntax("the file is not text".into());
            Error::Schema { path: path.clone(), source }
        })?;
        let schema =
            Schema::parse(text).map_err(|source| Error::Schema { path: path.clone(), source })?;
        layout::check_schema(&schema, &path)?;
        Ok(schema)
    }
}

/// Whether a file is one of events, and not hidden as those of unfinished writers are.
fn is_part(name: &str) -> bool {
    let name = name.rsplit('/').next().unwrap_or(name);
    let parquet = Path::new(name).extension().is_some_and(|extension| extension == "parquet");
    parquet && !name.starts_with(['.', '_'])
}

/// Tells why there is no log.
fn no_log(store: &Store) -> Error {
    let root = store.root();
    let problem = match store.list("") {
        _ if store.is_local() && !root.exists() => "no such directory",
        _ if store.is_local() && !root.is_dir() => "is no directory",
        Ok((folders, files)) if folders.is_empty() && files.is_empty() => "is empty",
        Ok(_) => "has no schema.toml",
        Err(error) => return error,
    };
    Error::directory(root, format!("{problem}; {EXPECTED}"))
}
