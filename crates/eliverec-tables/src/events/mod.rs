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

pub mod answers;
pub mod answers_read;
pub mod arrival_order;
pub mod check;
pub mod decode;
pub mod dimensions;
mod encode;
pub mod layout;
mod local;
mod marks;
pub mod names;
pub mod new;
mod part;
pub mod read;
pub mod rejected;
mod source;
pub mod store;
mod stored_file;
pub mod write;

use std::collections::BTreeMap;
use std::ops::RangeBounds;
use std::path::PathBuf;
use std::sync::Arc;

pub use eliverec_core::Day;
use eliverec_core::dimensions::TABLE_GROUPS;
use eliverec_core::schema::Group;
use eliverec_core::{Dimensions, IdKinds, Schema};

pub use answers::{ANSWERS_FILE, AnswerRow, AnswersWriter};
pub use answers_read::Answers;
pub use arrival_order::ArrivalOrder;
pub use decode::{EventBatch, Fault, Reason};
pub use dimensions::{read_dimensions, write_dimensions};
pub use marks::Marks;
pub use names::{Names, name_column, read_names};
pub use new::NewLog;
pub use read::{EventReader, Events, ReadCounts, Row};
pub use rejected::{Rejected, RejectedWriter};
pub use store::Store;
pub use stored_file::{NewFile, StoredReader};
pub use write::{EventWriter, Written};

use crate::error::Error;
use crate::id_types::{self, IdTypes};
use crate::layout::SCHEMA_FILE;
use crate::listing::{Entry, PartKind, beside, is_hidden, walk};
use dimensions::file_name;
use layout::{EVENTS_FOLDER, EXPERIMENTS_FILE, IDS_FILE, TRUTH_FILE, day_of_folder};
use rejected::REJECTED_FOLDER;
use source::ParquetSource;
use store::StoredFile;

/// What makes a log, for messages about a place that has none.
const EXPECTED: &str = "expected schema.toml and folders events/date=YYYY-MM-DD with Parquet files, as `eliverec simulate \
                        --out DIR` makes them";

/// What is told of a file or folder in `events` that is no day's.
const NO_DAY: &str = "is in no day's folder; events lie in folders date=YYYY-MM-DD: move it there or away, or begin its name \
                      with _ to have it passed over";

/// Files whose footers tell how ids are written, if the tables and the first do not.
const FILES_ASKED: usize = 16;

/// An event log, as it was when it was opened: files that appear later are not seen.
#[derive(Clone, Debug)]
pub struct EventLog {
    store: Store,
    schema: Arc<Schema>,
    days: BTreeMap<Day, Vec<StoredFile>>,
    tables: Vec<(Group, StoredFile)>,
    skipped: Vec<String>,
    id_types: Arc<IdTypes>,
}

impl EventLog {
    /// Opens a log by its schema and the names of its files; the files are opened as they are read.
    ///
    /// # Errors
    /// No log there, an unusable schema, what lies below `events`, or beside it, and is neither read nor passed
    /// over (see docs/logs.md), by name, tables that write the ids of a vocabulary in two ways, and what the store refuses.
    pub fn open(store: &Store) -> Result<Self, Error> {
        let schema = Self::read_schema(store)?;
        store.refuse_unreadable_in(EVENTS_FOLDER)?;
        if store.is_local() && store.path(EVENTS_FOLDER).is_file() {
            let reason = format!("is a file, where a folder should be; {EXPECTED}");
            return Err(Error::directory(&store.path(EVENTS_FOLDER), reason));
        }
        let (folders, files) = store.list(EVENTS_FOLDER)?;
        let refuse = |name: &str, reason: &str| Error::directory(&store.path(name), reason);
        let (mut days, mut skipped) = (BTreeMap::new(), Vec::new());
        for StoredFile { name, .. } in files {
            if !is_hidden(&name) {
                return Err(refuse(&name, NO_DAY));
            }
            skipped.push(name);
        }
        for folder in folders {
            if is_hidden(&folder) {
                skipped.push(folder);
                continue;
            }
            let Some(day) = day_of_folder(&folder) else { return Err(refuse(&folder, NO_DAY)) };
            let day = day.map_err(|reason| refuse(&folder, &reason))?;
            let inside = walk(&folder, &mut |folder| entries(store, folder), &refuse)?;
            skipped.extend(inside.skipped);
            if !inside.read.is_empty() {
                days.insert(day, inside.read);
            }
        }
        let mut list = |folder: &str| {
            let (folders, files) = store.list(folder)?;
            let folders = folders.into_iter().map(|name| Entry { name, file: None });
            let files =
                files.into_iter().map(|StoredFile { name, .. }| Entry { name, file: Some(()) });
            Ok(folders.chain(files).collect())
        };
        // A directory without events is no log, which says more than what else is there.
        if !days.is_empty() {
            // Listing tells nothing of these.
            for name in TABLE_GROUPS.map(file_name).iter().map(String::as_str).chain([TRUTH_FILE]) {
                store.refuse_unreadable(name)?;
            }
            store.refuse_unreadable_in(REJECTED_FOLDER)?;
            skipped.extend(beside(&part, &mut list, &refuse)?);
        }
        let tables = tables_of(store)?;
        let id_types = Arc::new(id_types(store, &schema, &tables, days.values().flatten())?);
        Ok(Self { store: store.clone(), schema: Arc::new(schema), days, tables, skipped, id_types })
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

    /// The files of the tables that are there.
    pub(crate) fn tables(&self) -> &[(Group, StoredFile)] {
        &self.tables
    }

    /// Files and folders that are passed over: below `events` because their names begin with `.` or `_`, and beside it what is no
    /// part of a log.
    pub fn skipped(&self) -> impl Iterator<Item = PathBuf> + '_ {
        self.skipped.iter().map(|name| self.store.path(name))
    }

    /// The first error in the order of the files, which readers of several days at once may meet in any order; `lenient`
    /// readers take no row for one.
    pub fn first_error(&self, days: impl RangeBounds<Day>, lenient: bool) -> Option<Error> {
        let rows = match self.read(days) {
            Ok(rows) => rows,
            Err(error) => return Some(error),
        };
        rows.into_iter().find_map(|row| match row {
            Ok(Row::Rejected(row)) if !lenient => Some(row.into_error()),
            Ok(_) => None,
            Err(error) => Some(error),
        })
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
        Ok(EventReader::new(&self.store, &self.schema, &self.id_types, files))
    }

    /// The dimension tables, as a whole.
    ///
    /// # Errors
    /// As [`read_dimensions`].
    pub fn dimensions(&self) -> Result<Dimensions, Error> {
        read_dimensions(&self.store, &self.schema)
    }

    /// How the ids of users, products, channels and vocabularies are written by whoever the log is of: as [`write_id_kinds`] says, or, of
    /// a log without that, as its files write them.
    ///
    /// # Errors
    /// A file that says nothing of the kind, and what the store refuses.
    pub fn id_kinds(&self) -> Result<IdKinds, Error> {
        Ok(read_id_kinds(&self.store)?.unwrap_or_else(|| self.id_types.id_kinds()))
    }

    pub(crate) fn read_schema(store: &Store) -> Result<Schema, Error> {
        let path = store.path(SCHEMA_FILE);
        store.refuse_unreadable(SCHEMA_FILE)?;
        if store.is_local() && path.is_dir() {
            return Err(Error::directory(&path, "is a folder, where a file should be"));
        }
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

/// What `ids.toml` of a log says; `None` without one.
///
/// # Errors
/// One that does not parse, and what the store refuses.
pub fn read_id_kinds(store: &Store) -> Result<Option<IdKinds>, Error> {
    let Some(contents) = store.read(IDS_FILE)? else { return Ok(None) };
    let path = store.path(IDS_FILE);
    let kinds = IdKinds::parse(&String::from_utf8_lossy(&contents));
    kinds.map(Some).map_err(|source| Error::Schema { path, source })
}

/// Says how the ids of a log are written by whoever it is of, where its files have the 64 bits of all of them.
///
/// # Errors
/// What the store refuses.
pub fn write_id_kinds(kinds: &IdKinds, store: &Store) -> Result<(), Error> {
    store.replace(IDS_FILE, kinds.to_toml().into_bytes())
}

/// What a name in the root is that of a part of a log, or of what is written beside it: the truth of a simulation, rows set aside.
fn part(name: &str) -> Option<PartKind> {
    let is_table = |group: &Group| name == file_name(*group);
    match name {
        EVENTS_FOLDER => Some(PartKind::Folder),
        REJECTED_FOLDER => Some(PartKind::SetAside),
        SCHEMA_FILE | IDS_FILE | TRUTH_FILE | EXPERIMENTS_FILE => Some(PartKind::File),
        _ => TABLE_GROUPS.iter().any(is_table).then_some(PartKind::File),
    }
}

/// The files of the tables that are there.
pub(crate) fn tables_of(store: &Store) -> Result<Vec<(Group, StoredFile)>, Error> {
    let (_, files) = store.list("")?;
    let table = |group| {
        let file = files.iter().find(|file| file.name == file_name(group))?;
        Some((group, file.clone()))
    };
    Ok(TABLE_GROUPS.into_iter().filter_map(table).collect())
}

/// What lies right in a folder of a store, for the rule of what is read.
fn entries(store: &Store, folder: &str) -> Result<Vec<Entry<StoredFile>>, Error> {
    store.refuse_unreadable_in(folder)?;
    let (folders, files) = store.list(folder)?;
    let folders = folders.into_iter().map(|name| Entry { name, file: None });
    let files = files.into_iter().map(|file| Entry { name: file.name.clone(), file: Some(file) });
    Ok(folders.chain(files).collect())
}

/// How the tables of a log and its first files write ids; files that cannot be read tell nothing here.
///
/// # Errors
/// Tables that do not write the ids of a vocabulary alike. Files of events are compared as they are read.
fn id_types<'a>(
    store: &Store,
    schema: &Schema,
    tables: &[(Group, StoredFile)],
    files: impl Iterator<Item = &'a StoredFile>,
) -> Result<IdTypes, Error> {
    let mut types = IdTypes::new(layout::id_columns(schema));
    for (group, file) in tables {
        if let Ok(source) = ParquetSource::open(store, file.clone())
            && source.has_rows()
        {
            let of_table = id_types::of_file(types.columns(), Some(*group), source.columns());
            types.check(source.path(), &of_table)?;
            types.learn(source.path(), &of_table);
        }
    }
    for file in files.take(FILES_ASKED) {
        if types.are_known() {
            break;
        }
        if let Ok(source) = ParquetSource::open(store, file.clone())
            && source.has_rows()
        {
            let of_file = id_types::of_file(types.columns(), None, source.columns());
            types.learn(source.path(), &of_file);
        }
    }
    Ok(types)
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
