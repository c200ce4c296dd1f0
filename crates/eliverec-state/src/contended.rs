//! What requests, the thread that writes the log and snapshots contend for.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::known::Known;
use crate::log::Log;
use crate::queue::Queue;
use crate::store::FeatureStore;

/// See the module. Locks are taken in the order of the fields.
#[derive(Debug)]
pub(crate) struct Contended {
    pub(crate) known: Mutex<Known>,
    pub(crate) log: Mutex<Log>,
    pub(crate) queue: Queue,
    pub(crate) store: FeatureStore,
}

impl Contended {
    pub(crate) fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn log(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
