//! Reads feeds as a stream, a few rows at a time, so that a set larger than memory works.

use std::sync::Arc;

use eliverec_core::{Feed, FeedColumns, Schema};

use crate::decode::{decode, first_problem, wanted};
use crate::error::Error;
use crate::file_columns::KnownColumns;
use crate::footer::{FeedFile, RowGroupPlace};
pub use crate::row_reader::DECODED_FEEDS;
use crate::row_reader::RowReader;
use crate::row_source::RowSource;
use crate::table_rows::TableRows;

/// A feed among those that were decoded, or moved, together with it; it keeps them all in memory.
#[derive(Clone, Debug)]
pub(crate) struct FeedHandle {
    pub(crate) feeds: Arc<FeedColumns>,
    /// Its place among them.
    pub(crate) place: usize,
}

impl FeedHandle {
    pub(crate) fn impressions(&self) -> usize {
        self.feeds.parts().candidates.range(self.place).len()
    }
}

/// The feeds of some row groups or of a table, one after the other. Ends after the first error.
#[derive(Debug)]
pub struct FeedReader {
    schema: Arc<Schema>,
    rows: RowSource,
    /// The next of the feeds that are decoded.
    next: Option<FeedHandle>,
}

impl FeedReader {
    pub(crate) fn new(
        known: &Arc<KnownColumns>,
        files: &Arc<[FeedFile]>,
        order: impl IntoIterator<Item = RowGroupPlace>,
    ) -> Self {
        let schema = known.schema();
        let rows = RowReader::new(known, files, order, &wanted(schema));
        Self { schema: Arc::clone(schema), rows: RowSource::Files(Box::new(rows)), next: None }
    }

    /// Of a table's rows, whose columns have been checked against the schema.
    pub(crate) fn of_table(schema: &Arc<Schema>, rows: TableRows) -> Self {
        Self { schema: Arc::clone(schema), rows: RowSource::Table(rows), next: None }
    }

    /// The next feed as one of those that were decoded together.
    pub(crate) fn next_handle(&mut self) -> Option<Result<FeedHandle, Error>> {
        if let Some(next) = self.next.take() {
            self.next = following(&next);
            return Some(Ok(next));
        }
        match self.decode() {
            Ok(feeds) => {
                let first = FeedHandle { feeds: Arc::new(feeds?), place: 0 };
                self.next = following(&first);
                Some(Ok(first))
            }
            Err(e) => {
                self.rows.end();
                Some(Err(e))
            }
        }
    }

    /// The next rows, at least one.
    fn decode(&mut self) -> Result<Option<FeedColumns>, Error> {
        let Some(rows) = self.rows.next()? else { return Ok(None) };
        let feeds = decode(&self.schema, rows.ts_unit, &rows.batch);
        feeds.map(Some).map_err(|problem| {
            rows.located(first_problem(&self.schema, rows.ts_unit, &rows.batch, problem))
        })
    }
}

/// The feed after this one, of those that were decoded together.
fn following(handle: &FeedHandle) -> Option<FeedHandle> {
    let place = handle.place + 1;
    (place < handle.feeds.feeds()).then(|| FeedHandle { feeds: Arc::clone(&handle.feeds), place })
}

impl Iterator for FeedReader {
    type Item = Result<Feed, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        let handle = self.next_handle()?;
        Some(handle.map(|handle| handle.feeds.feed(handle.place)))
    }
}
