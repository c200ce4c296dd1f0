//! What the leaves of the plans read of what tasks have made.

use std::fmt;

use arrow::array::RecordBatch;
use eliverec_tables::events::Store;

use crate::error::Error;
use crate::leaf::Pieces;
use crate::record::RowsFile;
use crate::rows_file::read;

/// Files of rows at a place.
#[derive(Debug)]
pub(crate) struct ExchangeFiles {
    pub(crate) store: Store,
    pub(crate) files: Vec<RowsFile>,
}

impl fmt::Display for ExchangeFiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} files", self.files.len())
    }
}

impl Pieces for ExchangeFiles {
    fn count(&self) -> usize {
        self.files.len()
    }

    fn read(&self, i: usize, send: &mut dyn FnMut(RecordBatch) -> bool) -> Result<(), Error> {
        read(&self.store, &self.files[i], send)
    }
}
