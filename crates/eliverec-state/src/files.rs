//! Names on disk: what a power cut leaves is all of it or nothing.

use std::path::Path;

use crate::error::Error;

/// Begins the names of what is being made; whatever has such a name at the start was never finished.
pub(crate) const PARTIAL: &str = ".partial-";

/// Puts the names in a directory on disk.
pub(crate) fn sync_directory(path: &Path) -> Result<(), Error> {
    // Only Unix can open a directory as a file; elsewhere the rename itself is durable enough.
    if cfg!(unix) {
        fs_err::File::open(path)?.sync_all()?;
    }
    Ok(())
}

/// Replaces a small text as a whole.
pub(crate) fn replace(path: &Path, text: &str) -> Result<(), Error> {
    let name = path.file_name().unwrap_or_default();
    let partial = path.with_file_name(format!("{PARTIAL}{}", name.display()));
    fs_err::write(&partial, format!("{text}\n"))?;
    fs_err::File::open(&partial)?.sync_all()?;
    fs_err::rename(&partial, path)?;
    sync_directory(path.parent().unwrap_or(Path::new(".")))
}

/// Makes a directory whose name is on disk.
pub(crate) fn create_directory(path: &Path) -> Result<(), Error> {
    if path.is_dir() {
        return Ok(());
    }
    fs_err::create_dir_all(path)?;
    let above = path.parent().filter(|above| !above.as_os_str().is_empty());
    sync_directory(above.unwrap_or(Path::new(".")))
}

/// The names in a directory, in order, but for those of what was never finished.
pub(crate) fn listed(directory: &Path) -> Result<Vec<String>, Error> {
    let mut names = Vec::new();
    for entry in fs_err::read_dir(directory)? {
        names.push(entry?.file_name().to_string_lossy().into_owned());
    }
    names.retain(|name| !name.starts_with(PARTIAL));
    names.sort();
    Ok(names)
}

/// The names in a directory, in order; what was never finished is removed.
pub(crate) fn names(directory: &Path) -> Result<Vec<String>, Error> {
    let mut names = Vec::new();
    for entry in fs_err::read_dir(directory)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if !name.starts_with(PARTIAL) {
            names.push(name);
        } else if entry.path().is_dir() {
            fs_err::remove_dir_all(entry.path())?;
        } else {
            fs_err::remove_file(entry.path())?;
        }
    }
    names.sort();
    Ok(names)
}
