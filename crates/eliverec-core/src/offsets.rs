//! Where each feed's entities start in columns that hold those of many feeds, one after the other.

use std::ops::Range;

/// Where each feed's entities start: feed i owns rows `starts[i]..starts[i + 1]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offsets(Vec<usize>);

impl Default for Offsets {
    fn default() -> Self {
        Self(vec![0])
    }
}

impl Offsets {
    /// Offsets of feeds with the given numbers of entities.
    pub fn from_lengths(lengths: impl IntoIterator<Item = usize>) -> Self {
        let mut offsets = Self::default();
        lengths.into_iter().for_each(|length| offsets.push(length));
        offsets
    }

    /// Adds a feed of `length` entities.
    pub fn push(&mut self, length: usize) {
        self.0.push(self.total() + length);
    }

    /// The offsets of some of the feeds.
    #[must_use]
    pub fn part(&self, feeds: Range<usize>) -> Self {
        let start = self.0[feeds.start];
        Self(self.0[feeds.start..=feeds.end].iter().map(|row| row - start).collect())
    }

    /// The rows of neighbouring feeds together.
    pub fn rows(&self, feeds: Range<usize>) -> Range<usize> {
        self.0[feeds.start]..self.0[feeds.end]
    }

    /// Takes all feeds out and keeps the memory.
    pub fn clear(&mut self) {
        self.0.truncate(1);
    }

    /// Feeds.
    pub fn feeds(&self) -> usize {
        self.0.len() - 1
    }

    /// Entities of all feeds.
    pub fn total(&self) -> usize {
        *self.0.last().expect("offsets start with 0")
    }

    /// The rows of feed `i`.
    pub fn range(&self, i: usize) -> Range<usize> {
        self.0[i]..self.0[i + 1]
    }

    /// The rows of every feed, in order.
    pub fn ranges(&self) -> impl ExactSizeIterator<Item = Range<usize>> + '_ {
        self.0.windows(2).map(|pair| pair[0]..pair[1])
    }

    /// Entities of the longest feed.
    pub fn longest(&self) -> usize {
        self.ranges().map(|range| range.len()).max().unwrap_or(0)
    }

    /// The feed of entity `row`, which must be less than [`Offsets::total`], and the entity's place in it.
    pub fn locate(&self, row: usize) -> (usize, usize) {
        let feed = self.0.partition_point(|start| *start <= row) - 1;
        (feed, row - self.0[feed])
    }

    /// The feed of every row.
    pub fn owners(&self) -> Vec<u32> {
        let mut owners = Vec::with_capacity(self.total());
        for (i, range) in self.ranges().enumerate() {
            owners.extend(range.map(|_| i as u32));
        }
        owners
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn owners_name_the_feed_of_every_row() {
        let offsets = Offsets::from_lengths([2, 0, 3]);
        assert_eq!(offsets.owners(), [0, 0, 2, 2, 2]);
        assert_eq!(offsets.longest(), 3);
        assert_eq!(offsets.range(1), 2..2);
        for (row, owner) in offsets.owners().into_iter().enumerate() {
            let (feed, place) = offsets.locate(row);
            assert_eq!((feed, offsets.range(feed).start + place), (owner as usize, row));
        }
    }
}
