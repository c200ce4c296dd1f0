//! The rows of a split's files as record batches, a few at a time, in their order.

use std::path::PathBuf;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::TimeUnit;
use eliverec_core::Schema;
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};

use crate::error::Error;
use crate::footer::guarded;
use crate::read::{DECODED_FEEDS, FeedFile};

/// Some rows, and where they stand.
#[derive(Debug)]
pub(crate) struct Rows {
    pub(crate) path: PathBuf,
    /// Of the file.
    pub(crate) first_row: u64,
    /// Of a `ts` that is a plain integer.
    pub(crate) ts_unit: TimeUnit,
    pub(crate) batch: RecordBatch,
}

/// Which columns are read.
#[derive(Debug)]
pub(crate) enum Wanted {
    /// All that the schema declares.
    Declared,
    /// The ids of requests, users and candidates, by these of their fields, and the places of candidates.
    Ids(Vec<String>),
}

/// Reads them.
#[derive(Debug)]
pub(crate) struct FileRows {
    schema: Arc<Schema>,
    files: Arc<[FeedFile]>,
    wanted: Wanted,
    /// The file that is opened next.
    next: usize,
    current: Option<OpenFile>,
}

#[derive(Debug)]
struct OpenFile {
    path: PathBuf,
    rows: ParquetRecordBatchReader,
    ts_unit: TimeUnit,
    next_row: u64,
}

impl FileRows {
    pub(crate) fn new(schema: Arc<Schema>, files: Arc<[FeedFile]>, wanted: Wanted) -> Self {
        Self { schema, files, wanted, next: 0, current: None }
    }

    /// The next rows, `None` at the end.
    pub(crate) fn next_rows(&mut self) -> Result<Option<Rows>, Error> {
        loop {
            if let Some(OpenFile { path, rows, ts_unit, next_row }) = &mut self.current {
                if let Some(batch) = guarded(path, || rows.next().transpose())? {
                    let first_row = *next_row;
                    *next_row += batch.num_rows() as u64;
                    let path = path.clone();
                    return Ok(Some(Rows { path, first_row, ts_unit: *ts_unit, batch }));
                }
                self.current = None;
            }
            let Some(file) = self.files.get(self.next) else { return Ok(None) };
            self.next += 1;
            self.current = Some(self.open(file)?);
        }
    }

    fn open(&self, file: &FeedFile) -> Result<OpenFile, Error> {
        let (path, footer) = (file.path().to_owned(), file.footer(&self.schema)?);
        let columns = match &self.wanted {
            Wanted::Declared => footer.columns.clone(),
            Wanted::Ids(fields) => {
                let fields = fields.iter().map(String::as_str).chain(["position"]).collect();
                let ids = [("request_id", vec![]), ("user_id", vec![]), ("candidates", fields)];
                footer.projection(&ids)
            }
        };
        let rows = guarded(&path, || {
            let file = footer.contents.try_clone()?;
            ParquetRecordBatchReaderBuilder::new_with_metadata(file, footer.metadata.clone())
                .with_projection(columns)
                .with_batch_size(DECODED_FEEDS)
                .build()
        })?;
        Ok(OpenFile { path, rows, ts_unit: footer.ts_unit(), next_row: 0 })
    }
}
