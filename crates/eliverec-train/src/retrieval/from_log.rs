//! A platform known by its log: events in the order of their arrival drive the same folds as a service's, and streams that have
//! begun and not ended are live.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use eliverec_core::feed::Column;
use eliverec_core::{Dimension, Dimensions, Event, EventKind};
use eliverec_features::{
    Admission, ChannelState, FeatureConfig, FeatureId, FeatureState, Freshness, MAX_AGE_S, Snapshot,
};
use eliverec_retrieval::{LiveChannel, Popularity};
use eliverec_tables::check::Checked;
use eliverec_tables::events::{ArrivalOrder, EventLog};

use super::fields::{Category, Fields};
use crate::error::Error;

/// Holds the state of all users and channels, and the events of one day.
#[derive(Debug)]
pub(crate) struct LogPlatform<'a> {
    arrivals: ArrivalOrder<'a>,
    dimensions: Arc<Dimensions>,
    category: Option<Category>,
    freshness: Freshness,
    state: FeatureState,
    live: BTreeSet<u64>,
    followed: HashMap<u64, BTreeSet<u64>>,
}

impl<'a> LogPlatform<'a> {
    pub(crate) fn open(
        log: &'a EventLog,
        fields: &Fields,
        features: FeatureConfig,
    ) -> Result<Self, Error> {
        let dimensions = Arc::new(log.dimensions()?);
        Ok(Self {
            arrivals: ArrivalOrder::new(log, &dimensions, None),
            dimensions,
            category: fields.category.clone(),
            freshness: Freshness::new(&features),
            state: FeatureState::new(features)?,
            live: BTreeSet::new(),
            followed: HashMap::new(),
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
            EventKind::Follow => {
                if let (Some(user), Some(anchor)) =
                    (event.user_id, self.dimensions.anchor_of(channel, known_ms))
                {
                    self.followed.entry(user).or_default().insert(anchor);
                }
            }
            _ => {}
        }
    }

    pub(crate) fn live(&self, at_ms: i64) -> Vec<LiveChannel> {
        let known = self.live.iter().filter_map(|id| Some((*id, self.state.channel(*id)?)));
        known.map(|(channel_id, state)| self.channel(channel_id, state, at_ms)).collect()
    }

    fn channel(&self, channel_id: u64, state: &ChannelState, at_ms: i64) -> LiveChannel {
        let mut snapshot = Snapshot::unknown();
        state.snapshot(at_ms, &mut snapshot);
        let number = |feature| snapshot.get(feature).unwrap_or(0.0);
        let exposure_age_s = number(FeatureId::ExposureAgeS);
        let names = self.category.as_ref().map(|category| &category.names);
        let Dimensions { channels, products, .. } = &*self.dimensions;
        let selling = state.bag().current();
        LiveChannel {
            channel_id,
            anchor_id: self.dimensions.anchor_of(channel_id, at_ms),
            category_id: names.and_then(|[name, _]| of_row(channels, name, channel_id, at_ms)),
            selling_category_id: names
                .zip(selling)
                .and_then(|([_, name], product)| of_row(products, name, product, at_ms)),
            popularity: Popularity {
                last_10m: number(FeatureId::Entries10m) as u32,
                last_60m: number(FeatureId::Entries60m) as u32,
                last_24h: number(FeatureId::ChannelPopularity) as u32,
            },
            exposed_ms: (exposure_age_s < MAX_AGE_S)
                .then(|| at_ms - (f64::from(exposure_age_s) * 1_000.0) as i64),
        }
    }

    /// What was read of the log so far.
    pub(crate) fn checked(&self) -> Checked {
        let fates = self.freshness.fates();
        self.arrivals.checked(&[("late", fates.late), ("second arrivals", fates.duplicate)])
    }

    /// The anchors that a user follows.
    pub(crate) fn followed(&self, user_id: u64) -> Vec<u64> {
        self.followed.get(&user_id).into_iter().flatten().copied().collect()
    }
}

/// The value of a categorical column of a table.
fn of_row(table: &Dimension, name: &str, id: u64, at_ms: i64) -> Option<u64> {
    let Column::Ids(values) = table.column(name)? else { return None };
    table.row_at(id, at_ms).map(|row| values[row])
}
