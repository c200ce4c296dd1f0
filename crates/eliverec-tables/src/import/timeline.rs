//! What happened to whom, in order of time, and the part of it that was known strictly before a moment.

use std::collections::HashMap;

/// Events by owner: a user's history, or what all users did with an item.
#[derive(Debug)]
pub(super) struct Timeline<T>(HashMap<u64, Vec<(i64, T)>>);

impl<T> Timeline<T> {
    /// Puts the events of each owner in order of time; those of the same moment stay in the order given.
    pub(super) fn new(events: impl IntoIterator<Item = (u64, i64, T)>) -> Self {
        let mut owners: HashMap<u64, Vec<(i64, T)>> = HashMap::new();
        for (owner, ts_ms, event) in events {
            owners.entry(owner).or_default().push((ts_ms, event));
        }
        owners.values_mut().for_each(|events| events.sort_by_key(|(ts_ms, _)| *ts_ms));
        Self(owners)
    }

    /// All events of `owner` strictly before `ts_ms`, oldest first.
    pub(super) fn before(&self, owner: u64, ts_ms: i64) -> &[(i64, T)] {
        let all = self.0.get(&owner).map_or(&[][..], Vec::as_slice);
        &all[..all.partition_point(|(at, _)| *at < ts_ms)]
    }

    /// The newest `count` events of `owner` strictly before `ts_ms`, oldest first.
    pub(super) fn newest(&self, owner: u64, ts_ms: i64, count: usize) -> &[(i64, T)] {
        newest(self.before(owner, ts_ms), count)
    }

    /// How many events of `owner` fall into `[ts_ms - window_ms, ts_ms)`.
    pub(super) fn within(&self, owner: u64, ts_ms: i64, window_ms: i64) -> usize {
        self.before(owner, ts_ms).len() - self.before(owner, ts_ms - window_ms).len()
    }

    /// The time of `owner`'s first event, if it lies before `ts_ms`.
    pub(super) fn first(&self, owner: u64, ts_ms: i64) -> Option<i64> {
        self.before(owner, ts_ms).first().map(|(at, _)| *at)
    }
}

/// The last `count` of events in order of time.
pub(super) fn newest<T>(events: &[T], count: usize) -> &[T] {
    &events[events.len().saturating_sub(count)..]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn equals_counting_one_by_one(
            events in prop::collection::vec((0..3_u64, 0..200_i64), 0..150),
            owner in 0..4_u64,
            ts in 0..220_i64,
            window in 0..100_i64,
            count in 0..60_usize,
        ) {
            let timeline = Timeline::new(
                events.iter().enumerate().map(|(i, (owner, at))| (*owner, *at, i)),
            );
            let mut known: Vec<(i64, usize)> = events
                .iter()
                .enumerate()
                .filter(|(_, event)| event.0 == owner && event.1 < ts)
                .map(|(i, event)| (event.1, i))
                .collect();
            known.sort_unstable();
            prop_assert_eq!(timeline.before(owner, ts), &known[..]);
            prop_assert_eq!(timeline.first(owner, ts), known.first().map(|event| event.0));
            let recent = known.iter().filter(|(at, _)| *at >= ts - window).count();
            prop_assert_eq!(timeline.within(owner, ts, window), recent);
            let kept: Vec<_> = known.iter().rev().take(count).rev().copied().collect();
            prop_assert_eq!(timeline.newest(owner, ts, count), &kept[..]);
        }
    }
}
