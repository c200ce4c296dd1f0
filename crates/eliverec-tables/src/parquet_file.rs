//! What every reader of Parquet files does about damaged ones, and where their problems are.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, PanicHookInfo, catch_unwind, set_hook, take_hook};
use std::path::Path;
use std::sync::Once;

use parquet::file::metadata::{ParquetMetaData, RowGroupMetaData};

use crate::decode::Problem;
use crate::error::Error;

/// Reads from a Parquet file. The Parquet reader panics on some damaged files; what it was reading is dropped then.
pub(crate) fn guarded<T, E: ToString>(
    path: &Path,
    read: impl FnOnce() -> Result<T, E>,
) -> Result<T, Error> {
    match quietly(|| catch_unwind(AssertUnwindSafe(read))) {
        Ok(result) => result.map_err(|e| Error::parquet(path, &e)),
        Err(panic) => {
            let words = panic.downcast_ref::<&str>().copied();
            let words = words.or_else(|| Some(panic.downcast_ref::<String>()?.as_str()));
            let is_encrypted = words.is_some_and(|words| words.contains("encryption"));
            let reason =
                if is_encrypted { "it is encrypted" } else { "its parts contradict each other" };
            Err(Error::parquet(path, &reason))
        }
    }
}

thread_local! {
    /// Whether a panic of this thread is caught and told as an error.
    static CAUGHT: Cell<bool> = const { Cell::new(false) };
}

type Hook = Box<dyn Fn(&PanicHookInfo<'_>) + Send + Sync>;

/// The hook, but for panics that are caught.
fn unless_caught(hook: Hook) -> Hook {
    Box::new(move |panic| {
        if !CAUGHT.get() {
            hook(panic);
        }
    })
}

/// Does what catches its panics without a word of the panic hook, which is for those that end the program.
fn quietly<T>(catching: impl FnOnce() -> T) -> T {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| set_hook(unless_caught(take_hook())));
    let outer = CAUGHT.replace(true);
    let done = catching();
    CAUGHT.set(outer);
    done
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn a_panic_that_is_caught_is_told_as_an_error_alone() {
        let told = Arc::new(AtomicUsize::new(0));
        let counting = Arc::clone(&told);
        set_hook(unless_caught(Box::new(move |_| {
            counting.fetch_add(1, Ordering::Relaxed);
        })));
        let path = Path::new("a.parquet");
        let read = || -> Result<(), String> { panic!("an offset that is none") };
        let nested = || guarded(path, || guarded(path, read).map_err(|e| e.to_string()));
        for error in [guarded(path, read).unwrap_err(), nested().unwrap_err()] {
            assert!(error.to_string().contains("its parts contradict each other"), "{error}");
        }
        assert_eq!(told.load(Ordering::Relaxed), 0);
        assert!(catch_unwind(|| panic!("of nobody's")).is_err());
        assert_eq!(told.load(Ordering::Relaxed), 1);
    }
}
