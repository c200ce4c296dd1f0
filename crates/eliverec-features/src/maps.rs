//! Maps from id to state, saved in the order of ids: no iteration order of a hash map reaches an output.

use std::collections::HashMap;

use eliverec_core::id::IdHash;
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

/// A map from id to `T`.
pub(crate) type IdMap<T> = HashMap<u64, T, IdHash>;

/// Saves a map in ascending order of ids.
pub(crate) fn serialize_sorted<S: Serializer, T: Serialize>(
    map: &IdMap<T>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let mut ids: Vec<u64> = map.keys().copied().collect();
    ids.sort_unstable();
    let mut saved = serializer.serialize_map(Some(ids.len()))?;
    for id in ids {
        saved.serialize_entry(&id, &map[&id])?;
    }
    saved.end()
}
