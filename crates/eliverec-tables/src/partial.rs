//! A directory that appears whole or not at all: it is filled under a hidden name beside the one that it is for, by one
//! process at a time, and renamed when everything is on disk. What a killed process leaves, the next one clears away.

use std::fs::{File, TryLockError};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use crate::error::Error;

/// A directory without its name. Dropped before [`PartialDirectory::publish`], it leaves nothing behind.
#[derive(Debug)]
pub(crate) struct PartialDirectory {
    target: PathBuf,
    path: PathBuf,
    /// The directory itself, locked: the lock ends with the process, however it ends.
    lock: File,
}

impl PartialDirectory {
    /// An empty directory for the name `target`, which must not exist or be empty until the directory is published.
    pub(crate) fn create(target: &Path) -> Result<Self, Error> {
        let name = target.file_name().ok_or_else(|| {
            let reason = "not a name for a new directory; give a path that ends in a name";
            Error::directory(target, reason)
        })?;
        let parent = parent_of(target);
        let path = parent.join(format!(".{}.partial", name.display()));
        refuse_taken(target)?;
        fs_err::create_dir_all(&path)?;
        let lock = fs_err::File::open(&path)?.into_parts().0;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let reason = "another process is writing it; wait for that or choose another name";
                return Err(Error::directory(target, reason));
            }
            Err(TryLockError::Error(e)) => return Err(e.into()),
        }
        // The other process may have finished between the look and the lock.
        refuse_taken(target)?;
        for entry in fs_err::read_dir(&path)? {
            let left = entry?.path();
            if left.is_dir() { fs_err::remove_dir_all(left)? } else { fs_err::remove_file(left)? }
        }
        Ok(Self { target: target.into(), path, lock })
    }

    /// Where it is until it is published.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Gives the directory its name. The files in it, and the folders that they are in, must be on disk.
    pub(crate) fn publish(self) -> Result<(), Error> {
        self.lock.sync_all()?;
        refuse_taken(&self.target)?;
        fs_err::rename(&self.path, &self.target)?;
        fs_err::File::open(parent_of(&self.target))?.sync_all()?;
        Ok(())
    }
}

impl Drop for PartialDirectory {
    fn drop(&mut self) {
        // After the rename there is nothing of that name; otherwise this is best effort on the way out of an error.
        let _ = fs_err::remove_dir_all(&self.path);
    }
}

/// The directory that a path is in.
pub(crate) fn parent_of(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.into(),
        _ => PathBuf::from("."),
    }
}

fn refuse_taken(directory: &Path) -> Result<(), Error> {
    match fs_err::read_dir(directory).map(|mut entries| entries.next().is_some()) {
        Ok(true) => {
            let reason = "exists and is not empty; remove it or choose another directory";
            Err(Error::directory(directory, reason))
        }
        Ok(false) => Ok(()),
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(()),
        Err(_) if directory.is_file() => {
            let reason = "is a file, where a directory should be; choose another name";
            Err(Error::directory(directory, reason))
        }
        Err(e) => Err(e.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_writer_at_a_time_and_nothing_of_a_killed_one() {
        let folder = tempfile::tempdir().unwrap();
        let (target, hidden) = (folder.path().join("log"), folder.path().join(".log.partial"));
        fs_err::create_dir_all(hidden.join("events")).unwrap();
        fs_err::write(hidden.join("left"), "by a killed process").unwrap();
        let first = PartialDirectory::create(&target).unwrap();
        assert_eq!(fs_err::read_dir(first.path()).unwrap().count(), 0);
        fs_err::write(first.path().join("part"), "whole").unwrap();
        let second = PartialDirectory::create(&target).unwrap_err().to_string();
        assert!(
            second.ends_with(
                "log: another process is writing it; wait for that or choose another name"
            )
        );
        assert!(first.path().join("part").exists() && !target.exists());
        first.publish().unwrap();
        assert_eq!(fs_err::read_to_string(target.join("part")).unwrap(), "whole");
        assert!(!hidden.exists());
        let third = PartialDirectory::create(&target).unwrap_err().to_string();
        assert!(third.contains("exists and is not empty"), "{third}");
        assert!(!hidden.exists());
    }
}
