//! What was read is told, what cannot be read ends with one code and one text.

use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Float32Array};
use arrow::datatypes::{DataType, Float32Type};
use eliverec_tables::{FeedDirectory, Split};
use serde_json::Value;

use crate::feed_files::{cast, changed, rows_of, with_null, write_foreign};
use crate::sandbox::Sandbox;

#[test]
fn inspect_tells_what_it_read_and_passed_over() {
    let sandbox = Sandbox::new();
    let test = sandbox.path("feeds/test");
    fs_err::create_dir(test.join("date=2024-01-02")).unwrap();
    fs_err::rename(test.join("part-00000.parquet"), test.join("date=2024-01-02/part-0.parquet"))
        .unwrap();
    fs_err::write(test.join("_SUCCESS"), "").unwrap();
    let told = sandbox.succeed("inspect feeds");
    let last = "read 3 files, 180 rows (train 120, validation 30, test 30); passed over 1 whose names begin with . or _: feeds/test/_SUCCESS";
    assert_eq!(told.lines().last(), Some(last), "{told}");
    let json: Value = serde_json::from_str(&sandbox.succeed("inspect feeds --json")).unwrap();
    assert_eq!(json["test"]["feeds"], 30);
    assert_eq!((&json["read"]["files"], &json["read"]["rows"]), (&3.into(), &180.into()));
    assert_eq!(json["read"]["skipped"][0], "feeds/test/_SUCCESS");

    fs_err::create_dir(test.join("more")).unwrap();
    let told = sandbox.fail("inspect feeds", 2);
    assert!(told.starts_with("error: feeds/test/more: is a folder, but no partition"), "{told}");
}

/// Several threads read days at once; of two bad days the first is told, with one code, however often one asks.
#[test]
fn the_first_bad_row_of_a_log_is_told_every_time() {
    let sandbox = Sandbox::new();
    sandbox.succeed("simulate --out logs --users 60 --days 4 --seed 1");
    let mut days: Vec<PathBuf> = fs_err::read_dir(sandbox.path("logs/events"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    days.sort();
    for day in &days[1..4] {
        let file = day.join("part-00000.parquet");
        let rows = rows_of(&file);
        let bad = changed(&rows, &["event_id"], &|array| Some(with_null(&array, 2)));
        write_foreign(&file, &bad, 1_000);
    }
    let day = days[1].file_name().unwrap().to_string_lossy().into_owned();
    let expected =
        format!("error: logs/events/{day}/part-00000.parquet: row group 0, row 2: event_id: null");
    let told: Vec<String> =
        (0..6).map(|_| last_line(&sandbox, "samples --logs logs --out world")).collect();
    assert!(told.iter().all(|line| line.starts_with(&expected) && *line == told[0]), "{told:?}");
    // A file that is torn, in the same way.
    fs_err::write(days[2].join("part-00000.parquet"), "torn").unwrap();
    fs_err::write(days[1].join("part-00000.parquet"), "torn").unwrap();
    for _ in 0..4 {
        let line = last_line(&sandbox, "samples --logs logs --out world");
        let expected = format!("error: logs/events/{day}/part-00000.parquet: not a whole Parquet");
        assert!(line.starts_with(&expected), "{line}");
    }
}

/// The last line of a command that ends with code 2; lines of progress may stand before it.
fn last_line(sandbox: &Sandbox, words: &str) -> String {
    let output = sandbox.run(words);
    let text = crate::sandbox::text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{words}: {text}");
    assert_eq!(text.matches("error: ").count(), 1, "{text}");
    text.lines().last().unwrap_or_default().to_owned()
}

#[test]
fn a_schema_and_a_torn_gzip_are_told_once() {
    let sandbox = Sandbox::new();
    fs_err::write(sandbox.path("feeds/schema.toml"), "nmae = 1").unwrap();
    let told = sandbox.fail("inspect feeds", 2);
    assert_eq!(told.matches("unknown field `nmae`").count(), 1, "{told}");
    fs_err::create_dir(sandbox.path("set")).unwrap();
    // The header of a gzip file and nothing more.
    let torn = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
    fs_err::write(sandbox.path("set/events.csv.gz"), torn).unwrap();
    for more in ["", " --log"] {
        let words = format!("import driver-live --from set --out out{more}");
        let told = sandbox.fail(&words, 2);
        assert_eq!(told.matches("not a whole gzip file").count(), 1, "{told}");
        assert_eq!(told.matches("events.csv.gz").count(), 1, "{told}");
        assert!(!sandbox.path("out").exists());
    }
}

/// One JSON object of a command, and its lines on standard error.
fn json_of(sandbox: &Sandbox, words: &str) -> (Value, String) {
    let output = sandbox.run(&format!("{words} --json"));
    let told = crate::sandbox::text(&output.stderr);
    assert!(output.status.success(), "{words}: {told}");
    (serde_json::from_slice(&output.stdout).unwrap(), told)
}

fn counts(json: &Value) -> (u64, u64) {
    let count = |key: &str| json["read"][key].as_u64().unwrap_or_else(|| panic!("{json}"));
    (count("files"), count("rows"))
}

fn found<'a>(json: &'a Value, check: &str) -> Vec<&'a Value> {
    json["findings"].as_array().unwrap().iter().filter(|found| found["check"] == check).collect()
}

const TRAIN: &str =
    "train --config config.toml --feeds feeds --out run --quiet training.max_steps=3";

#[test]
fn every_command_ends_by_telling_what_it_read() {
    let sandbox = Sandbox::new();
    fs_err::write(sandbox.path("feeds/validation/_SUCCESS"), "").unwrap();
    fs_err::create_dir(sandbox.path("folder")).unwrap();
    fs_err::copy(sandbox.path("config.toml"), sandbox.path("folder/a.toml")).unwrap();
    let space = "seed = 1\nconfigurations = 2\neta = 2\nupdates = [2]\n[range]\ninput.width = { values = [4, 8] }\n";
    fs_err::write(sandbox.path("space.toml"), space).unwrap();
    let tune = "tune space.toml --config config.toml --feeds feeds --out tuned";
    let directory = FeedDirectory::open(sandbox.path("feeds")).unwrap();
    let feeds = directory.read(Split::Train).unwrap();
    let scores: u64 = feeds.map(|feed| feed.unwrap().impressions() as u64).sum();
    for (words, files, rows, skipped) in [
        (TRAIN, 2, 150, true),
        ("evaluate --run run --feeds feeds", 1, 30, false),
        ("evaluate --run run --feeds feeds --split validation", 1, 30, true),
        ("score --run run --feeds feeds --split train --out scores.parquet", 1, 120, false),
        ("evaluate --scores scores.parquet --feeds feeds --split train", 2, 120 + scores, false),
        ("explain --run run --feeds feeds --request 7", 3, 180, true),
        ("export --run run --feeds feeds --out bundle --force", 3, 180, true),
        ("export --run run --feeds feeds --out bundle --force --split validation", 3, 180, true),
        ("retrieval --feeds feeds --k 5 --split train", 1, 120, false),
        ("retrieval --feeds feeds --k 5 --run run", 3, 180, true),
        ("inspect feeds", 3, 180, true),
        ("check feeds", 3, 180, true),
        (
            "experiment folder --feeds feeds --out results --seeds 1 training.max_steps=2",
            3,
            180,
            true,
        ),
        (tune, 2, 150, true),
    ] {
        let (json, _) = json_of(&sandbox, words);
        assert_eq!(counts(&json), (files, rows), "{words}");
        let passed = json["read"]["skipped"].as_array().unwrap();
        assert_eq!(passed.len(), usize::from(skipped), "{words}: {passed:?}");
        assert!(!json["covers"].as_array().unwrap().is_empty(), "{words}");
        if words == TRAIN {
            continue;
        }
        let told = sandbox.succeed(words);
        let line = told.lines().find(|line| line.starts_with("read ")).unwrap();
        assert!(line.starts_with(&format!("read {files} files, {rows} rows")), "{words}: {line}");
        assert_eq!(line.contains("_SUCCESS"), skipped, "{words}: {line}");
    }
    let told = sandbox.succeed(&TRAIN.replace("out run", "out run2"));
    assert_eq!(told.lines().last().unwrap().split(" (").next(), Some("read 2 files, 150 rows"));
}

/// What an import wrote is told in the same words, and what became of the rows of the set.
#[test]
fn an_import_tells_what_it_made() {
    let sandbox = Sandbox::new();
    fs_err::create_dir(sandbox.path("set")).unwrap();
    let rows = "user_id,room_id,ts_s,split\n0,0,0,train\n1,1,60,train\n1,1,60,train\n2,0,120,train\n1,0,180,train\n\
                0,1,430000,train\n1,0,430060,train\n0,0,430120,train\n2,0,600000,test\n3,1,600060,test\n2,1,600120,test\n";
    let file = fs_err::File::create(sandbox.path("set/events.csv.gz")).unwrap();
    let mut packed = flate2::write::GzEncoder::new(file, flate2::Compression::fast());
    packed.write_all(rows.as_bytes()).unwrap();
    packed.finish().unwrap();
    let (json, _) = json_of(&sandbox, "import driver-live --from set --out made");
    assert_eq!((&json["rows_in"], counts(&json)), (&11.into(), (1, 11)));
    assert_eq!(json["read"]["left_out"]["exact duplicate of an earlier row"], 1);
    assert_eq!(json["feeds"], serde_json::json!([2, 1, 1]));
    let told = sandbox.succeed("import driver-live --from set --out made2");
    assert!(told.starts_with("11 rows in = 4 feeds (2 train, 1 validation, 1 test) + 7 dropped\n"));
    let last = told.lines().last().unwrap();
    assert!(last.starts_with("read 1 files, 11 rows; left out: "), "{told}");
    assert!(last.contains("exact duplicate of an earlier row 1"), "{told}");
    let (json, _) = json_of(&sandbox, "import driver-live --from set --out log --log");
    assert_eq!((&json["events"]["watch"], counts(&json)), (&10.into(), (1, 11)));
    assert_eq!(json["read"]["left_out"]["exact duplicate of an earlier row"], 1);
    let told = sandbox.succeed("import driver-live --from set --out log2 --log");
    let last = "read 1 files, 11 rows; left out: exact duplicate of an earlier row 1";
    assert_eq!(told.lines().last(), Some(last), "{told}");
}

#[test]
fn commands_that_read_a_log_tell_of_it_and_of_their_feeds() {
    let sandbox = Sandbox::new();
    sandbox.succeed("simulate --out logs --users 60 --days 4 --seed 1");
    fs_err::write(sandbox.path("logs/events/_SUCCESS"), "").unwrap();
    let (made, _) = json_of(&sandbox, "samples --logs logs --out world");
    let part = |json: &Value, i: usize| -> (String, u64) {
        let part = &json["read"]["parts"][i];
        (part["name"].as_str().unwrap().into(), part["rows"].as_u64().unwrap())
    };
    let events = made["rows"].as_u64().unwrap();
    assert_eq!(part(&made, 0), ("events".into(), events));
    assert_eq!(part(&made, 1), ("users".into(), 60));
    assert_eq!(made["read"]["skipped"][0], "logs/events/_SUCCESS");
    let left_out: u64 = made["read"]["left_out"]
        .as_object()
        .unwrap()
        .iter()
        .filter(|(reason, _)| !reason.starts_with("impressions"))
        .map(|(_, count)| count.as_u64().unwrap())
        .sum();
    assert!(left_out > 0);
    assert_eq!(made["events_used"].as_u64().unwrap() + left_out, events);
    assert_eq!(found(&made, "ids_without_row").len(), 0);
    let (replayed, _) = json_of(&sandbox, "replay --logs logs --feeds world");
    assert_eq!((&replayed["differing"], part(&replayed, 0).1), (&0.into(), events));
    assert_eq!(part(&replayed, 4).0, "train");
    for words in ["samples --logs logs --out world", "replay --logs logs --feeds world"] {
        let told = sandbox.succeed(words);
        let last = told.lines().last().unwrap();
        assert!(last.contains(&format!("(events {events}, users 60, ")), "{last}");
        assert!(last.contains("; left out: ") && last.contains("late "), "{last}");
        assert!(last.ends_with("logs/events/_SUCCESS"), "{last}");
    }
}

/// What is measured would count such a request twice; a training split may repeat one, which is told.
#[test]
fn a_request_of_two_files_is_refused_where_it_is_measured() {
    let sandbox = Sandbox::new();
    sandbox.succeed(TRAIN);
    sandbox.succeed("score --run run --feeds feeds --out scores.parquet");
    let copy = |split: &str| {
        let folder = sandbox.path("feeds").join(split);
        fs_err::create_dir(folder.join("copy=1")).unwrap();
        fs_err::copy(folder.join("part-00000.parquet"), folder.join("copy=1/part-0.parquet"))
            .unwrap();
    };
    copy("test");
    fs_err::create_dir(sandbox.path("folder")).unwrap();
    fs_err::copy(sandbox.path("config.toml"), sandbox.path("folder/a.toml")).unwrap();
    for words in [
        "evaluate --run run --feeds feeds",
        "evaluate --scores scores.parquet --feeds feeds",
        "score --run run --feeds feeds --out scores.parquet",
        "export --run run --feeds feeds --out bundle",
        "retrieval --feeds feeds",
        "experiment folder --feeds feeds --out results",
    ] {
        // By name, a partition comes before the file beside it.
        let expected = "error: feeds/test/part-00000.parquet: row 0: request_id: 150 stands in \
                        feeds/test/copy=1/part-0.parquet already, and what is measured would count it twice; \
                        write each request once";
        assert_eq!(sandbox.fail(words, 2), expected, "{words}");
    }
    // Other splits can be measured, and what trains tells.
    let (json, _) = json_of(&sandbox, "evaluate --run run --feeds feeds --split validation");
    assert_eq!(json["feeds"], 30);
    copy("train");
    let (json, told) = json_of(&sandbox, &TRAIN.replace("out run", "out run2"));
    let repeated = found(&json, "request_twice");
    assert_eq!((&repeated[0]["count"], &repeated[0]["of"]), (&120.into(), &240.into()));
    assert!(told.contains("warning request_twice: train: 120 of 240 feeds repeat"), "{told}");
    assert!(told.contains("0 in row 0 of feeds/train/part-00000.parquet"), "{told}");
    copy("validation");
    let told = sandbox.fail(&TRAIN.replace("out run", "out run3"), 2);
    assert!(
        told.contains("feeds/validation/part-00000.parquet: row 0: request_id: 120 "),
        "{told}"
    );
    assert!(!sandbox.path("run3").exists());
}

/// Shared requests, times before those of training, and histories from new to old are told by whoever reads.
#[test]
fn broken_promises_are_told_by_the_command_that_reads() {
    let sandbox = Sandbox::new();
    sandbox.succeed(TRAIN);
    let rows = rows_of(&sandbox.path("feeds/train/part-00000.parquet"));
    let reversed = changed(&rows, &["channels", "age_s"], &|ages| {
        let ages = ages.as_primitive::<Float32Type>();
        Some(Arc::new(Float32Array::from_iter_values(ages.values().iter().map(|age| 9e5 - age))))
    });
    write_foreign(&sandbox.path("feeds/test/part-00000.parquet"), &reversed.slice(0, 20), 7);
    for words in [
        "evaluate --run run --feeds feeds",
        "score --run run --feeds feeds --out scores.parquet",
        "inspect feeds",
    ] {
        let (json, told) = json_of(&sandbox, words);
        let shared = found(&json, "splits_share_requests");
        assert_eq!((&shared[0]["place"], &shared[0]["count"]), (&"train, test".into(), &20.into()));
        assert_eq!(shared[0]["level"], "severe");
        let early = found(&json, "splits_out_of_order");
        assert_eq!((&early[0]["place"], &early[0]["count"]), (&"test".into(), &20.into()));
        let order = found(&json, "not_oldest_first");
        assert_eq!(order[0]["place"], "test: channels");
        for check in ["splits_share_requests", "splits_out_of_order", "not_oldest_first"] {
            assert_eq!(told.matches(&format!(" {check}: ")).count(), 1, "{words}: {told}");
        }
    }
    // Training reads the test split for its requests' ids only, and can do without.
    let words = TRAIN.replace("out run", "out run2");
    let (json, _) = json_of(&sandbox, &words);
    assert_eq!(found(&json, "splits_share_requests").len(), 1);
    assert_eq!((found(&json, "not_oldest_first").len(), counts(&json)), (0, (2, 150)));
    fs_err::write(sandbox.path("feeds/test/part-00000.parquet"), "torn").unwrap();
    let (json, _) = json_of(&sandbox, &TRAIN.replace("out run", "out run3"));
    let partly = "requests of test: not compared, for they cannot be read: feeds/test/part-00000.parquet: not a";
    assert!(json["covers"][1].as_str().unwrap().starts_with(partly), "{json}");
    let told = sandbox.succeed(&TRAIN.replace("out run", "out run4"));
    assert!(told.contains(&format!("\ncovered in part: {partly}")), "{told}");
}

/// Of two faults the first in the order of the rows is told, though ids are looked at before the rest.
#[test]
fn the_first_bad_row_of_feeds_is_told() {
    let sandbox = Sandbox::new();
    sandbox.succeed(TRAIN);
    let file = sandbox.path("feeds/test/part-00000.parquet");
    let rows = rows_of(&file);
    let bad = changed(&rows, &["request_id"], &|ids| Some(with_null(&ids, 20)));
    let bad = changed(&bad, &["user_id"], &|ids| Some(with_null(&ids, 2)));
    write_foreign(&file, &bad, 7);
    let told = sandbox.fail("evaluate --run run --feeds feeds", 2);
    assert!(
        told.starts_with("error: feeds/test/part-00000.parquet: row 2: user_id: is null"),
        "{told}"
    );
}

/// A run knows how the ids were written that it was trained on.
#[test]
fn feeds_whose_ids_are_of_another_kind_are_not_scored() {
    let sandbox = Sandbox::new();
    sandbox.succeed(TRAIN);
    let file = sandbox.path("feeds/test/part-00000.parquet");
    let rows = rows_of(&file);
    for split in ["train", "validation"] {
        fs_err::remove_dir_all(sandbox.path("feeds").join(split)).unwrap();
    }
    // Requests are only told apart.
    let as_text = |ids: ArrayRef| Some(cast(&ids, &DataType::Utf8));
    write_foreign(&file, &changed(&rows, &["request_id"], &as_text), 7);
    sandbox.succeed("evaluate --run run --feeds feeds");
    let both = changed(&rows, &["candidates", "channel_id"], &as_text);
    write_foreign(&file, &changed(&both, &["channels", "channel_id"], &as_text), 7);
    for words in [
        "evaluate --run run --feeds feeds",
        "score --run run --feeds feeds --out scores.parquet",
        "explain --run run --feeds feeds --request 150",
        "export --run run --feeds feeds --out bundle",
        "retrieval --run run --feeds feeds",
    ] {
        let told = sandbox.fail(words, 2);
        let expected = "error: feeds: column candidates.channel_id: its ids are text here and integers in the feeds that \
                        the run run was trained on, where the same id would never be met; write the column as it was there";
        assert_eq!(told, expected, "{words}");
    }
    // A run from before this was kept takes them as it did.
    let kept = fs_err::read_to_string(sandbox.path("run/feeds.toml")).unwrap();
    assert!(kept.contains("\"candidates.channel_id\" = \"integers\""), "{kept}");
    fs_err::remove_file(sandbox.path("run/feeds.toml")).unwrap();
    sandbox.change_commit("run", |commit| {
        commit["checksums"].as_object_mut().unwrap().remove("feeds.toml").unwrap();
    });
    sandbox.succeed("evaluate --run run --feeds feeds");
}

/// A warm start on feeds with other ids would learn nothing of what the other run knows.
#[test]
fn a_warm_start_takes_ids_of_its_own_kind_only() {
    let sandbox = Sandbox::new();
    sandbox.succeed(TRAIN);
    for split in ["train", "validation", "test"] {
        let file = sandbox.path("feeds").join(split).join("part-00000.parquet");
        let rows =
            changed(&rows_of(&file), &["user", "user"], &|ids| Some(cast(&ids, &DataType::Utf8)));
        write_foreign(&file, &rows, 50);
    }
    let words = "train --config config.toml --feeds feeds --out run2 --init-from run";
    let told = sandbox.fail(words, 2);
    assert!(
        told.contains("column user.user: its ids are text here and integers in the feeds"),
        "{told}"
    );
    assert!(!sandbox.path("run2/config.toml").exists());
}
