//! Hash maps keyed by id: how ids hash and what a map costs.
//!
//! The hash is keyed, so that whoever chooses the ids cannot make them collide. No iteration order of such a map reaches an output.

use std::collections::HashMap;

use eliverec_core::id::IdHash;

/// A map from id to `T`.
pub(crate) type IdMap<T> = HashMap<u64, T, IdHash>;

/// Bytes of a map that has room for `capacity` entries: buckets are a power of two, at most 7/8 full, with one
/// control byte each.
pub(crate) fn map_bytes<T>(capacity: usize) -> usize {
    if capacity == 0 {
        return 0;
    }
    (capacity * 8 / 7).next_power_of_two() * (size_of::<(u64, T)>() + 1) + 16
}
