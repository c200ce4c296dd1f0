//! A platform known by its log: events in the order of their arrival drive the same folds as a service's, and streams that have
//! begun and not ended are live.

use std::collections::BTreeSet;
use std::sync::Arc;

use eliverec_core::{Dimensions, Event, EventKind};
use eliverec_features::{
    Admission, ChannelState, FeatureConfig, FeatureState, Follows, Freshness, UserState,
};
use eliverec_retrieval::LiveChannel;
use eliverec_tables::check::Checked;
use eliverec_tables::events::{ArrivalOrder, EventLog};

use crate::error::Error;
use eliverec_retrieval::fields::{Category, Fields};

/// Holds the state of all users and channels, and the events of one day.
#[derive(Debug)]
pub(crate) struct LogPlatform<'a> {
    arrivals: ArrivalOrder<'a>,
    dimensions: Arc<Dimensions>,
    category: Option<Category>,
    freshness: Freshness,
    state: FeatureState,
    live: BTreeSet<u64>,
}

impl<'a> LogPlatform<'a> {
    pub(crate) fn open(
        log: &'a EventLog,
        fields: &Fields,
        features: FeatureConfig,
        lenient: bool,
    ) -> Result<Self, Error> {
        let dimensions = Arc::new(log.dimensions()?);
        Ok(Self {
            arrivals: ArrivalOrder::new(log, &dimensions, None, lenient),
            dimensions,
            category: fields.category.clone(),
            freshness: Freshness::new(&features),
            state: FeatureState::new(features)?,
            live: BTreeSet::new(),
        })
    }

    /// Takes in the events that arrived before `at_ms`.
    pub(crate) fn advance(&mut self, at_ms: i64) -> Result<(), Error> {
        while let Some(event) = self.arrivals.before(at_ms)? {
            self.take_in(&event);
        }
        Ok(())
    }

    fn take_in(&mut self, event: &Event) {
        if !matches!(self.freshness.admit(event), Admission::Admitted) {
            return;
        }
        let known_ms = event.available_at_ms.saturating_add(1);
        self.state.apply(event, |channel| self.dimensions.anchor_of(channel, known_ms));
        let Some(channel) = event.channel_id else { return };
        match event.kind {
            EventKind::StreamStart | EventKind::StreamEnd => {
                let state = self.state.channel(channel);
                if state.and_then(ChannelState::live_since_ms).is_some() {
                    self.live.insert(channel);
                } else {
                    self.live.remove(&channel);
                }
            }
            _ => {}
        }
    }

    pub(crate) fn live(&self, at_ms: i64) -> Vec<LiveChannel> {
        let known = self.live.iter().filter_map(|id| Some((*id, self.state.channel(*id)?)));
        let (dimensions, category) = (&*self.dimensions, self.category.as_ref());
        known.map(|(id, state)| LiveChannel::of(id, state, dimensions, category, at_ms)).collect()
    }

    /// What was read of the log so far.
    pub(crate) fn checked(&self) -> Checked {
        let fates = self.freshness.fates();
        self.arrivals.checked(&[("late", fates.late), ("second arrivals", fates.duplicate)])
    }

    /// The anchors that a user follows.
    pub(crate) fn followed(&self, user_id: u64) -> Vec<u64> {
        let follows = self.state.user(user_id).map(UserState::follows);
        follows.into_iter().flat_map(Follows::anchors).collect()
    }
}
