//! Where rows of feeds come from; whoever reads them need not know.

use crate::error::Error;
use crate::row_reader::{RowReader, Rows};
use crate::table_rows::TableRows;

/// Files, or a table in memory.
#[derive(Debug)]
pub(crate) enum RowSource {
    Files(Box<RowReader>),
    Table(TableRows),
}

impl RowSource {
    /// The next rows, `None` at the end.
    pub(crate) fn next(&mut self) -> Result<Option<Rows>, Error> {
        match self {
            Self::Files(rows) => rows.next(),
            Self::Table(rows) => rows.next(),
        }
    }

    /// Ends: there are no further rows.
    pub(crate) fn end(&mut self) {
        match self {
            Self::Files(rows) => rows.end(),
            Self::Table(rows) => rows.end(),
        }
    }
}
