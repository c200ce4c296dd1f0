//! Rows of a log that are no events: set aside in a Parquet file of their own, so that nothing is silently dropped.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringArray, UInt64Array};
use arrow::datatypes::{DataType, Field, Schema as ArrowSchema, SchemaRef};
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;

use super::decode::Fault;
use super::part::PartFile;
use super::store::Store;
use crate::error::Error;

/// The folder of rejected rows.
pub const REJECTED_FOLDER: &str = "rejected";
/// Rejected rows that wait for their row group.
const ROW_GROUP_ROWS: usize = 8_192;

/// A row of a log that is no event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejected {
    /// The file.
    pub file: PathBuf,
    /// Row group of the file, from 0.
    pub row_group: usize,
    /// Row of the file, from 0.
    pub row: u64,
    /// What is wrong.
    pub fault: Fault,
    /// The row as text.
    pub text: String,
}

impl Rejected {
    /// The error that it is to a strict reader.
    pub fn into_error(self) -> Error {
        let Self {
            file: path, row_group, row, fault: Fault { column, detail: reason, .. }, ..
        } = self;
        Error::Row { path, row_group, row, column, reason }
    }
}

/// Removes what a [`RejectedWriter`] has left in the folder `rejected` of a directory, and the folder if nothing else lies in it; whether
/// there was anything.
///
/// # Errors
/// What the file system says.
pub fn remove_rejected(directory: &Path) -> Result<bool, Error> {
    let folder = directory.join(REJECTED_FOLDER);
    let entries = match fs_err::read_dir(&folder) {
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(false),
        entries => entries?,
    };
    let (mut removed, mut others) = (false, false);
    for entry in entries {
        let entry = entry?;
        if is_part(&entry.file_name().to_string_lossy()) && entry.path().is_file() {
            fs_err::remove_file(entry.path())?;
            removed = true;
        } else {
            others = true;
        }
    }
    if !others {
        fs_err::remove_dir(&folder)?;
    }
    Ok(removed)
}

/// Whether a file of this name is one of rejected rows, or one on its way.
fn is_part(name: &str) -> bool {
    let name =
        name.strip_prefix('.').and_then(|name| name.strip_suffix(".partial")).unwrap_or(name);
    let number = name.strip_prefix("part-").and_then(|name| name.strip_suffix(".parquet"));
    number.is_some_and(|number| !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()))
}

/// Writes `rejected/part-NNNNN.parquet` of a store; no file if no row is rejected. Dropped without
/// [`RejectedWriter::finish`], it leaves nothing behind. It holds up to 8,192 rows.
#[derive(Debug)]
pub struct RejectedWriter {
    store: Store,
    columns: SchemaRef,
    pending: Vec<Rejected>,
    part: Option<PartFile>,
}

impl RejectedWriter {
    /// A writer into the folder `rejected` of a store, which need not be that of the log.
    pub fn new(store: &Store) -> Self {
        let text = |name| Field::new(name, DataType::Utf8, false);
        let number = |name| Field::new(name, DataType::UInt64, false);
        let columns = Arc::new(ArrowSchema::new(vec![
            text("file"),
            number("row_group"),
            number("row"),
            text("column"),
            text("reason"),
            text("detail"),
            text("text"),
        ]));
        Self { store: store.clone(), columns, pending: Vec::new(), part: None }
    }

    /// Adds a row.
    ///
    /// # Errors
    /// What the store refuses.
    pub fn push(&mut self, row: &Rejected) -> Result<(), Error> {
        self.pending.push(row.clone());
        if self.pending.len() >= ROW_GROUP_ROWS {
            self.end_row_group()?;
        }
        Ok(())
    }

    /// Gives the file its name; `None` if there is none.
    ///
    /// # Errors
    /// What the store refuses.
    pub fn finish(mut self) -> Result<Option<PathBuf>, Error> {
        self.end_row_group()?;
        let Some(part) = self.part else { return Ok(None) };
        let path = part.path();
        part.publish()?;
        Ok(Some(path))
    }

    fn end_row_group(&mut self) -> Result<(), Error> {
        if self.pending.is_empty() {
            return Ok(());
        }
        let rows = std::mem::take(&mut self.pending);
        let texts = |text: fn(&Rejected) -> String| -> ArrayRef {
            Arc::new(StringArray::from_iter_values(rows.iter().map(text)))
        };
        let numbers = |number: fn(&Rejected) -> u64| -> ArrayRef {
            Arc::new(UInt64Array::from_iter_values(rows.iter().map(number)))
        };
        let arrays = vec![
            texts(|row| row.file.display().to_string()),
            numbers(|row| row.row_group as u64),
            numbers(|row| row.row),
            texts(|row| row.fault.column.clone()),
            texts(|row| row.fault.reason.name().into()),
            texts(|row| row.fault.detail.clone()),
            texts(|row| row.text.clone()),
        ];
        let batch = RecordBatch::try_new(SchemaRef::clone(&self.columns), arrays).map_err(|e| {
            Error::directory(&self.store.path(REJECTED_FOLDER), format!("cannot write: {e}"))
        })?;
        let part = if let Some(part) = self.part.take() {
            part
        } else {
            let properties = WriterProperties::builder()
                .set_compression(Compression::ZSTD(ZstdLevel::default()))
                .build();
            PartFile::create(&self.store, REJECTED_FOLDER, 0, &self.columns, properties)?
        };
        self.part.insert(part).write(&batch)
    }
}
