//! Which files the feeds of a split are read from, for whoever keeps what was made of them.

use std::io::{self, Read};
use std::path::PathBuf;
use std::sync::Arc;

use crate::contents::Contents;
use crate::directory::FeedDirectory;
use crate::error::Error;
use crate::layout::Split;

/// A file of feeds.
#[derive(Clone, Debug)]
pub struct FeedFileRead {
    /// Where it is.
    pub path: PathBuf,
    /// Below the folder of its split, with `/` between its parts.
    pub name: String,
    /// Rows.
    pub feeds: u64,
    /// What it holds, if that is in memory.
    contents: Option<Arc<Contents>>,
}

impl FeedFileRead {
    /// Its bytes, from the first to the last.
    ///
    /// # Errors
    /// What the file system refuses.
    pub fn open(&self) -> io::Result<Box<dyn Read + '_>> {
        Ok(match self.contents.as_deref() {
            Some(Contents::Small(bytes)) => Box::new(bytes.as_ref()),
            Some(Contents::Large(_)) | None => Box::new(fs_err::File::open(&self.path)?),
        })
    }
}

impl FeedDirectory {
    /// The files that the feeds of a split are read from, in the order of reading; none for a split without files.
    ///
    /// # Errors
    /// Files that cannot be read, and files of another schema.
    pub fn files_read(&self, split: Split) -> Result<Vec<FeedFileRead>, Error> {
        let folder = split.folder(self.path());
        let files = self.files(split)?;
        let files = files.iter().map(|file| {
            let path = file.path().to_owned();
            let inner = path.strip_prefix(&folder).unwrap_or(&path);
            let parts: Vec<_> = inner.iter().map(|part| part.to_string_lossy()).collect();
            let contents = file.contents().map(Arc::clone);
            FeedFileRead { name: parts.join("/"), feeds: file.feeds(), path, contents }
        });
        Ok(files.collect())
    }
}
