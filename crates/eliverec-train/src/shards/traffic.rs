//! What the ranks send to each other, by what it is for.

use std::sync::atomic::{AtomicU64, Ordering};

use serde::Serialize;

/// What is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sent {
    /// Dense gradients and their sums.
    Reduced,
    /// Rows to who computes with them, and their gradients back.
    Rows,
    /// What every rank must know of every shard: losses, norms, the vectors of L_reg's rows.
    Gathered,
}

/// Counts of bytes.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    bytes: [AtomicU64; 3],
    updates: AtomicU64,
}

impl Counters {
    pub(crate) fn add(&self, sent: Sent, bytes: usize) {
        self.bytes[sent as usize].fetch_add(bytes as u64, Ordering::Relaxed);
    }

    pub(crate) fn count_update(&self) {
        self.updates.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn per_update(&self) -> Traffic {
        let updates = self.updates.load(Ordering::Relaxed);
        let [all_reduce, rows, gather] = self.bytes.each_ref().map(|bytes| {
            let bytes = bytes.load(Ordering::Relaxed);
            bytes as f64 / updates.max(1) as f64
        });
        Traffic { updates, all_reduce, rows, gather }
    }
}

/// Bytes that a rank sends to others, a mean over updates. Those of evaluations and checkpoints are not among them.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Traffic {
    /// Updates that it is the mean of.
    pub updates: u64,
    /// To add up dense gradients: each rank adds a part of them and tells the others.
    #[serde(rename = "all_reduce_bytes")]
    pub all_reduce: f64,
    /// Rows to who computes with them, and gradients to who has the rows.
    #[serde(rename = "rows_bytes")]
    pub rows: f64,
    /// Losses, norms, gradients of rare-id rows, and what L_reg compares between feeds, to each of the others.
    #[serde(rename = "gather_bytes")]
    pub gather: f64,
}

impl std::fmt::Display for Traffic {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { updates, all_reduce, rows, gather } = self;
        write!(
            f,
            "per update, a mean over {updates}: {all_reduce:.0} bytes to add up dense gradients, {rows:.0} of rows and their gradients, {gather:.0} of what every rank must know"
        )
    }
}
