//! What an importer is asked for, hands over to, and has counted in the end.

use std::collections::BTreeMap;

use eliverec_core::{Event, Feed, Schema};
use serde::Serialize;

use crate::check::Read;
use crate::events::EventWriter;
use crate::{Error, Split};

/// Why a request of a set with lists becomes nothing.
pub(super) const NOTHING_SHOWN: &str = "request without a row in impressions.csv.gz";

/// What a caller chooses about an import.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Of sampled candidates.
    pub seed: u64,
    /// Events of each domain that a feed keeps, the newest.
    pub history: usize,
}

impl Default for Options {
    /// The paper's sequence length (Sec. V-A).
    fn default() -> Self {
        Self { seed: 1, history: 50 }
    }
}

/// What became of the rows of a set: `rows_in` is the sum of `feeds` and `dropped`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Imported {
    /// Rows of the source that could become a request.
    pub rows_in: u64,
    /// Those that became none, by reason.
    pub dropped: BTreeMap<String, u64>,
    /// Feeds of train, validation and test, in the order of [`Split::ALL`].
    pub feeds: [u64; 3],
    /// Rows of the set's other files that were not used, by reason.
    pub unused: BTreeMap<String, u64>,
    /// Rows that were not used as they are, by what happened to them.
    pub remarks: BTreeMap<String, u64>,
    /// The set's files and their rows, and those that were dropped or not used, which a command tells as it tells what others read.
    #[serde(skip)]
    pub read: Read,
}

impl Imported {
    /// Feeds of all splits.
    pub fn rows_out(&self) -> u64 {
        self.feeds.iter().sum()
    }

    /// Rows that became no feed, for whatever reason.
    pub fn rows_dropped(&self) -> u64 {
        self.dropped.values().sum()
    }
}

/// Takes an importer's feeds and keeps count.
pub(super) struct Output<'a> {
    pub(super) schema: Schema,
    take: &'a mut dyn FnMut(Split, &Feed) -> Result<(), Error>,
    imported: Imported,
}

impl<'a> Output<'a> {
    pub(super) fn new(
        schema: Schema,
        take: &'a mut dyn FnMut(Split, &Feed) -> Result<(), Error>,
    ) -> Self {
        Self { schema, take, imported: Imported::default() }
    }

    /// What became of the rows, of which `read` is told.
    pub(super) fn finish(self, mut read: Read) -> Imported {
        let Imported { dropped, unused, .. } = &self.imported;
        read.leave_out(dropped);
        read.leave_out(unused);
        Imported { read, ..self.imported }
    }

    pub(super) fn feed(&mut self, split: Split, feed: &Feed) -> Result<(), Error> {
        self.imported.rows_in += 1;
        self.imported.feeds[split_index(split)] += 1;
        (self.take)(split, feed)
    }

    pub(super) fn dropped(&mut self, reason: &str) {
        self.imported.rows_in += 1;
        *self.imported.dropped.entry(reason.into()).or_default() += 1;
    }

    /// A row of another file than that of the requests has no use.
    pub(super) fn unused(&mut self, reason: &str) {
        *self.imported.unused.entry(reason.into()).or_default() += 1;
    }

    pub(super) fn remark(&mut self, what: &str) {
        *self.imported.remarks.entry(what.into()).or_default() += 1;
    }
}

const fn split_index(split: Split) -> usize {
    match split {
        Split::Train => 0,
        Split::Validation => 1,
        Split::Test => 2,
    }
}

/// What a set's log holds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ImportedLog {
    /// Events by the name of their kind.
    pub events: BTreeMap<&'static str, u64>,
    /// Rows of the set that gave no event, by reason.
    pub dropped: BTreeMap<String, u64>,
    /// Rows that are not in the log as they are, by what happened to them.
    pub remarks: BTreeMap<String, u64>,
    /// The set's files and their rows, and those that were dropped.
    #[serde(skip)]
    pub read: Read,
}

/// Takes an importer's events and keeps count.
pub(super) struct LogOutput {
    pub(super) schema: Schema,
    writer: EventWriter,
    events: u64,
    imported: ImportedLog,
}

impl LogOutput {
    pub(super) fn new(schema: Schema, writer: EventWriter) -> Self {
        Self { schema, writer, events: 0, imported: ImportedLog::default() }
    }

    /// The log is complete, made of what `read` has.
    pub(super) fn finish(self, mut read: Read) -> Result<ImportedLog, Error> {
        self.writer.finish()?;
        read.leave_out(&self.imported.dropped);
        Ok(ImportedLog { read, ..self.imported })
    }

    /// Adds an event under the next id.
    pub(super) fn event(&mut self, event: Event) -> Result<(), Error> {
        self.events += 1;
        *self.imported.events.entry(event.kind.name()).or_default() += 1;
        self.writer.push(&Event { event_id: self.events, ..event })
    }

    /// A row gives no event.
    pub(super) fn dropped(&mut self, reason: &str) {
        *self.imported.dropped.entry(reason.into()).or_default() += 1;
    }

    pub(super) fn remark(&mut self, what: &str) {
        *self.imported.remarks.entry(what.into()).or_default() += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn feeds_are_counted_in_the_order_of_the_splits() {
        for (i, split) in Split::ALL.into_iter().enumerate() {
            assert_eq!(split_index(split), i);
        }
    }
}
