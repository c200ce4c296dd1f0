//! Which of a batch's rows a rank needs and which it keeps.

use std::ops::Range;

use eliverec_core::TableSpec;
use eliverec_core::table::Key;
use eliverec_core::unique::UniqueIds;
use eliverec_store::shard_of;

use super::Shards;
use super::cut::CutBatch;

/// Which rows of a batch a rank needs and keeps.
#[derive(Debug)]
pub(super) struct Spaces {
    /// By key and place, the shard that keeps the rows.
    pub(super) keepers: Vec<Vec<u32>>,
    pub(super) needed: Space,
    pub(super) kept: Space,
}

/// Some of the distinct ids of a batch, and where each stands among them.
#[derive(Debug)]
pub(super) struct Space {
    /// By key, ascending.
    pub(super) places: Vec<Vec<u32>>,
    /// By key and place in the batch.
    pub(super) index: Vec<Vec<u32>>,
}

impl Spaces {
    pub(super) fn of(batch: &CutBatch<'_>, shards: &Shards) -> Self {
        let keepers =
            |ids: &[u64]| ids.iter().map(|id| shard_of(*id, shards.count()) as u32).collect();
        let unique = &batch.whole.unique;
        let keepers: Vec<Vec<u32>> = all_keys(unique).map(|(ids, _)| keepers(ids)).collect();
        let own = shards.own();
        let kept =
            |of: &Vec<u32>| of.iter().map(|shard| own.contains(&(*shard as usize))).collect();
        Self {
            needed: Space::of(&had(batch, &own)),
            kept: Space::of(&keepers.iter().map(kept).collect::<Vec<_>>()),
            keepers,
        }
    }

    /// Whether one of some shards keeps the row.
    pub(super) fn is_kept(&self, key: usize, place: usize, shards: &Range<usize>) -> bool {
        shards.contains(&(self.keepers[key][place] as usize))
    }

    /// Where the rows that a shard of this rank keeps stand among all that it keeps.
    pub(super) fn rows_of(&self, shard: usize, key: usize) -> impl Iterator<Item = usize> {
        let places = self.kept.places[key].iter().enumerate();
        let keepers = &self.keepers[key];
        places
            .filter(move |(_, place)| keepers[**place as usize] == shard as u32)
            .map(|(row, _)| row)
    }

    /// The distinct ids that a shard of this rank keeps rows of.
    pub(super) fn kept_by(&self, shard: usize, unique: &UniqueIds) -> UniqueIds {
        let of = |(key, (ids, counts)): (usize, (&[u64], &[u32]))| {
            let rows = self.rows_of(shard, key).map(|row| self.kept.places[key][row] as usize);
            rows.map(|place| (ids[place], counts[place])).unzip()
        };
        let mut all: Vec<(Vec<u64>, Vec<u32>)> = all_keys(unique).enumerate().map(of).collect();
        let users = all.pop().unwrap_or_default();
        UniqueIds::of_counts(all, users)
    }
}

impl Space {
    /// By key and place, whether it is in.
    pub(super) fn of(chosen: &[Vec<bool>]) -> Self {
        let (mut places, mut index) = (Vec::new(), Vec::new());
        for chosen in chosen {
            let mut of_key = Vec::new();
            let row = |(place, chosen): (usize, &bool)| {
                if *chosen {
                    of_key.push(place as u32);
                }
                of_key.len().saturating_sub(1) as u32
            };
            index.push(chosen.iter().enumerate().map(row).collect());
            places.push(of_key);
        }
        Self { places, index }
    }

    /// The same of the rows that are in.
    pub(super) fn of_rows<'a>(
        &'a self,
        chosen: &'a [Vec<bool>],
    ) -> impl Iterator<Item = Vec<bool>> + 'a {
        let of_key = |(places, chosen): (&Vec<u32>, &Vec<bool>)| {
            places.iter().map(|place| chosen[*place as usize]).collect()
        };
        self.places.iter().zip(chosen).map(of_key)
    }
}

/// By key and place, whether one of some shards has the id.
pub(super) fn had(batch: &CutBatch<'_>, shards: &Range<usize>) -> Vec<Vec<bool>> {
    let mut had: Vec<Vec<bool>> =
        all_keys(&batch.whole.unique).map(|(ids, _)| vec![false; ids.len()]).collect();
    for distinct in &batch.distinct[shards.clone()] {
        for (had, places) in had.iter_mut().zip(distinct) {
            places.iter().for_each(|place| had[*place as usize] = true);
        }
    }
    had
}

/// Distinct ids and their counts by key: the vocabularies, then the users.
pub(super) fn all_keys(unique: &UniqueIds) -> impl Iterator<Item = (&[u64], &[u32])> {
    let vocabularies = (0..unique.ids.len()).map(Key::Vocabulary);
    vocabularies.chain([Key::User]).filter_map(move |key| unique.of_key(key))
}

pub(super) fn key(table: &TableSpec, unique: &UniqueIds) -> usize {
    place_of(table.key, unique.ids.len())
}

pub(super) fn place_of(key: Key, users: usize) -> usize {
    match key {
        Key::Vocabulary(v) => v,
        Key::User => users,
    }
}
