//! Rows to look up, whichever rank keeps them: what evaluation reads.

use std::ops::Range;

use eliverec_core::TableSpec;
use eliverec_core::unique::UniqueIds;
use eliverec_store::{RowReader, shard_of};

use super::rows::RowShards;
use super::spaces::{all_keys, key};
use crate::ranks::bytes;

impl RowReader for RowShards {
    /// All ranks call it together, each with ids of its own.
    fn gather(&self, unique: &UniqueIds) -> Vec<Vec<f32>> {
        if self.shards.is_one() {
            return self.stores[0].gather(unique);
        }
        // 1. Each rank hears of which ids it is asked for rows.
        let ranks = self.shards.ranks();
        let is_kept = |id: u64, by: &Range<usize>| by.contains(&shard_of(id, self.shards.count()));
        let asked = |by: &Range<usize>| {
            let of = |ids: &[u64]| {
                bytes::of(&ids.iter().copied().filter(|id| is_kept(*id, by)).collect::<Vec<_>>())
            };
            bytes::joined(&all_keys(unique).map(|(ids, _)| of(ids)).collect::<Vec<_>>())
        };
        let asked = ranks.exchange(self.shards.by_rank().iter().map(asked).collect());

        // 2. It answers table by table.
        let answer = |asked: &Vec<u8>| {
            let ids: Vec<Vec<u64>> =
                bytes::apart(asked).iter().map(|ids| bytes::numbers(ids)).collect();
            let mut rows = Vec::new();
            for (t, table) in self.tables.iter().enumerate() {
                let mut row = vec![0.0; table.width];
                for id in &ids[key(table, unique)] {
                    RowReader::read(self, t, *id, &mut row);
                    bytes::extend(&mut rows, &row);
                }
            }
            rows
        };
        let answers = ranks.exchange(asked.iter().map(answer).collect());

        // 3. The answers go where the ids stand.
        let mut answers: Vec<std::vec::IntoIter<f32>> =
            answers.iter().map(|rows| bytes::numbers(rows).into_iter()).collect();
        let keeper = |id: u64| self.shards.by_rank().iter().position(|by| is_kept(id, by));
        let block = |table: &TableSpec| {
            let (ids, _) = unique.of_key(table.key).expect("ids and rows come from one schema");
            let mut block = Vec::with_capacity(ids.len() * table.width);
            for id in ids {
                let rank = keeper(*id).expect("every shard has its rank");
                block.extend(answers[rank].by_ref().take(table.width));
            }
            block
        };
        self.tables.iter().map(block).collect()
    }

    /// Of ids whose rows this rank keeps.
    fn read(&self, table: usize, id: u64, to: &mut [f32]) {
        let shard = shard_of(id, self.shards.count());
        self.stores[shard - self.shards.own().start].read(table, id, to);
    }
}
