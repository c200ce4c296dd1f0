//! Ids by minute, as whoever forgets by the minute keeps them. A copy shares their memory.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// A minute, milliseconds.
pub const MINUTE_MS: i64 = 60_000;

/// A copy shares ids by so many: it copies at most as many of each minute, and a pointer for each part.
const PART: usize = 4096;

/// Ids by minute, each minute counted from 1970 UTC. A copy costs some thousandths of what the ids take, so that it can be made while
/// everybody waits.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(from = "BTreeMap<i64, Vec<u64>>", into = "BTreeMap<i64, Vec<u64>>")]
pub struct Minutes(BTreeMap<i64, Ids>);

/// The ids of a minute, in the order in which they came.
#[derive(Clone, Debug, Default, PartialEq)]
struct Ids {
    /// [`PART`] ids each, which do not change any more.
    full: Vec<Arc<[u64]>>,
    /// Less than [`PART`] ids.
    open: Vec<u64>,
}

impl Ids {
    fn push(&mut self, id: u64) {
        self.open.push(id);
        if self.open.len() == PART {
            self.full.push(std::mem::take(&mut self.open).into());
        }
    }

    fn len(&self) -> usize {
        self.full.len() * PART + self.open.len()
    }

    fn iter(&self) -> impl Iterator<Item = u64> {
        self.full.iter().flat_map(|part| part.iter()).chain(&self.open).copied()
    }
}

impl Minutes {
    /// Adds an id.
    pub fn push(&mut self, minute: i64, id: u64) {
        self.0.entry(minute).or_default().push(id);
    }

    /// The oldest minute.
    pub fn oldest(&self) -> Option<i64> {
        self.0.keys().next().copied()
    }

    /// Forgets the oldest minute; `each` gets its ids.
    pub fn forget_oldest(&mut self, each: impl FnMut(u64)) {
        if let Some((_, ids)) = self.0.pop_first() {
            ids.iter().for_each(each);
        }
    }

    /// All ids, with their minutes, the oldest first.
    pub fn iter(&self) -> impl Iterator<Item = (i64, u64)> {
        self.0.iter().flat_map(|(minute, ids)| ids.iter().map(|id| (*minute, id)))
    }

    /// Number of ids by minute, the oldest first.
    pub fn counts(&self) -> impl Iterator<Item = (i64, usize)> {
        self.0.iter().map(|(minute, ids)| (*minute, ids.len()))
    }

    /// Forgets all of them.
    pub fn clear(&mut self) {
        self.0.clear();
    }
}

impl From<Minutes> for BTreeMap<i64, Vec<u64>> {
    fn from(minutes: Minutes) -> Self {
        let sorted = |ids: Ids| {
            let mut sorted: Vec<u64> = ids.iter().collect();
            sorted.sort_unstable();
            sorted
        };
        minutes.0.into_iter().map(|(minute, ids)| (minute, sorted(ids))).collect()
    }
}

impl From<BTreeMap<i64, Vec<u64>>> for Minutes {
    fn from(by_minute: BTreeMap<i64, Vec<u64>>) -> Self {
        let mut minutes = Self::default();
        for (minute, ids) in by_minute {
            ids.into_iter().for_each(|id| minutes.push(minute, id));
        }
        minutes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_shares_what_is_full_and_stays_as_it_was() {
        let mut minutes = Minutes::default();
        let count = 3 * PART as u64 + 5;
        (0..count).for_each(|id| minutes.push(7, id));
        minutes.push(8, 1);
        let copy = minutes.clone();
        let parts = |minutes: &Minutes| minutes.0[&7].full.clone();
        assert_eq!(parts(&copy).len(), 3);
        assert!(parts(&copy).iter().zip(parts(&minutes)).all(|(a, b)| Arc::ptr_eq(a, &b)));
        minutes.push(7, count);
        let mut forgotten = Vec::new();
        minutes.forget_oldest(|id| forgotten.push(id));
        assert_eq!(forgotten, (0..=count).collect::<Vec<_>>());
        assert_eq!((minutes.oldest(), copy.oldest()), (Some(8), Some(7)));
        assert_eq!(copy.counts().collect::<Vec<_>>(), [(7, count as usize), (8, 1)]);
        let saved = serde_json::to_string(&copy).unwrap();
        assert_eq!(serde_json::from_str::<Minutes>(&saved).unwrap(), copy);
    }
}
