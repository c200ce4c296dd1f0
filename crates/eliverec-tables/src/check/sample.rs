//! What is remembered of a stream of any length in bounded memory: some of the ids, some of the values, or counts by magnitude.
//!
//! Which ids are kept is decided by their hash (P. B. Gibbons, "Distinct Sampling for Highly-Accurate Answers to Distinct
//! Values Queries", VLDB 2001): when there are too many, those whose hash does not begin with one more zero bit go. What is
//! kept of an id is whole: every occurrence has been seen, so shares among the kept ids are shares among all.

use std::collections::HashMap;

use eliverec_core::id::{IdHash, mix};

/// How the words begin for a part that is kept.
pub(super) const ONE_IN: &str = "one in ";

/// Keeps this hash apart from those that others take of the same ids.
const KEY: u64 = 0x5bd1_e995_9d2c_5680;

fn is_kept(key: u64, zeros: u32) -> bool {
    mix(key ^ KEY).leading_zeros() >= zeros
}

/// Something about each of at most so many ids.
#[derive(Debug)]
pub(crate) struct SampledIds<V> {
    most: usize,
    /// Leading zero bits that the hash of a kept id has.
    zeros: u32,
    kept: HashMap<u64, V, IdHash>,
}

impl<V: Default> SampledIds<V> {
    /// Remembers at most `most` ids.
    pub(crate) fn new(most: usize) -> Self {
        Self { most, zeros: 0, kept: HashMap::default() }
    }

    /// Takes in an occurrence of an id: what is remembered of it, `None` if it is none of the kept.
    pub(crate) fn entry(&mut self, id: u64) -> Option<&mut V> {
        if !is_kept(id, self.zeros) {
            return None;
        }
        if self.kept.len() >= self.most && !self.kept.contains_key(&id) {
            while self.kept.len() >= self.most {
                self.zeros += 1;
                let zeros = self.zeros;
                self.kept.retain(|id, _| is_kept(*id, zeros));
            }
            if !is_kept(id, self.zeros) {
                return None;
            }
        }
        Some(self.kept.entry(id).or_default())
    }

    /// Whether the id has occurred; `None` if it is none of the kept.
    pub(crate) fn knows(&self, id: u64) -> Option<bool> {
        is_kept(id, self.zeros).then(|| self.kept.contains_key(&id))
    }

    /// What is remembered, in any order.
    pub(crate) fn values(&self) -> impl Iterator<Item = &V> {
        self.kept.values()
    }

    /// Kept ids.
    pub(crate) fn len(&self) -> u64 {
        self.kept.len() as u64
    }

    /// How many ids stand behind one that is kept.
    pub(crate) const fn one_in(&self) -> u64 {
        1 << self.zeros
    }

    /// The part of the ids that is kept, in words.
    pub(crate) fn part(&self, of: &str) -> String {
        match self.one_in() {
            1 => format!("all {of}"),
            one_in => format!("{ONE_IN}{one_in} {of}, chosen by hash"),
        }
    }
}

/// At most so many values of a stream, spread evenly over it.
#[derive(Debug)]
pub(crate) struct Spread<T> {
    most: usize,
    zeros: u32,
    seen: u64,
    kept: Vec<(u64, T)>,
}

impl<T> Spread<T> {
    /// Keeps at most `most` values.
    pub(crate) const fn new(most: usize) -> Self {
        Self { most, zeros: 0, seen: 0, kept: Vec::new() }
    }

    /// Takes in a value.
    pub(crate) fn add(&mut self, value: T) {
        let index = self.seen;
        self.seen += 1;
        if !is_kept(index, self.zeros) {
            return;
        }
        self.kept.push((index, value));
        while self.kept.len() > self.most {
            self.zeros += 1;
            let zeros = self.zeros;
            self.kept.retain(|(index, _)| is_kept(*index, zeros));
        }
    }

    /// The kept values, in their order.
    pub(crate) fn values(&self) -> impl Iterator<Item = &T> {
        self.kept.iter().map(|(_, value)| value)
    }
}

/// Three bits of the mantissa stay: a bin is an eighth of an octave or less wide.
const DROPPED_BITS: u32 = 20;

/// How many numbers have which magnitude; signs are left out.
#[derive(Debug)]
pub(crate) struct Magnitudes {
    zeros: u64,
    /// By the leading bits of the number.
    bins: Vec<u64>,
}

impl Default for Magnitudes {
    fn default() -> Self {
        Self { zeros: 0, bins: vec![0; 1 << (31 - DROPPED_BITS)] }
    }
}

impl Magnitudes {
    fn bin(x: f32) -> usize {
        (x.abs().to_bits() >> DROPPED_BITS) as usize
    }

    /// Takes in a finite number.
    pub(crate) fn add(&mut self, x: f32) {
        if x == 0.0 {
            self.zeros += 1;
        } else {
            self.bins[Self::bin(x)] += 1;
        }
    }

    /// Numbers, zeros included.
    pub(crate) fn count(&self) -> u64 {
        self.zeros + self.bins.iter().sum::<u64>()
    }

    /// The median of the numbers but the zeros, rounded down by up to an eighth; 0 if there are none.
    pub(crate) fn median_of_others(&self) -> f32 {
        let half = (self.count() - self.zeros).div_ceil(2);
        let mut below = 0;
        let bin = self.bins.iter().position(|count| {
            below += count;
            below >= half && half > 0
        });
        bin.map_or(0.0, |bin| f32::from_bits((bin as u32) << DROPPED_BITS))
    }

    /// How many numbers are at least `x` in magnitude, those in the bin of `x` left out.
    pub(crate) fn above(&self, x: f32) -> u64 {
        self.bins[Self::bin(x) + 1..].iter().sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_of_ids_is_whole_and_bounded() {
        let mut counts = SampledIds::<u32>::new(1_000);
        for round in 1..=3_u64 {
            for id in 0..20_000 {
                if id % 3 < round
                    && let Some(count) = counts.entry(id)
                {
                    *count += 1;
                }
            }
        }
        assert!(counts.len() <= 1_000 && counts.len() > 300, "{}", counts.len());
        assert!(counts.one_in() >= 20);
        for id in 0..20_000 {
            if let Some(known) = counts.knows(id) {
                assert!(known);
                assert_eq!(counts.kept[&id], 3 - (id % 3) as u32);
            }
        }
        let twice = counts.values().filter(|count| **count == 2).count() as f64;
        assert!((twice / counts.len() as f64 - 1.0 / 3.0).abs() < 0.06);
    }

    #[test]
    fn few_ids_are_all_kept() {
        let mut ids = SampledIds::<()>::new(100);
        (0..100).for_each(|id| assert!(ids.entry(id).is_some()));
        assert_eq!((ids.len(), ids.one_in()), (100, 1));
        assert_eq!(ids.part("ids"), "all ids");
        assert_eq!(ids.knows(200), Some(false));
    }

    #[test]
    fn a_spread_reaches_over_the_whole_stream() {
        let mut spread = Spread::new(64);
        (0..100_000).for_each(|x| spread.add(x));
        let values: Vec<i32> = spread.values().copied().collect();
        assert!((20..=64).contains(&values.len()), "{}", values.len());
        assert!(values[0] < 20_000 && values[values.len() - 1] > 80_000, "{values:?}");
    }

    #[test]
    fn a_median_is_right_within_its_bin() {
        let mut magnitudes = Magnitudes::default();
        (0..=1_000).for_each(|x| magnitudes.add(if x % 2 == 0 { x as f32 } else { -(x as f32) }));
        let median = magnitudes.median_of_others();
        assert!(median <= 500.0 && median > 500.0 / 1.13, "{median}");
        assert_eq!(magnitudes.count(), 1_001);
        assert_eq!(magnitudes.above(2_000.0), 0);
        assert!(magnitudes.above(500.0) >= 480);
        assert_eq!(Magnitudes::default().median_of_others(), 0.0);
    }
}
