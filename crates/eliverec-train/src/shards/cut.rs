//! A batch and the parts of it that this rank computes.

use std::borrow::Cow;
use std::ops::Range;

use eliverec_core::Schema;
use eliverec_core::part::UniquePart;
use eliverec_run::Prepared;

use super::Shards;

/// A batch, cut by feeds.
#[derive(Debug)]
pub(crate) struct CutBatch<'a> {
    pub(crate) whole: &'a Prepared,
    /// This rank's, without those that have no feeds.
    pub(crate) parts: Vec<Part<'a>>,
    /// By shard, and by vocabulary, then of the users: which of the batch's distinct ids it has. Empty for a batch in one piece.
    pub(crate) distinct: Vec<Vec<Vec<u32>>>,
}

/// The feeds of one shard.
#[derive(Debug)]
pub(crate) struct Part<'a> {
    pub(crate) shard: usize,
    /// Of the batch.
    pub(crate) feeds: Range<usize>,
    pub(crate) prepared: Cow<'a, Prepared>,
}

impl<'a> CutBatch<'a> {
    /// Cuts a batch.
    pub(crate) fn new(whole: &'a Prepared, schema: &Schema, shards: &Shards) -> Self {
        let Prepared { batch, unique } = whole;
        if shards.is_one() {
            let (feeds, prepared) = (0..batch.feeds(), Cow::Borrowed(whole));
            return Self {
                whole,
                parts: vec![Part { shard: 0, feeds, prepared }],
                distinct: Vec::new(),
            };
        }
        let (mut parts, mut distinct) = (Vec::new(), Vec::new());
        for (shard, feeds) in batch.cuts(shards.count()).into_iter().enumerate() {
            let UniquePart { unique, within } = unique.part(schema, batch, feeds.clone());
            distinct.push(within);
            if shards.own().contains(&shard) && !feeds.is_empty() {
                let prepared = Prepared { batch: batch.part(feeds.clone()), unique };
                parts.push(Part { shard, feeds, prepared: Cow::Owned(prepared) });
            }
        }
        Self { whole, parts, distinct }
    }
}
