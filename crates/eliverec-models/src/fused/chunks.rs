//! How the feeds of a batch are shared out: chunks that fit a core's cache, and partitions whose gradients are summed in order.
//!
//! Both depend on the feeds alone, never on the number of threads: results are the same bytes on any machine of one
//! instruction set.

use std::ops::Range;

use eliverec_core::batch::Offsets;
use rayon::prelude::*;

/// Rows at which a chunk is closed: 8 feeds of 50 events. 4 to 16 feeds are equally fast.
const CHUNK_ROWS: usize = 400;

/// Rows at which a partition is closed; each costs a copy of the weights' gradients.
const PARTITION_ROWS: usize = 1_600;

/// No more partitions than this, unless single chunks are larger.
const PARTITIONS: usize = 16;

/// Consecutive feeds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Chunk {
    /// Feeds.
    pub(super) feeds: Range<usize>,
    /// Their rows.
    pub(super) rows: Range<usize>,
}

impl Chunk {
    /// The rows of every feed that has any, counted from the chunk's first.
    pub(super) fn feeds<'a>(
        &'a self,
        offsets: &'a Offsets,
    ) -> impl Iterator<Item = Range<usize>> + 'a {
        let from = self.rows.start;
        let ranges = self.feeds.clone().map(|i| offsets.range(i)).filter(|range| !range.is_empty());
        ranges.map(move |range| range.start - from..range.end - from)
    }
}

/// All feeds in chunks; a chunk has at least one row.
pub(super) fn chunks(offsets: &Offsets) -> Vec<Chunk> {
    let mut chunks = Vec::new();
    let mut open = Chunk { feeds: 0..0, rows: 0..0 };
    for (i, range) in offsets.ranges().enumerate() {
        open.feeds.end = i + 1;
        open.rows.end = range.end;
        if open.rows.len() >= CHUNK_ROWS {
            let next = Chunk { feeds: i + 1..i + 1, rows: range.end..range.end };
            chunks.push(std::mem::replace(&mut open, next));
        }
    }
    if !open.rows.is_empty() {
        chunks.push(open);
    }
    chunks
}

/// Consecutive chunks to be worked off by one thread, in order.
pub(super) fn partitions(chunks: &[Chunk]) -> Vec<Range<usize>> {
    let rows = chunks.last().map_or(0, |chunk| chunk.rows.end);
    let enough = PARTITION_ROWS.max(rows.div_ceil(PARTITIONS));
    let mut partitions = Vec::new();
    let mut start = 0;
    for (i, chunk) in chunks.iter().enumerate() {
        if chunk.rows.end - chunks[start].rows.start >= enough {
            partitions.push(start..i + 1);
            start = i + 1;
        }
    }
    if start < chunks.len() {
        partitions.push(start..chunks.len());
    }
    partitions
}

/// Cuts `values`, `width` per row, into one part per row range; the ranges follow each other from row 0.
pub(super) fn cut<T>(
    mut values: &mut [T],
    ranges: impl IntoIterator<Item = Range<usize>>,
    width: usize,
) -> Vec<&mut [T]> {
    let mut parts = Vec::new();
    for range in ranges {
        let (part, rest) = values.split_at_mut(range.len() * width);
        parts.push(part);
        values = rest;
    }
    parts
}

/// Elements that one task of [`add_up`] sums.
const PART: usize = 1 << 14;

/// The sum of all partitions' gradients, always in their order.
pub(super) fn add_up(partitions: Vec<Vec<f32>>, size: usize) -> Vec<f32> {
    let mut partitions = partitions.into_iter();
    let mut total = partitions.next().unwrap_or_else(|| vec![0.0; size]);
    let rest: Vec<Vec<f32>> = partitions.collect();
    total.par_chunks_mut(PART).enumerate().for_each(|(i, total)| {
        for partition in &rest {
            for (sum, value) in total.iter_mut().zip(&partition[i * PART..]) {
                *sum += value;
            }
        }
    });
    total
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn every_row_is_in_one_chunk_of_one_partition(lengths in prop::collection::vec(0..900_usize, 0..60)) {
            let offsets = Offsets::from_lengths(lengths);
            let chunks = chunks(&offsets);
            let rows: Vec<usize> = chunks.iter().flat_map(|chunk| {
                let from = chunk.rows.start;
                chunk.feeds(&offsets).flatten().map(move |row| from + row)
            }).collect();
            prop_assert_eq!(rows, (0..offsets.total()).collect::<Vec<_>>());
            let inside: Vec<usize> = partitions(&chunks).into_iter().flatten().collect();
            prop_assert_eq!(inside, (0..chunks.len()).collect::<Vec<_>>());
        }
    }

    #[test]
    fn partitions_are_bounded() {
        let offsets = Offsets::from_lengths(std::iter::repeat_n(50, 10_000));
        assert!(partitions(&chunks(&offsets)).len() <= PARTITIONS);
        assert!(chunks(&Offsets::from_lengths([0, 0])).is_empty());
    }
}
