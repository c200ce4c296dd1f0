//! Sliding windows over event time, in buckets.
//!
//! # Definition
//! Bucket k holds the events with `floor(ts / width) = k`. With K the bucket of `at`, the window of w buckets at `at` is the
//! buckets k with `K - w < k <= K`: it ends now and reaches back between w - 1 and w widths. With buckets of 10 s, the
//! windows of 1, 10 and 60 minutes are 6, 60 and 360 buckets.
//!
//! # How
//! Each bucket stores the sum of everything up to and including it, so any window is one subtraction of two look-ups,
//! however long. A late event is added to its bucket and all later ones. Buckets that no snapshot can reach any more
//! are dropped; their sum stays in `before`, so what remains is a function of the set of events. Sums wrap: only
//! differences are read, and those are right as long as a window holds fewer than 2^32 events.

use std::collections::VecDeque;

use eliverec_core::event::CLOCK_TOLERANCE_MS;
use serde::{Deserialize, Serialize};

use crate::error::Error;

/// What is counted, and in which buckets.
pub trait Counts: Copy + Default {
    /// Width of a bucket, milliseconds.
    const WIDTH_MS: i64;
    /// Buckets of the longest window.
    const LONGEST: i64;
    /// Buckets that stay. A clock may be ahead, so the newest bucket can lie that much after the moment of a snapshot.
    const KEPT: i64 = Self::LONGEST + (CLOCK_TOLERANCE_MS + Self::WIDTH_MS - 1) / Self::WIDTH_MS;

    /// Sum, wrapping.
    #[must_use]
    fn plus(self, other: Self) -> Self;

    /// Difference, wrapping.
    #[must_use]
    fn minus(self, other: Self) -> Self;

    /// The bucket of a moment.
    fn bucket(ts_ms: i64) -> i64 {
        ts_ms.div_euclid(Self::WIDTH_MS)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Bucket<C> {
    index: i64,
    /// Of everything up to and including this bucket.
    sum: C,
}

/// Counts in buckets; empty buckets take no memory. At most [`Counts::KEPT`] buckets.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Saved<C>", bound(deserialize = "C: Deserialize<'de>"))]
pub struct Windows<C> {
    /// Sum of what is older than every bucket.
    before: C,
    /// Ascending.
    buckets: VecDeque<Bucket<C>>,
}

/// As read, before its order is checked.
#[derive(Deserialize)]
struct Saved<C> {
    before: C,
    buckets: VecDeque<Bucket<C>>,
}

impl<C> TryFrom<Saved<C>> for Windows<C> {
    type Error = Error;

    fn try_from(saved: Saved<C>) -> Result<Self, Error> {
        let Saved { before, buckets } = saved;
        let later = buckets.iter().skip(1);
        match buckets.iter().zip(later).find(|(a, b)| a.index >= b.index) {
            None => Ok(Self { before, buckets }),
            Some((_, bucket)) => {
                let reason = format!("window bucket {} is out of order", bucket.index);
                Err(Error::Damaged { reason })
            }
        }
    }
}

impl<C: Counts> Windows<C> {
    /// Adds `counts` at the event time `ts_ms`.
    pub fn add(&mut self, ts_ms: i64, counts: C) {
        let index = C::bucket(ts_ms);
        match self.buckets.back().map(|newest| newest.index) {
            Some(newest) if index < newest => self.add_late(index, counts, newest),
            Some(newest) if index == newest => {
                if let Some(last) = self.buckets.back_mut() {
                    last.sum = last.sum.plus(counts);
                }
            }
            _ => {
                let sum = self.total().plus(counts);
                self.buckets.push_back(Bucket { index, sum });
                while let Some(oldest) =
                    self.buckets.pop_front_if(|oldest| oldest.index <= index - C::KEPT)
                {
                    self.before = oldest.sum;
                }
            }
        }
    }

    fn add_late(&mut self, index: i64, counts: C, newest: i64) {
        let mut place = self.buckets.partition_point(|bucket| bucket.index < index);
        if index <= newest - C::KEPT {
            self.before = self.before.plus(counts);
            place = 0;
        } else if self.buckets[place].index != index {
            let sum = self.sum_before(place);
            self.buckets.insert(place, Bucket { index, sum });
        }
        for bucket in self.buckets.range_mut(place..) {
            bucket.sum = bucket.sum.plus(counts);
        }
    }

    /// Sums of several windows that end at `at_ms`, each of so many buckets.
    pub fn sums<const W: usize>(&self, at_ms: i64, widths: [i64; W]) -> [C; W] {
        let now = C::bucket(at_ms);
        let upto_now = self.upto(now);
        widths.map(|width| upto_now.minus(self.upto(now - width)))
    }

    /// The bucket of the newest event.
    pub fn newest(&self) -> Option<i64> {
        self.buckets.back().map(|bucket| bucket.index)
    }

    /// Takes in the counts of other events.
    pub fn merge(&mut self, other: &Self) {
        let Some(newest) = self.newest().max(other.newest()) else { return };
        let oldest = newest - C::KEPT;
        let mut indices: Vec<i64> =
            self.buckets.iter().chain(&other.buckets).map(|bucket| bucket.index).collect();
        indices.retain(|index| *index > oldest);
        indices.sort_unstable();
        indices.dedup();
        let sum = |index| self.upto(index).plus(other.upto(index));
        let buckets = indices.into_iter().map(|index| Bucket { index, sum: sum(index) }).collect();
        *self = Self { before: sum(oldest), buckets };
    }

    /// Bytes on the heap.
    pub fn heap_bytes(&self) -> usize {
        self.buckets.capacity() * size_of::<Bucket<C>>()
    }

    /// The most that `heap_bytes` can be: one bucket more than stay while one is added, and queues double.
    pub(crate) const fn heap_bytes_bound() -> usize {
        (C::KEPT as usize + 1).next_power_of_two() * size_of::<Bucket<C>>()
    }

    /// Sum of all events in buckets up to and including `index`.
    fn upto(&self, index: i64) -> C {
        self.sum_before(self.buckets.partition_point(|bucket| bucket.index <= index))
    }

    fn sum_before(&self, place: usize) -> C {
        place.checked_sub(1).map_or(self.before, |last| self.buckets[last].sum)
    }

    fn total(&self) -> C {
        self.buckets.back().map_or(self.before, |bucket| bucket.sum)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
    struct Count(u32);

    impl Counts for Count {
        const WIDTH_MS: i64 = 60_000;
        const LONGEST: i64 = 7;

        fn plus(self, other: Self) -> Self {
            Self(self.0.wrapping_add(other.0))
        }

        fn minus(self, other: Self) -> Self {
            Self(self.0.wrapping_sub(other.0))
        }
    }

    fn built(times: &[i64]) -> Windows<Count> {
        let mut windows = Windows::default();
        times.iter().for_each(|ts| windows.add(*ts, Count(1)));
        windows
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        /// Times in any order, far apart and before 1970 too: as the definition says, mergeable, bounded.
        #[test]
        fn windows_are_the_definition(
            mut times in prop::collection::vec(-2_400_000_i64..2_400_000, 0..80),
            cut in 0_usize..80,
            ahead_ms in -CLOCK_TOLERANCE_MS..3_000_000,
        ) {
            let cut = cut.min(times.len());
            let whole = built(&times);
            let mut merged = built(&times[..cut]);
            merged.merge(&built(&times[cut..]));
            prop_assert_eq!(&merged, &whole);
            prop_assert!(whole.buckets.len() <= Count::KEPT as usize);
            prop_assert!(whole.heap_bytes() <= Windows::<Count>::heap_bytes_bound());

            // The newest event lies at most the clock tolerance after the snapshot.
            let at = times.iter().max().unwrap_or(&0) + ahead_ms;
            let expected = [1, 3, 7].map(|width| {
                let within = |ts: &&i64| {
                    let (bucket, now) = (ts.div_euclid(60_000), at.div_euclid(60_000));
                    now - width < bucket && bucket <= now
                };
                Count(times.iter().filter(within).count() as u32)
            });
            prop_assert_eq!(whole.sums(at, [1, 3, 7]), expected);

            times.reverse();
            prop_assert_eq!(&built(&times), &whole);
            let saved = serde_json::to_string(&whole).unwrap();
            prop_assert_eq!(serde_json::from_str::<Windows<Count>>(&saved).unwrap(), whole);
        }
    }

    #[test]
    fn a_damaged_window_is_refused() {
        let saved = serde_json::to_string(&built(&[60_000, 180_000])).unwrap();
        let damaged = saved.replace("\"index\":3", "\"index\":0");
        let message = serde_json::from_str::<Windows<Count>>(&damaged).unwrap_err().to_string();
        assert!(message.contains("window bucket 0 is out of order"), "{message}");
    }

    #[test]
    fn extreme_times_do_not_overflow() {
        let windows = built(&[i64::MAX, i64::MIN, 0]);
        assert_eq!(windows.sums(i64::MAX, [7]), [Count(1)]);
    }
}
