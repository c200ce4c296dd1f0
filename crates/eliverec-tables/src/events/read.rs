//! Reads an event log as a stream: day by day, file by file, row by row.
//!
//! # Memory
//! The footer of one file, the compressed columns of one of its row groups, and 8,192 decoded rows.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use arrow::array::RecordBatch;
use eliverec_core::{Day, Event, EventKind, Schema};

use super::decode::{EventBatch, Fault, Reason};
use super::rejected::{Rejected, RejectedWriter};
use super::source::{ParquetSource, RowGroupRows};
use super::store::{Store, StoredFile};
use crate::error::Error;
use crate::id_types::{self, IdTypes};

/// One row of a log.
#[derive(Clone, Debug, PartialEq)]
pub enum Row {
    /// It keeps the contract.
    Event(Event),
    /// It does not.
    Rejected(Rejected),
}

/// The rows of some days of a log. Ends after the first error.
#[derive(Debug)]
pub struct EventReader {
    store: Store,
    schema: Arc<Schema>,
    columns: Vec<String>,
    id_types: Arc<IdTypes>,
    left_out: Option<EventKind>,
    ahead: VecDeque<(Day, StoredFile)>,
    current: Option<OpenFile>,
}

#[derive(Debug)]
struct OpenFile {
    day: Day,
    source: ParquetSource,
    /// The row groups that are left start here.
    next_row_group: usize,
    rows: Option<RowGroupRows>,
    decoded: Option<Decoded>,
    /// Row of the file that follows the decoded ones.
    next_row: u64,
}

#[derive(Debug)]
struct Decoded {
    events: EventBatch,
    next: usize,
    first_row: u64,
}

impl EventReader {
    pub(super) fn new(
        store: &Store,
        schema: &Arc<Schema>,
        id_types: &Arc<IdTypes>,
        files: impl IntoIterator<Item = (Day, StoredFile)>,
    ) -> Self {
        let columns = super::layout::event_columns(schema);
        Self {
            store: store.clone(),
            schema: Arc::clone(schema),
            columns: columns.fields().iter().map(|field| field.name().clone()).collect(),
            id_types: Arc::clone(id_types),
            left_out: None,
            ahead: files.into_iter().collect(),
            current: None,
        }
    }

    /// Passes over the rows that call themselves of this kind, unchecked: for whoever has no use for them.
    #[must_use]
    pub const fn without(mut self, kind: EventKind) -> Self {
        self.left_out = Some(kind);
        self
    }

    /// Reads impressions without their context, for whoever has no use for it.
    #[must_use]
    pub fn without_context(mut self) -> Self {
        let schema = Arc::make_mut(&mut self.schema);
        let context = std::mem::take(&mut schema.context);
        self.columns.retain(|name| context.iter().all(|field| field.name != *name));
        self
    }

    /// The events alone, where the first row that is none is an error.
    pub fn strict(self) -> Events {
        Events { rows: self, rejected: None, counts: ReadCounts::default() }
    }

    /// The events alone; other rows are counted and written to `rejected`.
    pub fn lenient(self, rejected: RejectedWriter) -> Events {
        Events { rows: self, rejected: Some(rejected), counts: ReadCounts::default() }
    }

    fn advance(&mut self) -> Result<Option<Row>, Error> {
        loop {
            if let Some(file) = &mut self.current {
                if let Some(row) = file.next_row(&self.schema, &self.columns, self.left_out)? {
                    return Ok(Some(row));
                }
                self.current = None;
            }
            let Some((day, file)) = self.ahead.pop_front() else { return Ok(None) };
            let source = ParquetSource::open(&self.store, file)?;
            // Without rows, the columns alone are checked.
            let no_rows = RecordBatch::new_empty(Arc::clone(source.columns()));
            EventBatch::new(&self.schema, no_rows, source.path())?;
            if source.has_rows() {
                let of_file = id_types::of_file(self.id_types.columns(), None, source.columns());
                self.id_types.check(source.path(), &of_file)?;
                if !self.id_types.are_known() {
                    Arc::make_mut(&mut self.id_types).learn(source.path(), &of_file);
                }
            }
            self.current = Some(OpenFile {
                day,
                source,
                next_row_group: 0,
                rows: None,
                decoded: None,
                next_row: 0,
            });
        }
    }
}

impl Iterator for EventReader {
    type Item = Result<Row, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        let item = self.advance().transpose();
        if matches!(item, Some(Err(_))) {
            self.ahead.clear();
            self.current = None;
        }
        item
    }
}

impl OpenFile {
    fn next_row(
        &mut self,
        schema: &Schema,
        columns: &[String],
        left_out: Option<EventKind>,
    ) -> Result<Option<Row>, Error> {
        loop {
            if let Some(decoded) = &mut self.decoded
                && decoded.next < decoded.events.len()
            {
                decoded.next += 1;
                let i = decoded.next - 1;
                if left_out.is_some_and(|kind| decoded.events.is_of(i, kind)) {
                    continue;
                }
                let event = decoded.events.event(i).and_then(|event| in_day(event, self.day));
                return Ok(Some(match event {
                    Ok(event) => Row::Event(event),
                    Err(fault) => Row::Rejected(Rejected {
                        file: self.source.path().into(),
                        row_group: self.next_row_group - 1,
                        row: decoded.first_row + i as u64,
                        fault,
                        text: decoded.events.text(i),
                    }),
                }));
            }
            // Before the next rows are decoded, so that only one lot is held.
            self.decoded = None;
            if self.rows.is_none() {
                if self.next_row_group == self.source.row_groups() {
                    return Ok(None);
                }
                let columns: Vec<&str> = columns.iter().map(String::as_str).collect();
                self.rows = Some(self.source.row_group(self.next_row_group, &columns)?);
                self.next_row_group += 1;
            }
            match self.rows.as_mut().map_or(Ok(None), RowGroupRows::next_rows)? {
                Some(rows) => {
                    let events = EventBatch::new(schema, rows, self.source.path())?;
                    let first_row = self.next_row;
                    self.next_row += events.len() as u64;
                    self.decoded = Some(Decoded { events, next: 0, first_row });
                }
                None => self.rows = None,
            }
        }
    }
}

fn in_day(event: Event, day: Day) -> Result<Event, Fault> {
    let arrival = Day::of(event.available_at_ms);
    if arrival == Some(day) {
        return Ok(event);
    }
    let arrival = arrival.map_or("outside the calendar".into(), |arrival| format!("on {arrival}"));
    let detail = format!("arrived {arrival}, but is in the folder of {day}");
    Err(Fault::new("available_at", Reason::WrongDay, detail))
}

/// Rows read, and what became of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReadCounts {
    /// Rows that are events.
    pub events: u64,
    /// Rows that are none, by column and reason.
    pub rejected: BTreeMap<(String, Reason), u64>,
}

impl ReadCounts {
    /// All rows: events and rejected ones.
    pub fn rows(&self) -> u64 {
        self.events + self.rejected.values().sum::<u64>()
    }
}

impl fmt::Display for ReadCounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rejected = self.rows() - self.events;
        write!(f, "{} rows = {} events + {rejected} rejected", self.rows(), self.events)?;
        for (i, ((column, reason), count)) in self.rejected.iter().enumerate() {
            write!(f, "{} {column} {reason} {count}", if i == 0 { ":" } else { "," })?;
        }
        Ok(())
    }
}

/// The events of some days of a log. Ends after the first error.
#[derive(Debug)]
pub struct Events {
    rows: EventReader,
    rejected: Option<RejectedWriter>,
    counts: ReadCounts,
}

impl Events {
    /// What has been read so far.
    pub const fn counts(&self) -> &ReadCounts {
        &self.counts
    }

    /// Puts the rejected rows on disk, and gives the counts with the file that they are in, if there are any.
    ///
    /// # Errors
    /// What the store refuses.
    pub fn finish(self) -> Result<(ReadCounts, Option<PathBuf>), Error> {
        let file = self.rejected.map_or(Ok(None), RejectedWriter::finish)?;
        Ok((self.counts, file))
    }

    fn set_aside(&mut self, row: Rejected) -> Result<(), Error> {
        let Some(rejected) = &mut self.rejected else { return Err(row.into_error()) };
        rejected.push(&row)?;
        let Fault { column, reason, .. } = row.fault;
        *self.counts.rejected.entry((column, reason)).or_default() += 1;
        Ok(())
    }
}

impl Iterator for Events {
    type Item = Result<Event, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            match self.rows.next()? {
                Ok(Row::Event(event)) => {
                    self.counts.events += 1;
                    return Some(Ok(event));
                }
                Ok(Row::Rejected(row)) => {
                    if let Err(error) = self.set_aside(row) {
                        self.rows.ahead.clear();
                        self.rows.current = None;
                        return Some(Err(error));
                    }
                }
                Err(error) => return Some(Err(error)),
            }
        }
    }
}
