//! What is known of one user: both histories, the affinity to anchors, and whom they follow.

use eliverec_core::event::Event;
use serde::{Deserialize, Serialize};

use crate::affinity::Affinity;
use crate::config::FeatureConfig;
use crate::follows::Follows;
use crate::history::History;
use crate::registry::FeatureId;
use crate::snapshot::Snapshot;

/// The folds of one user. Memory: at most [`FeatureConfig::user_bytes`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct UserState {
    history: History,
    affinity: Affinity,
    follows: Follows,
}

impl UserState {
    /// Takes in an admitted event of this user; `anchor` is that of its channel, if it has one and it is known.
    pub fn apply(&mut self, event: &Event, anchor: Option<u64>, config: &FeatureConfig) {
        self.history.apply(event, config);
        self.affinity.apply(event, anchor, config);
        self.follows.apply(event, anchor);
    }

    /// Both histories, for the feed's sequences.
    pub const fn history(&self) -> &History {
        &self.history
    }

    /// The affinity to anchors.
    pub const fn affinity(&self) -> &Affinity {
        &self.affinity
    }

    /// The anchors followed.
    pub const fn follows(&self) -> &Follows {
        &self.follows
    }

    /// Writes the features of the user at `at_ms`.
    pub fn snapshot(&self, at_ms: i64, config: &FeatureConfig, into: &mut Snapshot) {
        let oldest_ms = config.oldest_ms(at_ms);
        let products = self.history.products().since(oldest_ms);
        let channels = self.history.channels().since(oldest_ms);
        into.set(FeatureId::HistoryProducts, products.len() as f32);
        into.set(FeatureId::HistoryChannels, channels.len() as f32);
        into.set_age(FeatureId::ProductClickAgeS, products.last().map(|n| n.0.ts_ms), at_ms);
        into.set_age(FeatureId::WatchAgeS, channels.last().map(|n| n.0.ts_ms), at_ms);
    }

    /// Whether from `at_ms` on nothing of the user counts, unless more events come: then a user without any event has the same
    /// features. Never without [`FeatureConfig::history_age_days`].
    pub fn is_over(&self, at_ms: i64, config: &FeatureConfig) -> bool {
        let oldest_ms = config.oldest_ms(at_ms);
        self.history.products().is_before(oldest_ms)
            && self.history.channels().is_before(oldest_ms)
            && self.affinity.is_before(oldest_ms)
            && self.follows.is_before(oldest_ms)
    }

    /// Writes the features of the user and a candidate's `anchor` at `at_ms`.
    pub fn snapshot_anchor(
        &self,
        anchor: u64,
        at_ms: i64,
        config: &FeatureConfig,
        into: &mut Snapshot,
    ) {
        let (watches, newest) = self.affinity.of(anchor, config.oldest_ms(at_ms));
        into.set(FeatureId::AnchorWatches, watches as f32);
        into.set_age(FeatureId::AnchorWatchAgeS, newest.map(|moment| moment.ts_ms), at_ms);
    }

    /// Takes in the state built from other events of the same user.
    pub fn merge(&mut self, other: Self, config: &FeatureConfig) {
        self.history.merge(other.history, config);
        self.affinity.merge(other.affinity, config);
        self.follows.merge(other.follows);
    }

    /// Bytes on the heap.
    pub const fn heap_bytes(&self) -> usize {
        self.history.heap_bytes() + self.affinity.heap_bytes() + self.follows.heap_bytes()
    }
}

impl FeatureConfig {
    /// The most bytes that one user's state takes, itself included.
    pub fn user_bytes(&self) -> usize {
        let folds = History::heap_bytes_bound(self) + Affinity::heap_bytes_bound(self);
        size_of::<UserState>() + folds + Follows::heap_bytes_bound()
    }
}
