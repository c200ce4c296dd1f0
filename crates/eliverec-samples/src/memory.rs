//! How the plans share memory: every reservation gets the same fixed share at most.
//!
//! DataFusion's fair pool divides by the sorts that have begun and lets each take all of its share. The sorts of these
//! plans begin one after the other and stand on each other's output, so those below hold all memory when the one above,
//! or a merge of their own files, asks for its first byte, and the run fails. Here a sort takes what it would take if
//! all ran, and a merge that gets no more opens fewer files at a time.

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};

use datafusion_common::{DataFusionError, Result};
use datafusion_execution::memory_pool::{MemoryLimit, MemoryPool, MemoryReservation};

/// Reservations of each sort: rows that wait, and the merge.
const RESERVATIONS: usize = 2;

/// A limit in equal shares.
#[derive(Debug)]
pub(crate) struct EqualShares {
    limit: usize,
    share: usize,
    used: AtomicUsize,
}

impl EqualShares {
    /// Shares of `limit` bytes for so many sorts on so many threads.
    pub(crate) const fn new(limit: usize, threads: usize, sorts: usize) -> Self {
        let share = limit / (threads * sorts * RESERVATIONS);
        Self { limit, share, used: AtomicUsize::new(0) }
    }

    /// What one reservation gets.
    pub(crate) const fn share(&self) -> usize {
        self.share
    }
}

impl fmt::Display for EqualShares {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes in shares of {}", self.limit, self.share)
    }
}

impl MemoryPool for EqualShares {
    fn name(&self) -> &'static str {
        "equal shares"
    }

    fn grow(&self, _: &MemoryReservation, additional: usize) {
        self.used.fetch_add(additional, Ordering::Relaxed);
    }

    fn shrink(&self, _: &MemoryReservation, bytes: usize) {
        self.used.fetch_sub(bytes, Ordering::Relaxed);
    }

    fn try_grow(&self, reservation: &MemoryReservation, additional: usize) -> Result<()> {
        let exhausted = || {
            let who = reservation.consumer().name();
            let has = reservation.size();
            let reason = format!("{who} has {has} bytes and asks for {additional} more of {self}");
            DataFusionError::ResourcesExhausted(reason)
        };
        if reservation.size().saturating_add(additional) > self.share {
            return Err(exhausted());
        }
        let grown = |used: usize| used.checked_add(additional).filter(|used| *used <= self.limit);
        let grew = self.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, grown);
        grew.map(|_| ()).map_err(|_| exhausted())
    }

    fn reserved(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    fn memory_limit(&self) -> MemoryLimit {
        MemoryLimit::Finite(self.limit)
    }
}
