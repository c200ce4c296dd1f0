//! What a feed file says of itself, checked against the schema, and how its rows are asked for.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Field, Schema as ArrowSchema, TimeUnit};
use eliverec_core::Schema;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};
use parquet::arrow::parquet_to_arrow_schema;
use parquet::arrow::{ARROW_SCHEMA_META_KEY, ProjectionMask};
use parquet::errors::ParquetError;
use parquet::file::metadata::{ParquetMetaData, RowGroupMetaData};
use parquet::file::reader::Length;

use crate::arrow_schema::{FINGERPRINT_KEY, SCHEMA_TEXT_KEY, STANDS_TWICE, stands_twice};
use crate::contents::Contents;
use crate::decode::{Problem, decode, is_nested, wanted};
use crate::error::Error;

#[derive(Debug)]
pub(crate) struct Footer {
    /// What the file holds.
    pub(crate) contents: Contents,
    pub(crate) metadata: ArrowReaderMetadata,
    /// The columns that the schema declares.
    pub(crate) columns: ProjectionMask,
    /// Whether its candidates have labels.
    pub(crate) labelled: bool,
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
        let entries = metadata.metadata().file_metadata().key_value_metadata();
        let value = |key: &str| {
            let entry = entries?.iter().find(|entry| entry.key == key)?;
            entry.value.as_deref()
        };
        check_schema(path, value, schema)?;
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
    /// Bytes that it holds with its file, if the file is in memory.
    pub(crate) fn bytes(&self) -> Option<usize> {
        Some(self.contents.in_memory()? + self.metadata.metadata().memory_size())
    }

    /// The same once more.
    pub(crate) fn again(&self) -> Result<Self, Error> {
        Ok(Self {
            contents: self.contents.try_clone()?,
            metadata: self.metadata.clone(),
            columns: self.columns.clone(),
            ..*self
        })
    }

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

/// Whether columns have another schema than they should by `value`, which their metadata has of a key. Those without the key, from
/// another tool, are taken by themselves alone.
pub(crate) fn check_schema<'a>(
    path: &Path,
    value: impl Fn(&str) -> Option<&'a str>,
    schema: &Schema,
) -> Result<(), Error> {
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
