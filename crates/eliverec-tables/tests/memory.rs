//! Writing, reading and checking hold a bounded part of a set, however large the set is.

#![expect(clippy::unwrap_used, reason = "a fixture that fails fails its test")]

mod counting;
mod feed_files;

use std::sync::Arc;

use counting::{live, peak_of};
use eliverec_core::batch::Lengths;
use eliverec_core::{Feed, Normalization, toy};
use eliverec_tables::{FeedDirectory, FeedWriter, Shuffle, Split, check};
use feed_files::{first_file, rows_of, toy_directory, write_foreign};

/// What writing, and reading through shuffle and batches, may hold.
const LIMIT: usize = 8 << 20;
/// A footer of the most row groups that the writer puts into a file.
const FOOTER: usize = 3 << 19;

fn write(feeds: &[Feed], times: usize, directory: &std::path::Path) {
    let mut writer = FeedWriter::create(directory, &toy::schema()).unwrap();
    for _ in 0..times {
        feeds.iter().for_each(|feed| writer.push(Split::Train, feed).unwrap());
    }
    writer.finish().unwrap();
}

fn read(directory: &std::path::Path) -> usize {
    let directory = FeedDirectory::open(directory).unwrap();
    let shuffle = Some(Shuffle { seed: 1, buffer_feeds: 1_024 });
    let batches = directory
        .batches(
            Split::Train,
            &Arc::new(directory.schema().clone()),
            &Normalization::default(),
            Lengths::default(),
            256,
            shuffle,
        )
        .unwrap();
    batches.map(|batch| batch.unwrap().feeds()).sum()
}

/// Checks the feeds, of which those of the small set stand in the large one too, so that there are no more ids.
fn checked(directory: &std::path::Path) -> u64 {
    let checked = check::feeds(&FeedDirectory::open(directory).unwrap()).unwrap();
    checked.read.rows
}

/// The most bytes that are held while feeds in one row group are spread.
fn spreading(feeds: usize) -> usize {
    let (folder, directory) = toy_directory(feeds);
    let file = first_file(&directory);
    write_foreign(&file, &rows_of(&file), feeds);
    let (shuffle, target) =
        (Shuffle { seed: 1, buffer_feeds: 1_024 }, folder.path().join("spread"));
    let spread = || directory.spread(Split::Train, shuffle, &target, |_| {}).unwrap();
    let (spread, bytes) = peak_of(spread);
    assert_eq!(spread.unwrap().feeds(Split::Train).unwrap(), feeds as u64);
    bytes
}

// One test, because tests of one process run at the same time and count together.
#[test]
fn memory_does_not_grow_with_the_set() {
    let folder = tempfile::tempdir().unwrap();
    let (small, large) = (folder.path().join("small"), folder.path().join("large"));
    let before = live();
    let feeds = toy::feeds(1_024, 1);
    let feeds_bytes = live() - before;
    let times = 10 * LIMIT / feeds_bytes + 1;

    let ((), writing_small) = peak_of(|| write(&feeds, times / 10, &small));
    let ((), writing_large) = peak_of(|| write(&feeds, times, &large));
    let (count, reading_small) = peak_of(|| read(&small));
    assert_eq!(count, times / 10 * feeds.len());
    let (count, reading_large) = peak_of(|| read(&large));
    assert_eq!(count, times * feeds.len());

    let (count, checking_small) = peak_of(|| checked(&small));
    assert_eq!(count, (times / 10 * feeds.len()) as u64);
    let (count, checking_large) = peak_of(|| checked(&large));
    assert_eq!(count, (times * feeds.len()) as u64);

    assert!(times * feeds_bytes > 10 * LIMIT, "the large set would not fit ten times over");
    // Both have as many piles as there may be.
    let (spreading_small, spreading_large) = (spreading(40_000), spreading(80_000));
    for (what, small, large) in [
        ("writing", writing_small, writing_large),
        ("reading", reading_small, reading_large),
        ("checking", checking_small, checking_large),
        ("spreading", spreading_small, spreading_large),
    ] {
        assert!(large < LIMIT, "{what}: {large} bytes");
        // The small set is less than a file, so its footer is smaller; nothing else may grow.
        assert!(large < small + FOOTER, "{what}: {large} bytes, {small} for a tenth of the set");
    }
}
