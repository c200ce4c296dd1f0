//! The feature store: the states of all folds, by user, channel and product, and the tables, as of a position in the log.
//!
//! Groups of records are applied whole: a request that needs several shards sees all of a group or nothing. Both take the locks
//! of what they need before they begin and hold them to the end ([`crate::shards`]), so requests and groups that have no shard in
//! common do not wait for each other.
//!
//! One that follows another process keeps no folds of users, but which record concerned whom lately: folds that were fetched are
//! taken only if nothing came for their user since.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use eliverec_core::{Dimensions, EventKind, Feed};
use eliverec_features::assemble::{self, Known as KnownCandidate};
use eliverec_features::freshness::is_late;
use eliverec_features::routing::{channel_of, product_of, user_of};
use eliverec_features::{
    ChannelState, FeatureConfig, FeedBuilder, Popularity, Request, RequestFeatures, UserState,
    Wanted,
};
use serde::{Deserialize, Serialize};

use crate::clock::Clock;
use crate::error::Error;
use crate::record::{Record, Upsert};
use crate::shards::{Shard, Shards};
use crate::tables::Tables;

/// Shards of users, channels and products. A snapshot copies a shard while nothing of it changes, so shards of many users are small: of
/// a million users each has a thousand.
pub(crate) const USER_SHARDS: usize = 1024;
pub(crate) const CHANNEL_SHARDS: usize = 256;
pub(crate) const PRODUCT_SHARDS: usize = 256;

/// The folds of a user, and when they last changed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct User {
    /// The number of the last record that they took in.
    pub(crate) changed: u64,
    pub(crate) state: UserState,
}

/// A shard of a store without folds of users knows of at most so many users when they last changed.
const TOUCHED: usize = 256;

/// Where in the one order a request stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stand {
    /// Its moment, milliseconds since 1970 UTC: records that arrived before it are known, others are not. Impressions of the request
    /// happen at this moment.
    pub ts_ms: i64,
    /// The number of the last record that is known.
    pub position: u64,
    /// The number of the last record that changed the user's folds, 0 if none did: while it and [`Stand::tables`] stay, the user's
    /// histories are the same but for the ages of their entries.
    pub history: u64,
    /// The number of the last record that changed a table, 0 if none did.
    pub tables: u64,
}

/// What is known for a request.
#[derive(Clone, Debug, PartialEq)]
pub struct Features {
    /// When.
    pub stand: Stand,
    /// What.
    pub values: RequestFeatures,
}

/// All states.
#[derive(Debug)]
pub(crate) struct FeatureStore {
    pub(crate) config: FeatureConfig,
    pub(crate) users: Shards<User>,
    /// Whether the folds of users are here, or only when they last changed.
    keeps_users: bool,
    pub(crate) channels: Shards<ChannelState>,
    pub(crate) products: Shards<Popularity>,
    pub(crate) tables: RwLock<Tables>,
    clock: Mutex<Clock>,
    /// In ascending order.
    live: RwLock<Arc<[u64]>>,
    /// When the newest event that was applied happened; `i64::MIN` before the first.
    newest_event_ms: AtomicI64,
}

impl FeatureStore {
    pub(crate) fn new(
        config: FeatureConfig,
        users: Shards<User>,
        channels: Shards<ChannelState>,
        products: Shards<Popularity>,
        tables: Tables,
    ) -> Self {
        let mut live = BTreeSet::new();
        for number in 0..channels.len() {
            let shard = channels.read(number);
            let on_air = shard.by_id.iter().filter(|(_, state)| state.live_since_ms().is_some());
            live.extend(on_air.map(|(id, _)| *id));
        }
        Self {
            config,
            users,
            keeps_users: true,
            channels,
            products,
            tables: RwLock::new(tables),
            clock: Mutex::new(Clock::new()),
            live: RwLock::new(live.into_iter().collect()),
            newest_event_ms: AtomicI64::new(i64::MIN),
        }
    }

    /// The same without folds of users: nothing is known of those who changed up to `position`.
    pub(crate) fn without_users(self, position: u64) -> Self {
        let users = (0..USER_SHARDS).map(|_| Shard { position, ..Shard::default() });
        Self { users: Shards::new(users), keeps_users: false, ..self }
    }

    /// Nothing has happened.
    pub(crate) fn empty(config: FeatureConfig, dimensions: Dimensions) -> Self {
        let tables = Tables::new(0, 0, dimensions);
        Self::new(
            config,
            Shards::new((0..USER_SHARDS).map(|_| Shard::default())),
            Shards::new((0..CHANNEL_SHARDS).map(|_| Shard::default())),
            Shards::new((0..PRODUCT_SHARDS).map(|_| Shard::default())),
            tables,
        )
    }

    pub(crate) fn with_clock<T>(&self, with: impl FnOnce(&mut Clock) -> T) -> T {
        with(&mut self.clock.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Applies a group of records, which all have that stamp, in the order of their numbers. What a shard has already is
    /// passed over, so that a group may be applied again to a state that was read from disk.
    ///
    /// # Errors
    /// An upsert that does not fit its table.
    pub(crate) fn apply(&self, stamp_ms: i64, records: &[(u64, Record)]) -> Result<(), Error> {
        let events = || {
            let of_group = records.iter().filter_map(|(sequence, record)| match record {
                Record::Event(event) => Some((*sequence, event)),
                Record::Upsert(_) | Record::Drawn(_) | Record::Answered(_) => None,
            });
            of_group.filter(|(_, event)| !is_late(event, self.config.allowed_lateness_ms))
        };
        let upserts: Vec<(u64, &Upsert)> = records
            .iter()
            .filter_map(|(sequence, record)| match record {
                Record::Upsert(upsert) => Some((*sequence, upsert)),
                Record::Event(_) | Record::Drawn(_) | Record::Answered(_) => None,
            })
            .collect();
        let mut users = self.users.write_of(events().filter_map(|(_, event)| user_of(event)));
        let mut channels =
            self.channels.write_of(events().filter_map(|(_, event)| channel_of(event)));
        // An event belongs to the anchor that is known when it arrives, so rows of the group come first.
        let changed = if upserts.is_empty() { None } else { Some(self.upsert(&upserts)?) };
        let read;
        let tables = if let Some(tables) = &changed {
            &**tables
        } else {
            read = self.tables.read().unwrap_or_else(PoisonError::into_inner);
            &*read
        };
        let mut products =
            self.products.write_of(events().filter_map(|(_, event)| product_of(event)));
        let last = records.last().map_or(0, |(sequence, _)| *sequence);
        // From here on whoever gets one of the locks knows the group.
        self.with_clock(|clock| clock.apply(stamp_ms, last));
        let mut switched = Vec::new();
        for (sequence, event) in events() {
            self.learn_newest_event(Some(event.ts_ms));
            if let Some(id) = user_of(event)
                && let Some(shard) = users.get_mut(self.users.number(id))
                && sequence > shard.position
            {
                let of_channel =
                    |channel| tables.dimensions.anchor_of(channel, stamp_ms.saturating_add(1));
                let user = shard.by_id.entry(id).or_default();
                if self.keeps_users {
                    user.state.apply(event, event.channel_id.and_then(of_channel), &self.config);
                }
                user.changed = sequence;
            }
            if let Some(id) = channel_of(event)
                && let Some(shard) = channels.get_mut(self.channels.number(id))
                && sequence > shard.position
            {
                let channel = shard.by_id.entry(id).or_default();
                channel.apply(event, &self.config);
                if matches!(event.kind, EventKind::StreamStart | EventKind::StreamEnd) {
                    switched.push((id, channel.live_since_ms().is_some()));
                }
            }
            if let Some(id) = product_of(event)
                && let Some(shard) = products.get_mut(self.products.number(id))
                && sequence > shard.position
            {
                shard.by_id.entry(id).or_default().add(event.ts_ms);
            }
        }
        if !switched.is_empty() {
            self.switch(&switched);
        }
        if !self.keeps_users {
            for shard in users.iter_mut().filter(|shard| shard.by_id.len() > TOUCHED) {
                shard.by_id.clear();
                shard.position = last;
            }
        }
        Ok(())
    }

    fn upsert(
        &self,
        upserts: &[(u64, &Upsert)],
    ) -> Result<std::sync::RwLockWriteGuard<'_, Tables>, Error> {
        let mut tables = self.tables.write().unwrap_or_else(PoisonError::into_inner);
        tables.upsert(upserts)?;
        Ok(tables)
    }

    fn switch(&self, switched: &[(u64, bool)]) {
        let mut live = self.live.write().unwrap_or_else(PoisonError::into_inner);
        let mut set: BTreeSet<u64> = live.iter().copied().collect();
        for (channel, is_live) in switched {
            if *is_live {
                set.insert(*channel);
            } else {
                set.remove(channel);
            }
        }
        *live = set.into_iter().collect();
    }

    /// The channels that are live now, in ascending order.
    pub(crate) fn live(&self) -> Arc<[u64]> {
        Arc::clone(&self.live.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// What is known for a request of a user at `now_ms` or as close to it as the order allows.
    fn read<T>(
        &self,
        wanted: &Wanted,
        user: u64,
        now_ms: i64,
        channels: &[u64],
        with: impl FnOnce(Features, &Dimensions) -> T,
    ) -> T {
        let users = self.users.read(self.users.number(user));
        let stand = |clock: &mut Clock| clock.read(now_ms);
        self.read_with(wanted, users.by_id.get(&user), channels, stand, with)
    }

    /// The same of a user whose folds were fetched and have all records up to `as_of`; `None` if others came for that user since, so
    /// that the folds and the rest would not be of one position. `stand` decides about the moment.
    pub(crate) fn read_fetched<T>(
        &self,
        wanted: &Wanted,
        (id, user, as_of): (u64, Option<&User>, u64),
        channels: &[u64],
        stand: impl FnOnce(&mut Clock) -> (i64, u64),
        with: impl FnOnce(Features, &Dimensions) -> T,
    ) -> Option<T> {
        let users = self.users.read(self.users.number(id));
        let touched = users.by_id.get(&id).map_or(users.position, |touched| touched.changed);
        (touched <= as_of).then(|| self.read_with(wanted, user, channels, stand, with))
    }

    /// As [`FeatureStore::read`] while the shard of the user is locked.
    fn read_with<T>(
        &self,
        wanted: &Wanted,
        user: Option<&User>,
        channels: &[u64],
        stand: impl FnOnce(&mut Clock) -> (i64, u64),
        with: impl FnOnce(Features, &Dimensions) -> T,
    ) -> T {
        let shards = self.channels.read_of(channels.iter().copied());
        let state_of =
            |id: &u64| shards.get(self.channels.number(*id)).and_then(|shard| shard.by_id.get(id));
        let states: Vec<Option<&ChannelState>> = channels.iter().map(state_of).collect();
        let tables = self.tables.read().unwrap_or_else(PoisonError::into_inner);
        let current = |state: Option<&ChannelState>| {
            state.filter(|_| wanted.popularity).and_then(|state| state.bag().current())
        };
        let products = self.products.read_of(states.iter().filter_map(|state| current(*state)));
        // Everything that is read is locked, so the moment holds for all of it.
        let (ts_ms, position) = self.with_clock(stand);
        let candidates = channels.iter().zip(&states).map(|(id, state)| {
            let product = current(*state).and_then(|id| {
                products.get(self.products.number(id)).and_then(|shard| shard.by_id.get(&id))
            });
            let anchor = tables.dimensions.anchor_of(*id, ts_ms);
            KnownCandidate { channel: *state, anchor, product }
        });
        let state = user.map(|user| &user.state);
        let values = assemble::request(&self.config, wanted, state, candidates, ts_ms);
        let history = user.map_or(0, |user| user.changed);
        let stand = Stand { ts_ms, position, history, tables: tables.changed };
        with(Features { stand, values }, &tables.dimensions)
    }

    pub(crate) fn features(
        &self,
        wanted: &Wanted,
        user: u64,
        now_ms: i64,
        channels: &[u64],
    ) -> Features {
        self.read(wanted, user, now_ms, channels, |features, _| features)
    }

    pub(crate) fn feed(
        &self,
        builder: &FeedBuilder,
        request: &mut Request,
        now_ms: i64,
    ) -> (Feed, Stand) {
        let channels: Vec<u64> = request.candidates.iter().map(|of| of.channel_id).collect();
        let user = request.user_id;
        self.read(builder.wanted(), user, now_ms, &channels, |features, dimensions| {
            request.ts_ms = features.stand.ts_ms;
            (builder.feed_from(dimensions, request, &features.values), features.stand)
        })
    }

    /// An event that happened then was applied.
    pub(crate) fn learn_newest_event(&self, ms: Option<i64>) {
        if let Some(ms) = ms {
            self.newest_event_ms.fetch_max(ms, Ordering::Relaxed);
        }
    }

    /// When the newest event that was applied happened; `None` before the first.
    pub(crate) fn newest_event_ms(&self) -> Option<i64> {
        Some(self.newest_event_ms.load(Ordering::Relaxed)).filter(|ms| *ms != i64::MIN)
    }

    /// The states of some channels, one at a time, with the tables; those without a state are left out.
    pub(crate) fn read_channels<T>(
        &self,
        channels: &[u64],
        mut each: impl FnMut(u64, &ChannelState, &Dimensions) -> T,
    ) -> Vec<T> {
        let mut read = Vec::with_capacity(channels.len());
        for id in channels {
            let shard = self.channels.read(self.channels.number(*id));
            let tables = self.tables.read().unwrap_or_else(PoisonError::into_inner);
            read.extend(shard.by_id.get(id).map(|state| each(*id, state, &tables.dimensions)));
        }
        read
    }

    /// The state of a user, with the tables.
    pub(crate) fn read_user<T>(
        &self,
        user: u64,
        with: impl FnOnce(&UserState, &Dimensions) -> T,
    ) -> Option<T> {
        let shard = self.users.read(self.users.number(user));
        let tables = self.tables.read().unwrap_or_else(PoisonError::into_inner);
        shard.by_id.get(&user).map(|user| with(&user.state, &tables.dimensions))
    }
}
