//! What is written comes back: in order, in every type that can stand for a column, shuffled, and in batches.
//!
//! This file is long because it is one list: what must come back, one test after the other.

#![expect(clippy::unwrap_used, reason = "a fixture that fails fails its test")]

mod feed_files;

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, StringArray};
use arrow::datatypes::{DataType, TimeUnit, UInt64Type};
use eliverec_core::batch::Lengths;
use eliverec_core::feed::{Column, Labels};
use eliverec_core::id::text_id;
use eliverec_core::schema::{Field, Group, Kind};
use eliverec_core::seed::Random;
use eliverec_core::{BatchBuilder, Feed, Normalization, Schema, toy};
use eliverec_tables::{Error, FeedDirectory, FeedWriter, Shuffle, Split, statistics};
use feed_files::{
    cast, changed, directory_of, first_file, large_list, read_all, rows_of, toy_directory,
    write_foreign,
};
use proptest::prelude::*;

/// A feed with any numbers that the contract allows, in the columns of `schema`.
fn any_feed(schema: &Schema, random: &mut Random) -> Feed {
    let lengths = [random.below(4), random.below(4), 1 + random.below(4)];
    let mut feed = Feed::empty(schema);
    (feed.request_id, feed.user_id) = (random.bits(), random.bits());
    feed.ts_ms = random.bits() as i64 >> 12;
    let column = |field: &Field, count: usize, random: &mut Random| match &field.kind {
        Kind::Categorical { .. } => Column::Ids((0..count).map(|_| random.bits()).collect()),
        Kind::Multi { .. } => {
            let (mut ends, mut ids) = (Vec::new(), Vec::new());
            for _ in 0..count {
                ids.extend((0..random.below(3)).map(|_| random.bits()));
                ends.push(ids.len() as u32);
            }
            Column::Lists { ends, ids }
        }
        _ => Column::Numbers((0..count).map(|_| random.normal() as f32).collect()),
    };
    let mut columns = |group: Group, count: usize| -> Vec<Column> {
        schema.fields(group).iter().map(|field| column(field, count, random)).collect()
    };
    (feed.user, feed.context) = (columns(Group::User, 1), columns(Group::Context, 1));
    feed.products.entity = columns(Group::Product, lengths[0]);
    feed.products.event = columns(Group::ProductEvent, lengths[0]);
    feed.channels.entity = columns(Group::Channel, lengths[1]);
    feed.channels.event = columns(Group::ChannelEvent, lengths[1]);
    feed.candidates.channel = columns(Group::Candidate, lengths[2]);
    feed.candidates.target = columns(Group::Target, lengths[2]);
    feed.candidates.dynamic = columns(Group::Dynamic, lengths[2]);
    let ages = |count, random: &mut Random| (0..count).map(|_| random.uniform() as f32).collect();
    feed.products.age_s = ages(lengths[0], random);
    feed.channels.age_s = ages(lengths[1], random);
    for _ in 0..lengths[2] {
        let labels = feed.candidates.labels.get_or_insert_with(|| Labels::empty(schema));
        let watched = random.below(2) == 0;
        let stay_s = (random.below(2) == 0).then(|| random.uniform() as f32);
        let mut click = || (random.below(2) == 0).then(|| random.below(2) as f32);
        labels.push(watched, [stay_s, click(), click()]);
        let position = (random.below(2) == 0).then(|| random.bits() as u16);
        feed.candidates.position.push(position);
    }
    feed
}

/// The toy schema, less the groups whose bit of `left_out` is set.
fn schema_without(left_out: u8) -> Schema {
    let mut schema = toy::schema();
    let groups = [
        &mut schema.user,
        &mut schema.context,
        &mut schema.product,
        &mut schema.product_event,
        &mut schema.channel_event,
        &mut schema.target,
        &mut schema.dynamic,
    ];
    for (i, group) in groups.into_iter().enumerate() {
        if left_out >> i & 1 == 1 {
            group.clear();
        }
    }
    schema
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_feeds_of_any_schema_come_back(seed: u64, count in 1_usize..40, left_out in 0_u8..128) {
        let schema = schema_without(left_out);
        let mut random = Random::new(seed);
        let feeds: Vec<Feed> = (0..count).map(|_| any_feed(&schema, &mut random)).collect();
        let (_folder, directory) = directory_of(&schema, &feeds);
        prop_assert_eq!(directory.schema(), &schema);
        prop_assert_eq!(directory.feeds(Split::Train).unwrap(), count as u64);
        prop_assert_eq!(read_all(&directory).unwrap(), feeds);
    }

    #[test]
    fn batches_equal_those_built_feed_by_feed(
        max_impressions in 1_usize..40,
        products in 0_usize..4,
        skipped in 0_usize..6,
    ) {
        let (schema, normalization) = (toy::schema(), Normalization::default());
        let lengths = Lengths { products, channels: 3 };
        let feeds = toy::feeds(30, 7);
        let (_folder, directory) = directory_of(&schema, &feeds);
        let mut expected = Vec::new();
        let mut rest = &feeds[..];
        while !rest.is_empty() {
            // The longest run of feeds that fits, or one.
            let fits = |n: &usize| {
                rest[..*n].iter().map(Feed::impressions).sum::<usize>() <= max_impressions
            };
            let n = (1..=rest.len()).rev().find(fits).unwrap_or(1);
            let mut builder = BatchBuilder::new(&schema, &normalization, lengths);
            rest[..n].iter().for_each(|feed| builder.push(feed).unwrap());
            expected.push(builder.finish().unwrap());
            rest = &rest[n..];
        }
        let mut batches = directory
            .batches(
                Split::Train,
                &Arc::new(directory.schema().clone()),
                &normalization,
                lengths,
                max_impressions,
                None,
            )
            .unwrap();
        prop_assert_eq!(batches.skip_batches(skipped).unwrap(), skipped.min(expected.len()));
        let found: Vec<_> = batches.map(Result::unwrap).collect();
        prop_assert_eq!(found.len(), expected.len().saturating_sub(skipped));
        for (found, expected) in found.iter().zip(expected.iter().skip(skipped)) {
            prop_assert_eq!(format!("{found:?}"), format!("{expected:?}"));
        }
    }
}

#[test]
fn splits_are_apart_and_counted() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("feeds");
    let feeds = toy::feeds(5, 1);
    let mut writer = FeedWriter::create(&path, &toy::schema()).unwrap();
    writer.push(Split::Train, &feeds[0]).unwrap();
    writer.push(Split::Test, &feeds[1]).unwrap();
    writer.push(Split::Train, &feeds[2]).unwrap();
    writer.finish().unwrap();
    let directory = FeedDirectory::open(&path).unwrap();
    let read =
        |split| -> Vec<Feed> { directory.read(split).unwrap().map(Result::unwrap).collect() };
    assert_eq!(read(Split::Train), [feeds[0].clone(), feeds[2].clone()]);
    assert_eq!(read(Split::Test), feeds[1..2]);
    assert_eq!(directory.feeds(Split::Validation).unwrap(), 0);
    let table = statistics(&directory).unwrap();
    let counted: Vec<_> =
        table.iter().map(|(split, numbers)| (*split, numbers.table.feeds)).collect();
    assert_eq!(counted, [(Split::Train, 2), (Split::Test, 1)]);
}

#[test]
fn a_directory_appears_whole_or_not_at_all() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("feeds");
    let feed = toy::feeds(1, 1).remove(0);
    let mut writer = FeedWriter::create(&path, &toy::schema()).unwrap();
    writer.push(Split::Train, &feed).unwrap();
    assert!(!path.exists());
    drop(writer);
    assert_eq!(fs_err::read_dir(folder.path()).unwrap().count(), 0);

    // What a killed writer left is no obstacle to the next.
    fs_err::create_dir_all(folder.path().join(".feeds.partial/train")).unwrap();
    let mut writer = FeedWriter::create(&path, &toy::schema()).unwrap();
    writer.push(Split::Train, &feed).unwrap();
    writer.finish().unwrap();
    assert_eq!(fs_err::read_dir(folder.path()).unwrap().count(), 1);
    assert_eq!(read_all(&FeedDirectory::open(&path).unwrap()).unwrap(), [feed]);

    let message = FeedWriter::create(&path, &toy::schema()).unwrap_err().to_string();
    assert!(message.contains("feeds") && message.contains("not empty"), "{message}");
}

#[test]
fn a_feed_that_breaks_the_contract_is_not_written() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = FeedWriter::create(&folder.path().join("feeds"), &toy::schema()).unwrap();
    let mut feed = toy::feeds(1, 1).remove(0);
    feed.request_id = 77;
    feed.candidates.labels.as_mut().unwrap().tasks[0][1] = Some(-1.0);
    let error = writer.push(Split::Train, &feed).unwrap_err();
    let message = error.to_string();
    assert!(matches!(error, Error::Feed { .. }));
    assert!(message.contains("77") && message.contains("candidates[1].stay_s"), "{message}");
}

/// A toy directory whose only file has been rewritten with `change` made to the column at `path`.
fn reread(path: &[&str], change: impl Fn(&ArrayRef) -> Option<ArrayRef>) -> Vec<Feed> {
    let (_folder, directory) = toy_directory(20);
    let file = first_file(&directory);
    let rows = changed(&rows_of(&file), path, &|array| change(&array));
    write_foreign(&file, &rows, 7);
    read_all(&directory).unwrap()
}

#[test]
fn every_integer_type_is_an_id() {
    let expected = toy::feeds(20, 1);
    for kind in [
        DataType::Int8,
        DataType::Int16,
        DataType::Int32,
        DataType::Int64,
        DataType::UInt8,
        DataType::UInt16,
        DataType::UInt32,
    ] {
        for path in [
            &["request_id"][..],
            &["user", "user"],
            &["products", "product_id"],
            &["candidates", "channel_id"],
        ] {
            assert_eq!(reread(path, |array| Some(cast(array, &kind))), expected, "{kind} {path:?}");
        }
    }
}

#[test]
fn negative_ids_keep_their_bits() {
    let negative: ArrayRef = Arc::new(arrow::array::Int32Array::from(vec![-3; 20]));
    let feeds = reread(&["user_id"], |_| Some(Arc::clone(&negative)));
    assert!(feeds.iter().all(|feed| feed.user_id == -3_i64 as u64));
}

#[test]
fn text_becomes_its_hash() {
    let to_text = |array: &ArrayRef| -> ArrayRef {
        let ids = array.as_primitive::<UInt64Type>().values().iter();
        Arc::new(ids.map(|id| Some(format!("channel {id}"))).collect::<StringArray>())
    };
    let hashed = |id: &u64| text_id(&format!("channel {id}"));
    let mut expected = toy::feeds(20, 1);
    for feed in &mut expected {
        for column in [&mut feed.channels.entity[0], &mut feed.candidates.channel[0]] {
            let Column::Ids(ids) = column else { panic!("ids") };
            *ids = ids.iter().map(hashed).collect();
        }
    }
    let dictionary = DataType::Dictionary(Box::new(DataType::Int16), Box::new(DataType::Utf8));
    for kind in [DataType::Utf8, DataType::LargeUtf8, DataType::Utf8View, dictionary] {
        let text = |array: &ArrayRef| Some(cast(&to_text(array), &kind));
        // Both columns of the vocabulary, or they would never meet.
        let (_folder, directory) = toy_directory(20);
        let file = first_file(&directory);
        let mut rows = rows_of(&file);
        for group in ["channels", "candidates"] {
            rows = changed(&rows, &[group, "channel_id"], &|array| text(&array));
        }
        write_foreign(&file, &rows, 7);
        assert_eq!(read_all(&directory).unwrap(), expected, "{kind}");
    }
}

#[test]
fn numbers_times_and_lists_come_in_other_types() {
    let expected = toy::feeds(20, 1);
    for kind in [DataType::Float64, DataType::Int32, DataType::UInt16, DataType::Int64] {
        for path in [["candidates", "clicks_60m"], ["candidates", "stay_s"], ["channels", "age_s"]]
        {
            assert_eq!(
                reread(&path, |array| Some(cast(array, &kind))),
                expected,
                "{kind} {path:?}"
            );
        }
    }
    for unit in [TimeUnit::Microsecond, TimeUnit::Nanosecond] {
        let kind = DataType::Timestamp(unit, None);
        assert_eq!(reread(&["ts"], |array| Some(cast(array, &kind))), expected, "{kind}");
    }
    assert_eq!(reread(&["candidates", "position"], |a| Some(cast(a, &DataType::Int64))), expected);
    assert_eq!(reread(&["products"], |array| Some(large_list(array))), expected);
    assert_eq!(reread(&["candidates", "on_sale"], |array| Some(large_list(array))), expected);
}

#[test]
fn optional_columns_that_are_absent_read_as_unknown() {
    let feeds = reread(&["candidates", "position"], |_| None);
    assert!(feeds.iter().all(|feed| feed.candidates.position.iter().all(Option::is_none)));
    for (task, column) in ["stay_s", "bag_click", "product_click"].into_iter().enumerate() {
        let feeds = reread(&["candidates", column], |_| None);
        let labels = feeds.iter().map(|feed| feed.candidates.labels.as_ref().unwrap());
        assert!(labels.flat_map(|labels| &labels.tasks[task]).all(Option::is_none));
    }
}

#[test]
fn a_schema_with_fewer_fields_ignores_the_other_columns() {
    let (_folder, directory) = toy_directory(20);
    let file = first_file(&directory);
    write_foreign(&file, &rows_of(&file), 7);
    let mut schema = toy::schema();
    schema.user.clear();
    schema.product.remove(0);
    schema.dynamic.clear();
    fs_err::write(directory.path().join("schema.toml"), schema.to_toml()).unwrap();
    let mut expected = toy::feeds(20, 1);
    for feed in &mut expected {
        feed.user.clear();
        feed.products.entity.remove(0);
        feed.candidates.dynamic.clear();
    }
    let directory = FeedDirectory::open(directory.path()).unwrap();
    assert_eq!(read_all(&directory).unwrap(), expected);
}

#[test]
fn files_follow_each_other_by_name() {
    let (_folder, directory) = toy_directory(20);
    let file = first_file(&directory);
    fs_err::copy(&file, file.with_file_name("part-00001.parquet")).unwrap();
    let twice: Vec<Feed> = [toy::feeds(20, 1), toy::feeds(20, 1)].concat();
    assert_eq!(read_all(&directory).unwrap(), twice);
    assert_eq!(directory.feeds(Split::Train).unwrap(), 40);
}

fn shuffled(directory: &FeedDirectory, seed: u64, buffer_feeds: usize) -> Vec<u64> {
    let shuffle = Some(Shuffle { seed, buffer_feeds });
    let (normalization, lengths) = (Normalization::default(), Lengths::default());
    let feeds = directory
        .batches(
            Split::Train,
            &Arc::new(directory.schema().clone()),
            &normalization,
            lengths,
            1,
            shuffle,
        )
        .unwrap();
    feeds.flat_map(|feed| feed.unwrap().request_ids).collect()
}

#[test]
fn a_shuffle_is_a_permutation_that_the_seed_decides() {
    let (_folder, directory) = toy_directory(60);
    let file = first_file(&directory);
    write_foreign(&file, &rows_of(&file), 5);
    let in_order: Vec<u64> = (0..60).collect();
    for buffer_feeds in [0, 1, 8, 60, 1_000] {
        let order = shuffled(&directory, 3, buffer_feeds);
        assert_eq!(order, shuffled(&directory, 3, buffer_feeds));
        assert_ne!(order, shuffled(&directory, 4, buffer_feeds));
        assert_ne!(order, in_order);
        let mut sorted = order;
        sorted.sort_unstable();
        assert_eq!(sorted, in_order);
    }
}

#[test]
fn without_a_buffer_only_row_groups_move() {
    let (_folder, directory) = toy_directory(60);
    let file = first_file(&directory);
    write_foreign(&file, &rows_of(&file), 5);
    for group in shuffled(&directory, 3, 1).chunks(5) {
        let first = group[0];
        assert_eq!(group, [first, first + 1, first + 2, first + 3, first + 4]);
        assert_eq!(first % 5, 0);
    }
}

#[test]
fn skipping_shuffled_batches_leaves_the_same_rest() {
    let (_folder, directory) = toy_directory(60);
    let batches = || {
        let shuffle = Some(Shuffle { seed: 5, buffer_feeds: 16 });
        directory
            .batches(
                Split::Train,
                &Arc::new(directory.schema().clone()),
                &Normalization::default(),
                Lengths::default(),
                20,
                shuffle,
            )
            .unwrap()
    };
    let all: Vec<Vec<u64>> = batches().map(|batch| batch.unwrap().request_ids).collect();
    let mut rest = batches();
    assert_eq!(rest.skip_batches(4).unwrap(), 4);
    let rest: Vec<Vec<u64>> = rest.map(|batch| batch.unwrap().request_ids).collect();
    assert_eq!(rest, all[4..]);
    assert_eq!(batches().skip_batches(1_000).unwrap(), all.len());
}

#[test]
fn streams_can_move_to_another_thread() {
    let (_folder, directory) = toy_directory(10);
    let batches = directory
        .batches(
            Split::Train,
            &Arc::new(directory.schema().clone()),
            &Normalization::default(),
            Lengths::default(),
            2_048,
            Some(Shuffle { seed: 1, buffer_feeds: 4 }),
        )
        .unwrap();
    let counted = std::thread::spawn(move || batches.map(|b| b.unwrap().feeds()).sum::<usize>());
    assert_eq!(counted.join().unwrap(), 10);
}
