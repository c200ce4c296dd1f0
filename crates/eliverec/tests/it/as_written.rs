//! Feeds and logs as users' tools write them: every codec, and ids as text or negative numbers.

use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, UInt64Type};
use parquet::arrow::ArrowWriter;
use parquet::basic::{BrotliLevel, Compression, GzipLevel, ZstdLevel};
use parquet::file::properties::WriterProperties;

use crate::feed_files::{changed, rows_of, write_foreign};
use crate::sandbox::{Sandbox, text};

fn write_with(path: &Path, rows: &RecordBatch, compression: Compression) {
    let properties = WriterProperties::builder().set_compression(compression).build();
    let file = fs_err::File::create(path).unwrap().into_parts().0;
    let mut writer = ArrowWriter::try_new(file, rows.schema(), Some(properties)).unwrap();
    writer.write(rows).unwrap();
    writer.close().unwrap();
}

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
