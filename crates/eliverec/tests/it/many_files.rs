//! A set of hundreds of small files, some of which are read as one: nothing of it is lost, and an error is that of its file.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Float32Array, RecordBatch};
use arrow::datatypes::Float32Type;
use eliverec_tables::{FeedDirectory, FeedEncoder, FeedFileWriter, Split};
use parquet::basic::{Compression, ZstdLevel};
use serde_json::Value;

use crate::feed_files::{changed, rows_of, with_null, write_foreign, write_with};
use crate::sandbox::{Sandbox, text};

/// Where file `i` of a split is.
fn name(split: Split, i: usize) -> String {
    format!("many/{split}/day={}/{i:04}.parquet", i % 3)
}

/// Writes the feeds of `of` once more, each into a file of its own.
fn scatter(sandbox: &Sandbox, of: &str) {
    let feeds = FeedDirectory::open(sandbox.path(of)).unwrap();
    let encoder = FeedEncoder::new(feeds.schema()).unwrap();
    for split in Split::ALL {
        for (i, feed) in feeds.read(split).unwrap().enumerate() {
            let path = sandbox.path(&name(split, i));
            let mut writer = FeedFileWriter::create(&path, feeds.schema()).unwrap();
            writer.append(encoder.encode(split, &[feed.unwrap()]).unwrap()).unwrap();
            writer.finish().unwrap();
        }
    }
    fs_err::copy(sandbox.path(of).join("schema.toml"), sandbox.path("many/schema.toml")).unwrap();
}

/// A column, what becomes of it, and what is told of that.
type Change<'a> = (&'a [&'a str], &'a dyn Fn(ArrayRef) -> ArrayRef, &'a str);

fn json_of(sandbox: &Sandbox, words: &str) -> Value {
    serde_json::from_str(&sandbox.succeed(&format!("{words} --json"))).unwrap()
}

#[test]
fn many_files_give_what_one_gives() {
    let sandbox = Sandbox::new();
    sandbox.write_feeds("one", 300);
    scatter(&sandbox, "one");
    let train = "train --config config.toml --quiet training.max_steps=3 --out";
    sandbox.succeed(&format!("{train} run --feeds one"));
    for words in
        ["inspect", "evaluate --run run --feeds", "evaluate --run run --split train --feeds"]
    {
        let [one, many] =
            ["one", "many"].map(|feeds| json_of(&sandbox, &format!("{words} {feeds}")));
        let (of_one, of_many) = (&one["read"], &many["read"]);
        assert_eq!((&of_many["files"], &of_many["rows"]), (&of_one["rows"], &of_one["rows"]));
        let without_read = |mut of: Value| {
            of.as_object_mut().unwrap().remove("read").unwrap();
            of
        };
        // Files stand in another order than the feeds of the one.
        let [one, many] = [one, many].map(without_read);
        if words == "inspect" {
            assert_eq!(one, many);
        } else {
            assert_eq!((&one["feeds"], &one["watched"]), (&many["feeds"], &many["watched"]));
            let [one, many] = [one, many].map(|of| of["auc"].as_f64().unwrap());
            assert!((one - many).abs() < 1e-6, "{words}: {one} and {many}");
        }
    }
    let trained = json_of(&sandbox, &format!("{train} run2 --feeds many"));
    assert_eq!((&trained["read"]["files"], &trained["read"]["rows"]), (&330.into(), &330.into()));
    sandbox.succeed("score --run run --feeds many --out scores.parquet");
    let scored = json_of(&sandbox, "evaluate --scores scores.parquet --feeds many");
    assert_eq!(scored["read"]["left_out"], serde_json::json!({}));
}

/// The bad row is found in the midst of files of the same columns, which are read as one, and is that of its file.
#[test]
fn a_bad_row_among_files_that_are_alike_is_that_of_its_file() {
    let sandbox = Sandbox::new();
    scatter(&sandbox, "feeds");
    let same: &dyn Fn(ArrayRef) -> ArrayRef = &|array| array;
    let changes: [Change<'_>; 2] = [
        (&["user_id"], &|ids| with_null(&ids, 0), "row 0: user_id: is null"),
        (&["candidates", "clicks_60m"], &nan, "row 0: candidates[0].clicks_60m: NaN"),
    ];
    for compression in [Compression::SNAPPY, Compression::ZSTD(ZstdLevel::default())] {
        for (column, change, expected) in changes {
            let all = (0..120).map(|i| sandbox.path(&name(Split::Train, i)));
            let rows: Vec<RecordBatch> = all.map(|path| rows_of(&path)).collect();
            let write = |i: usize, change: &dyn Fn(ArrayRef) -> ArrayRef| {
                let rows = changed(&rows[i], column, &|array| Some(change(array)));
                write_with(&sandbox.path(&name(Split::Train, i)), &rows, compression);
            };
            (0..120).for_each(|i| write(i, same));
            sandbox.succeed("inspect many");
            // Those of the folder day=0 are read as one; of several bad ones the first by name is told.
            for (bad, first) in [(57, 57), (60, 57), (3, 3)] {
                write(bad, change);
                let file = name(Split::Train, first);
                let told = sandbox.fail("inspect many", 2);
                assert!(told.starts_with(&format!("error: {file}: {expected}")), "{told}");
            }
            for (i, rows) in rows.iter().enumerate() {
                write_with(&sandbox.path(&name(Split::Train, i)), rows, compression);
            }
        }
    }
}

/// The file and its row are named, though others are read together with it.
#[test]
fn an_error_of_one_of_many_files_is_that_of_its_file() {
    let sandbox = Sandbox::new();
    scatter(&sandbox, "feeds");
    let file = name(Split::Train, 57);
    let path = sandbox.path(&file);
    let (bytes, rows) = (fs_err::read(&path).unwrap(), rows_of(&path));
    let told = || sandbox.fail("inspect many", 2);
    let changes: [Change<'_>; 2] = [
        (&["user_id"], &|ids| with_null(&ids, 0), "row 0: user_id: is null"),
        (&["candidates", "clicks_60m"], &nan, "row 0: candidates[0].clicks_60m: NaN"),
    ];
    for (column, change, expected) in changes {
        let bad: RecordBatch = changed(&rows, column, &|array| Some(change(array)));
        write_foreign(&path, &bad, 7);
        let told = told();
        assert!(told.starts_with(&format!("error: {file}: {expected}")), "{told}");
    }
    // A page that is damaged while the footer is whole.
    let mut torn = bytes.clone();
    torn[4..200].fill(0xff);
    fs_err::write(&path, &torn).unwrap();
    let message = told();
    assert!(message.starts_with(&format!("error: {file}: not a whole Parquet file")), "{message}");
    fs_err::write(&path, &bytes[..bytes.len() / 2]).unwrap();
    let message = told();
    assert!(message.starts_with(&format!("error: {file}: not a whole Parquet file")), "{message}");
    fs_err::write(&path, &bytes).unwrap();
    // The same request in two of them.
    let again = sandbox.path("many/train/day=0/again.parquet");
    fs_err::copy(&path, &again).unwrap();
    let output = sandbox.run("inspect many");
    assert!(output.status.success());
    let found = text(&output.stderr);
    assert!(found.contains("1 of 121 feeds repeat the request_id of another"), "{found}");
    let place =
        format!("in row 0 of many/train/day=0/again.parquet, which stands in {file} already");
    assert!(found.contains(&place), "{found}");
}

fn nan(numbers: ArrayRef) -> ArrayRef {
    let mut numbers = numbers.as_primitive::<Float32Type>().values().to_vec();
    numbers[0] = f32::NAN;
    Arc::new(Float32Array::from(numbers))
}
