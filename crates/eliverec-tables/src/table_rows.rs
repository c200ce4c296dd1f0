//! The rows of feeds in memory, a few at a time, as those of files are read.

use std::path::Path;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{SchemaRef, TimeUnit};

use crate::error::Error;
use crate::plain::in_columns;
use crate::row_reader::{DECODED_FEEDS, Rows};

/// What messages call feeds that lie in no file.
pub(crate) const TABLE: &str = "table";

/// Of a `ts` that is a plain integer there.
pub(crate) const TABLE_TS_UNIT: TimeUnit = TimeUnit::Millisecond;

/// Reads the rows in plain types.
#[derive(Debug)]
pub(crate) struct TableRows {
    /// What messages call them.
    path: Arc<Path>,
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
        Self { path: Path::new(TABLE).into(), batches, columns, place: (0, 0), next_row: 0 }
    }

    /// Ends: there are no further rows.
    pub(crate) fn end(&mut self) {
        self.place = (self.batches.len(), 0);
    }

    /// The next rows, `None` at the end.
    pub(crate) fn next(&mut self) -> Result<Option<Rows>, Error> {
        let (batch, row) = &mut self.place;
        while self.batches.get(*batch).is_some_and(|rows| *row >= rows.num_rows()) {
            (*batch, *row) = (*batch + 1, 0);
        }
        let Some(rows) = self.batches.get(*batch) else { return Ok(None) };
        let rows = rows.slice(*row, DECODED_FEEDS.min(rows.num_rows() - *row));
        let first_row = self.next_row;
        *row += rows.num_rows();
        self.next_row += rows.num_rows() as u64;
        let rows = in_columns(&self.path, &rows, &self.columns)?;
        Ok(Some(Rows::alone(&self.path, first_row, TABLE_TS_UNIT, rows)))
    }
}
