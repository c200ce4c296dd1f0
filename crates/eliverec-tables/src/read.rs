//! Reads feeds as a stream, a few rows at a time, so that a set larger than memory works.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Field, Schema as ArrowSchema, TimeUnit};
use eliverec_core::{Feed, FeedColumns, Schema};
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader,
    ParquetRecordBatchReaderBuilder,
};
use parquet::arrow::parquet_to_arrow_schema;
use parquet::arrow::{ARROW_SCHEMA_META_KEY, ProjectionMask};
use parquet::errors::ParquetError;
use parquet::file::metadata::{ParquetMetaData, RowGroupMetaData};
use parquet::file::reader::Length;

use crate::arrow_schema::{FINGERPRINT_KEY, SCHEMA_TEXT_KEY, STANDS_TWICE, stands_twice};
use crate::contents::Contents;
use crate::decode::{Problem, decode, is_nested, wanted};
use crate::error::Error;
use crate::id_types::{self, IdType, id_columns};

/// How many rows a reader decodes at a time, whatever the size of a file's row groups.
pub const DECODED_FEEDS: usize = 256;

/// A feed file whose schema and columns have been checked.
#[derive(Debug)]
pub(crate) struct FeedFile {
    path: PathBuf,
    /// Rows of every row group.
    row_groups: Vec<u64>,
    /// Whether its candidates have labels.
    labelled: bool,
    /// How it writes ids, by [`id_columns`].
    id_types: Vec<Option<IdType>>,
}

impl FeedFile {
    /// Reads the footer, and checks it against the schema of the directory.
    pub(crate) fn open(path: PathBuf, schema: &Schema) -> Result<Self, Error> {
        let footer = Footer::read(&path, schema)?;
        let groups = footer.metadata.metadata().row_groups().iter();
        let row_groups = groups.map(|group| group.num_rows().max(0) as u64).collect();
        let id_types = id_types::of_file(&id_columns(schema), footer.metadata.schema());
        Ok(Self { path, row_groups, labelled: footer.labelled, id_types })
    }

    pub(crate) fn id_types(&self) -> &[Option<IdType>] {
        &self.id_types
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn feeds(&self) -> u64 {
        self.row_groups.iter().sum()
    }

    pub(crate) fn row_groups(&self) -> &[u64] {
        &self.row_groups
    }

    pub(crate) fn labelled(&self) -> bool {
        self.labelled
    }
}

/// Where a row group of a split is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RowGroupPlace {
    file: usize,
    index: usize,
}

/// Every row group, in the order of the files.
pub(crate) fn row_groups(files: &[FeedFile]) -> Vec<RowGroupPlace> {
    let of_file = |(file, feeds): (usize, &FeedFile)| {
        (0..feeds.row_groups.len()).map(move |index| RowGroupPlace { file, index })
    };
    files.iter().enumerate().flat_map(of_file).collect()
}

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

/// The feeds of some row groups, one after the other. Ends after the first error.
#[derive(Debug)]
pub struct FeedReader {
    schema: Arc<Schema>,
    files: Arc<[FeedFile]>,
    ahead: VecDeque<RowGroupPlace>,
    /// The footer of the file that the last row group was in.
    footer: Option<(usize, Footer)>,
    current: Option<OpenRowGroup>,
    /// The next of the feeds that are decoded.
    next: Option<FeedHandle>,
}

impl FeedReader {
    pub(crate) fn new(
        schema: Arc<Schema>,
        files: Arc<[FeedFile]>,
        order: impl IntoIterator<Item = RowGroupPlace>,
    ) -> Self {
        let ahead = order.into_iter().collect();
        Self { schema, files, ahead, footer: None, current: None, next: None }
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
                self.ahead.clear();
                self.current = None;
                Some(Err(e))
            }
        }
    }

    /// The next rows, at least one.
    fn decode(&mut self) -> Result<Option<FeedColumns>, Error> {
        loop {
            if let Some(current) = &mut self.current {
                let path = &self.files[current.place.file].path;
                if let Some(feeds) = current.decode(path, &self.schema)? {
                    return Ok(Some(feeds));
                }
                self.current = None;
            }
            let Some(row_group) = self.ahead.pop_front() else { return Ok(None) };
            self.current = Some(self.open(row_group)?);
        }
    }

    fn open(&mut self, place: RowGroupPlace) -> Result<OpenRowGroup, Error> {
        let file = &self.files[place.file];
        let footer = match self.footer.take() {
            Some((number, footer)) if number == place.file => footer,
            _ => Footer::read(&file.path, &self.schema)?,
        };
        let footer = &self.footer.insert((place.file, footer)).1;
        let handle = footer.contents.try_clone()?;
        let metadata = footer.metadata.clone();
        let rows = guarded(&file.path, || {
            ParquetRecordBatchReaderBuilder::new_with_metadata(handle, metadata)
                .with_projection(footer.columns.clone())
                .with_row_groups(vec![place.index])
                .with_batch_size(DECODED_FEEDS)
                .build()
        })?;
        Ok(OpenRowGroup {
            place,
            rows,
            ts_unit: footer.ts_unit,
            next_row: file.row_groups[..place.index].iter().sum(),
            rows_left: file.row_groups[place.index],
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

#[derive(Debug)]
pub(crate) struct Footer {
    /// What the file holds.
    pub(crate) contents: Contents,
    pub(crate) metadata: ArrowReaderMetadata,
    /// The columns that the schema declares.
    columns: ProjectionMask,
    labelled: bool,
    /// Of `ts`, where it is stored as a plain integer.
    ts_unit: TimeUnit,
}

impl Footer {
    pub(crate) fn read(path: &Path, schema: &Schema) -> Result<Self, Error> {
        let contents = Contents::open(path)?;
        // The Arrow schema that some tools add to the metadata says nothing that Parquet's own types do not, and
        // arrow-ipc panics on a damaged one.
        let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
        let metadata = guarded(path, || ArrowReaderMetadata::load(&contents, options))?;
        check_extent(path, metadata.metadata(), contents.len())?;
        check_schema(path, &metadata, schema)?;
        let wanted = wanted(schema);
        if let Some(field) = stands_twice(metadata.schema(), &wanted) {
            return Err(Error::Column { path: path.into(), field, reason: STANDS_TWICE.into() });
        }
        let no_rows = RecordBatch::new_empty(Arc::clone(metadata.schema()));
        let ts_unit = guarded(path, || ts_unit(&metadata))?;
        let checked =
            decode(schema, ts_unit, &no_rows).map_err(|problem| located(path, 0, problem))?;
        let columns = projection(&metadata, &wanted);
        Ok(Self { contents, metadata, columns, labelled: checked.labelled(), ts_unit })
    }
}

impl Footer {
    /// The unit of `ts`, where it is stored as a plain integer.
    pub(crate) const fn ts_unit(&self) -> TimeUnit {
        self.ts_unit
    }

    /// The leaves of some columns, each with the fields of its structs.
    pub(crate) fn projection(&self, wanted: &[(&str, Vec<&str>)]) -> ProjectionMask {
        projection(&self.metadata, wanted)
    }
}

/// The unit of a `ts` that is stored as a plain integer: milliseconds, unless the Arrow schema that its writer added says
/// seconds, for which Parquet has no type of its own.
fn ts_unit(file: &ArrowReaderMetadata) -> Result<TimeUnit, ParquetError> {
    let plain =
        |schema: &ArrowSchema| schema.field_with_name("ts").ok().map(Field::data_type).cloned();
    if plain(file.schema()) != Some(DataType::Int64) {
        return Ok(TimeUnit::Millisecond);
    }
    let entries = file.metadata().file_metadata().key_value_metadata();
    if !entries.is_some_and(|entries| entries.iter().any(|e| e.key == ARROW_SCHEMA_META_KEY)) {
        return Ok(TimeUnit::Millisecond);
    }
    let written = parquet_to_arrow_schema(file.parquet_schema(), entries)?;
    Ok(match plain(&written) {
        Some(DataType::Timestamp(unit, _)) => unit,
        _ => TimeUnit::Millisecond,
    })
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

/// Of columns, as (column, fields of its structs).
fn projection(file: &ArrowReaderMetadata, wanted: &[(&str, Vec<&str>)]) -> ProjectionMask {
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
    place: RowGroupPlace,
    rows: ParquetRecordBatchReader,
    ts_unit: TimeUnit,
    /// Row of the file that follows the decoded ones.
    next_row: u64,
    /// Rows that the footer promises beyond the decoded ones.
    rows_left: u64,
}

impl OpenRowGroup {
    /// The next rows, at least one, or none at the end.
    fn decode(&mut self, path: &Path, schema: &Schema) -> Result<Option<FeedColumns>, Error> {
        loop {
            let batch = match guarded(path, || self.rows.next().transpose())? {
                Some(batch) => batch,
                None if self.rows_left == 0 => return Ok(None),
                None => {
                    let reason = format!("{} rows fewer than promised", self.rows_left);
                    return Err(Error::parquet(path, &reason));
                }
            };
            let feeds = decode(schema, self.ts_unit, &batch)
                .map_err(|problem| located(path, self.next_row, problem))?;
            let rows = feeds.feeds() as u64;
            self.next_row += rows;
            self.rows_left = self.rows_left.saturating_sub(rows);
            if rows > 0 {
                return Ok(Some(feeds));
            }
        }
    }
}
