//! All folds of a platform: routes an admitted event to the user, the channel and the product it concerns.
//!
//! Memory: each user and channel is bounded; the number of users is the platform's. [`FeatureState::forget_idle`] drops users,
//! products and channels of which no feature can tell anything any more.

use eliverec_core::event::Event;
use serde::{Deserialize, Serialize};

use crate::assemble::{self, Known};
use crate::channel::ChannelState;
use crate::config::FeatureConfig;
use crate::error::Error;
use crate::maps::{IdMap, serialize_sorted};
use crate::popularity::Popularity;
use crate::routing::{channel_of, product_of, user_of};
use crate::snapshot::Snapshot;
use crate::user::UserState;
use crate::version::Version;

/// The state of users, channels and products, with its settings and version.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FeatureState {
    // First, so that it is read first.
    version: Version,
    config: FeatureConfig,
    #[serde(serialize_with = "serialize_sorted")]
    users: IdMap<UserState>,
    #[serde(serialize_with = "serialize_sorted")]
    channels: IdMap<ChannelState>,
    #[serde(serialize_with = "serialize_sorted")]
    products: IdMap<Popularity>,
}

impl FeatureState {
    /// Nothing has happened.
    ///
    /// # Errors
    /// [`Error::Config`] if a setting cannot work.
    pub fn new(config: FeatureConfig) -> Result<Self, Error> {
        config.check()?;
        Ok(Self {
            version: Version,
            config,
            users: IdMap::default(),
            channels: IdMap::default(),
            products: IdMap::default(),
        })
    }

    /// Takes in an event that [`crate::Freshness`] admitted. `anchor_of` gives the anchor of a channel, if it is known:
    /// the dimension table's answer, which events do not carry.
    pub fn apply(&mut self, event: &Event, anchor_of: impl Fn(u64) -> Option<u64>) {
        let config = &self.config;
        if let Some(user) = user_of(event) {
            let anchor = event.channel_id.and_then(anchor_of);
            self.users.entry(user).or_default().apply(event, anchor, config);
        }
        if let Some(channel) = channel_of(event) {
            self.channels.entry(channel).or_default().apply(event, config);
        }
        if let Some(product) = product_of(event) {
            self.products.entry(product).or_default().add(event.ts_ms);
        }
    }

    /// All features of a candidate `channel` for `user` at `at_ms`, when exactly the events available before have been
    /// applied. Ids that never occurred give the values of [`Snapshot::unknown`].
    pub fn snapshot(
        &self,
        user: u64,
        channel: u64,
        at_ms: i64,
        anchor_of: impl Fn(u64) -> Option<u64>,
    ) -> Snapshot {
        let of = self.known(channel, anchor_of(channel));
        assemble::snapshot(&self.config, self.user(user), of, at_ms)
    }

    /// What is known of a candidate, whose anchor is that.
    pub(crate) fn known(&self, channel: u64, anchor: Option<u64>) -> Known<'_> {
        let channel = self.channel(channel);
        let current = channel.and_then(|channel| channel.bag().current());
        Known { channel, anchor, product: current.and_then(|product| self.product(product)) }
    }

    /// The settings.
    pub const fn config(&self) -> &FeatureConfig {
        &self.config
    }

    /// The state of a user.
    pub fn user(&self, id: u64) -> Option<&UserState> {
        self.users.get(&id)
    }

    /// The state of a channel.
    pub fn channel(&self, id: u64) -> Option<&ChannelState> {
        self.channels.get(&id)
    }

    /// The clicks of a product.
    pub fn product(&self, id: u64) -> Option<&Popularity> {
        self.products.get(&id)
    }

    /// Number of users, channels and products.
    pub fn sizes(&self) -> [usize; 3] {
        [self.users.len(), self.channels.len(), self.products.len()]
    }

    /// Takes in the state built from other events; whatever they share, the result is the state of all of them.
    ///
    /// # Errors
    /// [`Error::SettingsDiffer`] names the options; the state is unchanged.
    pub fn merge(&mut self, other: Self) -> Result<(), Error> {
        if self.config != other.config {
            let differences = self.config.differences(&other.config);
            return Err(Error::SettingsDiffer { differences });
        }
        for (id, user) in other.users {
            self.users.entry(id).or_default().merge(user, &self.config);
        }
        for (id, channel) in other.channels {
            self.channels.entry(id).or_default().merge(channel, &self.config);
        }
        for (id, product) in other.products {
            self.products.entry(id).or_default().merge(&product);
        }
        Ok(())
    }

    /// Drops products that were not clicked in the 24 hours before `at_ms`, and channels of which nothing can be told any more
    /// ([`ChannelState::is_over`]), and users ([`UserState::is_over`]). No snapshot from then on changes.
    pub fn forget_idle(&mut self, at_ms: i64) {
        self.users.retain(|_, user| !user.is_over(at_ms, &self.config));
        self.products.retain(|_, product| !product.is_over(at_ms));
        self.channels.retain(|_, channel| !channel.is_over(at_ms, &self.config));
    }
}
