//! Reading what a run keeps: whatever is wrong with such a file is damage of the run, however one meets it.

use std::io::ErrorKind;
use std::path::Path;

use crate::error::Error;

/// What a file holds.
///
/// # Errors
/// [`Error::Damaged`] if there is no such file; what the system refuses.
pub(crate) fn bytes(path: &Path) -> Result<Vec<u8>, Error> {
    fs_err::read(path).map_err(|error| of_the_run(path, error))
}

/// The same as text.
///
/// # Errors
/// As [`bytes`], and bytes that are no text.
pub(crate) fn text(path: &Path) -> Result<String, Error> {
    fs_err::read_to_string(path).map_err(|error| of_the_run(path, error))
}

/// The error of opening or reading a file of a run.
pub(crate) fn of_the_run(path: &Path, error: std::io::Error) -> Error {
    let reason = match error.kind() {
        ErrorKind::NotFound => "is missing",
        ErrorKind::IsADirectory => "is a folder, where a file should be",
        ErrorKind::InvalidData => "is not text",
        _ => return error.into(),
    };
    Error::Damaged { path: path.into(), reason: reason.into() }
}
