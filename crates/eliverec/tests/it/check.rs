//! `eliverec check`: what it prints, its exit codes, and a simulated world in which nothing is wrong.

use eliverec_core::toy;
use eliverec_tables::{FeedWriter, Split};
use serde_json::Value;

use crate::sandbox::{Sandbox, text};

/// Feeds in which nothing is ever watched.
fn write_unwatched(sandbox: &Sandbox, name: &str) {
    let mut writer = FeedWriter::create(&sandbox.path(name), &toy::schema()).unwrap();
    for mut feed in toy::feeds(50, 1) {
        feed.candidates.labels.as_mut().unwrap().watched.fill(false);
        writer.push(Split::Train, &feed).unwrap();
    }
    writer.finish().unwrap();
}

#[test]
fn the_worst_is_told_first_and_fails_if_asked_to() {
    let sandbox = Sandbox::new();
    write_unwatched(&sandbox, "unwatched");
    let told = sandbox.succeed("check unwatched");
    let first = told.lines().find(|line| line.starts_with("severe")).unwrap();
    assert_eq!(first, "severe one_class");
    assert!(told.contains("train: nothing is watched among "), "{told}");
    assert!(told.contains("\n  -> write every candidate"), "{told}");
    assert_eq!(sandbox.run("check unwatched --strict").status.code(), Some(1));

    let told: Value = serde_json::from_str(&sandbox.succeed("check unwatched --json")).unwrap();
    let worst = &told["findings"][0];
    assert_eq!(worst["check"], "one_class");
    assert_eq!((&worst["level"], &worst["place"]), (&"severe".into(), &"train".into()));
    assert_eq!(worst["count"], worst["of"]);
    assert_eq!(
        (&told["read"]["parts"][0]["name"], &told["read"]["rows"]),
        (&"train".into(), &50.into())
    );
    assert!(told["covers"].as_array().is_some_and(|covers| !covers.is_empty()));
}

#[test]
fn what_cannot_be_read_has_the_exit_code_of_bad_input() {
    let sandbox = Sandbox::new();
    assert!(sandbox.fail("check nowhere", 2).contains("no such directory"));
    let file = sandbox.path("feeds/train/part-00000.parquet");
    let bytes = fs_err::read(&file).unwrap();
    fs_err::write(&file, &bytes[..bytes.len() / 2]).unwrap();
    assert!(sandbox.fail("check feeds", 2).contains("not a whole Parquet file"));
}

#[test]
fn nothing_is_wrong_with_a_simulated_world() {
    let sandbox = Sandbox::new();
    sandbox.succeed("simulate --out logs --users 300 --days 5 --seed 2");
    sandbox.succeed("samples --logs logs --out world");
    for path in ["logs", "world"] {
        let output = sandbox.run(&format!("check {path} --strict"));
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stdout));
    }
}
