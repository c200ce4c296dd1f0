//! Small files of text beside the feeds.

use std::io::{ErrorKind, Write};
use std::path::Path;

use eliverec_core::regular;

use crate::error::Error;

/// The text of a file, if it is there.
pub(crate) fn read(path: &Path) -> Result<Option<String>, Error> {
    match regular::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
        Err(e) if e.kind() == ErrorKind::IsADirectory => {
            let reason = "is a folder, where a file should be; rename it or move it away";
            Err(Error::Feeds { path: path.into(), reason: reason.into() })
        }
        Err(e) if e.kind() == ErrorKind::NotSeekable => {
            Err(Error::Feeds { path: path.into(), reason: regular::NO_FILE.into() })
        }
        Err(e) if e.kind() == ErrorKind::InvalidData => {
            Err(Error::Damaged { path: path.into(), reason: "is not text".into() })
        }
        Err(e) => Err(e.into()),
    }
}

/// Writes a file whole or not at all.
pub(crate) fn write(path: &Path, text: &str) -> Result<(), Error> {
    let partial = path.with_extension("toml.partial");
    let mut file = fs_err::File::create(&partial)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs_err::rename(&partial, path)?;
    path.parent().map_or(Ok(()), sync)
}

/// Makes the names in a folder last.
pub(crate) fn sync(folder: &Path) -> Result<(), Error> {
    Ok(fs_err::File::open(folder)?.sync_all()?)
}
