//! The distinct ids of a batch, per vocabulary and of its users, and where each value stands among them.
//!
//! The store turns the ids into one block of rows per vocabulary, the model indexes into the blocks, and the
//! gradient of a block goes back to the same ids: embeddings stay outside the autodiff graph.

use std::collections::HashMap;

use crate::batch::{Batch, Values};
use crate::id::IdHash;
use crate::schema::{Group, Schema};
use crate::table::Key;

/// Distinct ids per vocabulary, in order of first occurrence, and every value's place among them.
#[derive(Clone, Debug, PartialEq)]
pub struct UniqueIds {
    /// By vocabulary, in schema order.
    pub ids: Vec<Vec<u64>>,
    /// How often each of `ids` occurs in the batch.
    pub counts: Vec<Vec<u32>>,
    places: [Vec<Vec<u32>>; Group::ALL.len()],
    users: Vec<u64>,
    user_counts: Vec<u32>,
    /// `[b]`
    user_places: Vec<u32>,
}

/// Which of a batch's distinct ids a part of it has, in order of first occurrence, while they are found.
pub(crate) struct Occurrences {
    /// Where they stand among those of the batch.
    pub(crate) within: Vec<u32>,
    counts: Vec<u32>,
    /// By place in the batch the place in the part, plus 1.
    known: Vec<u32>,
}

impl Occurrences {
    /// None yet, of so many.
    pub(crate) fn among(count: usize) -> Self {
        Self { within: Vec::new(), counts: Vec::new(), known: vec![0; count] }
    }

    /// Counts the id at a place in the batch and tells its place in the part.
    pub(crate) fn place(&mut self, whole: u32) -> u32 {
        let known = &mut self.known[whole as usize];
        if *known == 0 {
            self.within.push(whole);
            self.counts.push(0);
            *known = self.within.len() as u32;
        }
        self.counts[*known as usize - 1] += 1;
        *known - 1
    }

    fn ids(&self, of: &[u64]) -> Vec<u64> {
        self.within.iter().map(|place| of[*place as usize]).collect()
    }
}

/// Distinct ids in order of first occurrence, while they are found.
#[derive(Clone, Default)]
struct List {
    ids: Vec<u64>,
    counts: Vec<u32>,
    known: HashMap<u64, u32, IdHash>,
}

impl List {
    /// Counts an id and tells its place.
    fn place(&mut self, id: u64) -> u32 {
        let place = *self.known.entry(id).or_insert_with(|| {
            self.ids.push(id);
            self.counts.push(0);
            self.ids.len() as u32 - 1
        });
        self.counts[place as usize] += 1;
        place
    }
}

impl UniqueIds {
    /// Makes the ids of a batch unique. Deterministic: the walk follows the schema.
    pub fn of(schema: &Schema, batch: &Batch) -> Self {
        let mut lists = vec![List::default(); schema.vocabulary.len()];
        let places = Group::ALL.map(|group| {
            let fields = schema.fields(group).iter().zip(batch.values(group));
            fields
                .map(|(field, values)| {
                    let (Values::Ids(column) | Values::Lists { ids: column, .. }) = values else {
                        return Vec::new();
                    };
                    let v = schema.vocabulary_of(field).expect("Schema::check found it");
                    column.iter().map(|id| lists[v].place(*id)).collect()
                })
                .collect()
        });
        let mut users = List::default();
        let user_places = batch.user_ids.iter().map(|id| users.place(*id)).collect();
        let (ids, counts) = lists.into_iter().map(|list| (list.ids, list.counts)).unzip();
        let (users, user_counts) = (users.ids, users.counts);
        Self { ids, counts, places, users, user_counts, user_places }
    }

    /// Makes lists of ids unique, one list per vocabulary in schema order, for look-ups without a batch.
    /// [`UniqueIds::places`] is empty for every group, and there are no users.
    pub fn of_lists(lists: &[Vec<u64>]) -> Self {
        let all = lists.iter().map(|ids| {
            let mut list = List::default();
            for id in ids {
                list.place(*id);
            }
            (list.ids, list.counts)
        });
        let (ids, counts) = all.unzip();
        let places = Group::ALL.map(|_| Vec::new());
        let (users, user_counts, user_places) = (Vec::new(), Vec::new(), Vec::new());
        Self { ids, counts, places, users, user_counts, user_places }
    }

    /// Distinct ids with their counts, by vocabulary and of users, for look-ups without a batch: [`UniqueIds::places`] is empty for
    /// every group.
    pub fn of_counts(vocabularies: Vec<(Vec<u64>, Vec<u32>)>, users: (Vec<u64>, Vec<u32>)) -> Self {
        let (ids, counts) = vocabularies.into_iter().unzip();
        let places = Group::ALL.map(|_| Vec::new());
        Self { ids, counts, places, users: users.0, user_counts: users.1, user_places: Vec::new() }
    }

    pub(crate) fn of_occurrences(
        whole: &Self,
        lists: &[Occurrences],
        users: &Occurrences,
        places: [Vec<Vec<u32>>; Group::ALL.len()],
        user_places: Vec<u32>,
    ) -> Self {
        let all = whole.ids.iter().zip(lists);
        let (ids, counts) = all.map(|(ids, list)| (list.ids(ids), list.counts.clone())).unzip();
        let (users, user_counts) = (users.ids(&whole.users), users.counts.clone());
        Self { ids, counts, places, users, user_counts, user_places }
    }

    /// The distinct users.
    pub fn users(&self) -> &[u64] {
        &self.users
    }

    /// The distinct ids that name rows of a table, and how often each occurs; `None` for a vocabulary that there is not.
    pub fn of_key(&self, key: Key) -> Option<(&[u64], &[u32])> {
        match key {
            Key::Vocabulary(v) => Some((self.ids.get(v)?, self.counts.get(v)?)),
            Key::User => Some((&self.users, &self.user_counts)),
        }
    }

    /// Each feed's user among the distinct ones `[b]`.
    pub fn user_places(&self) -> &[u32] {
        &self.user_places
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
        let (users, counts) = unique.of_key(Key::User).unwrap();
        let back: Vec<u64> =
            unique.user_places().iter().map(|place| users[*place as usize]).collect();
        assert_eq!(back, batch.user_ids);
        assert_eq!(counts.iter().sum::<u32>() as usize, batch.feeds());
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
