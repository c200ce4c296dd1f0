//! Some of a batch's feeds as a batch of their own: what one shard of it computes.

use std::ops::Range;

use crate::batch::{Batch, BatchLabels, Values};
use crate::schema::{Group, Schema};
use crate::unique::{Occurrences, UniqueIds};

impl Batch {
    /// Neighbouring feeds of the batch; there must be at least one.
    #[must_use]
    pub fn part(&self, feeds: Range<usize>) -> Self {
        let (products, channels) =
            (self.products.rows(feeds.clone()), self.channels.rows(feeds.clone()));
        let impressions = self.candidates.rows(feeds.clone());
        let values = Group::ALL.map(|group| {
            let rows = self.rows(group, feeds.clone());
            self.values(group).iter().map(|values| values.part(rows.clone())).collect()
        });
        let labels = self.labels.as_ref().map(|labels| BatchLabels {
            watched: labels.watched[impressions.clone()].to_vec(),
            tasks: labels.tasks.iter().map(|task| task[impressions.clone()].to_vec()).collect(),
        });
        Self {
            request_ids: self.request_ids[feeds.clone()].to_vec(),
            user_ids: self.user_ids[feeds.clone()].to_vec(),
            ts_ms: self.ts_ms[feeds.clone()].to_vec(),
            products: self.products.part(feeds.clone()),
            product_age_s: self.product_age_s[products].to_vec(),
            channels: self.channels.part(feeds.clone()),
            channel_age_s: self.channel_age_s[channels].to_vec(),
            candidates: self.candidates.part(feeds),
            labels,
            values,
        }
    }

    /// Neighbouring feeds for each of `shards` shards, with as nearly equal numbers of impressions as whole feeds allow; the first
    /// is never empty, others may be.
    pub fn cuts(&self, shards: usize) -> Vec<Range<usize>> {
        // A feed goes where its first impression falls.
        let shard = |start: usize| start * shards / self.impressions();
        let mut cuts = vec![0..0; shards];
        let mut begin = 0;
        for (s, cut) in cuts.iter_mut().enumerate() {
            let starts = (begin..self.feeds()).map(|feed| self.candidates.range(feed).start);
            let end = begin + starts.take_while(|start| shard(*start) <= s).count();
            *cut = begin..end;
            begin = end;
        }
        cuts
    }

    /// The entities of a group that neighbouring feeds have.
    fn rows(&self, group: Group, feeds: Range<usize>) -> Range<usize> {
        match group {
            Group::User | Group::Context => feeds,
            Group::Product | Group::ProductEvent => self.products.rows(feeds),
            Group::Channel | Group::ChannelEvent => self.channels.rows(feeds),
            Group::Candidate | Group::Target | Group::Dynamic => self.candidates.rows(feeds),
        }
    }
}

impl Values {
    fn part(&self, rows: Range<usize>) -> Self {
        match self {
            Self::Ids(ids) => Self::Ids(ids[rows].to_vec()),
            Self::Numbers(numbers) => Self::Numbers(numbers[rows].to_vec()),
            Self::Lists { offsets, ids } => {
                let of_rows = offsets.rows(rows.clone());
                Self::Lists { offsets: offsets.part(rows), ids: ids[of_rows].to_vec() }
            }
        }
    }
}

/// The distinct ids of a part of a batch, found among those of the whole without hashing.
#[derive(Clone, Debug, PartialEq)]
pub struct UniquePart {
    /// Those of the part, as [`UniqueIds::of`] finds them.
    pub unique: UniqueIds,
    /// By vocabulary, then of the users: where each of them stands among those of the whole batch.
    pub within: Vec<Vec<u32>>,
}

impl UniqueIds {
    /// Those of neighbouring feeds of the batch whose distinct ids these are.
    pub fn part(&self, schema: &Schema, batch: &Batch, feeds: Range<usize>) -> UniquePart {
        let mut lists: Vec<Occurrences> =
            self.ids.iter().map(|ids| Occurrences::among(ids.len())).collect();
        let places = Group::ALL.map(|group| {
            let rows = batch.rows(group, feeds.clone());
            let fields = schema.fields(group).iter().zip(batch.values(group));
            fields
                .zip(self.places(group))
                .map(|((field, values), places)| {
                    let rows = match values {
                        Values::Ids(_) => rows.clone(),
                        Values::Lists { offsets, .. } => offsets.rows(rows.clone()),
                        Values::Numbers(_) => return Vec::new(),
                    };
                    let v = schema.vocabulary_of(field).expect("Schema::check found it");
                    places[rows].iter().map(|place| lists[v].place(*place)).collect()
                })
                .collect()
        });
        let mut users = Occurrences::among(self.users().len());
        let user_places = self.user_places()[feeds].iter().map(|place| users.place(*place));
        let user_places = user_places.collect();
        let unique = UniqueIds::of_occurrences(self, &lists, &users, places, user_places);
        let within = lists.into_iter().chain([users]).map(|list| list.within).collect();
        UniquePart { unique, within }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::toy;

    #[test]
    fn a_part_is_the_batch_of_its_feeds() {
        let (schema, feeds) = (toy::schema(), toy::feeds(12, 5));
        let batch = toy::batch_of(&feeds);
        let unique = UniqueIds::of(&schema, &batch);
        for range in [0..12, 0..1, 3..7, 11..12] {
            let (part, alone) = (batch.part(range.clone()), toy::batch_of(&feeds[range.clone()]));
            assert_eq!(part.request_ids, alone.request_ids);
            assert_eq!((&part.products, &part.channels), (&alone.products, &alone.channels));
            assert_eq!(part.candidates, alone.candidates);
            assert_eq!(part.product_age_s, alone.product_age_s);
            assert_eq!(part.channel_age_s, alone.channel_age_s);
            let watched = |batch: &Batch| batch.known_labels().watched.clone();
            assert_eq!(watched(&part), watched(&alone));
            assert_eq!(part.known_labels().tasks.len(), alone.known_labels().tasks.len());
            for group in Group::ALL {
                assert_eq!(part.values(group), alone.values(group), "{group:?}");
            }
            let UniquePart { unique: of_part, within } = unique.part(&schema, &batch, range);
            assert_eq!(of_part, UniqueIds::of(&schema, &alone));
            for (v, ids) in of_part.ids.iter().enumerate() {
                let back: Vec<u64> =
                    within[v].iter().map(|place| unique.ids[v][*place as usize]).collect();
                assert_eq!(&back, ids);
            }
            assert_eq!(within.len(), unique.ids.len() + 1);
        }
    }

    #[test]
    fn cuts_cover_the_feeds_in_order_and_are_nearly_even() {
        for (feeds, shards) in [(1, 1), (1, 4), (3, 4), (40, 4), (40, 3)] {
            let batch = toy::batch(feeds, 7);
            let cuts = batch.cuts(shards);
            assert_eq!((cuts.len(), cuts[0].start, cuts[shards - 1].end), (shards, 0, feeds));
            assert!(cuts.windows(2).all(|pair| pair[0].end == pair[1].start));
            assert!(!cuts[0].is_empty());
            let longest = batch.candidates.longest();
            for cut in cuts {
                let rows = batch.candidates.rows(cut).len();
                assert!(rows <= batch.impressions().div_ceil(shards) + longest, "{rows}");
            }
        }
    }
}
