//! Seeded shuffle in bounded memory: the row groups of all files in random order, then a buffer of feeds from which
//! each next one is drawn. Rows that stand together in a file are spread over about the buffer's length.

use eliverec_core::Feed;
use eliverec_core::seed::{Random, stream};

use crate::error::Error;
use crate::read::{FeedReader, RowGroup};

/// How to shuffle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shuffle {
    /// The order is a function of it, of the files and of `buffer_feeds` alone; give every epoch another.
    pub seed: u64,
    /// Feeds held to draw from; 0 or 1 shuffles the row groups only.
    pub buffer_feeds: usize,
}

impl Shuffle {
    /// The row groups in random order.
    pub(crate) fn order(self, mut row_groups: Vec<RowGroup>) -> Vec<RowGroup> {
        Random::new(stream(self.seed, "shuffle/row groups")).shuffle(&mut row_groups);
        row_groups
    }
}

/// Feeds in random order. Ends after the first error.
#[derive(Debug)]
pub struct ShuffledFeeds {
    feeds: FeedReader,
    buffer: Vec<Feed>,
    capacity: usize,
    random: Random,
}

impl ShuffledFeeds {
    pub(crate) fn new(feeds: FeedReader, shuffle: Shuffle) -> Self {
        let random = Random::new(stream(shuffle.seed, "shuffle/buffer"));
        Self { feeds, buffer: Vec::new(), capacity: shuffle.buffer_feeds.max(1), random }
    }
}

impl Iterator for ShuffledFeeds {
    type Item = Result<Feed, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        while self.buffer.len() < self.capacity {
            match self.feeds.next() {
                Some(Ok(feed)) => self.buffer.push(feed),
                Some(Err(e)) => {
                    self.buffer.clear();
                    return Some(Err(e));
                }
                None => break,
            }
        }
        if self.buffer.is_empty() {
            return None;
        }
        let drawn = self.random.below(self.buffer.len());
        Some(Ok(self.buffer.swap_remove(drawn)))
    }
}
