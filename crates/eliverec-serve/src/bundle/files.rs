//! The files of a bundle, mapped and verified: what is parsed afterwards are the bytes that were compared with the manifest,
//! even if the directory is exchanged for another meanwhile.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use eliverec_store::MappedFile;
use rayon::prelude::*;

use super::manifest::{FileEntry, MANIFEST_FILE, Manifest};
use super::sha256;
use crate::error::Error;

/// The bytes of every file that the manifest lists.
#[derive(Debug)]
pub(crate) struct BundleFiles {
    path: PathBuf,
    files: BTreeMap<String, MappedFile>,
}

impl BundleFiles {
    /// Maps the files of the bundle at `path` and compares every byte with the manifest.
    ///
    /// # Errors
    /// [`Error::Refused`] names the first file that is missing, changed, or there without being listed.
    pub(crate) fn open(path: &Path, manifest: &Manifest) -> Result<Self, Error> {
        refuse_others(path, manifest)?;
        let map = |entry: &FileEntry| {
            let file = path.join(&entry.name);
            let refused = |reason: String| Error::refused(&file, reason);
            if !file.is_file() {
                return Err(refused("is missing".into()));
            }
            let map = MappedFile::open(&file).map_err(|e| refused(e.to_string()))?;
            if map.len() as u64 != entry.bytes {
                return Err(refused(format!("has {} bytes, it had {}", map.len(), entry.bytes)));
            }
            if sha256::of(&map) != entry.sha256 {
                return Err(refused(
                    "has changed since it was written (its sha256 is wrong)".into(),
                ));
            }
            Ok((entry.name.clone(), map))
        };
        // Collected, so that the first file is named and not the fastest.
        let files = manifest.files.par_iter().map(map).collect::<Vec<_>>();
        Ok(Self { path: path.into(), files: files.into_iter().collect::<Result<_, _>>()? })
    }

    /// Where a file is.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// The bytes of a file, if there is one of that name.
    pub(crate) fn get(&self, name: &str) -> Option<&[u8]> {
        self.files.get(name).map(|file| &**file)
    }

    /// The bytes of a file that every bundle has.
    ///
    /// # Errors
    /// [`Error::Refused`] if the manifest lists none of that name.
    pub(crate) fn needed(&self, name: &str) -> Result<&[u8], Error> {
        self.get(name).ok_or_else(|| self.unlisted(name))
    }

    /// The same as text.
    ///
    /// # Errors
    /// As [`BundleFiles::needed`], and bytes that are no text.
    pub(crate) fn text(&self, name: &str) -> Result<&str, Error> {
        let bytes = self.needed(name)?;
        str::from_utf8(bytes).map_err(|_| Error::refused(&self.path(name), "is not text"))
    }

    /// Takes a file that every bundle has for one who keeps it.
    ///
    /// # Errors
    /// As [`BundleFiles::needed`].
    pub(crate) fn take(&mut self, name: &str) -> Result<MappedFile, Error> {
        self.files.remove(name).ok_or_else(|| self.unlisted(name))
    }

    fn unlisted(&self, name: &str) -> Error {
        Error::refused(&self.path(MANIFEST_FILE), format!("does not list {name}"))
    }
}

/// Refuses what the manifest does not list: it was not exported, so nobody knows what it is.
fn refuse_others(path: &Path, manifest: &Manifest) -> Result<(), Error> {
    let mut waiting = vec![String::new()];
    while let Some(folder) = waiting.pop() {
        for entry in fs_err::read_dir(path.join(&folder))? {
            let entry = entry?;
            let own = entry.file_name();
            let name = if folder.is_empty() {
                own.to_string_lossy().into_owned()
            } else {
                format!("{folder}/{}", own.to_string_lossy())
            };
            let inside = format!("{name}/");
            let listed = |file: &FileEntry| file.name == name || file.name.starts_with(&inside);
            if name != MANIFEST_FILE && !manifest.files.iter().any(listed) {
                let reason = "is not in the manifest; move it away";
                return Err(Error::refused(&entry.path(), reason));
            }
            if entry.file_type()?.is_dir() {
                waiting.push(name);
            }
        }
    }
    Ok(())
}
