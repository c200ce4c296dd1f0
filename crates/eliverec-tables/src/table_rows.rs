//! The rows of feeds in memory, a few at a time, as those of files are read.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{SchemaRef, TimeUnit};
use eliverec_core::Schema;

use crate::decode::decode;
use crate::error::Error;
use crate::file_rows::Rows;
use crate::footer::located;
use crate::plain::in_columns;
use crate::read::{DECODED_FEEDS, FeedHandle, following};

/// What messages call feeds that lie in no file.
pub(crate) const TABLE: &str = "table";

/// Reads the rows in plain types.
#[derive(Clone, Debug)]
pub(crate) struct TableRows {
    batches: Arc<[RecordBatch]>,
    /// In plain types.
    columns: SchemaRef,
    /// The batch that is read, and the next of its rows.
    place: (usize, usize),
    /// The next row of all.
    next_row: u64,
}

impl TableRows {
    pub(crate) fn new(batches: Arc<[RecordBatch]>, columns: SchemaRef) -> Self {
        Self { batches, columns, place: (0, 0), next_row: 0 }
    }

    /// The next rows, `None` at the end.
    pub(crate) fn next_rows(&mut self) -> Result<Option<Rows>, Error> {
        let (batch, row) = &mut self.place;
        while self.batches.get(*batch).is_some_and(|rows| *row >= rows.num_rows()) {
            (*batch, *row) = (*batch + 1, 0);
        }
        let Some(rows) = self.batches.get(*batch) else { return Ok(None) };
        let rows = rows.slice(*row, DECODED_FEEDS.min(rows.num_rows() - *row));
        let first_row = self.next_row;
        *row += rows.num_rows();
        self.next_row += rows.num_rows() as u64;
        let batch = in_columns(Path::new(TABLE), &rows, &self.columns)?;
        Ok(Some(Rows {
            path: PathBuf::from(TABLE),
            first_row,
            ts_unit: TimeUnit::Millisecond,
            batch,
        }))
    }
}

/// The feeds in these rows. Ends after the first error.
#[derive(Debug)]
pub(crate) struct TableFeeds {
    schema: Arc<Schema>,
    rows: Option<TableRows>,
    /// The next of the feeds that are decoded.
    next: Option<FeedHandle>,
}

impl TableFeeds {
    pub(crate) fn new(schema: Arc<Schema>, rows: TableRows) -> Self {
        Self { schema, rows: Some(rows), next: None }
    }

    /// The next feed as one of those that were decoded together.
    pub(crate) fn next_handle(&mut self) -> Option<Result<FeedHandle, Error>> {
        if let Some(next) = self.next.take() {
            self.next = following(&next);
            return Some(Ok(next));
        }
        let handle = self.decode().transpose()?;
        match &handle {
            Ok(first) => self.next = following(first),
            Err(_) => self.rows = None,
        }
        Some(handle)
    }

    fn decode(&mut self) -> Result<Option<FeedHandle>, Error> {
        let Some(rows) = &mut self.rows else { return Ok(None) };
        let Some(Rows { path, first_row, ts_unit, batch }) = rows.next_rows()? else {
            return Ok(None);
        };
        let feeds = decode(&self.schema, ts_unit, &batch);
        let feeds = feeds.map_err(|problem| located(&path, first_row, problem))?;
        Ok(Some(FeedHandle { feeds: Arc::new(feeds), place: 0 }))
    }
}
