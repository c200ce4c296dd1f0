//! What the callers of a state and the thread that writes share.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use eliverec_core::Schema;

use crate::config::StateConfig;
use crate::contended::Contended;
use crate::error::Error;
use crate::files::sync_directory;
use crate::group::Publisher;
use crate::ingest::Writer;
use crate::left::Left;
use crate::pieces::Pieces;
use crate::snapshot::Snapshots;

/// The days that stand elsewhere.
pub(crate) const LEFT_FILE: &str = "left";

/// See the module.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) config: StateConfig,
    pub(crate) schema: Schema,
    pub(crate) contended: Arc<Contended>,
    pub(crate) snapshots: Mutex<Snapshots>,
    pub(crate) directory: PathBuf,
    pub(crate) left: Mutex<Left>,
    pub(crate) publisher: OnceLock<Arc<dyn Publisher>>,
    /// Texts of channels that those who follow have not been told yet.
    pub(crate) names: Mutex<Vec<(u64, String)>>,
}

impl Shared {
    pub(crate) fn write(&self) {
        let Contended { known, log, queue, store } = &*self.contended;
        let writer = Writer {
            queue,
            known,
            known_ids: self.config.known_ids,
            log,
            store,
            gather: Duration::from_millis(self.config.gather_ms),
            publisher: &self.publisher,
            names: &self.names,
        };
        writer.run();
    }

    pub(crate) fn snapshot(&self, pieces: &impl Pieces) -> Result<u64, Error> {
        let snapshots = self.snapshots.lock().unwrap_or_else(PoisonError::into_inner);
        let position = snapshots.write(pieces)?;
        drop(snapshots);
        self.remove_left(pieces)?;
        Ok(position)
    }

    pub(crate) fn left(&self) -> MutexGuard<'_, Left> {
        self.left.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Removes the files of days that are known to stand elsewhere, as far as no snapshot that is kept needs them.
    pub(crate) fn remove_left(&self, pieces: &impl Pieces) -> Result<usize, Error> {
        let Some(left) = self.left().confirmed() else { return Ok(0) };
        let snapshots = self.snapshots.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(oldest) = snapshots.positions()?.first().copied() else { return Ok(0) };
        let (leaving, logs) = pieces.piece(move |contended| {
            let mut log = contended.log();
            log.leave(left, oldest + 1).map(|leaving| (leaving, log.directory().to_owned()))
        })?;
        if leaving.is_empty() {
            return Ok(0);
        }
        leaving.iter().try_for_each(fs_err::remove_file)?;
        sync_directory(&logs)?;
        Ok(leaving.len())
    }
}
