//! The distinct ids of a batch, per vocabulary, and where each value stands among them.
//!
//! The store turns the ids into one block of rows per vocabulary, the model indexes into the blocks, and the
//! gradient of a block goes back to the same ids: embeddings stay outside the autodiff graph.

use std::collections::HashMap;

use crate::batch::{Batch, Values};
use crate::id::IdHash;
use crate::schema::{Group, Schema};

/// Distinct ids per vocabulary, in order of first occurrence, and every value's place among them.
#[derive(Clone, Debug, PartialEq)]
pub struct UniqueIds {
    /// By vocabulary, in schema order.
    pub ids: Vec<Vec<u64>>,
    /// How often each of `ids` occurs in the batch.
    pub counts: Vec<Vec<u32>>,
    places: [Vec<Vec<u32>>; Group::ALL.len()],
}

impl UniqueIds {
    /// Makes the ids of a batch unique. Deterministic: the walk follows the schema.
    pub fn of(schema: &Schema, batch: &Batch) -> Self {
        let vocabularies = schema.vocabulary.len();
        let mut known: Vec<HashMap<u64, u32, IdHash>> = vec![HashMap::default(); vocabularies];
        let mut ids: Vec<Vec<u64>> = vec![Vec::new(); vocabularies];
        let mut counts: Vec<Vec<u32>> = vec![Vec::new(); vocabularies];
        let places = Group::ALL.map(|group| {
            let fields = schema.fields(group).iter().zip(batch.values(group));
            fields
                .map(|(field, values)| {
                    let (Values::Ids(column) | Values::Lists { ids: column, .. }) = values else {
                        return Vec::new();
                    };
                    let v = schema.vocabulary_of(field).expect("Schema::check found it");
                    let (known, ids, counts) = (&mut known[v], &mut ids[v], &mut counts[v]);
                    let place = |id: &u64| {
                        let place = *known.entry(*id).or_insert_with(|| {
                            ids.push(*id);
                            counts.push(0);
                            ids.len() as u32 - 1
                        });
                        counts[place as usize] += 1;
                        place
                    };
                    column.iter().map(place).collect()
                })
                .collect()
        });
        Self { ids, counts, places }
    }

    /// Makes lists of ids unique, one list per vocabulary in schema order, for look-ups without a batch.
    /// [`UniqueIds::places`] is empty for every group.
    pub fn of_lists(lists: &[Vec<u64>]) -> Self {
        let (ids, counts) = lists
            .iter()
            .map(|list| {
                let mut known: HashMap<u64, usize, IdHash> = HashMap::default();
                let (mut ids, mut counts) = (Vec::new(), Vec::new());
                for id in list {
                    let place = *known.entry(*id).or_insert(ids.len());
                    if place == ids.len() {
                        ids.push(*id);
                        counts.push(0);
                    }
                    counts[place] += 1;
                }
                (ids, counts)
            })
            .unzip();
        Self { ids, counts, places: Group::ALL.map(|_| Vec::new()) }
    }

    /// For each field of a group, the row of its vocabulary's block that every id names; empty for dense fields.
    pub fn places(&self, group: Group) -> &[Vec<u32>] {
        &self.places[group as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::toy;

    #[test]
    fn places_lead_back_to_the_ids() {
        let (schema, batch) = (toy::schema(), toy::batch(12, 5));
        let unique = UniqueIds::of(&schema, &batch);
        for group in Group::ALL {
            for ((field, values), places) in
                schema.fields(group).iter().zip(batch.values(group)).zip(unique.places(group))
            {
                if let (Values::Ids(ids), Some(v)) = (values, schema.vocabulary_of(field)) {
                    let back: Vec<u64> =
                        places.iter().map(|p| unique.ids[v][*p as usize]).collect();
                    assert_eq!(&back, ids);
                }
            }
        }
        let lists = UniqueIds::of_lists(&[vec![7, 3, 7], vec![]]);
        assert_eq!(lists.ids, [vec![7, 3], vec![]]);
        assert_eq!(lists.counts, [vec![2, 1], vec![]]);
        for (ids, counts) in unique.ids.iter().zip(&unique.counts) {
            let distinct: std::collections::BTreeSet<_> = ids.iter().collect();
            assert_eq!(distinct.len(), ids.len());
            assert!(counts.iter().all(|count| *count > 0));
        }
    }
}
