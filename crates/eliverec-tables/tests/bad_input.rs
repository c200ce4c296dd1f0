//! Every kind of bad input gives one line that names the file, the row and the field.

#![expect(clippy::unwrap_used, reason = "a fixture that fails fails its test")]

mod feed_files;

use std::path::Path;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Float32Array, Float64Array, Int64Array, ListArray,
    NullArray, RecordBatch, UInt64Array,
};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::datatypes::{DataType, Float32Type};
use eliverec_core::toy;
use eliverec_tables::{Error, FeedDirectory, FeedWriter, Split, statistics};
use feed_files::{
    cast, changed, first_file, read_all, rows_of, toy_directory, with_null, write_foreign,
};

/// Toy feeds in the file; row 300 is in the second lot that a reader decodes and in the third row group.
const FEEDS: usize = 320;
const ROW: usize = 300;

/// The error of reading a directory whose file has been rewritten with a change to the column at `path`.
fn error_of(path: &[&str], change: impl Fn(&ArrayRef) -> Option<ArrayRef>) -> Error {
    let (_folder, directory) = toy_directory(FEEDS);
    let file = first_file(&directory);
    let rows = changed(&rows_of(&file), path, &|array| change(&array));
    write_foreign(&file, &rows, 128);
    read_all(&directory).unwrap_err()
}

/// Asserts that the message is one line with the file and all of `parts`.
fn assert_names(error: &Error, parts: &[&str]) {
    let message = error.to_string();
    assert_eq!(message.lines().count(), 1, "{message}");
    assert_eq!(message, error.to_string());
    assert!(message.contains("part-00000.parquet"), "{message}");
    for part in parts {
        assert!(message.contains(part), "no {part:?} in: {message}");
    }
}

/// Index, over all rows, of element `i` of the list that row [`ROW`] has in `column`.
fn element(column: &str, i: usize) -> usize {
    let (_folder, directory) = toy_directory(FEEDS);
    let rows = rows_of(&first_file(&directory));
    let list = rows.column_by_name(column).unwrap().as_list::<i32>();
    assert!(list.value_length(ROW) as usize > i, "row {ROW} has no element {i}");
    list.value_offsets()[ROW] as usize + i
}

fn with_number(array: &ArrayRef, i: usize, x: f32) -> ArrayRef {
    let mut numbers: Vec<Option<f32>> = array.as_primitive::<Float32Type>().iter().collect();
    numbers[i] = Some(x);
    Arc::new(Float32Array::from(numbers))
}

#[test]
fn missing_columns() {
    for path in [
        &["request_id"][..],
        &["user_id"],
        &["ts"],
        &["user"],
        &["context", "hour"],
        &["products"],
        &["products", "age_s"],
        &["channels", "stay"],
        &["candidates"],
        &["candidates", "channel_id"],
        &["candidates", "on_sale"],
    ] {
        // A struct without any field cannot be written, so its last field leaves under another name.
        let error = if path == ["context", "hour"] {
            let (_folder, directory) = toy_directory(FEEDS);
            let file = first_file(&directory);
            let rows = changed(&rows_of(&file), &["context"], &|_| {
                let (_folder, other) = toy_directory(FEEDS);
                rows_of(&first_file(&other)).column_by_name("user").map(Arc::clone)
            });
            write_foreign(&file, &rows, 128);
            read_all(&directory).unwrap_err()
        } else {
            error_of(path, |_| None)
        };
        assert!(matches!(error, Error::Column { .. }), "{error}");
        assert_names(&error, &[&format!("column {}: is missing", path.join("."))]);
    }
}

#[test]
fn wrong_types() {
    let booleans = |array: &ArrayRef| -> Option<ArrayRef> {
        Some(Arc::new(BooleanArray::from(vec![true; array.len()])))
    };
    let floats = |array: &ArrayRef| -> Option<ArrayRef> {
        Some(Arc::new(Float64Array::from(vec![1.0; array.len()])))
    };
    let text = |array: &ArrayRef| Some(cast(array, &DataType::Utf8));
    let nothing =
        |array: &ArrayRef| -> Option<ArrayRef> { Some(Arc::new(NullArray::new(array.len()))) };
    let check = |path: &[&str], change: &dyn Fn(&ArrayRef) -> Option<ArrayRef>, found: &str| {
        let error = error_of(path, change);
        assert!(matches!(error, Error::Column { .. }), "{error}");
        assert_names(&error, &[&format!("column {}: expected ", path.join(".")), found]);
    };
    check(&["request_id"], &floats, "an integer or text, found Float64");
    check(&["user", "user"], &booleans, "found Boolean");
    let plain = |array: &ArrayRef| cast(array, &DataType::Int64);
    check(&["ts"], &|array| text(&plain(array)), "milliseconds as a 64-bit integer, found Utf8");
    check(&["candidates", "clicks_60m"], &text, "a number, found Utf8");
    check(&["candidates", "stay_s"], &booleans, "a number, found Boolean");
    for label in ["watched", "bag_click"] {
        check(&["candidates", label], &floats, "an integer that is 0 or 1, found Float64; cast");
    }
    check(&["candidates", "position"], &floats, "an integer, found Float64");
    check(&["candidates", "on_sale"], &floats, "a list, found Float64");
    check(&["candidates"], &nothing, "a list, found nothing but nulls");
    let nowhere = error_of(&["candidates", "channel_id"], nothing);
    assert_names(&nowhere, &["row 0: candidates[0].channel_id: is null; every id must be known"]);
    check(&["products"], &floats, "a list, found Float64");
    check(&["user"], &floats, "a struct, found Float64");
    let numbers = |array: &ArrayRef| -> Option<ArrayRef> {
        let lists = array.as_list::<i32>();
        let values: ArrayRef = Arc::new(Float64Array::from(vec![0.5; lists.values().len()]));
        Some(list(lists.offsets().clone(), values, None))
    };
    check(
        &["candidates", "on_sale"],
        &numbers,
        "a list of integers or text, found a list of Float",
    );
    check(&["channels"], &numbers, "a struct, found Float64");
}

fn list(offsets: OffsetBuffer<i32>, values: ArrayRef, nulls: Option<NullBuffer>) -> ArrayRef {
    let field = arrow::datatypes::Field::new("item", values.data_type().clone(), true);
    Arc::new(ListArray::new(Arc::new(field), offsets, values, nulls))
}

#[test]
fn labels_that_are_none() {
    let at = element("candidates", 1);
    for label in ["watched", "bag_click", "product_click"] {
        let two = |array: &ArrayRef| -> Option<ArrayRef> {
            let mut labels = vec![1; array.len()];
            labels[at] = 2;
            Some(Arc::new(Int64Array::from(labels)))
        };
        let error = error_of(&["candidates", label], two);
        assert_names(&error, &[&format!("row 300: candidates[1].{label}: 2 is not a label")]);
    }
}

#[test]
fn labels_that_are_needed_or_given_by_halves() {
    let (_folder, directory) = toy_directory(FEEDS);
    directory.require_labels(Split::Train, "training").unwrap();
    let file = first_file(&directory);
    let rows = changed(&rows_of(&file), &["candidates", "watched"], &|_| None);
    let other = file.with_file_name("part-00001.parquet");
    write_foreign(&other, &rows, 128);
    // A directory opens its files once.
    let again = || FeedDirectory::open(directory.path()).unwrap();
    let message = again().read(Split::Train).unwrap_err().to_string();
    assert!(message.contains("part-00001.parquet: column candidates.watched: is missing"));
    assert!(message.contains("part-00000.parquet has it"), "{message}");
    fs_err::remove_file(&file).unwrap();
    let directory = again();
    assert_eq!(read_all(&directory).unwrap().len(), FEEDS);
    for error in [
        directory.require_labels(Split::Train, "training").unwrap_err(),
        statistics(&directory).unwrap_err(),
    ] {
        let message = error.to_string();
        assert!(message.contains("part-00001.parquet: column candidates.watched"), "{message}");
        assert!(message.contains("needs labels; `eliverec score`"), "{message}");
    }
}

#[test]
fn nulls() {
    let error = error_of(&["user_id"], |array| Some(with_null(array, ROW)));
    assert_names(&error, &["row 300: user_id: is null"]);
    let error = error_of(&["ts"], |array| Some(with_null(array, ROW)));
    assert_names(&error, &["row 300: ts: is null"]);
    let error = error_of(&["user", "user"], |array| Some(with_null(array, ROW)));
    assert_names(&error, &["row 300: user.user: is null"]);
    let error = error_of(&["user"], |array| Some(with_null(array, ROW)));
    assert_names(&error, &["row 300: user: is null"]);
    let at = element("candidates", 1);
    for field in ["channel_id", "clicks_60m", "watched", "on_sale"] {
        let error = error_of(&["candidates", field], |array| Some(with_null(array, at)));
        assert_names(&error, &[&format!("row 300: candidates[1].{field}: is null")]);
    }
    let text = |array: &ArrayRef| {
        let kind = DataType::Dictionary(Box::new(DataType::Int16), Box::new(DataType::Utf8));
        Some(cast(&with_null(&cast(array, &DataType::Utf8), at), &kind))
    };
    // All columns of the vocabulary are text, or that is told first.
    let (_folder, directory) = toy_directory(FEEDS);
    let file = first_file(&directory);
    let mut rows = rows_of(&file);
    for group in ["products", "channels"] {
        rows =
            changed(&rows, &[group, "category_id"], &|array| Some(cast(&array, &DataType::Utf8)));
    }
    write_foreign(
        &file,
        &changed(&rows, &["candidates", "category_id"], &|array| text(&array)),
        128,
    );
    let error = read_all(&directory).unwrap_err();
    assert_names(&error, &["row 300: candidates[1].category_id: is null"]);
    let error = error_of(&["channels"], |array| Some(with_null(array, ROW)));
    assert_names(&error, &["row 300: channels: is null", "empty list"]);
    let elements = |array: &ArrayRef| {
        let lists = array.as_list::<i32>();
        Some(list(lists.offsets().clone(), with_null(lists.values(), at), None))
    };
    let error = error_of(&["candidates"], elements);
    assert_names(&error, &["row 300: candidates[1]: is null"]);
}

#[test]
fn numbers_that_are_none() {
    let at = element("candidates", 1);
    let check = |path: &[&str], at: usize, x: f32, expected: &str| {
        let error = error_of(path, |array| Some(with_number(array, at, x)));
        assert!(matches!(error, Error::Value { row: 300, .. }), "{error}");
        assert_names(&error, &[&format!("row 300: {expected}")]);
    };
    check(&["candidates", "clicks_60m"], at, f32::NAN, "candidates[1].clicks_60m: NaN");
    check(&["candidates", "viewers"], at, f32::INFINITY, "candidates[1].viewers: inf");
    check(&["candidates", "stay_s"], at, f32::NAN, "candidates[1].stay_s: NaN");
    check(&["candidates", "stay_s"], at, -2.5, "candidates[1].stay_s: -2.5 is not a duration");
    let at = element("channels", 0);
    check(&["channels", "age_s"], at, -1.0, "channels[0].age_s: -1 is not an age");
    check(&["channels", "stay"], at, f32::NAN, "channels[0].stay: NaN");
    let huge = |array: &ArrayRef| -> Option<ArrayRef> {
        let mut numbers = vec![0.0; array.len()];
        numbers[at] = 1e300;
        Some(Arc::new(Float64Array::from(numbers)))
    };
    assert_names(
        &error_of(&["channels", "age_s"], huge),
        &["row 300: channels[0].age_s: 1e300 is not"],
    );
}

#[test]
fn positions_out_of_range() {
    let at = element("candidates", 1);
    for position in [-1, 65_536] {
        let change = |array: &ArrayRef| -> Option<ArrayRef> {
            let mut positions = vec![0; array.len()];
            positions[at] = position;
            Some(Arc::new(Int64Array::from(positions)))
        };
        let error = error_of(&["candidates", "position"], change);
        let expected = format!("row 300: candidates[1].position: {position} is not a position");
        assert_names(&error, &[&expected]);
    }
}

#[test]
fn nulls_in_lists_of_ids() {
    let at = element("candidates", 1);
    let change = |array: &ArrayRef| -> Option<ArrayRef> {
        // Two ids at the one candidate, none elsewhere; the second is null.
        let lengths = (0..array.len()).map(|i| if i == at { 2 } else { 0 });
        let ids: ArrayRef = Arc::new(UInt64Array::from(vec![Some(5), None]));
        Some(list(OffsetBuffer::from_lengths(lengths), ids, None))
    };
    let error = error_of(&["candidates", "on_sale"], change);
    assert_names(&error, &["row 300: candidates[1].on_sale[1]: is null"]);
}

#[test]
fn a_feed_without_candidates() {
    let change = |array: &ArrayRef| -> Option<ArrayRef> {
        let lists = array.as_list::<i32>();
        let before = lists.value_offsets()[ROW];
        let length = lists.value_length(ROW);
        // Row 299 takes over the candidates of row 300.
        let offsets: Vec<i32> = lists.value_offsets().to_vec();
        let moved = offsets.iter().enumerate();
        let moved = moved.map(|(i, o)| if i == ROW { before + length } else { *o }).collect();
        Some(list(OffsetBuffer::new(moved), Arc::clone(lists.values()), None))
    };
    let error = error_of(&["candidates"], change);
    assert_names(&error, &["row 300: candidates: the list is empty", "at least one candidate"]);
}

#[test]
fn an_error_ends_the_stream() {
    let (_folder, directory) = toy_directory(FEEDS);
    let file = first_file(&directory);
    let rows = changed(&rows_of(&file), &["user_id"], &|array| Some(with_null(&array, ROW)));
    write_foreign(&file, &rows, 128);
    let results: Vec<_> = directory.read(Split::Train).unwrap().collect();
    let (last, before) = results.split_last().unwrap();
    assert!(last.is_err() && before.iter().all(Result::is_ok));
    // Rows are decoded a lot at a time, and the lot with the error gives none.
    assert_eq!(before.len(), 256);
}

#[test]
fn another_schema_names_the_differing_fields() {
    let (_folder, directory) = toy_directory(3);
    let mut schema = toy::schema();
    schema.target.clear();
    fs_err::write(directory.path().join("schema.toml"), schema.to_toml()).unwrap();
    let directory = FeedDirectory::open(directory.path()).unwrap();
    let error = directory.read(Split::Train).unwrap_err();
    assert!(matches!(error, Error::SchemaDiffers { .. }), "{error}");
    assert_names(&error, &["target.clicks_60m", "is new"]);
    assert!(directory.feeds(Split::Train).is_err());
    assert!(statistics(&directory).is_err());
}

#[test]
fn directories_that_are_none() {
    let folder = tempfile::tempdir().unwrap();
    let open = |path: &Path| FeedDirectory::open(path).unwrap_err().to_string();
    let command = "`eliverec import NAME --from DIR --out DIR`";
    let message = open(&folder.path().join("nowhere"));
    assert!(message.contains("nowhere: no such directory") && message.contains(command));
    let message = open(folder.path());
    assert!(message.contains("is empty") && message.contains(command), "{message}");
    assert!(message.contains("schema.toml and the folders train, validation and test"));
    let file = folder.path().join("file");
    fs_err::write(&file, "text").unwrap();
    assert!(open(&file).contains("file: is no directory"), "{}", open(&file));
    assert!(open(folder.path()).contains("has no schema.toml"), "{}", open(folder.path()));

    let schema = folder.path().join("schema.toml");
    fs_err::write(&schema, "nmae = \"x\"").unwrap();
    let error = FeedDirectory::open(folder.path()).unwrap_err();
    assert!(matches!(error, Error::Schema { .. }));
    let line = error.to_string();
    assert!(line.contains("schema.toml") && line.contains("nmae"), "{line}");
    assert!(!line.contains('\n'), "{line}");
    fs_err::write(&schema, [0xff, 0xfe]).unwrap();
    assert!(open(folder.path()).contains("not text"), "{}", open(folder.path()));
}

#[test]
fn a_split_without_feeds() {
    let (_folder, directory) = toy_directory(3);
    let message = directory.read(Split::Test).unwrap_err().to_string();
    assert!(message.contains("no feeds in the test split"), "{message}");
    assert!(message.contains("feeds") && message.contains("Parquet"), "{message}");
    let file = first_file(&directory);
    let none: RecordBatch = rows_of(&file).slice(0, 0);
    write_foreign(&file, &none, 128);
    let message = directory.read(Split::Train).unwrap_err().to_string();
    assert!(message.contains("no feeds in the train split"), "{message}");
}

#[test]
fn foreign_files() {
    let (_folder, directory) = toy_directory(3);
    for content in [&b""[..], b"PAR1", b"request_id,user_id\n1,2\n", b"PAR1PAR1PAR1PAR1"] {
        fs_err::write(first_file(&directory), content).unwrap();
        let error = read_all(&directory).unwrap_err();
        assert!(matches!(error, Error::Parquet { .. }), "{error}");
        assert_names(&error, &["not a whole Parquet file"]);
    }
}

#[test]
fn a_schema_that_contradicts_itself_is_not_written() {
    let folder = tempfile::tempdir().unwrap();
    let mut schema = toy::schema();
    schema.channel.clear();
    let error = FeedWriter::create(&folder.path().join("feeds"), &schema).unwrap_err();
    assert!(error.to_string().contains("schema.toml: schema: channel: declare"), "{error}");
    assert_eq!(fs_err::read_dir(folder.path()).unwrap().count(), 0);
}
