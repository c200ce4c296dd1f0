//! The order of the rows in a file does not matter to a shuffle, whatever the file's row groups.

#![expect(clippy::unwrap_used, reason = "a fixture that fails fails its test")]

mod feed_files;

use std::sync::Arc;

use eliverec_core::batch::Lengths;
use eliverec_core::{Normalization, toy};
use eliverec_tables::{FeedDirectory, Shuffle, Split};
use feed_files::{first_file, rows_of, toy_directory, write_foreign};
use proptest::prelude::*;
use tempfile::TempDir;

/// A directory of toy feeds, whose ids ascend, in one row group.
fn one_row_group(feeds: usize) -> (TempDir, FeedDirectory) {
    let (folder, directory) = toy_directory(feeds);
    let file = first_file(&directory);
    write_foreign(&file, &rows_of(&file), feeds);
    (folder, directory)
}

fn spread(directory: &FeedDirectory, shuffle: Shuffle) -> Option<FeedDirectory> {
    let folder = directory.path().parent().unwrap().join("run/spread");
    directory.spread(Split::Train, shuffle, &folder, |_| {}).unwrap()
}

/// Ids in the order of an epoch, batch by batch.
fn epoch(directory: &FeedDirectory, shuffle: Shuffle, skipped: usize) -> Vec<Vec<u64>> {
    let (normalization, lengths) = (Normalization::default(), Lengths::default());
    let schema = Arc::new(directory.schema().clone());
    let mut batches = directory
        .batches(Split::Train, &schema, &normalization, lengths, 16, Some(shuffle))
        .unwrap();
    batches.skip_batches(skipped).unwrap();
    batches.map(|batch| batch.unwrap().request_ids).collect()
}

/// The correlation of the places in an epoch with the ids, which are the places in the file.
fn correlation(order: &[u64]) -> f64 {
    let mean = (order.len() - 1) as f64 / 2.0;
    let products = order.iter().zip(0..).map(|(id, i)| (*id as f64 - mean) * (f64::from(i) - mean));
    let squares = (0..order.len()).map(|i| (i as f64 - mean).powi(2));
    products.sum::<f64>() / squares.sum::<f64>()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8))]

    /// Every feed once, in the same order for the same seed, and no trace of the file's order: in the spread directory,
    /// in an epoch over it, and between neighbours.
    #[test]
    fn the_order_of_the_file_is_gone(seed: u64, feeds in 2_500_usize..6_000, buffer in 0_usize..600) {
        let shuffle = Shuffle { seed, buffer_feeds: buffer };
        let (_folder, directory) = one_row_group(feeds);
        let spread_once = spread(&directory, shuffle).unwrap();
        let stored = |directory: &FeedDirectory| -> Vec<u64> {
            directory.read(Split::Train).unwrap().map(|feed| feed.unwrap().request_id).collect()
        };
        let once = stored(&spread_once);
        let epoch = epoch(&spread_once, Shuffle { seed: 1, ..shuffle }, 0).concat();
        // Five standard errors.
        let bound = 5.0 / (feeds as f64).sqrt();
        for order in [&once, &epoch] {
            let mut sorted = order.clone();
            sorted.sort_unstable();
            prop_assert!(sorted.iter().copied().eq(0..feeds as u64));
            prop_assert!(correlation(order).abs() < bound, "{}", correlation(order));
            let near = order.windows(2).filter(|pair| pair[0].abs_diff(pair[1]) < feeds as u64 / 10).count();
            let share = near as f64 / feeds as f64;
            prop_assert!((share - 0.19).abs() < bound, "{share} of the neighbours are near");
        }
        // Made again after it was lost, it is the same.
        fs_err::remove_dir_all(spread_once.path()).unwrap();
        prop_assert_eq!(stored(&spread(&directory, shuffle).unwrap()), once);
    }
}

#[test]
fn one_that_was_made_is_found_and_one_of_other_feeds_is_made_again() {
    let (folder, directory) = one_row_group(3_000);
    let shuffle = Shuffle { seed: 3, buffer_feeds: 256 };
    let target = folder.path().join("run/spread");
    let mut lines = Vec::new();
    let mut make = |directory: &FeedDirectory| {
        let told = |line: &str| lines.push(line.to_owned());
        let made = directory.spread(Split::Train, shuffle, &target, told).unwrap().unwrap();
        assert_eq!(made.feeds(Split::Train).unwrap(), directory.feeds(Split::Train).unwrap());
        lines.len()
    };
    // What a killed process left.
    for left in ["run/.spread.piles", "run/.spread.partial/train"] {
        fs_err::create_dir_all(folder.path().join(left)).unwrap();
        fs_err::write(folder.path().join(left).join("00.parquet"), "half a file").unwrap();
    }
    assert_eq!((make(&directory), make(&directory)), (1, 1));
    let names: Vec<_> = fs_err::read_dir(folder.path().join("run"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(names, ["spread"]);
    let file = first_file(&directory);
    write_foreign(&file, &rows_of(&file).slice(0, 2_000), 2_000);
    assert_eq!(make(&directory), 2);
    assert!(lines[0].contains("3000 feeds") && lines[0].contains("row groups of 3000"));
}

#[test]
fn skipping_leaves_the_same_rest() {
    let (_folder, directory) = one_row_group(3_000);
    let shuffle = Shuffle { seed: 3, buffer_feeds: 256 };
    let spread = spread(&directory, shuffle).unwrap();
    let all = epoch(&spread, shuffle, 0);
    assert_eq!(epoch(&spread, shuffle, 100), all[100..]);
}

/// Directories that our writer made, and those that fit into the buffer, keep the order that they have.
#[test]
fn what_needs_no_spreading_is_left_alone() {
    let (_folder, directory) = toy_directory(3_000);
    assert!(spread(&directory, Shuffle { seed: 3, buffer_feeds: 16 }).is_none());
    let (_folder, directory) = one_row_group(3_000);
    assert!(spread(&directory, Shuffle { seed: 3, buffer_feeds: 3_000 }).is_none());
}

#[test]
fn a_disk_that_refuses_is_told_with_what_to_do() {
    let (folder, directory) = one_row_group(3_000);
    assert_eq!(toy::schema(), *directory.schema());
    // A file where the folder should be is as good as a full disk.
    fs_err::write(folder.path().join("run"), "in the way").unwrap();
    let shuffle = Shuffle { seed: 3, buffer_feeds: 256 };
    let target = folder.path().join("run/spread");
    let error = directory.spread(Split::Train, shuffle, &target, |_| {}).unwrap_err();
    let message = error.to_string();
    assert!(
        message.contains("free disk space") && message.contains("at most 1024 rows"),
        "{message}"
    );
}
