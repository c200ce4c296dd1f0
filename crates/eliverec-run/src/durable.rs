//! Writing files so that a kill or a power cut leaves the old content or the new one, never a part.

use std::io::Write;
use std::path::Path;

/// Writes `bytes` under `path`: a temporary file beside it, flushed to disk, renamed, the directory flushed.
///
/// # Errors
/// What the file system says; the message names the path.
pub fn write(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let temporary = path.with_extension("tmp");
    write_by(&temporary, path, bytes).inspect_err(|_| {
        // Best effort on the way out of an error, such as that of a full disk.
        let _ = fs_err::remove_file(&temporary);
    })
}

fn write_by(temporary: &Path, path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut file = fs_err::File::create(temporary)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    drop(file);
    fs_err::rename(temporary, path)?;
    sync_directory(directory_of(path))
}

/// The directory that a file is named in; the current one for a bare name.
fn directory_of(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Flushes the names in a directory to disk: a rename or a new file survives a power cut only then.
///
/// # Errors
/// What the file system says.
pub fn sync_directory(path: &Path) -> std::io::Result<()> {
    // Only Unix can open a directory as a file; elsewhere the rename itself is durable enough.
    if cfg!(unix) {
        fs_err::File::open(path)?.sync_all()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::path::Path;

    #[test]
    fn a_bare_name_lies_in_the_current_directory() {
        assert_eq!(super::directory_of(Path::new("x.json")), Path::new("."));
        assert_eq!(super::directory_of(Path::new("run/x.json")), Path::new("run"));
    }

    #[test]
    fn the_second_write_replaces_the_first_and_leaves_no_temporary_file() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("state.json");
        super::write(&path, b"first, which is longer").unwrap();
        // Written in place, whoever reads the first one at this moment would see it cut.
        let mut first = fs_err::File::open(&path).unwrap();
        super::write(&path, b"second").unwrap();
        assert_eq!(fs_err::read(&path).unwrap(), b"second");
        let mut left = String::new();
        first.read_to_string(&mut left).unwrap();
        assert_eq!(left, "first, which is longer");
        assert_eq!(fs_err::read_dir(directory.path()).unwrap().count(), 1);
    }
}
