//! The limits of a service.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::error::Error;

/// What a caller may ask for, and how much at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Bytes of a body.
    pub body_bytes: usize,
    /// Events or table rows of a batch.
    pub batch: usize,
    /// Channels of a call to rank, and candidates of a recommendation.
    pub candidates: usize,
    /// Milliseconds from a request's arrival to its answer; a request that would wait longer is refused at once.
    pub deadline_ms: u64,
    /// Requests that are computed at the same time; 0 for one per core.
    pub workers: usize,
    /// Requests that may wait for a worker, per worker.
    pub waiting: usize,
    /// Batches of events that may wait for the log.
    pub ingesting: usize,
    /// Requests whose explanation is kept.
    pub explained: usize,
}

/// What counts as shown to a user, and so as what a model learns from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Impressions {
    /// What callers say was seen: events of theirs.
    #[default]
    Caller,
    /// Every answer to a recommendation, which is in the log before it is given.
    Answers,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            body_bytes: 4 << 20,
            batch: 10_000,
            candidates: 2_000,
            deadline_ms: 250,
            workers: 0,
            waiting: 16,
            ingesting: 256,
            explained: 1_000,
        }
    }
}

impl Settings {
    /// Checks that the values can work.
    ///
    /// # Errors
    /// [`Error::Setting`] names the key.
    pub fn check(&self) -> Result<(), Error> {
        let keys = [
            ("body_bytes", self.body_bytes),
            ("batch", self.batch),
            ("candidates", self.candidates),
            ("deadline_ms", self.deadline_ms as usize),
            ("waiting", self.waiting),
            ("ingesting", self.ingesting),
        ];
        for (field, value) in keys {
            if value == 0 {
                return Err(Error::Setting { field, reason: "is 0; write 1 or more".into() });
            }
        }
        Ok(())
    }

    /// Milliseconds from arrival to answer.
    pub const fn deadline(&self) -> Duration {
        Duration::from_millis(self.deadline_ms)
    }

    /// Requests that are computed at the same time.
    pub fn workers(&self) -> usize {
        match self.workers {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            workers => workers,
        }
    }
}
