//! Seeded shuffle in bounded memory: the row groups of all files in random order, then a buffer of feeds from which
//! each next one is drawn. Rows that stand together in a file are spread over about the buffer's length, which is enough
//! where row groups are small against it; [`crate::spread`] makes small ones of large ones.
//!
//! What waits is a handle to a feed among the columns that it was read in, so a few waiting feeds keep all the feeds that
//! were decoded with them. Whenever more than twice the buffer may be kept so, the waiting ones move together.

use std::sync::Arc;

use eliverec_core::FeedColumns;
use eliverec_core::seed::{Random, stream};

use crate::error::Error;
use crate::footer::RowGroupPlace;
use crate::read::{DECODED_FEEDS, FeedHandle, FeedReader};

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
    pub(crate) fn order(self, mut row_groups: Vec<RowGroupPlace>) -> Vec<RowGroupPlace> {
        Random::new(stream(self.seed, "shuffle/row groups")).shuffle(&mut row_groups);
        row_groups
    }
}

/// Feeds in random order. Ends after the first error.
///
/// # Memory
/// Twice [`Shuffle::buffer_feeds`] and three lots of [`DECODED_FEEDS`] feeds: one of slack, and the parts that do not wait of
/// the lot being read and of the one that was read when the waiting feeds moved.
#[derive(Debug)]
pub(crate) struct ShuffledFeeds {
    feeds: FeedReader,
    waiting: Vec<FeedHandle>,
    capacity: usize,
    /// Feeds that the waiting ones keep in memory, at most.
    kept: usize,
    random: Random,
}

impl ShuffledFeeds {
    pub(crate) fn new(feeds: FeedReader, shuffle: Shuffle) -> Self {
        let random = Random::new(stream(shuffle.seed, "shuffle/buffer"));
        let capacity = shuffle.buffer_feeds.max(1);
        Self { feeds, waiting: Vec::new(), capacity, kept: 0, random }
    }

    pub(crate) fn next(&mut self) -> Option<Result<FeedHandle, Error>> {
        while self.waiting.len() < self.capacity {
            match self.feeds.next_handle() {
                Some(Ok(handle)) => self.wait(handle),
                Some(Err(e)) => {
                    self.waiting.clear();
                    return Some(Err(e));
                }
                None => break,
            }
        }
        if self.waiting.is_empty() {
            return None;
        }
        let drawn = self.random.below(self.waiting.len());
        Some(Ok(self.waiting.swap_remove(drawn)))
    }

    fn wait(&mut self, handle: FeedHandle) {
        self.kept += 1;
        self.waiting.push(handle);
        if self.kept > 2 * self.capacity + DECODED_FEEDS {
            move_together(&mut self.waiting);
            self.kept = self.waiting.len();
        }
    }
}

/// Moves feeds to columns that hold nothing else; the handles stay where they are.
fn move_together(handles: &mut [FeedHandle]) {
    // Feeds of the same columns follow each other, so that the columns go as soon as their last feed has moved.
    let mut places: Vec<usize> = (0..handles.len()).collect();
    places.sort_by_key(|i| (Arc::as_ptr(&handles[*i].feeds), handles[*i].place));
    for places in places.chunks(DECODED_FEEDS) {
        let mut moved: FeedColumns = handles[places[0]].feeds.empty_like();
        for i in places {
            let handle = &handles[*i];
            moved
                .append(&handle.feeds, handle.place)
                .expect("the files of a split agree on their labels");
        }
        moved.shrink_to_fit();
        let moved = Arc::new(moved);
        for (place, i) in places.iter().enumerate() {
            handles[*i] = FeedHandle { feeds: Arc::clone(&moved), place };
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use eliverec_core::toy;

    use super::*;
    use crate::file_columns::KnownColumns;
    use crate::footer::{FeedFile, row_groups};
    use crate::{FeedWriter, Split};

    #[test]
    fn waiting_feeds_keep_a_bounded_number_of_others() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("feeds");
        let schema = toy::schema();
        let mut writer = FeedWriter::create(&path, &schema).unwrap();
        toy::feeds(6_000, 1).iter().for_each(|feed| writer.push(Split::Train, feed).unwrap());
        writer.finish().unwrap();
        let file = path.join("train/part-00000.parquet");
        let known = Arc::new(KnownColumns::new(&Arc::new(schema)));
        for buffer_feeds in [1, 40, 700] {
            let files: Arc<[FeedFile]> = [FeedFile::open(file.clone(), &known).unwrap()].into();
            let order = row_groups(&files);
            let reader = FeedReader::new(&known, &files, order);
            let mut shuffled = ShuffledFeeds::new(reader, Shuffle { seed: 1, buffer_feeds });
            let (mut most, mut drawn) = (0, 0);
            while let Some(handle) = shuffled.next() {
                handle.unwrap();
                drawn += 1;
                let columns = shuffled.waiting.iter().map(|handle| &handle.feeds);
                let columns: BTreeMap<_, _> =
                    columns.map(|feeds| (Arc::as_ptr(feeds), feeds.feeds())).collect();
                most = most.max(columns.values().sum());
            }
            assert_eq!(drawn, 6_000);
            assert!(most <= 2 * buffer_feeds + 3 * DECODED_FEEDS, "{most} for {buffer_feeds}");
        }
    }
}
