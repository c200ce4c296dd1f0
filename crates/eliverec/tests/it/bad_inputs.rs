//! Each bad input gives one clear line that names file, row and field, and exit code 2.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Float32Array, ListArray, RecordBatch};
use arrow::datatypes::Float32Type;
use eliverec_core::toy;
use eliverec_tables::{FeedWriter, Split};

use crate::feed_files::{changed, rows_of, with_null, write_foreign};
use crate::sandbox::Sandbox;

const FILE: &str = "part-00000.parquet";

/// The message of training on feeds whose training file was rewritten with a change to the column at `path`.
fn message_after(path: &[&str], change: &dyn Fn(ArrayRef) -> Option<ArrayRef>) -> String {
    let sandbox = Sandbox::new();
    let file = sandbox.path("feeds/train").join(FILE);
    let rows = rows_of(&file);
    write_foreign(&file, &changed(&rows, path, change), 64);
    sandbox.fail(TRAIN, 2)
}

const TRAIN: &str = "train --config config.toml --feeds feeds --out run";

fn assert_names(message: &str, parts: &[&str]) {
    assert!(message.starts_with("error: "), "{message}");
    for part in parts {
        assert!(message.contains(part), "no {part:?} in: {message}");
    }
}

/// The array with one number replaced, and the place of its row.
fn with_number(array: &ArrayRef, i: usize, x: f32) -> ArrayRef {
    let mut numbers: Vec<Option<f32>> = array.as_primitive::<Float32Type>().iter().collect();
    numbers[i] = Some(x);
    Arc::new(Float32Array::from(numbers))
}

/// Index over all rows of the first candidate of `row`.
fn first_candidate(row: usize) -> usize {
    let sandbox = Sandbox::new();
    let rows: RecordBatch = rows_of(&sandbox.path("feeds/train").join(FILE));
    rows.column_by_name("candidates").unwrap().as_list::<i32>().value_offsets()[row] as usize
}

#[test]
fn a_missing_column() {
    let message = message_after(&["candidates", "watched"], &|_| None);
    assert_names(&message, &[FILE, "candidates.watched", "missing"]);
}

#[test]
fn a_wrong_type() {
    let message = message_after(&["candidates", "clicks_60m"], &|array| {
        Some(Arc::new(BooleanArray::from(vec![true; array.len()])))
    });
    assert_names(&message, &[FILE, "candidates.clicks_60m", "Boolean"]);
}

#[test]
fn a_truncated_file() {
    let sandbox = Sandbox::new();
    let file = sandbox.path("feeds/train").join(FILE);
    let bytes = fs_err::read(&file).unwrap();
    fs_err::write(&file, &bytes[..bytes.len() / 2]).unwrap();
    assert_names(&sandbox.fail(TRAIN, 2), &[FILE, "not a whole Parquet file"]);
}

#[test]
fn a_null_id() {
    let message = message_after(&["user_id"], &|array| Some(with_null(&array, 17)));
    assert_names(&message, &[FILE, "row 17", "user_id", "null"]);
}

#[test]
fn not_a_number() {
    let at = first_candidate(23);
    let message = message_after(&["candidates", "clicks_60m"], &|array| {
        Some(with_number(&array, at, f32::NAN))
    });
    assert_names(&message, &[FILE, "row 23", "[0].clicks_60m", "NaN"]);
}

#[test]
fn a_negative_stay() {
    let at = first_candidate(31) + 1;
    let message =
        message_after(&["candidates", "stay_s"], &|array| Some(with_number(&array, at, -3.0)));
    assert_names(&message, &[FILE, "row 31", "candidates[1].stay_s", "-3"]);
}

#[test]
fn a_feed_without_candidates() {
    let message = message_after(&["candidates"], &|array| {
        let lists = array.as_list::<i32>();
        let (item, _, values, _) = lists.clone().into_parts();
        let lengths = lists.offsets().lengths().enumerate();
        let lengths: Vec<usize> = lengths.map(|(i, n)| if i == 0 { 0 } else { n }).collect();
        let values =
            values.slice(values.len() - lengths.iter().sum::<usize>(), lengths.iter().sum());
        let offsets = arrow::buffer::OffsetBuffer::from_lengths(lengths);
        Some(Arc::new(ListArray::new(item, offsets, values, None)))
    });
    assert_names(&message, &[FILE, "row 0", "candidates", "at least one candidate"]);
}

#[test]
fn a_schema_that_differs_from_the_runs() {
    let sandbox = Sandbox::new();
    sandbox.succeed(&format!("{TRAIN} training.max_steps=2"));
    let mut schema = toy::schema();
    schema.target.clear();
    let mut writer = FeedWriter::create(&sandbox.path("other"), &schema).unwrap();
    for mut feed in toy::feeds(20, 1) {
        feed.candidates.target.clear();
        writer.push(Split::Train, &feed).unwrap();
        writer.push(Split::Test, &feed).unwrap();
    }
    writer.finish().unwrap();
    for words in [
        "evaluate --run run --feeds other",
        "explain --run run --feeds other --request 3",
        "train --feeds other --out run --resume",
    ] {
        let message = sandbox.fail(words, 2);
        assert_names(&message, &["other", "target.clicks_60m"]);
    }
}

#[test]
fn an_unknown_config_key() {
    let sandbox = Sandbox::new();
    let text = fs_err::read_to_string(sandbox.path("config.toml")).unwrap();
    fs_err::write(sandbox.path("config.toml"), text.replace("epochs", "epohcs")).unwrap();
    let message = sandbox.fail(TRAIN, 2);
    assert_names(&message, &["config.toml", "[training]", "`epohcs`", "did you mean `epochs`"]);
}

#[test]
fn an_unknown_model() {
    let sandbox = Sandbox::new();
    let message = sandbox.fail(&format!("{TRAIN} model.name=elvie"), 2);
    assert_names(&message, &["override \"model.name=elvie\"", "`elvie`", "did you mean `elive`"]);
}

#[test]
fn an_empty_directory() {
    let sandbox = Sandbox::new();
    fs_err::create_dir(sandbox.path("empty")).unwrap();
    for words in [
        "train --config config.toml --feeds empty --out run",
        "inspect empty",
        "evaluate --run empty --feeds feeds",
    ] {
        let message = sandbox.fail(words, 2);
        assert_names(&message, &["empty", "eliverec "]);
    }
    assert_names(&sandbox.fail("inspect nowhere", 2), &["nowhere", "no such directory"]);
}

#[test]
fn other_mistakes() {
    let sandbox = Sandbox::new();
    let missing = sandbox.fail("train --config nowhere.toml --feeds feeds --out run", 2);
    assert_names(&missing, &["nowhere.toml", "cannot be read"]);
    sandbox.succeed(&format!("{TRAIN} training.max_steps=1"));
    let message = sandbox.fail("explain --run run --feeds feeds --request 999999", 2);
    assert_names(&message, &["feeds", "999999"]);
    fs_err::remove_dir_all(sandbox.path("feeds/validation")).unwrap();
    let message =
        sandbox.fail("train --config config.toml --feeds feeds --out run2 training.patience=1", 2);
    assert_names(&message, &["feeds", "no validation feeds", "training.patience=0"]);
    sandbox.succeed("train --config config.toml --feeds feeds --out run3 training.epochs=1");
    let usage = sandbox.run("train --feeds feeds --out run4");
    assert_eq!(usage.status.code(), Some(2));
}
