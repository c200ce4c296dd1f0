//! A state that follows that of another process: channels, products and tables are here, and the folds of a user are fetched for
//! each request.
//!
//! # Exactness
//! A request stands at one position of the one order here, too. Whoever writes the folds of users does so before or together with
//! the [`Closed`] moment, so that folds that were fetched with a closed moment have all records up to its position, and up to the
//! last that changed them. The request waits until these have been applied here. If a later record of the user was applied, too
//! ([`crate::store::FeatureStore::read_fetched`]), the folds are fetched again. So what is used is of the position that the answer names.
//!
//! The moment of the request is at most the closed one, or that right behind the last stamp: whatever comes later has a later
//! stamp or this one. So `samples` finds the same from the log.
//!
//! # What is not known is not answered
//! While the writer is not heard of, the store with the folds cannot be reached, or records do not arrive in time, requests get
//! [`Error::Behind`].

use std::collections::{BTreeMap, HashMap};
use std::fmt::Debug;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant};

use eliverec_core::{Dimensions, Feed, Schema};
use eliverec_features::{FeatureConfig, FeedBuilder, Request, Wanted};

use crate::asking::{Following, Known, Names};
use crate::clock::Clock;
use crate::error::Error;
use crate::group::{Closed, Entry, decode_user};
use crate::ingest::FORGET_MS;
use crate::record::Record;
use crate::snapshot::read_to_follow;
use crate::store::{Features, Stand};

/// A writer that has not told a moment for so long is not heard of any more.
const SILENT: Duration = Duration::from_secs(10);

/// Where the folds of users are.
pub trait Users: Debug + Send + Sync {
    /// The closed moment and the folds of a user, encoded, both as they were at one moment; within so long.
    ///
    /// # Errors
    /// Why they could not be had.
    fn fetch(
        &self,
        epoch: &str,
        user: u64,
        within: Duration,
    ) -> Result<(Option<Closed>, Option<Vec<u8>>), String>;
}

/// See the module.
#[derive(Debug)]
pub struct Replica {
    schema: Schema,
    features: FeatureConfig,
    users: Box<dyn Users>,
    inside: Mutex<Inside>,
    /// A group was applied, or another state is followed.
    came: Condvar,
}

#[derive(Debug, Default)]
struct Inside {
    following: Option<Arc<Following>>,
    /// Why records do not come.
    trouble: Option<String>,
    heard: Option<Heard>,
}

/// What the writer told last.
#[derive(Clone, Copy, Debug)]
struct Heard {
    closed: Closed,
    /// When it told another than before, by the clock here; `None` if it has not yet.
    at: Option<Instant>,
}

impl Replica {
    /// Follows nothing yet. The state that it will follow must have this schema and these settings of the folds.
    ///
    /// # Errors
    /// A setting that cannot work.
    pub fn new(
        schema: &Schema,
        features: FeatureConfig,
        users: Box<dyn Users>,
    ) -> Result<Self, Error> {
        features.check()?;
        let (inside, came) = (Mutex::default(), Condvar::new());
        Ok(Self { schema: schema.clone(), features, users, inside, came })
    }

    fn inside(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Follows the state `epoch` from a snapshot on, whose files [`crate::State::files_to_follow`] gave, with all names of channels.
    /// Its position: the records behind it come next.
    ///
    /// # Errors
    /// A snapshot of another schema, other settings or another program, or a damaged one; what was followed before stays.
    pub fn begin(
        &self,
        epoch: &str,
        files: &BTreeMap<String, Vec<u8>>,
        names: HashMap<u64, String>,
    ) -> Result<u64, Error> {
        let (manifest, store) = read_to_follow(files, &self.schema, self.features)?;
        let following = Following {
            epoch: epoch.into(),
            store,
            names: RwLock::new(Names::new(names)),
            whole_from: manifest.end,
            forgot_ms: AtomicI64::new(manifest.stamp_ms.unwrap_or(i64::MIN)),
        };
        let mut inside = self.inside();
        inside.following = Some(Arc::new(following));
        inside.heard = None;
        drop(inside);
        self.came.notify_all();
        Ok(manifest.position)
    }

    /// Applies the group that comes next.
    ///
    /// # Errors
    /// A group before which records are missing, or that cannot be read: begin with a snapshot again.
    pub fn apply(&self, entry: &[u8]) -> Result<(), Error> {
        let following = self.inside().following.clone();
        let following = following.ok_or_else(|| behind("nothing is followed yet"))?;
        let failed = |reason: String| Error::Followed { reason };
        let (entry, rest): (Entry, _) = postcard::take_from_bytes(entry)
            .map_err(|e| failed(format!("a group of records: {e}")))?;
        let Entry { first, stamp_ms, records, names } = entry;
        let position = following.position();
        if !rest.is_empty() || records.is_empty() {
            return Err(failed(format!("the group of record {first} is not whole")));
        }
        if first > position + 1 {
            return Err(failed(format!("record {first} came and {} is needed", position + 1)));
        }
        let records: Vec<(u64, Record)> = (first..).zip(records).collect();
        if first <= position {
            return Ok(());
        }
        if !names.is_empty() {
            following.names.write().unwrap_or_else(PoisonError::into_inner).extend(names);
        }
        following.store.apply(stamp_ms, &records)?;
        // Whoever looks while this is held waits for the next one.
        drop(self.inside());
        self.came.notify_all();
        // Users stay: here they tell which folds are too old, and are few.
        let forgot_ms = following.forgot_ms.load(Ordering::Relaxed);
        if stamp_ms.saturating_sub(forgot_ms) >= FORGET_MS {
            following.store.forget_idle_channels(stamp_ms);
            let mut names = following.names.write().unwrap_or_else(PoisonError::into_inner);
            names.forget(|id| following.store.has_channel(id));
            drop(names);
            following.forgot_ms.store(stamp_ms, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Why records do not come, or that they do.
    pub fn tell(&self, trouble: Option<String>) {
        self.inside().trouble = trouble;
    }

    /// The writer has told this moment of the state `epoch`.
    pub fn hear(&self, epoch: &str, closed: Closed) {
        let mut inside = self.inside();
        if inside.following.as_ref().is_none_or(|following| following.epoch != epoch) {
            return;
        }
        let at = match inside.heard {
            Some(before) if before.closed.beat == closed.beat => before.at,
            Some(_) => Some(Instant::now()),
            None => None,
        };
        inside.heard = Some(Heard { closed, at });
    }

    /// Why requests cannot be answered now; `None` while they can.
    pub fn not_ready(&self) -> Option<String> {
        let inside = self.inside();
        let trouble = || inside.trouble.clone();
        let Some(following) = &inside.following else {
            return Some(trouble().unwrap_or_else(|| "nothing is followed yet".into()));
        };
        let heard = inside.heard.and_then(|heard| Some((heard.closed, heard.at?)));
        let silent = match heard {
            None => Some("the process that takes events in has not been heard of yet".into()),
            Some((closed, _)) if closed.at_ms == i64::MIN => {
                Some("the process that takes events in knows no time yet".into())
            }
            Some((_, at)) if at.elapsed() > SILENT => Some(format!(
                "the process that takes events in has not been heard of for {} s",
                at.elapsed().as_secs()
            )),
            Some(_) => None,
        };
        let (position, whole) = (following.position(), following.whole_from);
        let partly = || (position < whole).then(|| format!("record {whole} is not here yet"));
        trouble().or(silent).or_else(partly)
    }

    /// The folds of `user` for a request that is to be answered within so long; everything that they and the closed moment need is
    /// applied here.
    ///
    /// # Errors
    /// What is not known in time.
    pub fn user(&self, user: u64, within: Duration) -> Result<Known, Error> {
        self.user_until(user, Instant::now() + within)
    }

    fn user_until(&self, id: u64, until: Instant) -> Result<Known, Error> {
        loop {
            let following = self.inside().following.clone();
            let Some(following) = following else {
                return Err(behind(self.not_ready().unwrap_or_default()));
            };
            let within = until.saturating_duration_since(Instant::now());
            if within.is_zero() {
                return Err(behind("the folds of the user were not here in time"));
            }
            let (closed, user) = self.users.fetch(&following.epoch, id, within).map_err(behind)?;
            let gone = || behind("what was followed is there no more");
            let closed = closed.ok_or_else(gone)?;
            self.hear(&following.epoch, closed);
            if let Some(reason) = self.not_ready() {
                return Err(behind(reason));
            }
            let user = user.map(|bytes| decode_user(id, &bytes)).transpose()?;
            let as_of = user.as_ref().map_or(0, |user| user.changed).max(closed.position);
            if self.wait(&following, as_of, until)? {
                return Ok(Known { following, id, user, as_of, closed, until });
            }
        }
    }

    /// Waits until record `position` is applied; whether this is still what is followed.
    fn wait(
        &self,
        following: &Arc<Following>,
        position: u64,
        until: Instant,
    ) -> Result<bool, Error> {
        let mut inside = self.inside();
        loop {
            if !inside.following.as_ref().is_some_and(|now| Arc::ptr_eq(now, following)) {
                return Ok(false);
            }
            let applied = following.position();
            if applied >= position {
                return Ok(true);
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                let reason = format!("record {position} is not here yet, only {applied}");
                return Err(behind(reason));
            }
            let waited = self.came.wait_timeout(inside, left);
            inside = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// What is known of the user and of `channels` at one position, for which the folds are fetched again as often as it takes.
    fn read<T>(
        &self,
        known: &mut Known,
        wanted: &Wanted,
        (now_ms, channels): (i64, &[u64]),
        mut with: impl FnMut(Features, &Dimensions) -> T,
    ) -> Result<T, Error> {
        loop {
            let user = (known.id, known.user.as_ref(), known.as_of);
            let stand = |clock: &mut Clock| known.stand(clock, now_ms);
            let store = &known.following.store;
            if let Some(read) = store.read_fetched(wanted, user, channels, stand, &mut with) {
                return Ok(read);
            }
            let before = known.as_of;
            let again = self.user_until(known.id, known.until)?;
            if again.as_of <= before && Arc::ptr_eq(&again.following, &known.following) {
                return Err(behind("records that were known are not where the folds of users are"));
            }
            *known = again;
        }
    }

    /// As [`crate::State::features`], of the user whose folds these are; they are fetched again if records came for them.
    ///
    /// # Errors
    /// What is not known in time.
    pub fn features(
        &self,
        known: &mut Known,
        wanted: &Wanted,
        now_ms: i64,
        channels: &[u64],
    ) -> Result<Features, Error> {
        self.read(known, wanted, (now_ms, channels), |features, _| features)
    }

    /// As [`crate::State::feed`], of the user whose folds these are; they are fetched again if records came for them.
    ///
    /// # Errors
    /// What is not known in time.
    pub fn feed(
        &self,
        known: &mut Known,
        builder: &FeedBuilder,
        request: &mut Request,
        now_ms: i64,
    ) -> Result<(Feed, Stand), Error> {
        let channels: Vec<u64> = request.candidates.iter().map(|of| of.channel_id).collect();
        self.read(known, builder.wanted(), (now_ms, &channels), |features, dimensions| {
            request.ts_ms = features.stand.ts_ms;
            (builder.feed_from(dimensions, request, &features.values), features.stand)
        })
    }

    /// The text of a channel, if it has one.
    pub fn name_of(&self, channel: u64) -> Option<String> {
        let following = self.inside().following.clone()?;
        let names = following.names.read().unwrap_or_else(PoisonError::into_inner);
        names.known.get(&channel).cloned()
    }

    /// The schema of its context and tables.
    pub const fn schema(&self) -> &Schema {
        &self.schema
    }

    /// The settings of the folds.
    pub const fn features_config(&self) -> &FeatureConfig {
        &self.features
    }

    /// The number of the last record that is applied here, and of the last that the writer told.
    pub fn positions(&self) -> (u64, u64) {
        let inside = self.inside();
        let applied = inside.following.as_ref().map_or(0, |following| following.position());
        (applied, inside.heard.map_or(0, |heard| heard.closed.position))
    }

    /// As [`crate::State::newest_event_ms`].
    pub fn newest_event_ms(&self) -> Option<i64> {
        let following = self.inside().following.clone()?;
        following.store.newest_event_ms()
    }
}

fn behind(reason: impl Into<String>) -> Error {
    Error::Behind { reason: reason.into() }
}
