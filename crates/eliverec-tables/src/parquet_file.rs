//! What every reader of Parquet files does about damaged ones, and where their problems are.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use parquet::file::metadata::{ParquetMetaData, RowGroupMetaData};

use crate::decode::Problem;
use crate::error::Error;

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
