//! How often a user watched an anchor: the count among the user's last watches (128 by default).
//!
//! A table of counts per anchor that throws out the least recently watched would be smaller, but an anchor that was
//! thrown out and comes back starts from zero, so its counts would depend on the order of arrival and could not be
//! merged. The list of the last watches has neither fault, and lets old loyalty fade.

use eliverec_core::event::Event;
use serde::{Deserialize, Serialize};

use crate::config::FeatureConfig;
use crate::history::watch_stay;
use crate::moment::Moment;
use crate::recent::Recent;

/// The anchors of one user's last watches.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Affinity {
    anchors: Recent<u64>,
}

impl Affinity {
    /// Takes in an event of this user in a channel of `anchor`. Without an anchor there is nothing to count.
    pub fn apply(&mut self, event: &Event, anchor: Option<u64>, config: &FeatureConfig) {
        if let (Some(anchor), Some(_)) = (anchor, watch_stay(event, config)) {
            self.anchors.insert(Moment::of(event), anchor, config.affinity_watches);
        }
    }

    /// Watches of `anchor` among the last ones from `oldest_ms` on, and when the newest of them ended.
    pub fn of(&self, anchor: u64, oldest_ms: i64) -> (u32, Option<Moment>) {
        let watches =
            self.anchors.since(oldest_ms).iter().filter(|(_, watched)| *watched == anchor);
        watches.fold((0, None), |(count, _), (moment, _)| (count + 1, Some(*moment)))
    }

    /// The anchors of the last watches from `oldest_ms` on, oldest first, repeats kept.
    pub fn anchors(&self, oldest_ms: i64) -> impl Iterator<Item = u64> + '_ {
        self.anchors.since(oldest_ms).iter().map(|(_, anchor)| *anchor)
    }

    /// Whether no watch is of `oldest_ms` or later.
    pub fn is_before(&self, oldest_ms: i64) -> bool {
        self.anchors.is_before(oldest_ms)
    }

    /// Takes in the watches built from other events of the same user.
    pub fn merge(&mut self, other: Self, config: &FeatureConfig) {
        self.anchors.merge(other.anchors, config.affinity_watches);
    }

    /// Bytes on the heap.
    pub const fn heap_bytes(&self) -> usize {
        self.anchors.heap_bytes()
    }

    pub(crate) fn heap_bytes_bound(config: &FeatureConfig) -> usize {
        Recent::<u64>::heap_bytes_bound(config.affinity_watches)
    }
}
