//! Writes an event log as a stream: events of any day in any order, each into the folder of the day it arrived on.
//!
//! # Memory
//! At most [`PENDING_EVENTS`] events wait for their row group, over all days, at about 100 bytes each; up to
//! [`OPEN_PARTS`] files are open, each with the footer of its row groups and, on stores other than the local disk, up
//! to 8 MiB that wait to be sent. Beyond these limits the day with the most waiting events gets its row group early,
//! and the file that has not been written to for longest is closed; later events of its day make another part.

use std::collections::BTreeMap;

use arrow::datatypes::SchemaRef;
use eliverec_core::event::check_context;
use eliverec_core::{Day, Event, Schema};
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::types::ColumnPath;

use super::EventLog;
use super::encode::EventColumns;
use super::layout::{EVENTS_FOLDER, check_schema, day_folder, day_of_folder, event_columns};
use super::part::PartFile;
use super::store::Store;
use crate::error::Error;
use crate::layout::SCHEMA_FILE;
use crate::listing::is_hidden;

/// A row group ends at this many events.
pub const ROW_GROUP_EVENTS: usize = 1 << 16;
/// Events of all days that may wait for their row group.
pub const PENDING_EVENTS: usize = 4 * ROW_GROUP_EVENTS;
/// Files that are open at a time.
pub const OPEN_PARTS: usize = 16;
/// A file ends at this many row groups, because readers hold its footer.
const PART_ROW_GROUPS: usize = 64;

/// Writes events into a log. A file appears whole, when it is full or at the end; dropped without
/// [`EventWriter::finish`], the writer leaves the files that were full and nothing else.
#[derive(Debug)]
pub struct EventWriter {
    store: Store,
    schema: Schema,
    columns: SchemaRef,
    properties: WriterProperties,
    days: BTreeMap<Day, DayWriter>,
    /// Events that wait, over all days.
    pending: usize,
    /// Row groups so far, the clock of [`DayWriter::last_row_group`].
    row_groups: u64,
}

/// What a writer has written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// Events of each day of arrival.
    pub days: BTreeMap<Day, u64>,
}

impl Written {
    /// Events of all days.
    pub fn events(&self) -> u64 {
        self.days.values().sum()
    }
}

#[derive(Debug)]
struct DayWriter {
    pending: EventColumns,
    part: Option<PartFile>,
    /// The lowest part number that may be free.
    next_part: usize,
    last_row_group: u64,
    events: u64,
}

impl EventWriter {
    /// A writer of a new log. A log without events, such as a writer killed early leaves, counts as new.
    ///
    /// # Errors
    /// A schema that a log cannot have, a log that has events, and what the store refuses.
    pub fn create(store: &Store, schema: &Schema) -> Result<Self, Error> {
        check_schema(schema, &store.path(SCHEMA_FILE))?;
        if let Some(folder) = first_taken_day(store)? {
            let reason = format!(
                "holds events already ({folder}); remove it, choose another place, or append to it"
            );
            return Err(Error::directory(store.root(), reason));
        }
        store.replace(SCHEMA_FILE, schema.to_toml().into_bytes())?;
        Ok(Self::new(store, schema.clone()))
    }

    /// A writer that adds parts to a log. Any number of writers can append at a time, in one process or several; their
    /// parts get different numbers.
    ///
    /// # Errors
    /// No log there, and what the store refuses.
    pub fn append(store: &Store) -> Result<Self, Error> {
        Ok(Self::new(store, EventLog::read_schema(store)?))
    }

    fn new(store: &Store, schema: Schema) -> Self {
        let mut properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(ZstdLevel::default()))
            .set_statistics_enabled(EnabledStatistics::Chunk)
            .set_offset_index_disabled(true);
        // Ids of events do not repeat, and moments of a row group are close to each other.
        properties = properties.set_column_dictionary_enabled(ColumnPath::from("event_id"), false);
        for name in ["ts", "available_at"] {
            properties = properties
                .set_column_dictionary_enabled(ColumnPath::from(name), false)
                .set_column_encoding(ColumnPath::from(name), Encoding::DELTA_BINARY_PACKED);
        }
        Self {
            store: store.clone(),
            columns: event_columns(&schema),
            schema,
            properties: properties.build(),
            days: BTreeMap::new(),
            pending: 0,
            row_groups: 0,
        }
    }

    /// Adds an event. Events of a day keep their order unless its files do not fit [`OPEN_PARTS`]; they do then too,
    /// over several parts.
    ///
    /// # Errors
    /// An event that breaks the contract or arrived outside the years 0000 to 9999, and what the store refuses.
    pub fn push(&mut self, event: &Event) -> Result<(), Error> {
        let wrong = |column: &str, reason: String| Error::Event {
            event_id: event.event_id,
            column: column.into(),
            reason,
        };
        match event.check() {
            Err(eliverec_core::Error::Event { field, reason }) => return Err(wrong(field, reason)),
            Err(other) => return Err(wrong("event_id", other.to_string())),
            Ok(()) => {}
        }
        check_context(&self.schema, event).map_err(|(column, reason)| wrong(&column, reason))?;
        let Some(day) = Day::of(event.available_at_ms) else {
            let reason = format!("{} is outside the years 0000 to 9999", event.available_at_ms);
            return Err(wrong("available_at", reason));
        };
        let of_day = self.days.entry(day).or_insert_with(|| DayWriter::new(&self.schema));
        of_day.pending.push(event);
        of_day.events += 1;
        self.pending += 1;
        if of_day.pending.len() >= ROW_GROUP_EVENTS {
            self.end_row_group(day)?;
        } else if self.pending >= PENDING_EVENTS {
            let fullest = self.days.iter().max_by_key(|(_, of_day)| of_day.pending.len());
            if let Some(day) = fullest.map(|(day, _)| *day) {
                self.end_row_group(day)?;
            }
        }
        Ok(())
    }

    /// Gives every file its name, day by day.
    ///
    /// # Errors
    /// What the store refuses; files that have their names already stay.
    pub fn finish(mut self) -> Result<Written, Error> {
        let days: Vec<Day> = self.days.keys().copied().collect();
        for day in days {
            self.end_row_group(day)?;
            self.end_part(day)?;
        }
        let days = self.days.iter().map(|(day, of_day)| (*day, of_day.events)).collect();
        Ok(Written { days })
    }

    fn end_row_group(&mut self, day: Day) -> Result<(), Error> {
        let Some(of_day) = self.days.get(&day).filter(|of_day| of_day.pending.len() > 0) else {
            return Ok(());
        };
        if of_day.part.is_none() {
            self.end_stalest_part()?;
        }
        self.row_groups += 1;
        let Some(of_day) = self.days.get_mut(&day) else { return Ok(()) };
        let pending = std::mem::replace(&mut of_day.pending, EventColumns::new(&self.schema));
        self.pending -= pending.len();
        let folder = day_folder(day);
        let rows = pending.into_batch(&self.columns).map_err(|e| {
            Error::directory(&self.store.path(&folder), format!("cannot write: {e}"))
        })?;
        let part = match of_day.part.take() {
            Some(part) => part,
            None => PartFile::create(
                &self.store,
                &folder,
                of_day.next_part,
                &self.columns,
                self.properties.clone(),
            )?,
        };
        let part = of_day.part.insert(part);
        part.write(&rows)?;
        of_day.last_row_group = self.row_groups;
        if part.row_groups() >= PART_ROW_GROUPS {
            self.end_part(day)?;
        }
        Ok(())
    }

    /// Makes room for one more open file.
    fn end_stalest_part(&mut self) -> Result<(), Error> {
        let open = || self.days.iter().filter(|(_, of_day)| of_day.part.is_some());
        if open().count() >= OPEN_PARTS
            && let Some((day, _)) = open().min_by_key(|(_, of_day)| of_day.last_row_group)
        {
            let day = *day;
            self.end_part(day)?;
        }
        Ok(())
    }

    fn end_part(&mut self, day: Day) -> Result<(), Error> {
        if let Some(of_day) = self.days.get_mut(&day)
            && let Some(part) = of_day.part.take()
        {
            of_day.next_part = part.number() + 1;
            part.publish()?;
        }
        Ok(())
    }
}

impl DayWriter {
    fn new(schema: &Schema) -> Self {
        Self {
            pending: EventColumns::new(schema),
            part: None,
            next_part: 0,
            last_row_group: 0,
            events: 0,
        }
    }
}

fn first_taken_day(store: &Store) -> Result<Option<String>, Error> {
    let (folders, _) = store.list(EVENTS_FOLDER)?;
    for folder in folders {
        if day_of_folder(&folder).is_some()
            && store.list(&folder)?.1.iter().any(|file| !is_hidden(&file.name))
        {
            return Ok(Some(folder));
        }
    }
    Ok(None)
}
