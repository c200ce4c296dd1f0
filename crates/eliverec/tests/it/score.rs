//! Scores in a file, and anybody's scores judged by the same metrics.

use std::path::Path;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, Float64Array, ListArray, RecordBatch, StringArray, StructArray,
    UInt32Array, UInt64Array,
};
use arrow::compute::{cast, concat_batches, take_record_batch};
use arrow::datatypes::{DataType, Field, Float32Type, Schema, UInt64Type};
use eliverec_core::feed::Column;
use eliverec_core::toy;
use eliverec_tables::{FeedWriter, Split};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::Value;

use crate::sandbox::Sandbox;

const TRAIN: &str =
    "train --config config.toml --feeds feeds --out run training.epochs=2 tasks.mode=vanilla";

fn read(path: &Path) -> RecordBatch {
    let file = fs_err::File::open(path).unwrap().into_parts().0;
    let rows = ParquetRecordBatchReaderBuilder::try_new(file).unwrap().build().unwrap();
    let batches: Vec<RecordBatch> = rows.map(Result::unwrap).collect();
    concat_batches(&batches[0].schema(), &batches).unwrap()
}

fn write(path: &Path, rows: &RecordBatch) {
    let file = fs_err::File::create(path).unwrap().into_parts().0;
    let mut writer = ArrowWriter::try_new(file, rows.schema(), None).unwrap();
    writer.write(rows).unwrap();
    writer.close().unwrap();
}

/// The rows with a column changed.
fn with(rows: &RecordBatch, name: &str, change: impl Fn(&ArrayRef) -> ArrayRef) -> RecordBatch {
    let schema = rows.schema();
    let (mut fields, mut arrays) = (Vec::new(), Vec::new());
    for (field, array) in schema.fields().iter().zip(rows.columns()) {
        let array = if field.name() == name { change(array) } else { Arc::clone(array) };
        fields.push(Field::new(field.name(), array.data_type().clone(), field.is_nullable()));
        arrays.push(array);
    }
    RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays).unwrap()
}

fn metrics(sandbox: &Sandbox, words: &str) -> Value {
    serde_json::from_str(&sandbox.succeed(&format!("evaluate {words} --json"))).unwrap()
}

/// Without what was read.
fn metrics_alone(sandbox: &Sandbox, words: &str) -> Value {
    let mut found = metrics(sandbox, words);
    found.as_object_mut().unwrap().remove("read").unwrap();
    found
}

#[test]
fn a_file_of_scores_is_judged_as_the_run_that_wrote_it() {
    let sandbox = Sandbox::new();
    sandbox.succeed(TRAIN);
    let expected = metrics_alone(&sandbox, "--run run --feeds feeds");
    assert!(expected["tasks"]["bag_click_auc"].is_number(), "{expected}");
    let told = sandbox.succeed("score --run run --feeds feeds --out out/scores.parquet --intents");
    assert!(told.contains("of 30 feeds of the test split"), "{told}");

    let of_file = |path: &str| {
        let mut found = metrics(&sandbox, &format!("--scores {path} --feeds feeds"));
        let by_order = found.as_object_mut().unwrap().remove("rows_told_by_order").unwrap();
        assert_eq!(by_order, 0);
        let read = found.as_object_mut().unwrap().remove("read").unwrap();
        assert_eq!((&read["files"], &read["parts"][1]["name"]), (&2.into(), &"scores".into()));
        let left_out = &read["left_out"]["scores of no request of the test split"];
        (found, left_out.as_u64().unwrap_or(0))
    };
    assert_eq!(of_file("out/scores.parquet"), (expected.clone(), 0));
    let rows = read(&sandbox.path("out/scores.parquet"));
    let names: Vec<String> = rows.schema().fields().iter().map(|f| f.name().clone()).collect();
    let all = "request_id user_id channel_id category_id position p_watch stay_s p_bag_click p_watch_bag_click \
               p_product_click p_watch_product_click live_intent product_intent";
    assert_eq!(names.join(" "), all);
    let number =
        |name: &str, i: usize| f64::from(rows[name].as_primitive::<Float32Type>().value(i));
    for i in 0..rows.num_rows() {
        let product = number("p_watch", i) * number("p_bag_click", i);
        assert!((number("p_watch_bag_click", i) - product).abs() < 1e-6);
    }

    // Another system's: other order, doubles, rows that nobody asked for.
    let backwards = UInt32Array::from_iter_values((0..rows.num_rows() as u32).rev());
    let foreign = take_record_batch(&rows, &backwards).unwrap();
    let foreign = with(&foreign, "p_watch", |array| cast(array, &DataType::Float64).unwrap());
    write(&sandbox.path("foreign.parquet"), &foreign);
    assert_eq!(of_file("foreign.parquet"), (expected.clone(), 0));
    sandbox.succeed("score --run run --feeds feeds --split validation --out other.parquet");
    let other = read(&sandbox.path("other.parquet"));
    let first = read(&sandbox.path("out/scores.parquet"));
    let first = first.project(&(0..other.num_columns()).collect::<Vec<_>>()).unwrap();
    let both = concat_batches(&other.schema(), [&other, &first]).unwrap();
    write(&sandbox.path("both.parquet"), &both);
    assert_eq!(of_file("both.parquet"), (expected, other.num_rows() as u64));
    let strange = with(&foreign.slice(0, 2), "channel_id", |array| {
        let ids = array.as_primitive::<UInt64Type>().iter();
        Arc::new(ids.map(|id| id.map(|id| id + 1_000_000)).collect::<UInt64Array>())
    });
    let more = concat_batches(&foreign.schema(), [&foreign, &strange]).unwrap();
    write(&sandbox.path("more.parquet"), &more);
    let read = &metrics(&sandbox, "--scores more.parquet --feeds feeds")["read"];
    let not_shown = serde_json::json!({"scores of channels that the request did not show": 2});
    assert_eq!(read["left_out"], not_shown);
    let twice = concat_batches(&foreign.schema(), [&foreign, &foreign.slice(0, 3)]).unwrap();
    write(&sandbox.path("twice.parquet"), &twice);
    let message = sandbox.fail("evaluate --scores twice.parquet --feeds feeds", 2);
    assert!(message.contains("are of one candidate of request"), "{message}");

    let message = sandbox.fail("evaluate --scores nowhere.parquet --feeds feeds", 2);
    assert!(message.contains("nowhere.parquet: no such file"), "{message}");

    write(&sandbox.path("short.parquet"), &foreign.slice(1, foreign.num_rows() - 1));
    let message = sandbox.fail("evaluate --scores short.parquet --feeds feeds", 2);
    assert!(message.contains("short.parquet: has no row for candidate"), "{message}");
    let above = |array: &ArrayRef| -> ArrayRef {
        let mut values = array.as_primitive::<arrow::datatypes::Float64Type>().values().to_vec();
        values[7] = 1.5;
        Arc::new(Float64Array::from(values))
    };
    write(&sandbox.path("above.parquet"), &with(&foreign, "p_watch", above));
    let message = sandbox.fail("evaluate --scores above.parquet --feeds feeds", 2);
    assert!(message.contains("row 7: p_watch: 1.5 is no probability"), "{message}");
}

#[test]
fn twins_without_positions_are_told_apart_by_order_and_counted() {
    let sandbox = Sandbox::new();
    sandbox.succeed(&format!("{TRAIN} training.epochs=1"));
    let mut writer = FeedWriter::create(&sandbox.path("twins"), &toy::schema()).unwrap();
    for mut feed in toy::feeds(20, 8) {
        feed.candidates.position.fill(None);
        for column in &mut feed.candidates.channel {
            if let Column::Ids(ids) = column {
                let first = ids[0];
                ids.fill(first);
            }
        }
        writer.push(Split::Test, &feed).unwrap();
    }
    writer.finish().unwrap();
    let expected = metrics_alone(&sandbox, "--run run --feeds twins");
    sandbox.succeed("score --run run --feeds twins --out scores.parquet");
    let mut found = metrics_alone(&sandbox, "--scores scores.parquet --feeds twins");
    let counted = found.as_object_mut().unwrap().remove("rows_told_by_order").unwrap();
    assert!(counted.as_u64().unwrap() > 0);
    assert_eq!(found, expected);
}

/// The feeds' file with the channels' ids as text.
fn ids_as_text(path: &Path) {
    let text = |array: &ArrayRef| -> ArrayRef {
        let list: &ListArray = array.as_list();
        let structs = list.values().as_struct();
        let (mut fields, mut arrays) = (Vec::new(), Vec::new());
        for (field, array) in structs.fields().iter().zip(structs.columns()) {
            let array: ArrayRef = if field.name() == "channel_id" {
                let ids = array.as_primitive::<UInt64Type>().values().iter();
                Arc::new(StringArray::from_iter_values(ids.map(|id| format!("room {id}"))))
            } else {
                Arc::clone(array)
            };
            fields.push(Field::new(field.name(), array.data_type().clone(), field.is_nullable()));
            arrays.push(array);
        }
        let structs = StructArray::new(fields.into(), arrays, None);
        let element = Arc::new(Field::new("element", structs.data_type().clone(), false));
        Arc::new(ListArray::new(element, list.offsets().clone(), Arc::new(structs), None))
    };
    let changed = with(&read(path), "candidates", text);
    write(path, &with(&changed, "channels", text));
}

#[test]
fn ids_come_out_as_they_went_in_and_feeds_need_no_labels() {
    let sandbox = Sandbox::new();
    for split in Split::ALL {
        let folder = sandbox.path("feeds").join(split.name());
        let file = fs_err::read_dir(folder).unwrap().next().unwrap().unwrap();
        ids_as_text(&file.path());
    }
    sandbox.succeed(&format!("{TRAIN} training.epochs=1"));
    let mut writer = FeedWriter::create(&sandbox.path("asked"), &toy::schema()).unwrap();
    for mut feed in toy::feeds(20, 8) {
        feed.candidates.labels = None;
        writer.push(Split::Test, &feed).unwrap();
    }
    writer.finish().unwrap();
    let file = fs_err::read_dir(sandbox.path("asked/test")).unwrap().next().unwrap().unwrap();
    ids_as_text(&file.path());

    sandbox.succeed("score --run run --feeds asked --out scores.parquet --json");
    let rows = read(&sandbox.path("scores.parquet"));
    let ids = rows["channel_id"].as_string::<i32>();
    assert!((0..ids.len()).all(|i| ids.value(i).starts_with("room ")));
    assert_eq!(rows["request_id"].data_type(), &DataType::UInt64);
    let left = fs_err::read_dir(sandbox.path("")).unwrap().filter(|entry| {
        entry.as_ref().unwrap().file_name().to_string_lossy().ends_with(".partial")
    });
    assert_eq!(left.count(), 0);
    let message = sandbox.fail("evaluate --run run --feeds asked", 2);
    assert!(message.contains("needs labels") && message.contains("eliverec score"), "{message}");
    let message = sandbox.fail("score --run run --feeds asked --split train --out x.parquet", 2);
    assert!(message.contains("no feeds in the train split"), "{message}");
    assert!(!sandbox.path("x.parquet").exists());
}

#[test]
fn what_a_killed_writer_left_is_written_over_and_only_files_are_written() {
    let sandbox = Sandbox::new();
    sandbox.succeed(&format!("{TRAIN} training.epochs=1"));
    fs_err::write(sandbox.path(".scores.parquet.partial"), vec![7; 1 << 20]).unwrap();
    sandbox.succeed("score --run run --feeds feeds --out scores.parquet");
    assert!(!sandbox.path(".scores.parquet.partial").exists());
    let whole = read(&sandbox.path("scores.parquet"));

    let lock = fs_err::File::create(sandbox.path(".scores.parquet.partial")).unwrap();
    lock.try_lock().unwrap();
    let message = sandbox.fail("score --run run --feeds feeds --out scores.parquet", 2);
    assert!(message.contains("another process is writing it"), "{message}");
    drop(lock);

    #[cfg(unix)]
    {
        fs_err::os::unix::fs::symlink("scores.parquet", sandbox.path("link.parquet")).unwrap();
        sandbox.succeed("score --run run --feeds feeds --out link.parquet");
        assert!(sandbox.path("link.parquet").symlink_metadata().unwrap().is_symlink());
        assert_eq!(read(&sandbox.path("scores.parquet")), whole);
    }
    let feeds = fs_err::read_dir(sandbox.path("feeds/test")).unwrap().next().unwrap().unwrap();
    let feeds = format!("feeds/test/{}", feeds.file_name().display());
    for (name, words) in [
        ("run/config.toml", "no score file"),
        (&feeds, "no score file"),
        ("feeds/test/scores.parquet", "among the feeds"),
    ] {
        let before = fs_err::read(sandbox.path(name)).ok();
        let message = sandbox.fail(&format!("score --run run --feeds feeds --out {name}"), 2);
        assert!(message.contains(words), "{message}");
        assert_eq!(fs_err::read(sandbox.path(name)).ok(), before);
    }
    fs_err::create_dir(sandbox.path("folder")).unwrap();
    let message = sandbox.fail("score --run run --feeds feeds --out folder", 2);
    assert!(message.contains("no name for a score file"), "{message}");
    let unread = format!("{TRAIN} --out other tasks.mode=adaptive tasks.weights.stay=1")
        .replace("--out run ", "");
    let message = sandbox.fail(&unread, 2);
    assert!(message.contains("mode vanilla only"), "{message}");
}
