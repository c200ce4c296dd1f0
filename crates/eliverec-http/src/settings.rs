//! The limits of a service.

use std::ops::RangeInclusive;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::error::Error;

/// What a caller may ask for, and how much at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Bytes of a body.
    pub body_bytes: usize,
    /// Bytes of the bodies of all requests that are being answered.
    pub buffered_bytes: usize,
    /// Connections that are open at once; others wait to be taken.
    pub connections: usize,
    /// Events or table rows of a batch.
    pub batch: usize,
    /// Channels of a call to rank, and candidates of a recommendation.
    pub candidates: usize,
    /// Milliseconds from a request for channels or scores to its answer: one that would wait longer for a worker is refused at once, and
    /// what takes longer for another reason, such as a disk, is refused then. Events have it for their wait before the log; once they
    /// are on their way into it, their answer is waited for.
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

/// Threads for bundles, states of users and channels that are looked at, and pages.
const RARE: usize = 32;

/// Checks that the value of each key is one that can work: from the least to the most.
///
/// # Errors
/// [`Error::Setting`] names the first key that has another.
pub fn within(
    keys: impl IntoIterator<Item = (&'static str, u64, RangeInclusive<u64>)>,
) -> Result<(), Error> {
    for (field, value, bounds) in keys {
        if !bounds.contains(&value) {
            let (least, most) = bounds.into_inner();
            let reason = format!("is {value}; write {least} to {most}");
            return Err(Error::Setting { field, reason });
        }
    }
    Ok(())
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
            buffered_bytes: 256 << 20,
            connections: 10_000,
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
            ("body_bytes", self.body_bytes as u64, 1..=1 << 30),
            ("buffered_bytes", self.buffered_bytes as u64, self.body_bytes as u64..=1 << 40),
            ("connections", self.connections as u64, 1..=1_000_000),
            ("batch", self.batch as u64, 1..=1_000_000),
            ("candidates", self.candidates as u64, 1..=100_000),
            ("deadline_ms", self.deadline_ms, 1..=60_000),
            ("workers", self.workers as u64, 0..=1_024),
            ("waiting", self.waiting as u64, 1..=10_000),
            ("ingesting", self.ingesting as u64, 1..=10_000),
            ("explained", self.explained as u64, 0..=1_000_000),
        ];
        within(keys)
    }

    /// Milliseconds from arrival to answer.
    pub const fn deadline(&self) -> Duration {
        Duration::from_millis(self.deadline_ms)
    }

    /// Threads that work may hold at the same time: ranking, the log, and a few for what is rare. Work of one kind never waits for a
    /// thread that another holds.
    pub fn threads(&self) -> usize {
        self.workers() + self.ingesting + RARE
    }

    /// Requests that are computed at the same time.
    pub fn workers(&self) -> usize {
        match self.workers {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            workers => workers,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_work_is_refused_by_its_key() {
        assert!(Settings::default().check().is_ok());
        let most = usize::MAX;
        for (settings, message) in [
            (
                Settings { body_bytes: most, ..Settings::default() },
                "body_bytes: is 18446744073709551615; write 1 to 1073741824",
            ),
            (Settings { batch: 0, ..Settings::default() }, "batch: is 0; write 1 to 1000000"),
            (
                Settings { buffered_bytes: 1 << 20, ..Settings::default() },
                "buffered_bytes: is 1048576; write 4194304 to",
            ),
            (Settings { connections: 0, ..Settings::default() }, "connections: "),
            (Settings { candidates: most, ..Settings::default() }, "candidates: "),
            (Settings { deadline_ms: 60_001, ..Settings::default() }, "deadline_ms: "),
            (
                Settings { workers: 1_025, ..Settings::default() },
                "workers: is 1025; write 0 to 1024",
            ),
            (Settings { waiting: most, ..Settings::default() }, "waiting: "),
            (Settings { ingesting: 0, ..Settings::default() }, "ingesting: "),
            (Settings { explained: most, ..Settings::default() }, "explained: "),
        ] {
            let told = settings.check().unwrap_err().to_string();
            assert!(told.starts_with(message), "{told}");
        }
    }
}
