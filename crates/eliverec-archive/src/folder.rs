//! Folders of days.

use std::path::{Path, PathBuf};

use eliverec_core::Day;

use crate::error::Error;

/// Where a day's events lie in a log.
pub(crate) fn folder(logs: &Path, day: Day) -> PathBuf {
    logs.join("events").join(format!("date={day}"))
}

/// Puts the names in a directory on disk.
pub(crate) fn sync(path: &Path) -> Result<(), Error> {
    // Only Unix can open a directory as a file; elsewhere the rename itself is durable enough.
    if cfg!(unix) {
        fs_err::File::open(path)?.sync_all()?;
    }
    Ok(())
}
