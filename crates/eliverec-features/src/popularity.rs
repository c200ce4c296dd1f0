//! How popular something was on the whole platform in the last 24 hours: watches of a channel, clicks of a product.
//!
//! Counted in [`Windows`] of one-hour buckets rather than decayed: an exponentially decayed sum rounds differently in each
//! order of arrival, a count does not.

use serde::{Deserialize, Serialize};

use crate::windows::{Counts, Windows};

/// Hours that count, the current one included.
pub const HOURS: i64 = 24;

/// Events in one-hour buckets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
struct Hourly(u32);

impl Counts for Hourly {
    const WIDTH_MS: i64 = 3_600_000;
    const LONGEST: i64 = HOURS;

    fn plus(self, other: Self) -> Self {
        Self(self.0.wrapping_add(other.0))
    }

    fn minus(self, other: Self) -> Self {
        Self(self.0.wrapping_sub(other.0))
    }
}

/// Events of one channel or product in the last 24 hours.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Popularity {
    windows: Windows<Hourly>,
}

impl Popularity {
    /// Counts an event at `ts_ms`.
    pub fn add(&mut self, ts_ms: i64) {
        self.windows.add(ts_ms, Hourly(1));
    }

    /// Events in the last 24 buckets of an hour, the current one included.
    pub fn count(&self, at_ms: i64) -> u32 {
        let [sum] = self.windows.sums(at_ms, [HOURS]);
        sum.0
    }

    /// Whether its count is 0 from `at_ms` on, unless more events come.
    pub fn is_over(&self, at_ms: i64) -> bool {
        let oldest = Hourly::bucket(at_ms) - HOURS;
        self.windows.newest().is_none_or(|newest| newest <= oldest)
    }

    /// Takes in the counts of other events.
    pub fn merge(&mut self, other: &Self) {
        self.windows.merge(&other.windows);
    }

    /// Bytes on the heap.
    pub fn heap_bytes(&self) -> usize {
        self.windows.heap_bytes()
    }

    /// The most that `heap_bytes` can be.
    pub const fn heap_bytes_bound() -> usize {
        Windows::<Hourly>::heap_bytes_bound()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_passes() {
        let hour = |hours: i64| hours * 3_600_000;
        let mut popularity = Popularity::default();
        assert!(popularity.is_over(0));
        popularity.add(hour(5) + 1);
        popularity.add(hour(4));
        let counts = [5, 27, 28, 29].map(|hours| popularity.count(hour(hours)));
        assert_eq!(counts, [2, 2, 1, 0]);
        assert!(!popularity.is_over(hour(28)) && popularity.is_over(hour(29)));
    }
}
