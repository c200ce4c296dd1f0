//! A bundle without its name: a directory that is filled under a hidden name beside the one that it is for, by one process at a
//! time, and gets its name in one step when everything is on disk. What a killed process leaves, the next export clears away.

use std::fs::{File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use eliverec_run::durable;

use super::manifest::MANIFEST_FILE;
use crate::error::Error;

/// What is said of a bundle that two processes want to write.
const TAKEN: &str = "another process is exporting it; wait for that or choose another --out";

/// A directory that is not published yet. Dropped before that, it leaves nothing behind.
#[derive(Debug)]
pub(crate) struct PartialBundle {
    target: PathBuf,
    path: PathBuf,
    /// Whether a bundle of the name may be replaced.
    replace: bool,
    /// Whether what has the hidden name is no longer ours.
    published: bool,
    /// The directory itself, locked: the lock ends with the process, however it ends.
    _lock: File,
}

impl PartialBundle {
    /// An empty directory for the name `target`.
    ///
    /// # Errors
    /// [`Error::Bundle`]: a name that is taken (by a bundle, unless `replace`, by anything else always), another process that
    /// writes it; and what the file system says.
    pub(crate) fn create(target: &Path, replace: bool) -> Result<Self, Error> {
        let wrong = |reason: &str| Error::Bundle { path: target.into(), reason: reason.into() };
        let name = target.file_name().ok_or_else(|| {
            wrong("is no name for a new directory; give a path that ends in a name")
        })?;
        taken(target, replace)?;
        let parent = parent_of(target);
        create_folder(&parent)?;
        let path = parent.join(format!(".{}.partial", name.display()));
        fs_err::create_dir_all(&path)?;
        let lock = lock(&path)?.ok_or_else(|| wrong(TAKEN))?;
        // The other process may have finished, and cleared its folder away, between the look and the lock.
        if !is_at(&lock, &path)? {
            return Err(wrong(TAKEN));
        }
        taken(target, replace)?;
        for entry in fs_err::read_dir(&path)? {
            let left = entry?.path();
            if left.is_dir() { fs_err::remove_dir_all(left)? } else { fs_err::remove_file(left)? }
        }
        Ok(Self { target: target.into(), path, replace, published: false, _lock: lock })
    }

    /// Where it is until it is published.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Gives the directory its name; a bundle that had it goes. Everything in it must be on disk.
    ///
    /// # Errors
    /// As [`PartialBundle::create`]; what had the name has it still.
    pub(crate) fn publish(mut self) -> Result<(), Error> {
        let (target, path) = (self.target.clone(), self.path.clone());
        let parent = parent_of(&target);
        if !taken(&target, self.replace)? {
            fs_err::rename(&path, &target)?;
            self.published = true;
            return Ok(durable::sync_directory(&parent)?);
        }
        // Until it is gone, the old one lies where the next export would clear away what it finds: nobody else may come there.
        let wrong = |reason: &str| Error::Bundle { path: target.clone(), reason: reason.into() };
        let _old = lock(&target)?.ok_or_else(|| wrong(TAKEN))?;
        exchange(&path, &target).map_err(|e| {
            let reason = format!(
                "cannot be exchanged in one step here ({e}); export under another name, and point to that"
            );
            wrong(&reason)
        })?;
        self.published = true;
        durable::sync_directory(&parent)?;
        Ok(fs_err::remove_dir_all(path)?)
    }
}

impl Drop for PartialBundle {
    fn drop(&mut self) {
        if !self.published {
            // Best effort on the way out of an error.
            let _ = std::fs::remove_dir_all(&self.path);
        }
    }
}

/// The directory that a path is in.
fn parent_of(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.into(),
        _ => PathBuf::from("."),
    }
}

/// Makes a directory whose name, and those of the directories that it is in, survive a power cut.
fn create_folder(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    let parent = parent_of(path);
    create_folder(&parent)?;
    match fs_err::create_dir(path) {
        // Somebody else was faster.
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
        made => made?,
    }
    durable::sync_directory(&parent)
}

/// Whether there is a bundle of the name, which may be replaced.
fn taken(target: &Path, replace: bool) -> Result<bool, Error> {
    let wrong = |reason: &str| Err(Error::Bundle { path: target.into(), reason: reason.into() });
    match fs_err::symlink_metadata(target) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(e) => return Err(e.into()),
        Ok(found) if found.is_symlink() => {
            return wrong("is a link; name the directory that it leads to");
        }
        Ok(found) if !found.is_dir() => return wrong("is a file; choose another --out"),
        Ok(_) => {}
    }
    if fs_err::read_dir(target)?.next().is_none() {
        return Ok(false);
    }
    if !target.join(MANIFEST_FILE).is_file() {
        return wrong("is not empty and holds no bundle; choose another --out");
    }
    if !replace {
        return wrong("is there already; choose another --out, or replace it with --force");
    }
    Ok(true)
}

/// Locks a directory, unless another process has it.
fn lock(path: &Path) -> Result<Option<File>, Error> {
    let directory = fs_err::File::open(path)?.into_parts().0;
    match directory.try_lock() {
        Ok(()) => Ok(Some(directory)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(e)) => Err(e.into()),
    }
}

/// Whether an open directory is the one that has the name.
#[cfg(unix)]
fn is_at(directory: &File, path: &Path) -> io::Result<bool> {
    use std::os::unix::fs::MetadataExt;
    let key = |metadata: std::fs::Metadata| (metadata.dev(), metadata.ino());
    match fs_err::metadata(path) {
        Ok(there) => Ok(key(there) == key(directory.metadata()?)),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(e) => Err(e),
    }
}

#[cfg(not(unix))]
fn is_at(_: &File, path: &Path) -> io::Result<bool> {
    Ok(path.is_dir())
}

/// Gives each of two directories the name of the other, in one step.
#[cfg(any(target_os = "linux", target_os = "android", target_vendor = "apple"))]
fn exchange(one: &Path, other: &Path) -> io::Result<()> {
    use rustix::fs::{CWD, RenameFlags, renameat_with};
    Ok(renameat_with(CWD, one, CWD, other, RenameFlags::EXCHANGE)?)
}

#[cfg(not(any(target_os = "linux", target_os = "android", target_vendor = "apple")))]
fn exchange(_: &Path, _: &Path) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bundle(path: &Path, content: &str) {
        fs_err::create_dir_all(path).unwrap();
        fs_err::write(path.join(MANIFEST_FILE), content).unwrap();
    }

    fn content(path: &Path) -> String {
        fs_err::read_to_string(path.join(MANIFEST_FILE)).unwrap()
    }

    fn refusal(target: &Path, replace: bool) -> String {
        PartialBundle::create(target, replace).unwrap_err().to_string()
    }

    #[test]
    fn it_appears_as_a_whole_and_replaces_bundles_alone() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("new/folder/b");
        let stale = folder.path().join("new/folder/.b.partial");
        bundle(&stale.join("rows"), "left by a killed process");
        let partial = PartialBundle::create(&target, false).unwrap();
        assert_eq!(fs_err::read_dir(partial.path()).unwrap().count(), 0);
        assert!(refusal(&target, false).contains("another process"));
        bundle(partial.path(), "first");
        assert!(!target.exists());
        partial.publish().unwrap();
        assert_eq!(content(&target), "first");

        assert!(refusal(&target, false).contains("--force"));
        let partial = PartialBundle::create(&target, true).unwrap();
        bundle(partial.path(), "second");
        assert_eq!(content(&target), "first");
        partial.publish().unwrap();
        assert_eq!(content(&target), "second");

        drop(PartialBundle::create(&target, true).unwrap());
        assert_eq!(content(&target), "second");
        assert_eq!(fs_err::read_dir(target.parent().unwrap()).unwrap().count(), 1);
    }

    #[test]
    fn what_is_no_bundle_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let thesis = folder.path().join("thesis");
        fs_err::create_dir(&thesis).unwrap();
        drop(PartialBundle::create(&thesis, false).unwrap());
        fs_err::write(thesis.join("thesis.tex"), "x").unwrap();
        assert!(refusal(&thesis, true).contains("holds no bundle"));
        assert!(refusal(&thesis.join("thesis.tex"), true).contains("is a file"));
        assert!(refusal(Path::new("/"), true).contains("no name"));
        #[cfg(unix)]
        {
            let link = folder.path().join("link");
            fs_err::os::unix::fs::symlink(&thesis, &link).unwrap();
            assert!(refusal(&link, true).contains("is a link"));
        }
    }
}
