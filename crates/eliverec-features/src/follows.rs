//! The anchors that a user follows: those of the last follows, for the sources of candidates; no feature of a model.

use eliverec_core::event::{Event, EventKind};
use serde::{Deserialize, Serialize};

use crate::moment::Moment;
use crate::recent::Recent;

/// Follows that are kept, the newest.
const MOST: usize = 32;

/// The last follows of a user.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Follows {
    anchors: Recent<u64>,
}

impl Follows {
    /// Takes in an event of this user in a channel of `anchor`.
    pub fn apply(&mut self, event: &Event, anchor: Option<u64>) {
        if let (EventKind::Follow, Some(anchor)) = (event.kind, anchor) {
            self.anchors.insert(Moment::of(event), anchor, MOST);
        }
    }

    /// The anchors in ascending order, each once.
    pub fn anchors(&self) -> impl Iterator<Item = u64> + use<> {
        let anchors = self.anchors.iter().map(|(_, anchor)| *anchor);
        anchors.collect::<std::collections::BTreeSet<u64>>().into_iter()
    }

    /// Whether no follow is of `oldest_ms` or later.
    pub fn is_before(&self, oldest_ms: i64) -> bool {
        self.anchors.is_before(oldest_ms)
    }

    /// Takes in the follows built from other events of the same user.
    pub fn merge(&mut self, other: Self) {
        self.anchors.merge(other.anchors, MOST);
    }

    /// Bytes on the heap.
    pub const fn heap_bytes(&self) -> usize {
        self.anchors.heap_bytes()
    }

    pub(crate) fn heap_bytes_bound() -> usize {
        Recent::<u64>::heap_bytes_bound(MOST)
    }
}
