//! The last so many of something by event time: what histories and affinities are made of.
//!
//! An entry that is dropped has as many newer ones behind it and could never come back, so what is kept is a function
//! of the set of entries, whatever the order of arrival.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::error::Error;
use crate::moment::Moment;

/// Entries in the order of their moments, newest last. The limit is an argument: it is a setting, not per-user state.
#[derive(Clone, Debug, PartialEq)]
pub struct Recent<T> {
    entries: Vec<(Moment, T)>,
}

impl<T> Default for Recent<T> {
    fn default() -> Self {
        Self { entries: Vec::new() }
    }
}

impl<T> Recent<T> {
    /// Puts `entry` in its place and drops the oldest if there are then more than `limit`. An event that is already
    /// there changes nothing.
    pub fn insert(&mut self, moment: Moment, entry: T, limit: usize) {
        // Nearly every event is the newest, so the place is looked for from the end.
        let newer = self.entries.iter().rev().take_while(|(other, _)| *other > moment).count();
        let place = self.entries.len() - newer;
        if place > 0 && self.entries[place - 1].0 == moment {
            return;
        }
        if self.entries.len() < limit {
            self.entries.insert(place, (moment, entry));
        } else if place > 0 {
            self.entries[..place].rotate_left(1);
            self.entries[place - 1] = (moment, entry);
        }
    }

    /// Takes in the entries of a state built from other events.
    pub fn merge(&mut self, other: Self, limit: usize) {
        for (moment, entry) in other.entries {
            self.insert(moment, entry, limit);
        }
    }

    /// The entries, oldest first.
    pub fn iter(&self) -> std::slice::Iter<'_, (Moment, T)> {
        self.entries.iter()
    }

    /// The entries from `oldest_ms` on, oldest first.
    pub fn since(&self, oldest_ms: i64) -> &[(Moment, T)] {
        &self.entries[self.entries.partition_point(|(moment, _)| moment.ts_ms < oldest_ms)..]
    }

    /// Whether no entry is of `oldest_ms` or later.
    pub fn is_before(&self, oldest_ms: i64) -> bool {
        self.newest().is_none_or(|(moment, _)| moment.ts_ms < oldest_ms)
    }

    /// The newest entry.
    pub fn newest(&self) -> Option<&(Moment, T)> {
        self.entries.last()
    }

    /// Number of entries, at most the limit.
    pub const fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether nothing was inserted.
    pub const fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Bytes on the heap.
    pub const fn heap_bytes(&self) -> usize {
        self.entries.capacity() * size_of::<(Moment, T)>()
    }

    /// The most that `heap_bytes` can be: vectors double.
    pub(crate) fn heap_bytes_bound(limit: usize) -> usize {
        limit.max(4).next_power_of_two() * size_of::<(Moment, T)>()
    }
}

impl<'a, T> IntoIterator for &'a Recent<T> {
    type Item = &'a (Moment, T);
    type IntoIter = std::slice::Iter<'a, (Moment, T)>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl<T: Serialize> Serialize for Recent<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.entries.serialize(serializer)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Recent<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let entries = Vec::<(Moment, T)>::deserialize(deserializer)?;
        match entries.windows(2).find(|pair| pair[0].0 >= pair[1].0) {
            None => Ok(Self { entries }),
            Some(pair) => {
                let reason = format!("event {} is out of order", pair[1].0.event_id);
                Err(serde::de::Error::custom(Error::Damaged { reason }))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn moment(ts_ms: i64, event_id: u64) -> Moment {
        Moment { ts_ms, event_id }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn keeps_the_newest_of_all(
            times in prop::collection::vec(0_i64..20, 0..60),
            limit in 0_usize..12,
            cut in 0_usize..60,
        ) {
            let cut = cut.min(times.len());
            let mut all: Vec<_> =
                times.iter().enumerate().map(|(i, ts)| (moment(*ts, i as u64), i)).collect();
            let built = |entries: &[(Moment, usize)]| {
                let mut recent = Recent::default();
                for (moment, entry) in entries.iter().chain(entries.iter().take(1)) {
                    recent.insert(*moment, *entry, limit);
                }
                recent
            };
            let (whole, mut left) = (built(&all), built(&all[..cut]));
            left.merge(built(&all[cut..]), limit);
            prop_assert_eq!(&left, &whole);
            all.sort_unstable();
            let newest = all.split_off(all.len().saturating_sub(limit));
            prop_assert_eq!(&whole.entries, &newest);
            prop_assert!(whole.heap_bytes() <= Recent::<usize>::heap_bytes_bound(limit));
        }
    }

    #[test]
    fn a_damaged_list_is_refused() {
        let mut recent = Recent::default();
        recent.insert(moment(1, 1), 10, 4);
        recent.insert(moment(2, 2), 20, 4);
        let saved = serde_json::to_string(&recent).unwrap();
        assert_eq!(serde_json::from_str::<Recent<i32>>(&saved).unwrap(), recent);
        let damaged = saved.replace("\"ts_ms\":2", "\"ts_ms\":0");
        let message = serde_json::from_str::<Recent<i32>>(&damaged).unwrap_err().to_string();
        assert!(message.contains("event 2 is out of order"), "{message}");
    }
}
