//! What was read is told, what cannot be read ends with one code and one text.

use std::path::PathBuf;

use serde_json::Value;

use crate::feed_files::{changed, rows_of, with_null, write_foreign};
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
