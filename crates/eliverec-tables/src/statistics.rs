//! The numbers of the paper's Table I for any feed directory, taken in one pass.

use std::collections::HashSet;

use eliverec_core::feed::Column;
use eliverec_core::id::mix;
use eliverec_core::table_one::Sums;
use eliverec_core::{Feed, TableOne};
use serde::{Deserialize, Serialize};

use crate::directory::FeedDirectory;
use crate::error::Error;
use crate::layout::Split;

/// Table I of one split and its distinct ids.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Statistics {
    /// Table I; channels are told apart by the schema's first channel field.
    #[serde(flatten)]
    pub table: TableOne,
    /// Different users.
    pub users: u64,
    /// Different candidates over all feeds, told apart as the channels are.
    pub distinct_candidates: u64,
}

/// Table I of every split that has feeds, in order of time.
///
/// Memory grows with the number of different users and candidates, some 16 bytes each, and with nothing else.
///
/// # Errors
/// What reading the feeds gives, and feeds without labels.
pub fn statistics(directory: &FeedDirectory) -> Result<Vec<(Split, Statistics)>, Error> {
    let mut all = Vec::new();
    for split in Split::ALL {
        if directory.feeds(split)? > 0 {
            directory.require_labels(split, "counting watches")?;
            let mut tally = Tally::default();
            for feed in directory.read(split)? {
                tally.add(&feed?);
            }
            all.push((split, tally.finish()));
        }
    }
    Ok(all)
}

#[derive(Debug, Default)]
struct Tally {
    sums: Sums,
    users: HashSet<u64>,
    candidates: HashSet<u64>,
    /// Channels of one feed, kept for its storage.
    history: HashSet<u64>,
}

impl Tally {
    fn add(&mut self, feed: &Feed) {
        let watched = feed.candidates.labels.iter().flat_map(|labels| &labels.watched);
        let watched = watched.filter(|watched| **watched);
        self.sums.feeds += 1;
        self.sums.impressions += feed.impressions() as u64;
        self.sums.watched += watched.count() as u64;
        self.sums.products += feed.products.age_s.len() as u64;
        self.sums.channels += feed.channels.age_s.len() as u64;
        self.users.insert(feed.user_id);
        self.history.clear();
        if let Some(column) = feed.channels.entity.first() {
            self.history.extend(identities(column));
        }
        self.sums.distinct_channels += self.history.len() as u64;
        if let Some(column) = feed.candidates.channel.first() {
            self.candidates.extend(identities(column));
        }
    }

    fn finish(&self) -> Statistics {
        Statistics {
            table: self.sums.table(),
            users: self.users.len() as u64,
            distinct_candidates: self.candidates.len() as u64,
        }
    }
}

/// One number per entity that is equal for equal values.
fn identities(column: &Column) -> Vec<u64> {
    match column {
        Column::Ids(ids) => ids.clone(),
        Column::Numbers(numbers) => numbers.iter().map(|x| u64::from(x.to_bits())).collect(),
        Column::Lists { ends, ids } => {
            let starts = std::iter::once(&0).chain(ends);
            let lists = starts.zip(ends).map(|(start, end)| &ids[*start as usize..*end as usize]);
            lists.map(|list| list.iter().fold(0, |hash, id| mix(hash ^ mix(*id)))).collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use eliverec_core::{Schema, toy};

    #[test]
    fn the_averages_of_two_feeds_are_as_counted_by_hand() {
        let ids = |ids: &[u64]| Column::Ids(ids.to_vec());
        let schema = Schema::parse(
            "vocabulary = [{ name = \"c\" }]\n[[channel]]\nname = \"id\"\nkind = \"categorical\"\nvocabulary = \"c\"",
        )
        .unwrap();
        let mut first = Feed::empty(&schema);
        first.user_id = 5;
        first.channels.entity = vec![ids(&[1, 2, 1])];
        first.channels.age_s = vec![3.0, 2.0, 1.0];
        first.products.age_s = vec![1.0];
        first.candidates.channel = vec![ids(&[7, 8])];
        first.candidates.labels.get_or_insert_default().watched = vec![true, false];
        let mut second = Feed::empty(&schema);
        second.user_id = 5;
        second.candidates.channel = vec![ids(&[7, 9, 10])];
        second.candidates.labels.get_or_insert_default().watched = vec![false; 3];
        let mut tally = Tally::default();
        tally.add(&first);
        tally.add(&second);
        let table = TableOne {
            feeds: 2,
            impressions: 5,
            watched: 1,
            impressions_per_feed: 2.5,
            watched_per_feed: 0.5,
            product_sequence_length: 0.5,
            channel_sequence_length: 1.5,
            distinct_channels: 1.0,
        };
        let expected = Statistics { table, users: 1, distinct_candidates: 4 };
        assert_eq!(tally.finish(), expected);
    }

    #[test]
    fn every_kind_of_first_field_tells_channels_apart() {
        let feeds = toy::feeds(50, 1);
        for column in feeds.iter().flat_map(|feed| &feed.candidates.dynamic) {
            let identities = identities(column);
            assert_eq!(identities.len(), column.len());
        }
        let lists = Column::Lists { ends: vec![1, 2, 2, 4], ids: vec![1, 1, 1, 1] };
        let lists = identities(&lists);
        assert_eq!(lists[0], lists[1]);
        assert!(lists[1] != lists[2] && lists[1] != lists[3]);
    }
}
