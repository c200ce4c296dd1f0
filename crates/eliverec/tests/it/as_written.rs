//! Feeds and logs as users' tools write them: every codec, and ids as text or negative numbers.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Int64Array, StringArray, UInt64Array};
use arrow::datatypes::{DataType, UInt64Type};
use parquet::basic::{BrotliLevel, Compression, GzipLevel, ZstdLevel};

use crate::feed_files::{changed, rows_of, write_foreign, write_with};
use crate::sandbox::{Sandbox, text};

#[test]
fn feeds_and_logs_of_every_codec_are_read() {
    let sandbox = Sandbox::new();
    sandbox.succeed("simulate --out logs --users 60 --days 3 --seed 1");
    sandbox.succeed("samples --logs logs --out world");
    let (of_feeds, of_log) = (sandbox.succeed("inspect feeds"), sandbox.succeed("inspect world"));
    let day = fs_err::read_dir(sandbox.path("logs/events")).unwrap().next().unwrap().unwrap();
    let files = [
        sandbox.path("feeds/train/part-00000.parquet"),
        day.path().join("part-00000.parquet"),
        sandbox.path("logs/users.parquet"),
    ];
    let rows = files.each_ref().map(|file| rows_of(file));
    for (i, compression) in [
        Compression::UNCOMPRESSED,
        Compression::SNAPPY,
        Compression::GZIP(GzipLevel::default()),
        Compression::LZ4,
        Compression::LZ4_RAW,
        Compression::BROTLI(BrotliLevel::default()),
        Compression::ZSTD(ZstdLevel::default()),
    ]
    .into_iter()
    .enumerate()
    {
        files.iter().zip(&rows).for_each(|(file, rows)| write_with(file, rows, compression));
        assert_eq!(sandbox.succeed("inspect feeds"), of_feeds, "{compression:?}");
        sandbox.succeed(&format!("samples --logs logs --out world{i}"));
        let found = sandbox.succeed(&format!("inspect world{i}"));
        assert_eq!(found, of_log, "{compression:?}");
    }
}

/// What feeds made of a log do not keep of its ids is told, once.
#[test]
fn samples_say_which_ids_they_do_not_keep() {
    let sandbox = Sandbox::new();
    sandbox.succeed("simulate --out logs --users 60 --days 3 --seed 1");
    let samples = "samples --logs logs --out";
    let output = sandbox.run(&format!("{samples} integers"));
    assert!(!text(&output.stderr).contains("ids_not_kept"));
    for day in fs_err::read_dir(sandbox.path("logs/events")).unwrap() {
        for file in fs_err::read_dir(day.unwrap().path()).unwrap() {
            let path = file.unwrap().path();
            let rows = changed(&rows_of(&path), &["request_id"], &|ids| {
                Some(arrow::compute::cast(&ids, &DataType::Utf8).unwrap())
            });
            write_foreign(&path, &rows, 500);
        }
    }
    let output = sandbox.run(&format!("{samples} text --json"));
    assert!(output.status.success());
    let expected = "request_id: text here, their 64-bit hash in feeds, scores and explanations";
    assert_eq!(text(&output.stderr).matches(expected).count(), 1);
    let told: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let findings = told["findings"].as_array().unwrap();
    let found: Vec<_> = findings.iter().filter(|found| found["check"] == "ids_not_kept").collect();
    assert_eq!(found.len(), 1, "{told}");
    assert_eq!(found[0]["says"], expected);
}

#[test]
fn a_request_is_asked_for_and_shown_as_the_feeds_write_it() {
    let sandbox = Sandbox::new();
    let train = "train --config config.toml --feeds feeds training.max_steps=1 --out";
    let text_of = |array: ArrayRef| -> Option<ArrayRef> {
        let ids = array.as_primitive::<UInt64Type>().values().iter();
        Some(Arc::new(StringArray::from_iter_values(ids.map(|id| format!("r{id}")))))
    };
    let negative_of = |array: ArrayRef| -> Option<ArrayRef> {
        let ids = array.as_primitive::<UInt64Type>().values().iter();
        Some(Arc::new(Int64Array::from_iter_values(ids.map(|id| -1 - *id as i64))))
    };
    let parts = ["train", "validation", "test"]
        .map(|split| sandbox.path(&format!("feeds/{split}/part-00000.parquet")));
    let rows = parts.each_ref().map(|part| rows_of(part));
    let written: [&dyn Fn(ArrayRef) -> Option<ArrayRef>; 2] = [&text_of, &negative_of];
    for (write, expected) in written.into_iter().zip(["r3", "-4"]) {
        for (part, rows) in parts.iter().zip(&rows) {
            let rows = changed(rows, &["request_id"], write);
            let rows = changed(&rows, &["user_id"], write);
            let rows = changed(&rows, &["channels", "channel_id"], write);
            write_foreign(part, &changed(&rows, &["candidates", "channel_id"], write), 64);
        }
        // A run refuses feeds that write their ids in another way than its own.
        sandbox.succeed(&format!("{train} run{expected}"));
        let words = format!("explain --run run{expected} --feeds feeds --request={expected}");
        let table = sandbox.succeed(&words);
        assert!(table.starts_with(&format!("request {expected} of user {}", &expected[..1])));
        let json: serde_json::Value =
            serde_json::from_str(&sandbox.succeed(&format!("{words} --json"))).unwrap();
        assert_eq!(json["request_id"].to_string().trim_matches('"'), expected);
        let channel = json["candidates"][0]["fields"]["channel_id"].as_str().unwrap();
        assert!(channel.starts_with(&expected[..1]), "{channel}");
    }
    let told = sandbox.fail("explain --run run-4 --feeds feeds --request=-4444", 2);
    assert!(told.contains("no split holds request -4444"), "{told}");
}

/// What becomes of a column.
type Write<'a> = &'a dyn Fn(ArrayRef) -> Option<ArrayRef>;

/// Integers with a sign in one file and without in another are integers: written in the type that takes all of them, and refused at the
/// row that fits into none.
#[test]
fn ids_with_and_without_a_sign_are_scored_if_one_type_takes_them() {
    let sandbox = Sandbox::new();
    sandbox.succeed("train --config config.toml --feeds feeds --out run training.max_steps=1");
    let files = ["part-00000", "part-00001"].map(|name| format!("feeds/test/{name}.parquet"));
    let rows = rows_of(&sandbox.path(&files[0]));
    let halves = [rows.slice(0, 10), rows.slice(10, 20)];
    let ids = |array: &ArrayRef| array.as_primitive::<UInt64Type>().values().to_vec();
    let same = |array: ArrayRef| -> Option<ArrayRef> { Some(array) };
    let large = |array: ArrayRef| -> Option<ArrayRef> {
        Some(Arc::new(UInt64Array::from_iter_values(ids(&array).iter().map(|id| u64::MAX - id))))
    };
    let signed = |array: ArrayRef| -> Option<ArrayRef> {
        Some(Arc::new(Int64Array::from_iter_values(ids(&array).iter().map(|id| *id as i64))))
    };
    let negative = |array: ArrayRef| -> Option<ArrayRef> {
        Some(Arc::new(Int64Array::from_iter_values(ids(&array).iter().map(|id| -1 - *id as i64))))
    };
    let write = |of: [Write<'_>; 2], column: &[&str]| {
        for ((file, half), change) in files.iter().zip(&halves).zip(of) {
            write_foreign(&sandbox.path(file), &changed(half, column, change), 64);
        }
    };
    let score = "score --run run --feeds feeds --out scores.parquet";
    let columns: [&[&str]; 3] = [&["request_id"], &["user_id"], &["candidates", "channel_id"]];
    for column in columns {
        let name = column[column.len() - 1];
        for (of, kind) in [
            ([&same as Write<'_>, &signed], DataType::UInt64),
            ([&signed, &same], DataType::UInt64),
            ([&large, &signed], DataType::UInt64),
            ([&signed, &large], DataType::UInt64),
            ([&same, &negative], DataType::Int64),
            ([&negative, &same], DataType::Int64),
        ] {
            write(of, column);
            sandbox.succeed("inspect feeds");
            sandbox.succeed(score);
            let scores = rows_of(&sandbox.path("scores.parquet"));
            assert_eq!(scores.column_by_name(name).unwrap().data_type(), &kind, "{column:?}");
            sandbox.succeed("evaluate --scores scores.parquet --feeds feeds");
        }
        // Of 64 bits each, and no type of 64 bits takes both.
        for (of, bad) in [([&large as Write<'_>, &negative], 0), ([&negative, &large], 1)] {
            write(of, column);
            sandbox.succeed("inspect feeds");
            let first = if name == "channel_id" { "candidates[0].channel_id" } else { name };
            let told = sandbox.fail(score, 2);
            assert!(
                told.starts_with(&format!("error: {}: row 0: {first}: 1844", files[bad])),
                "{told}"
            );
            assert!(told.contains("does not fit into Int64"), "{told}");
        }
    }
}
