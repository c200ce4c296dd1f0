//! Opening files that are kept, and only files: opening a pipe would wait for ever.

use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::path::Path;

/// What is said of a folder in the place of a file.
pub const A_FOLDER: &str = "is a folder, where a file should be";
/// What is said of what is neither a file nor a folder.
pub const NO_FILE: &str = "is no regular file but a pipe, a socket or a device; move it away";

/// Refuses what is there and no regular file, as an error of kind [`ErrorKind::IsADirectory`] or [`ErrorKind::NotSeekable`].
///
/// # Errors
/// These, and what the system says of the path; all name it.
pub fn check(path: &Path) -> io::Result<()> {
    let named = |kind, what: &str| io::Error::new(kind, format!("{}: {what}", path.display()));
    let of = std::fs::metadata(path).map_err(|e| named(e.kind(), &e.to_string()))?;
    if of.is_dir() {
        return Err(named(ErrorKind::IsADirectory, A_FOLDER));
    }
    if of.is_file() { Ok(()) } else { Err(named(ErrorKind::NotSeekable, NO_FILE)) }
}

/// Opens a regular file.
///
/// # Errors
/// As [`check`].
pub fn open(path: &Path) -> io::Result<File> {
    check(path)?;
    Ok(fs_err::File::open(path)?.into_parts().0)
}

/// The content of a regular file.
///
/// # Errors
/// As [`check`].
pub fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    open(path)?.read_to_end(&mut bytes).map_err(|e| {
        io::Error::new(e.kind(), format!("failed to read from file `{}`: {e}", path.display()))
    })?;
    Ok(bytes)
}

/// The content of a regular file as text.
///
/// # Errors
/// As [`check`], and [`ErrorKind::InvalidData`] for bytes that are no text.
pub fn read_to_string(path: &Path) -> io::Result<String> {
    String::from_utf8(read(path)?).map_err(|_| {
        io::Error::new(ErrorKind::InvalidData, format!("{}: is not text", path.display()))
    })
}
