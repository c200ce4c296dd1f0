//! Rows shared out over several stores: each id has its rows in one of them. Rare-id rows are in all.

use eliverec_core::id::mix;

use crate::config::StoreConfig;

/// Which of `shards` stores has the rows of an id.
pub fn shard_of(id: u64, shards: usize) -> usize {
    // Ids may be small numbers in sequence.
    ((u128::from(mix(id)) * shards as u128) >> 64) as usize
}

impl StoreConfig {
    /// The options of one of `shards` stores: each has its share of what all may hold.
    #[must_use]
    pub fn of_shard(&self, shards: usize) -> Self {
        Self {
            max_rows: self.max_rows.map(|rows| rows.div_ceil(shards)),
            max_counted: self.max_counted.div_ceil(shards),
            ..self.clone()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_shared_out_evenly_and_one_store_has_all() {
        for shards in [1, 3, 4] {
            let mut counts = vec![0; shards];
            (0..6_000).for_each(|id| counts[shard_of(id, shards)] += 1);
            let even = 6_000 / shards;
            assert!(counts.iter().all(|count| even.abs_diff(*count) < even / 10), "{counts:?}");
        }
        let config = StoreConfig { max_rows: Some(10), ..StoreConfig::default() };
        assert_eq!(config.of_shard(1), config);
        assert_eq!(config.of_shard(4).max_rows, Some(3));
    }
}
