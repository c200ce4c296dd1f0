//! Who asks where another process's state is followed: the folds of one user beside what is followed.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::AtomicI64;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Instant;

use eliverec_core::Dimensions;
use eliverec_features::{ChannelState, UserState};

use crate::clock::Clock;
use crate::group::Closed;
use crate::store::{FeatureStore, User};

/// What is followed from a snapshot on.
#[derive(Debug)]
pub(crate) struct Following {
    pub(crate) epoch: String,
    pub(crate) store: FeatureStore,
    /// How callers write channels.
    pub(crate) names: RwLock<Names>,
    /// Parts of the snapshot have records up to here, so that before it they are not of one position.
    pub(crate) whole_from: u64,
    /// The stamp at which idle channels and products were forgotten last.
    pub(crate) forgot_ms: AtomicI64,
}

/// How callers write the channels of which something is known, where that is not a number from 0 on.
#[derive(Debug)]
pub(crate) struct Names {
    pub(crate) known: HashMap<u64, String>,
    /// Told since channels were forgotten last: a name comes before the channel's first event, or with it.
    fresh: HashSet<u64>,
}

impl Names {
    pub(crate) fn new(known: HashMap<u64, String>) -> Self {
        let fresh = known.keys().copied().collect();
        Self { known, fresh }
    }

    pub(crate) fn extend(&mut self, told: Vec<(u64, String)>) {
        self.fresh.extend(told.iter().map(|(id, _)| *id));
        self.known.extend(told);
    }

    /// Forgets the names of channels of which nothing is known: when one begins again, its name is told again.
    pub(crate) fn forget(&mut self, is_known: impl Fn(u64) -> bool) {
        self.known.retain(|id, _| self.fresh.contains(id) || is_known(*id));
        self.fresh.clear();
    }
}

/// The folds of a user for one request.
#[derive(Debug)]
pub struct Known {
    pub(crate) following: Arc<Following>,
    pub(crate) id: u64,
    pub(crate) user: Option<User>,
    /// Every record of the user up to here is in the folds.
    pub(crate) as_of: u64,
    pub(crate) closed: Closed,
    pub(crate) until: Instant,
}

impl Following {
    pub(crate) fn position(&self) -> u64 {
        self.store.with_clock(|clock| clock.position())
    }
}

impl Known {
    /// The channels that are live now, in ascending order.
    pub fn live(&self) -> Arc<[u64]> {
        self.following.store.live()
    }

    /// As [`crate::State::read_channels`].
    pub fn read_channels<T>(
        &self,
        channels: &[u64],
        each: impl FnMut(u64, &ChannelState, &Dimensions) -> T,
    ) -> Vec<T> {
        self.following.store.read_channels(channels, each)
    }

    /// As [`crate::State::read_user`].
    pub fn read_user<T>(&self, with: impl FnOnce(&UserState, &Dimensions) -> T) -> Option<T> {
        let tables = self.following.store.tables.read().unwrap_or_else(PoisonError::into_inner);
        self.user.as_ref().map(|user| with(&user.state, &tables.dimensions))
    }

    /// The moment of a request when it is `now_ms`, and its position.
    pub(crate) fn stand(&self, clock: &mut Clock, now_ms: i64) -> (i64, u64) {
        if clock.position() == self.closed.position {
            clock.read(now_ms.min(self.closed.at_ms))
        } else {
            // Right behind the last stamp.
            clock.read(i64::MIN)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_go_with_their_channels() {
        let name = |id: u64| (id, format!("c{id}"));
        let mut names = Names::new(HashMap::from([name(1), name(2)]));
        names.forget(|_| false);
        assert_eq!(names.known.len(), 2, "they have just come");
        names.extend(vec![name(3)]);
        names.forget(|id| id == 1);
        let mut known: Vec<u64> = names.known.keys().copied().collect();
        known.sort_unstable();
        assert_eq!(known, [1, 3]);
        names.forget(|id| id == 1);
        assert_eq!(names.known.len(), 1);
    }
}
