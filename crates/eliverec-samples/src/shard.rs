//! Which keys a task has: all keys of a log, spread over a number of shards by a hash.

use std::fmt;
use std::str::FromStr;

use eliverec_core::id::mix;
use serde::{Deserialize, Serialize};

/// Most shards of a job: each task holds a file open for every one of them.
pub const MOST_SHARDS: u32 = 256;

/// One of a number of shards, written `0/4` to `3/4`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shard {
    index: u32,
    count: u32,
}

impl Shard {
    /// Shard `index`, from 0, of `count`; `None` if there is no such shard, or more than [`MOST_SHARDS`].
    pub const fn new(index: u32, count: u32) -> Option<Self> {
        if index < count && count <= MOST_SHARDS { Some(Self { index, count }) } else { None }
    }

    /// Its number, from 0.
    pub const fn index(self) -> u32 {
        self.index
    }

    /// How many there are.
    pub const fn count(self) -> u32 {
        self.count
    }

    /// All shards of so many.
    pub fn all(count: u32) -> impl Iterator<Item = Self> {
        (0..count).map(move |index| Self { index, count })
    }

    /// Whether a user, channel or product is one of its keys.
    pub(crate) fn has(self, key: u64) -> bool {
        shard_of(key, self.count) == self.index
    }
}

/// The number of the shard that has a key. The engine spreads keys over threads by another hash, so each thread of a task gets its
/// share.
pub(crate) fn shard_of(key: u64, count: u32) -> u32 {
    // Ids may be small numbers in sequence; the high bits of the product choose without a division.
    ((u128::from(mix(key.wrapping_add(0x9e37_79b9_7f4a_7c15))) * u128::from(count)) >> 64) as u32
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.index, self.count)
    }
}

impl FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts = text.split_once('/').map(|(index, count)| (index.parse(), count.parse()));
        let shard = match parts {
            Some((Ok(index), Ok(count))) => Self::new(index, count),
            _ => None,
        };
        shard.ok_or_else(|| {
            format!("is no shard; write one of 0/N to N-1/N, with N up to {MOST_SHARDS}")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_has_one_shard_and_shards_are_alike() {
        for count in [1, 2, 3, 7, MOST_SHARDS] {
            let mut keys = vec![0_u32; count as usize];
            for key in 0..100_000 {
                let of = Shard::all(count).filter(|shard| shard.has(key)).collect::<Vec<_>>();
                assert_eq!(of.len(), 1);
                keys[of[0].index() as usize] += 1;
            }
            let mean = 100_000.0 / f64::from(count);
            let far = |keys: &u32| (f64::from(*keys) - mean).abs() > 6.0 * mean.sqrt();
            assert!(!keys.iter().any(far), "{keys:?}");
        }
    }

    #[test]
    fn shards_are_written_and_read() {
        for text in ["0/1", "3/4", "255/256"] {
            assert_eq!(text.parse::<Shard>().unwrap().to_string(), text);
        }
        for text in ["", "1", "4/4", "0/0", "-1/4", "0/257", "a/b", "1/2/3"] {
            assert!(text.parse::<Shard>().unwrap_err().starts_with("is no shard"), "{text}");
        }
    }
}
