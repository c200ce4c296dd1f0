//! What a feed file says of itself, checked against the schema.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;

use parquet::file::metadata::{
    ParquetMetaData, ParquetMetaDataOptions, ParquetMetaDataReader, ParquetStatisticsPolicy,
    RowGroupMetaData,
};
use parquet::file::reader::Length;

use crate::contents::Contents;
use crate::decode::Problem;
use crate::error::Error;
use crate::file_columns::{FileColumns, KnownColumns};

/// What it says, and what the file holds. Clones share both.
#[derive(Clone, Debug)]
pub(crate) struct Footer {
    pub(crate) contents: Arc<Contents>,
    pub(crate) metadata: Arc<ParquetMetaData>,
    pub(crate) columns: Arc<FileColumns>,
    /// Bytes that it holds with its file, if the file is in memory.
    pub(crate) bytes: Option<usize>,
}

impl Footer {
    pub(crate) fn read(path: &Path, known: &KnownColumns) -> Result<Self, Error> {
        let contents = Contents::open(path)?;
        let read = || {
            let reader = ParquetMetaDataReader::new();
            reader.with_metadata_options(Some(without_statistics())).parse_and_finish(&contents)
        };
        let metadata = guarded(path, read)?;
        check_extent(path, &metadata, contents.len())?;
        let columns = known.of(path, &metadata)?;
        let bytes = contents.in_memory().map(|bytes| bytes + metadata.memory_size());
        Ok(Self { contents: Arc::new(contents), metadata: Arc::new(metadata), columns, bytes })
    }
}

/// Nobody asks the statistics of feed files, and they are most of a footer.
fn without_statistics() -> ParquetMetaDataOptions {
    let none = ParquetStatisticsPolicy::SkipAll;
    ParquetMetaDataOptions::new()
        .with_column_stats_policy(none.clone())
        .with_size_stats_policy(none.clone())
        .with_encoding_stats_policy(none)
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
