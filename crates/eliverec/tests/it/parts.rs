//! The parts of feeds and of a log by their names: each is what it should be or refused by name, and each that is read is counted.

use std::path::Path;

use serde_json::Value;

use crate::feed_files::{rows_of, write_foreign};
use crate::sandbox::Sandbox;

const NO_FILE: &str = "is a folder, where a file should be; rename it or move it away";
const NO_FOLDER: &str = "is a file; expected a folder with Parquet files";
const PIPE: &str = "is no regular file but a pipe, a socket or a device; move it away";

/// What stands in the place of a part.
fn make(path: &Path, what: &str) {
    match what {
        NO_FILE => fs_err::create_dir_all(path).unwrap(),
        NO_FOLDER => fs_err::write(path, "").unwrap(),
        _ => {
            fs_err::create_dir_all(path.parent().unwrap()).unwrap();
            let made = std::process::Command::new("mkfifo").arg(path).status().unwrap();
            assert!(made.success());
        }
    }
}

fn remove(path: &Path) {
    if path.is_dir() {
        fs_err::remove_dir_all(path).unwrap();
    } else {
        fs_err::remove_file(path).unwrap();
    }
}

#[cfg(unix)]
#[test]
fn what_stands_in_the_place_of_a_part_is_refused_by_name() {
    let sandbox = Sandbox::new();
    sandbox.succeed("simulate --out logs --users 60 --days 3 --seed 1");
    let samples = "samples --logs logs --out world";
    sandbox.succeed(samples);
    let of_feeds = ["inspect feeds", "check feeds"];
    let of_log = ["check logs", samples, "replay --logs logs --feeds world"];
    for (root, commands, names) in [
        ("feeds", &of_feeds[..], &["users.parquet", "samples.toml", "samples-log.toml"][..]),
        ("feeds", &of_feeds, &["products.parquet", "rejected/x.parquet"]),
        ("logs", &of_log, &["truth.parquet", "channels.parquet", "rejected/x.parquet"]),
    ] {
        for (name, what) in names.iter().flat_map(|name| [(name, NO_FILE), (name, PIPE)]) {
            let (path, kept) = (sandbox.path(root).join(name), sandbox.path("kept"));
            let was = fs_err::rename(&path, &kept).is_ok();
            make(&path, what);
            for words in commands {
                let told = sandbox.fail(words, 2);
                // A table that is read says which file it should be.
                let what = what.split("; ").next().unwrap();
                assert!(
                    told.starts_with(&format!("error: {root}/{name}: {what}")),
                    "{words}: {told}"
                );
            }
            remove(&path);
            if was {
                fs_err::rename(&kept, &path).unwrap();
            }
        }
        let rejected = sandbox.path(root).join("rejected");
        fs_err::remove_dir_all(&rejected).ok();
        make(&rejected, NO_FOLDER);
        let told = sandbox.fail(commands[0], 2);
        assert_eq!(told, format!("error: {root}/rejected: {NO_FOLDER}"));
        remove(&rejected);
        commands.iter().for_each(|words| drop(sandbox.succeed(words)));
    }
}

/// Files and rows of the parts that a command read.
fn parts(json: &Value) -> Vec<(&str, u64, u64)> {
    let parts = json["read"]["parts"].as_array().unwrap().iter();
    let count = |part: &Value, key: &str| part[key].as_u64().unwrap();
    parts.map(|p| (p["name"].as_str().unwrap(), count(p, "files"), count(p, "rows"))).collect()
}

fn json(sandbox: &Sandbox, words: &str) -> Value {
    serde_json::from_str(&sandbox.succeed(&format!("{words} --json"))).unwrap()
}

/// A table without rows was read as well as one with them; one that is not there was not.
#[test]
fn empty_tables_are_among_the_files_that_are_read() {
    let sandbox = Sandbox::new();
    sandbox.succeed("simulate --out logs --users 60 --days 3 --seed 1");
    let table = sandbox.path("logs/products.parquet");
    write_foreign(&table, &rows_of(&table).slice(0, 0), 10);
    let days = fs_err::read_dir(sandbox.path("logs/events")).unwrap().count() as u64;
    let told =
        ["check logs", "samples --logs logs --out world", "replay --logs logs --feeds world"];
    for words in told {
        let json = json(&sandbox, words);
        let parts = parts(&json);
        assert_eq!(parts[0].1, days, "{words}: {parts:?}");
        assert_eq!((parts[1], parts[2]), (("users", 1, 60), ("products", 1, 0)), "{words}");
        let files: u64 = parts.iter().map(|(_, files, _)| files).sum();
        assert_eq!(json["read"]["files"], files, "{words}");
    }
}

/// Tables that go into a bundle are read, too, from the log or from beside the feeds.
#[test]
fn an_export_tells_of_the_tables_that_it_read() {
    let sandbox = Sandbox::new();
    sandbox.succeed("simulate --out logs --users 60 --days 4 --seed 1");
    sandbox.succeed("samples --logs logs --out world");
    sandbox.succeed("train --config config.toml --feeds world --out run training.max_steps=2");
    let export = "export --run run --feeds world --out bundle --force";
    let without = json(&sandbox, export);
    assert_eq!(parts(&without).len(), 3, "{without}");
    fs_err::write(sandbox.path("logs/events/_SUCCESS"), "").unwrap();
    let with = json(&sandbox, &format!("{export} --logs logs"));
    let of_tables = parts(&with)[3..].to_vec();
    let names: Vec<_> = of_tables.iter().map(|(name, files, _)| (*name, *files)).collect();
    assert_eq!(names, [("users", 1), ("products", 1), ("channels", 1)], "{with}");
    assert_eq!(of_tables[0].2, 60);
    assert_eq!(with["read"]["skipped"][0], "logs/events/_SUCCESS");
    for name in ["users", "products", "channels"] {
        let file = format!("{name}.parquet");
        fs_err::copy(sandbox.path("logs").join(&file), sandbox.path("world").join(&file)).unwrap();
    }
    assert_eq!(parts(&json(&sandbox, export))[3..], of_tables);
}
