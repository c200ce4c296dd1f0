//! A family of checks, and what the families ask of a feed.

use eliverec_core::Feed;
use eliverec_core::feed::Column;
use eliverec_core::id::mix;

use super::finding::Findings;
use crate::layout::Split;

/// Checks that look at the same values.
pub(crate) trait Family {
    /// Takes in a feed; those of training come first.
    fn feed(&mut self, split: Split, feed: &Feed);

    /// Tells what was found.
    fn tell(&self, findings: &mut Findings);

    /// What part of the ids was remembered, if any are.
    fn covers(&self) -> Option<String> {
        None
    }
}

/// List `i` of a multi-valued column.
pub(crate) fn list<'a>(ends: &[u32], ids: &'a [u64], i: usize) -> &'a [u64] {
    let start = i.checked_sub(1).map_or(0, |before| ends[before]);
    &ids[start as usize..ends[i] as usize]
}

/// One number per entity that is equal for equal values, `None` beyond the end.
pub(crate) fn identity(column: &Column, i: usize) -> Option<u64> {
    match column {
        Column::Ids(ids) => ids.get(i).copied(),
        Column::Numbers(numbers) => numbers.get(i).map(|x| u64::from(x.to_bits())),
        Column::Lists { ends, ids } => {
            let ids = (i < ends.len()).then(|| list(ends, ids, i));
            ids.map(|ids| ids.iter().fold(0, |hash, id| mix(hash ^ mix(*id))))
        }
    }
}
