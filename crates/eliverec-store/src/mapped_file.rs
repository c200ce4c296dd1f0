//! A file as bytes in memory, straight from the page cache: read as it is touched, shared by all processes that map it.

use std::ops::Deref;
use std::path::{Path, PathBuf};

use eliverec_core::regular;
use memmap2::Mmap;

/// A file that nobody changes while it is mapped: those of saved stores and of bundles appear by rename and are replaced as a
/// whole. A file that was removed or replaced since lives as long as its map.
#[derive(Debug)]
pub struct MappedFile {
    path: PathBuf,
    map: Mmap,
}

impl MappedFile {
    /// Maps a file.
    ///
    /// # Errors
    /// What the file system says; the message names the path.
    pub fn open(path: &Path) -> std::io::Result<Self> {
        let file = regular::open(path)?;
        #[expect(unsafe_code, reason = "a memory map can change under its reader")]
        // SAFETY: whoever writes such files writes them under temporary names and never again after the rename. Any bytes are
        // valid here, and every access is checked against the length of the map.
        let map = unsafe { Mmap::map(&file) }.map_err(|error| {
            let text = format!("{}: cannot be mapped ({error})", path.display());
            std::io::Error::new(error.kind(), text)
        })?;
        Ok(Self { path: path.into(), map })
    }

    /// Where it was when it was opened.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Deref for MappedFile {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.map
    }
}
