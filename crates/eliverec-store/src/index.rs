//! Hash maps keyed by id: how ids hash and what a map costs.
//!
//! Ids may be small numbers in sequence, so their bits are mixed, under a key that whoever chooses the ids does not
//! know. SipHash would be several times the cost of the look-up. No iteration order of such a map reaches an output.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hasher};

use eliverec_core::id::mix;

/// A map from id to `T`.
pub(crate) type IdMap<T> = HashMap<u64, T, IdHash>;

/// Builds hashers of ids under a key.
#[derive(Clone, Copy, Debug)]
pub(crate) struct IdHash {
    pub(crate) key: u64,
}

impl BuildHasher for IdHash {
    type Hasher = IdHasher;

    fn build_hasher(&self) -> IdHasher {
        IdHasher(self.key)
    }
}

/// The state of one hash.
#[derive(Debug)]
pub(crate) struct IdHasher(u64);

impl Hasher for IdHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = mix(self.0 ^ u64::from(*byte));
        }
    }

    fn write_u64(&mut self, id: u64) {
        self.0 = mix(self.0 ^ id);
    }
}

/// Bytes of a map that has room for `capacity` entries: buckets are a power of two, at most 7/8 full, with one
/// control byte each.
pub(crate) fn map_bytes<T>(capacity: usize) -> usize {
    if capacity == 0 {
        return 0;
    }
    (capacity * 8 / 7).next_power_of_two() * (size_of::<(u64, T)>() + 1) + 16
}

/// Most bytes of a map that never had more than `entries`. Removed entries can make it double once more.
pub(crate) fn map_bytes_bound<T>(entries: usize) -> usize {
    if entries == 0 { 0 } else { 2 * map_bytes::<T>(entries.max(4) + 1) }
}
