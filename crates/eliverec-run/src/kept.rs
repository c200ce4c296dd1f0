//! Reading what a run keeps: whatever is wrong with such a file is damage of the run, however one meets it.

use std::io::ErrorKind;
use std::path::Path;

use eliverec_core::regular;

use crate::error::Error;

/// What a file holds.
///
/// # Errors
/// [`Error::Damaged`] if there is no such file; what the system refuses.
pub(crate) fn bytes(path: &Path) -> Result<Vec<u8>, Error> {
    regular::read(path).map_err(|error| of_the_run(path, error))
}

/// The same as text.
///
/// # Errors
/// As [`bytes`], and bytes that are no text.
pub(crate) fn text(path: &Path) -> Result<String, Error> {
    regular::read_to_string(path).map_err(|error| of_the_run(path, error))
}

/// The error of opening or reading a file of a run.
pub fn of_the_run(path: &Path, error: std::io::Error) -> Error {
    let reason = match error.kind() {
        ErrorKind::NotFound => "is missing",
        ErrorKind::IsADirectory => regular::A_FOLDER,
        ErrorKind::NotSeekable => regular::NO_FILE,
        ErrorKind::InvalidData => "is not text",
        _ => return error.into(),
    };
    Error::Damaged { path: path.into(), reason: reason.into() }
}

/// Refuses what is there and no file, before it is opened for writing.
///
/// # Errors
/// [`Error::Damaged`].
pub fn check(path: &Path) -> Result<(), Error> {
    match regular::check(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(of_the_run(path, error)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_file_is_damage_and_is_not_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pipe");
        check(&path).unwrap();
        assert!(bytes(&path).unwrap_err().to_string().contains("pipe: is missing; the run is"));
        assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
        for (path, says) in [(path.as_path(), regular::NO_FILE), (folder.path(), regular::A_FOLDER)]
        {
            let told = format!("{}: {says}; the run is damaged", path.display());
            let errors =
                [bytes(path).unwrap_err(), text(path).unwrap_err(), check(path).unwrap_err()];
            for error in errors {
                assert!(matches!(error, Error::Damaged { .. }), "{error}");
                assert!(error.to_string().starts_with(&told), "{error}");
            }
        }
        let file = folder.path().join("file");
        fs_err::write(&file, [0xff]).unwrap();
        check(&file).unwrap();
        assert_eq!(bytes(&file).unwrap(), [0xff]);
        assert!(text(&file).unwrap_err().to_string().contains("is not text"));
    }
}
