//! Reads feeds as a stream, a few rows at a time, so that a set larger than memory works.

use std::collections::VecDeque;
use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::RecordBatch;
use eliverec_core::{Feed, Schema};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader,
    ParquetRecordBatchReaderBuilder,
};
use parquet::file::metadata::{ParquetMetaData, RowGroupMetaData};

use crate::arrow_schema::{FINGERPRINT_KEY, SCHEMA_TEXT_KEY};
use crate::decode::{Decoded, Problem, is_nested, wanted};
use crate::error::Error;

/// How many rows a reader decodes at a time, whatever the size of a file's row groups.
pub const DECODED_FEEDS: usize = 256;

/// A feed file whose schema and columns have been checked.
#[derive(Debug)]
pub(crate) struct FeedFile {
    path: PathBuf,
    /// Rows of every row group.
    row_groups: Vec<u64>,
}

impl FeedFile {
    /// Reads the footer, and checks it against the schema of the directory.
    pub(crate) fn open(path: PathBuf, schema: &Schema) -> Result<Self, Error> {
        let footer = Footer::read(&path, schema)?;
        let groups = footer.metadata.metadata().row_groups().iter();
        let row_groups = groups.map(|group| group.num_rows().max(0) as u64).collect();
        Ok(Self { path, row_groups })
    }

    pub(crate) fn feeds(&self) -> u64 {
        self.row_groups.iter().sum()
    }
}

/// A row group of one of the files of a split.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RowGroup {
    file: usize,
    index: usize,
}

/// Every row group, in the order of the files.
pub(crate) fn row_groups(files: &[FeedFile]) -> Vec<RowGroup> {
    let of_file = |(file, feeds): (usize, &FeedFile)| {
        (0..feeds.row_groups.len()).map(move |index| RowGroup { file, index })
    };
    files.iter().enumerate().flat_map(of_file).collect()
}

/// The feeds of some row groups, one after the other. Ends after the first error.
#[derive(Debug)]
pub struct FeedReader {
    schema: Arc<Schema>,
    files: Arc<[FeedFile]>,
    ahead: VecDeque<RowGroup>,
    /// The footer of the file that the last row group was in.
    footer: Option<(usize, Footer)>,
    current: Option<OpenRowGroup>,
}

impl FeedReader {
    pub(crate) fn new(
        schema: Arc<Schema>,
        files: Arc<[FeedFile]>,
        order: impl IntoIterator<Item = RowGroup>,
    ) -> Self {
        Self { schema, files, ahead: order.into_iter().collect(), footer: None, current: None }
    }

    fn advance(&mut self) -> Result<Option<Feed>, Error> {
        loop {
            if let Some(current) = &mut self.current {
                let path = &self.files[current.row_group.file].path;
                if let Some(feed) = current.next_feed(path, &self.schema)? {
                    return Ok(Some(feed));
                }
                self.current = None;
            }
            let Some(row_group) = self.ahead.pop_front() else { return Ok(None) };
            self.current = Some(self.open(row_group)?);
        }
    }

    fn open(&mut self, row_group: RowGroup) -> Result<OpenRowGroup, Error> {
        let file = &self.files[row_group.file];
        let footer = match self.footer.take() {
            Some((number, footer)) if number == row_group.file => footer,
            _ => Footer::read(&file.path, &self.schema)?,
        };
        let footer = &self.footer.insert((row_group.file, footer)).1;
        let handle = footer.file.try_clone()?;
        let metadata = footer.metadata.clone();
        let rows = guarded(&file.path, || {
            ParquetRecordBatchReaderBuilder::new_with_metadata(handle, metadata)
                .with_projection(footer.columns.clone())
                .with_row_groups(vec![row_group.index])
                .with_batch_size(DECODED_FEEDS)
                .build()
        })?;
        Ok(OpenRowGroup {
            row_group,
            rows,
            decoded: None,
            next_row: file.row_groups[..row_group.index].iter().sum(),
            rows_left: file.row_groups[row_group.index],
        })
    }
}

impl Iterator for FeedReader {
    type Item = Result<Feed, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        let item = self.advance().transpose();
        if matches!(item, Some(Err(_))) {
            self.ahead.clear();
            self.current = None;
        }
        item
    }
}

#[derive(Debug)]
struct Footer {
    file: File,
    metadata: ArrowReaderMetadata,
    /// The columns that the schema declares.
    columns: ProjectionMask,
}

impl Footer {
    fn read(path: &Path, schema: &Schema) -> Result<Self, Error> {
        let file = fs_err::File::open(path)?.into_parts().0;
        // The Arrow schema that some tools add to the metadata says nothing that Parquet's own types do not, and
        // arrow-ipc panics on a damaged one.
        let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
        let metadata = guarded(path, || ArrowReaderMetadata::load(&file, options))?;
        check_extent(path, metadata.metadata(), file.metadata()?.len())?;
        check_schema(path, &metadata, schema)?;
        let no_rows = RecordBatch::new_empty(Arc::clone(metadata.schema()));
        Decoded::new(schema, &no_rows).map_err(|problem| located(path, 0, problem))?;
        let columns = projection(&metadata, schema);
        Ok(Self { file, metadata, columns })
    }
}

/// Reads from a Parquet file. The Parquet reader panics on some damaged files; what it was reading is dropped then.
pub(crate) fn guarded<T, E: ToString>(
    path: &Path,
    read: impl FnOnce() -> Result<T, E>,
) -> Result<T, Error> {
    match catch_unwind(AssertUnwindSafe(read)) {
        Ok(result) => result.map_err(|e| Error::parquet(path, &e)),
        Err(_) => Err(Error::parquet(path, &"its parts contradict each other")),
    }
}

/// Column chunks that a damaged footer places outside the file.
pub(crate) fn check_extent(
    path: &Path,
    metadata: &ParquetMetaData,
    file_bytes: u64,
) -> Result<(), Error> {
    for column in metadata.row_groups().iter().flat_map(RowGroupMetaData::columns) {
        let start = column.dictionary_page_offset().unwrap_or(column.data_page_offset());
        let length = column.compressed_size();
        let end = start.checked_add(length).filter(|_| start >= 0 && length >= 0);
        if end.is_none_or(|end| end as u64 > file_bytes) {
            let name = column.column_path().string();
            return Err(Error::parquet(path, &format!("column {name} is not within the file")));
        }
    }
    Ok(())
}

/// A file without the key, from another tool, is taken by its columns alone.
fn check_schema(path: &Path, file: &ArrowReaderMetadata, schema: &Schema) -> Result<(), Error> {
    let entries = file.metadata().file_metadata().key_value_metadata();
    let value = |key: &str| {
        let entry = entries?.iter().find(|entry| entry.key == key)?;
        entry.value.as_deref()
    };
    let Some(fingerprint) = value(FINGERPRINT_KEY) else { return Ok(()) };
    if fingerprint == schema.fingerprint() {
        return Ok(());
    }
    let theirs = value(SCHEMA_TEXT_KEY).and_then(|text| Schema::parse(text).ok());
    let differences = match theirs {
        Some(theirs) => schema.differences(&theirs).join("; "),
        None => format!("fingerprint {fingerprint} instead of {}", schema.fingerprint()),
    };
    Err(Error::SchemaDiffers { path: path.into(), differences })
}

fn projection(file: &ArrowReaderMetadata, schema: &Schema) -> ProjectionMask {
    let wanted = wanted(schema);
    let descriptor = file.parquet_schema();
    let leaves = descriptor.columns().iter().enumerate().filter(|(_, leaf)| {
        let path = leaf.path().parts();
        let Some((_, fields)) = wanted.iter().find(|(column, _)| *column == path[0]) else {
            return false;
        };
        let nested =
            file.schema().field_with_name(&path[0]).is_ok_and(|f| is_nested(f.data_type()));
        // Between a list and its structs' fields stand names that differ from tool to tool.
        !nested || path[1..].iter().any(|part| fields.contains(&part.as_str()))
    });
    ProjectionMask::leaves(descriptor, leaves.map(|(i, _)| i))
}

/// The problem with the file and the row of the file.
pub(crate) fn located(path: &Path, first_row: u64, problem: Problem) -> Error {
    let path = path.into();
    match problem {
        Problem::Column { field, reason } => Error::Column { path, field, reason },
        Problem::Value { row, field, reason } => {
            Error::Value { path, row: first_row + row as u64, field, reason }
        }
    }
}

#[derive(Debug)]
struct OpenRowGroup {
    row_group: RowGroup,
    rows: ParquetRecordBatchReader,
    /// Decoded rows and the next of them.
    decoded: Option<(Decoded, usize)>,
    /// Row of the file that follows the decoded ones.
    next_row: u64,
    /// Rows that the footer promises beyond the decoded ones.
    rows_left: u64,
}

impl OpenRowGroup {
    fn next_feed(&mut self, path: &Path, schema: &Schema) -> Result<Option<Feed>, Error> {
        loop {
            if let Some((decoded, next)) = &mut self.decoded
                && *next < decoded.feeds()
            {
                *next += 1;
                return Ok(Some(decoded.feed(*next - 1)));
            }
            // Before the next rows are decoded, so that only one lot is held.
            self.decoded = None;
            let batch = match guarded(path, || self.rows.next().transpose())? {
                Some(batch) => batch,
                None if self.rows_left == 0 => return Ok(None),
                None => {
                    let reason = format!("{} rows fewer than promised", self.rows_left);
                    return Err(Error::parquet(path, &reason));
                }
            };
            let decoded = Decoded::new(schema, &batch)
                .map_err(|problem| located(path, self.next_row, problem))?;
            let rows = decoded.feeds() as u64;
            self.next_row += rows;
            self.rows_left = self.rows_left.saturating_sub(rows);
            self.decoded = Some((decoded, 0));
        }
    }
}
