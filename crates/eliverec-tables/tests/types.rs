//! Every Arrow type that `docs/feeds.md` lists for a column is read, and gives the same feeds.

#![expect(clippy::unwrap_used, reason = "a fixture that fails fails its test")]

mod feed_files;

use std::sync::Arc;

use arrow::array::{
    Array, ArrayData, ArrayRef, AsArray, FixedSizeListArray, Int32Array, ListArray, NullArray,
    RecordBatch, make_array,
};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{DataType, Field, IntervalUnit, TimeUnit};
use eliverec_core::feed::{Candidates, Labels};
use eliverec_core::{Feed, toy};
use feed_files::{
    cast, changed, directory_of, first_file, read_all, rows_of, toy_directory, write_foreign,
};

const FEEDS: usize = 20;

/// A toy directory whose only file has been rewritten with `change` made to the column at `path`.
fn reread(path: &[&str], change: impl Fn(&ArrayRef) -> Option<ArrayRef>) -> Vec<Feed> {
    let (_folder, directory) = toy_directory(FEEDS);
    let file = first_file(&directory);
    let rows = changed(&rows_of(&file), path, &|array| change(&array));
    write_foreign(&file, &rows, 7);
    read_all(&directory).unwrap()
}

/// The feeds where the column at `path` holds nulls of no type.
fn without_values(path: &[&str]) -> Vec<Feed> {
    reread(path, |array| Some(Arc::new(NullArray::new(array.len()))))
}

fn with_labels(change: impl Fn(&mut Labels)) -> Vec<Feed> {
    let mut feeds = toy::feeds(FEEDS, 1);
    feeds.iter_mut().for_each(|feed| change(feed.candidates.labels.as_mut().unwrap()));
    feeds
}

#[test]
fn labels_as_zero_and_one() {
    for kind in [DataType::Int8, DataType::Int64, DataType::UInt8, DataType::UInt32] {
        for label in ["watched", "bag_click", "product_click"] {
            let feeds = reread(&["candidates", label], |array| Some(cast(array, &kind)));
            assert_eq!(feeds, toy::feeds(FEEDS, 1), "{label} {kind}");
        }
    }
}

#[test]
fn columns_of_nulls_where_nulls_are_allowed() {
    let unknown = |labels: &mut Labels| labels.tasks[0].fill(None);
    assert_eq!(without_values(&["candidates", "stay_s"]), with_labels(unknown));
    let unknown = |labels: &mut Labels| labels.tasks[1].fill(None);
    assert_eq!(without_values(&["candidates", "bag_click"]), with_labels(unknown));
    let unknown = |labels: &mut Labels| labels.tasks[2].fill(None);
    assert_eq!(without_values(&["candidates", "product_click"]), with_labels(unknown));
    let mut feeds = toy::feeds(FEEDS, 1);
    feeds.iter_mut().for_each(|feed| feed.candidates.position.fill(None));
    assert_eq!(without_values(&["candidates", "position"]), feeds);
}

#[test]
fn lists_that_were_never_filled() {
    let empty = |array: &ArrayRef| -> Option<ArrayRef> {
        let element = Arc::new(Field::new("element", DataType::Null, true));
        let offsets = OffsetBuffer::from_lengths(vec![0; array.len()]);
        Some(Arc::new(ListArray::new(element, offsets, Arc::new(NullArray::new(0)), None)))
    };
    let mut feeds = toy::feeds(FEEDS, 1);
    let none = Feed::empty(&toy::schema()).products;
    feeds.iter_mut().for_each(|feed| feed.products = none.clone());
    assert_eq!(reread(&["products"], empty), feeds);
    let without_sale = reread(&["candidates", "on_sale"], empty);
    assert_eq!(without_sale.len(), FEEDS);
}

#[test]
fn times_of_every_unit_with_and_without_a_zone() {
    let units =
        [TimeUnit::Second, TimeUnit::Millisecond, TimeUnit::Microsecond, TimeUnit::Nanosecond];
    for unit in units {
        for zone in [None, Some("UTC"), Some("+08:00")] {
            let kind = DataType::Timestamp(unit, zone.map(Into::into));
            let feeds = reread(&["ts"], |array| Some(cast(array, &kind)));
            assert_eq!(feeds, toy::feeds(FEEDS, 1), "{kind}");
        }
    }
    let feeds = reread(&["ts"], |array| Some(cast(array, &DataType::Int64)));
    assert_eq!(feeds, toy::feeds(FEEDS, 1));
}

#[test]
fn dictionaries_of_integers_and_small_floats() {
    let dictionary = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::UInt64));
    for path in [&["user_id"][..], &["channels", "channel_id"], &["candidates", "category_id"]] {
        let feeds = reread(path, |array| Some(cast(array, &dictionary)));
        assert_eq!(feeds, toy::feeds(FEEDS, 1), "{path:?}");
    }
    // Whole numbers below 2048 are exact in half precision.
    let feeds = reread(&["candidates", "viewers"], |a| Some(cast(a, &DataType::Float16)));
    assert_eq!(feeds, toy::feeds(FEEDS, 1));
}

#[test]
fn lists_of_every_kind() {
    for path in [&["products"][..], &["channels"], &["candidates"], &["candidates", "on_sale"]] {
        let kinds: [fn(Arc<Field>) -> DataType; 3] =
            [DataType::LargeList, DataType::ListView, DataType::LargeListView];
        for (i, kind) in kinds.into_iter().enumerate() {
            let feeds = reread(path, |array| {
                let DataType::List(element) = array.data_type() else { panic!("a list") };
                Some(cast(array, &kind(Arc::clone(element))))
            });
            assert_eq!(feeds, toy::feeds(FEEDS, 1), "{path:?} kind {i}");
        }
    }
}

#[test]
fn lists_of_one_length() {
    let mut feeds = toy::feeds(FEEDS, 1);
    // The first two candidates of every feed, which has at least two.
    let two = |array: &ArrayRef| -> Option<ArrayRef> {
        let lists = array.as_list::<i32>();
        let rows = (0..lists.len()).flat_map(|i| {
            let start = lists.value_offsets()[i];
            [start, start + 1]
        });
        let rows = Int32Array::from(rows.collect::<Vec<_>>());
        let values = arrow::compute::take(lists.values(), &rows, None).unwrap();
        let element = Arc::new(Field::new("element", values.data_type().clone(), true));
        Some(Arc::new(FixedSizeListArray::new(element, 2, values, None)))
    };
    let read = reread(&["candidates"], two);
    for (read, feed) in read.iter().zip(&mut feeds) {
        let first = |candidates: &Candidates| {
            let labels = candidates.labels.clone().unwrap();
            (candidates.position[..2].to_vec(), labels.watched[..2].to_vec())
        };
        assert_eq!(read.impressions(), 2);
        assert_eq!(first(&read.candidates), first(&feed.candidates));
    }
}

#[test]
fn no_products_where_the_schema_declares_none() {
    let mut schema = toy::schema();
    schema.product.clear();
    schema.product_event.clear();
    let mut feeds = toy::feeds(FEEDS, 1);
    feeds.iter_mut().for_each(|feed| feed.products = Feed::empty(&schema).products);
    let (_folder, directory) = directory_of(&schema, &feeds);
    let file = first_file(&directory);
    let rows: RecordBatch = changed(&rows_of(&file), &["products"], &|_| None);
    write_foreign(&file, &rows, 7);
    assert_eq!(read_all(&directory).unwrap(), feeds);
}

#[test]
fn feeds_without_labels_are_written_and_read() {
    let mut feeds = toy::feeds(FEEDS, 1);
    feeds.iter_mut().for_each(|feed| feed.candidates.labels = None);
    let (_folder, directory) = directory_of(&toy::schema(), &feeds);
    assert_eq!(read_all(&directory).unwrap(), feeds);
    let rows = rows_of(&first_file(&directory));
    let candidates = rows.column_by_name("candidates").unwrap().as_list::<i32>();
    let names: Vec<&String> =
        candidates.values().as_struct().fields().iter().map(|f| f.name()).collect();
    assert_eq!(names.last().map(|name| name.as_str()), Some("position"));
    assert_eq!(reread(&["candidates", "watched"], |_| None), feeds);
}

/// A duration is no plain number: its unit would be lost. Parquet has no type for some of these, and stores integers.
#[test]
fn times_and_durations_are_no_numbers() {
    let kinds = [
        DataType::Duration(TimeUnit::Second),
        DataType::Duration(TimeUnit::Nanosecond),
        DataType::Time32(TimeUnit::Millisecond),
        DataType::Time64(TimeUnit::Microsecond),
        DataType::Date32,
        DataType::Date64,
        DataType::Timestamp(TimeUnit::Second, None),
        DataType::Timestamp(TimeUnit::Millisecond, None),
        DataType::Interval(IntervalUnit::DayTime),
    ];
    for path in [
        &["channels", "age_s"][..],
        &["candidates", "stay_s"],
        &["candidates", "clicks_60m"],
        &["candidates", "position"],
        &["candidates", "channel_id"],
        &["request_id"],
    ] {
        for kind in &kinds {
            let (_folder, directory) = toy_directory(FEEDS);
            let file = first_file(&directory);
            let rows = changed(&rows_of(&file), path, &|array| Some(zeros_of(kind, array.len())));
            write_foreign(&file, &rows, 7);
            let told = read_all(&directory).unwrap_err().to_string();
            let name = path.join(".");
            assert!(told.contains(&format!("column {name}: ")), "{kind}: {told}");
            assert!(told.contains(&kind.to_string()), "{kind}: {told}");
        }
    }
}

/// Zeros of a type that is stored in 4 or 8 bytes.
fn zeros_of(kind: &DataType, length: usize) -> ArrayRef {
    let bytes = kind.primitive_width().unwrap() * length;
    let zeros = ArrayData::builder(kind.clone()).len(length).add_buffer(vec![0_u8; bytes].into());
    make_array(zeros.align_buffers(true).build().unwrap())
}
