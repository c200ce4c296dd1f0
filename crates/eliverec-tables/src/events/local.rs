//! Files and directories of the local disk whose names are on disk, too: a power cut leaves all of them or none.

use std::io::Write;
use std::path::Path;

use crate::error::Error;
use crate::partial::parent_of;

/// Replaces a file of the local disk as a whole: the new bytes are on disk before they have the name.
pub(super) fn replace(path: &Path, contents: &[u8]) -> Result<(), Error> {
    let name = path.file_name().unwrap_or_default();
    let partial = path.with_file_name(format!(".{}.partial", name.display()));
    create_directory(&parent_of(path))?;
    let mut file = fs_err::File::create(&partial)?;
    file.write_all(contents)?;
    file.sync_all()?;
    fs_err::rename(&partial, path)?;
    sync_directory_of(path)
}

/// Makes a directory, and those that it is in, whose names are on disk.
pub(super) fn create_directory(path: &Path) -> Result<(), Error> {
    if path.is_dir() {
        return Ok(());
    }
    create_directory(&parent_of(path))?;
    match fs_err::create_dir(path) {
        Ok(()) => sync_directory_of(path),
        // By another writer, meanwhile.
        Err(_) if path.is_dir() => Ok(()),
        Err(e) => Err(e.into()),
    }
}

/// Puts the name of a file or directory on disk.
pub(super) fn sync_directory_of(path: &Path) -> Result<(), Error> {
    Ok(fs_err::File::open(parent_of(path))?.sync_all()?)
}
