//! The online driver: events one by one as they arrive, features whenever a request comes. The sample pipeline drives the
//! same folds over files.

use std::sync::Arc;

use eliverec_core::{Dimensions, Event};

use crate::assemble::{history, on_sale, values};
use crate::config::FeatureConfig;
use crate::error::Error;
use crate::freshness::{Admission, Fates, Freshness};
use crate::registry::FeatureId;
use crate::request::{CandidateFeatures, RequestFeatures};
use crate::state::FeatureState;
use crate::wanted::Wanted;

/// Everything known at a moment.
#[derive(Debug)]
pub struct OnlineDriver {
    dimensions: Arc<Dimensions>,
    wanted: Wanted,
    freshness: Freshness,
    state: FeatureState,
}

impl OnlineDriver {
    /// Nothing has happened.
    ///
    /// # Errors
    /// A setting that cannot work.
    pub fn new(
        config: FeatureConfig,
        dimensions: &Arc<Dimensions>,
        wanted: &Wanted,
    ) -> Result<Self, Error> {
        Ok(Self {
            dimensions: Arc::clone(dimensions),
            wanted: wanted.clone(),
            freshness: Freshness::new(&config),
            state: FeatureState::new(config)?,
        })
    }

    /// An event has arrived; events come in the order of their arrival.
    pub fn event(&mut self, event: &Event) -> Admission {
        let admission = self.freshness.admit(event);
        if matches!(admission, Admission::Admitted) {
            self.state.apply(event, |channel| self.dimensions.anchor_of(channel));
        }
        admission
    }

    /// What is known for a request of `user` at `at_ms` that shows `channels`, when exactly the events that arrived before
    /// that millisecond have been given.
    pub fn features(&self, user: u64, at_ms: i64, channels: &[u64]) -> RequestFeatures {
        let anchor_of = |channel| self.dimensions.anchor_of(channel);
        let mut features = history(self.state.user(user), at_ms);
        // No channel has this id or every one may: the features of the user do not depend on it.
        features.user = values(&self.state.snapshot(user, 0, at_ms, |_| None), &self.wanted.user);
        features.candidates = channels
            .iter()
            .map(|channel| {
                let snapshot = self.state.snapshot(user, *channel, at_ms, anchor_of);
                let popularity = snapshot.get(FeatureId::ProductPopularity);
                CandidateFeatures {
                    channel: values(&snapshot, &self.wanted.channel),
                    anchor: values(&snapshot, &self.wanted.anchor),
                    popularity: popularity.filter(|_| self.wanted.popularity).unwrap_or(0.0),
                    on_sale: on_sale(self.state.channel(*channel), self.wanted.on_sale),
                }
            })
            .collect();
        features
    }

    /// What became of the events.
    pub const fn fates(&self) -> Fates {
        self.freshness.fates()
    }
}
