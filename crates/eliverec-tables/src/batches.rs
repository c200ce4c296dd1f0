//! Batches of whole feeds: a feed's candidates share its encoded histories, so a feed is never cut.

use std::sync::Arc;

use eliverec_core::batch::Lengths;
use eliverec_core::{Batch, BatchBuilder, Normalization, Schema};

use crate::error::Error;
use crate::layout::Split;
use crate::read::{FeedHandle, FeedReader};
use crate::shuffle::ShuffledFeeds;

/// Batches of at most so many impressions; a larger feed makes a batch of its own. Ends after the first error.
///
/// Owns all it needs, so that it can run on a thread of its own.
#[derive(Debug)]
pub struct Batches {
    split: Split,
    schema: Arc<Schema>,
    normalization: Arc<Normalization>,
    lengths: Lengths,
    max_impressions: usize,
    order: Order,
    /// The feed that did not fit into the last batch.
    next_feed: Option<FeedHandle>,
}

/// In which order the feeds come.
#[derive(Debug)]
pub(crate) enum Order {
    OfTheRows(FeedReader),
    Shuffled(ShuffledFeeds),
}

impl Order {
    fn next(&mut self) -> Option<Result<FeedHandle, Error>> {
        match self {
            Self::OfTheRows(feeds) => feeds.next_handle(),
            Self::Shuffled(feeds) => feeds.next(),
        }
    }
}

impl Batches {
    pub(crate) fn new(
        split: Split,
        schema: Arc<Schema>,
        normalization: &Normalization,
        lengths: Lengths,
        max_impressions: usize,
        order: Order,
    ) -> Self {
        let normalization = Arc::new(normalization.clone());
        Self { split, schema, normalization, lengths, max_impressions, order, next_feed: None }
    }

    /// Passes over the next `n` batches without building them; says how many there were, fewer only at the end.
    ///
    /// Feeds are read and shuffled as they would be otherwise, so the batches that follow are those that would have
    /// followed.
    ///
    /// # Errors
    /// What reading the feeds gives.
    pub fn skip_batches(&mut self, n: usize) -> Result<usize, Error> {
        for skipped in 0..n {
            if self.take_feeds(|_| Ok(()))? == 0 {
                return Ok(skipped);
            }
        }
        Ok(n)
    }

    fn build(&mut self) -> Result<Option<Batch>, Error> {
        let (schema, normalization) = (Arc::clone(&self.schema), Arc::clone(&self.normalization));
        let mut builder = BatchBuilder::new(&schema, &normalization, self.lengths);
        let split = self.split;
        self.take_feeds(|feed| {
            builder.append(&feed.feeds, feed.place).map_err(|source| {
                let request_id = feed.feeds.parts().request_ids[feed.place];
                Error::Feed { split, request_id, source }
            })
        })?;
        Ok(builder.finish())
    }

    /// Gives the feeds of the next batch to `each`; says how many there were.
    fn take_feeds(
        &mut self,
        mut each: impl FnMut(&FeedHandle) -> Result<(), Error>,
    ) -> Result<usize, Error> {
        let (mut feeds, mut impressions) = (0, 0);
        while let Some(feed) = self.next_feed.take().map(Ok).or_else(|| self.order.next()) {
            let feed = feed?;
            if feeds > 0 && impressions + feed.impressions() > self.max_impressions {
                self.next_feed = Some(feed);
                break;
            }
            feeds += 1;
            impressions += feed.impressions();
            each(&feed)?;
        }
        Ok(feeds)
    }
}

impl Iterator for Batches {
    type Item = Result<Batch, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        self.build().transpose()
    }
}
