//! What the callers of a state and the thread that writes share.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use eliverec_core::Schema;

use crate::config::StateConfig;
use crate::error::Error;
use crate::group::Publisher;
use crate::ingest::{Queue, Writer};
use crate::known::Known;
use crate::left::Left;
use crate::log::Log;
use crate::snapshot::{Snapshots, Sources};
use crate::store::FeatureStore;

/// The days that stand elsewhere.
pub(crate) const LEFT_FILE: &str = "left";

/// See the module.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) config: StateConfig,
    pub(crate) schema: Schema,
    pub(crate) queue: Queue,
    pub(crate) known: Mutex<Known>,
    pub(crate) log: Mutex<Log>,
    pub(crate) store: FeatureStore,
    pub(crate) snapshots: Mutex<Snapshots>,
    pub(crate) directory: PathBuf,
    pub(crate) left: Mutex<Left>,
    pub(crate) publisher: OnceLock<Arc<dyn Publisher>>,
    /// Texts of channels that those who follow have not been told yet.
    pub(crate) names: Mutex<Vec<(u64, String)>>,
}

impl Shared {
    pub(crate) fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn log(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn write(&self) {
        let writer = Writer {
            queue: &self.queue,
            known: &self.known,
            known_ids: self.config.known_ids,
            log: &self.log,
            store: &self.store,
            gather: Duration::from_millis(self.config.gather_ms),
            publisher: &self.publisher,
            names: &self.names,
        };
        writer.run();
    }

    pub(crate) fn snapshot(&self) -> Result<u64, Error> {
        let snapshots = self.snapshots.lock().unwrap_or_else(PoisonError::into_inner);
        let position = snapshots.write(&Sources {
            store: &self.store,
            known: &self.known,
            queue: &self.queue,
        })?;
        drop(snapshots);
        self.remove_left()?;
        Ok(position)
    }

    pub(crate) fn left(&self) -> MutexGuard<'_, Left> {
        self.left.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Removes the files of days that are known to stand elsewhere, as far as no snapshot that is kept needs them.
    pub(crate) fn remove_left(&self) -> Result<usize, Error> {
        let Some(left) = self.left().confirmed() else { return Ok(0) };
        let snapshots = self.snapshots.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(oldest) = snapshots.positions()?.first().copied() else { return Ok(0) };
        self.log().leave(left, oldest + 1)
    }
}
