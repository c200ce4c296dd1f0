//! The online driver: events one by one as they arrive, features whenever a request comes. The sample pipeline drives the
//! same folds over files.

use std::sync::Arc;

use eliverec_core::{Dimensions, Event};

use crate::assemble;
use crate::config::FeatureConfig;
use crate::error::Error;
use crate::freshness::{Admission, Fates, Freshness};
use crate::request::RequestFeatures;
use crate::state::FeatureState;
use crate::wanted::Wanted;

/// Everything known at a moment.
#[derive(Debug)]
pub struct OnlineDriver {
    dimensions: Arc<Dimensions>,
    wanted: Wanted,
    freshness: Freshness,
    state: FeatureState,
    /// When idle users, channels and products were last forgotten.
    forgot_ms: Option<i64>,
}

/// Time between two looks for what is idle.
const FORGET_MS: i64 = 3_600_000;

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
            forgot_ms: None,
        })
    }

    /// An event has arrived; events come in the order of their arrival.
    pub fn event(&mut self, event: &Event) -> Admission {
        let admission = self.freshness.admit(event);
        if matches!(admission, Admission::Admitted) {
            let known_ms = event.available_at_ms.saturating_add(1);
            self.state.apply(event, |channel| self.dimensions.anchor_of(channel, known_ms));
        }
        let forgot_ms = *self.forgot_ms.get_or_insert(event.available_at_ms);
        if event.available_at_ms.saturating_sub(forgot_ms) >= FORGET_MS {
            self.state.forget_idle(event.available_at_ms);
            self.forgot_ms = Some(event.available_at_ms);
        }
        admission
    }

    /// What is known for a request of `user` at `at_ms` that shows `channels`, when exactly the events that arrived before
    /// that millisecond have been given.
    pub fn features(&self, user: u64, at_ms: i64, channels: &[u64]) -> RequestFeatures {
        let candidates = channels.iter().map(|channel| {
            let anchor = self.dimensions.anchor_of(*channel, at_ms);
            self.state.known(*channel, anchor)
        });
        let user = self.state.user(user);
        assemble::request(self.state.config(), &self.wanted, user, candidates, at_ms)
    }

    /// What became of the events.
    pub const fn fates(&self) -> Fates {
        self.freshness.fates()
    }
}
