//! Errors are a contract: every command's, with exit code and text, the same however often one asks and whatever thread meets it
//! first.
//!
//! This file is long: a flat table of all errors.

use std::path::Path;

use eliverec_core::toy;
use eliverec_tables::{FeedWriter, Split};

use crate::sandbox::{Sandbox, text};

/// The sandbox, and what the commands of the table find in it: a run, a log and its feeds, things of the wrong kind.
fn site() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.succeed("train --config config.toml --feeds feeds --out run training.max_steps=1");
    sandbox.succeed("simulate --out logs --users 60 --days 3 --seed 1");
    sandbox.succeed("samples --logs logs --out world");
    fs_err::create_dir(sandbox.path("empty")).unwrap();
    fs_err::write(sandbox.path("file"), "").unwrap();
    fs_err::write(sandbox.path("mine.txt"), "a text of mine").unwrap();
    write_of_one_class(&sandbox, "unwatched", false);
    write_of_one_class(&sandbox, "watched", true);
    sandbox
}

fn write_of_one_class(sandbox: &Sandbox, name: &str, watched: bool) {
    let mut writer = FeedWriter::create(&sandbox.path(name), &toy::schema()).unwrap();
    for mut feed in toy::feeds(20, 3) {
        let labels = feed.candidates.labels.as_mut().unwrap();
        labels.watched.fill(watched);
        if !watched {
            labels.tasks.iter_mut().for_each(|task| task.fill(None));
        }
        writer.push(Split::Train, &feed).unwrap();
    }
    writer.finish().unwrap();
}

/// The command, its exit code, and with what its last line begins.
const TABLE: &[(&str, i32, &str)] = &[
    ("ab off-policy --logged nowhere --target empty", 2, "nowhere: is no folder"),
    ("ab report --logs empty", 2, "empty: is empty; expected schema.toml"),
    ("ab report --logs logs", 2, "logs/experiments.jsonl: is not there; a service"),
    ("ab shares empty", 2, "empty: cannot be read (is a directory)"),
    ("ab shares file", 2, "file: has no layer"),
    ("ab shares nowhere", 2, "nowhere: cannot be read (entity not found)"),
    ("bench ranker --run empty --feeds feeds", 2, "empty: holds no run"),
    ("bench samples --work file", 2, "bench: "),
    ("bench train --config nowhere", 2, "nowhere: cannot be read"),
    ("bundle verify empty", 2, "empty: holds no bundle"),
    ("bundle verify file", 2, "file: holds no bundle"),
    ("bundle verify nowhere", 2, "nowhere: holds no bundle"),
    ("check empty", 2, "empty: is empty; expected schema.toml and the folders train"),
    ("check file", 2, "file: is no directory; expected schema.toml"),
    ("check nowhere", 2, "nowhere: no such directory; expected schema.toml"),
    ("demo --out file", 2, "failed to create directory `file`"),
    (
        "disentangling --run run --feeds feeds --logs empty",
        2,
        "empty/truth.parquet: no such file; the truth is known",
    ),
    ("evaluate --run empty --feeds feeds", 2, "empty: holds no run"),
    ("evaluate --run file --feeds feeds", 2, "file: holds no run"),
    ("evaluate --run run --feeds empty", 2, "empty: is empty; expected schema.toml"),
    ("evaluate --run run --feeds unwatched", 2, "unwatched: no feeds in the test split"),
    ("evaluate --scores empty --feeds feeds", 2, "empty: is a folder, where a file should be"),
    ("evaluate --scores file --feeds feeds", 2, "file: not a whole Parquet file"),
    (
        "evaluate --scores mine.txt --feeds feeds",
        2,
        "mine.txt: is no Parquet file but perhaps one of text",
    ),
    ("evaluate --scores nowhere --feeds feeds", 2, "nowhere: no such file; `eliverec score"),
    ("experiment empty --feeds feeds --out results", 2, "empty: holds no .toml file"),
    ("experiment nowhere --feeds feeds --out results", 2, "nowhere: cannot be read"),
    ("case-study --run run --feeds feeds", 2, "--run: 1 runs are given; a case study compares two"),
    ("case-study --run run --run empty --feeds feeds", 2, "empty: holds no run"),
    ("explain --run empty --feeds feeds --request 1", 2, "empty: holds no run"),
    (
        "explain --run run --feeds feeds --request 3 --candidate 99",
        2,
        "feeds: request 3 has candidates 0 to",
    ),
    (
        "explain --run run --feeds feeds --request 3 --fields age",
        2,
        "--fields: no table has the field age; there are",
    ),
    (
        "explain --run run --feeds feeds --request 3 --tensors t.safetensors --fields age",
        2,
        "--fields: no table has the field age; there are",
    ),
    (
        "explain --run run --feeds feeds --request 3 --tensors t.safetensors --candidate 99",
        2,
        "feeds: request 3 has candidates 0 to",
    ),
    (
        "explain --run run --feeds feeds --request 3 --tensors nowhere/t.safetensors",
        2,
        "nowhere/t.safetensors: nowhere is no folder; make it or choose another name",
    ),
    (
        "explain --run run --feeds feeds --request 3 --tensors empty",
        2,
        "empty: is there and no file of tensors",
    ),
    (
        "explain --run run --feeds feeds --request 3 --tensors mine.txt",
        2,
        "mine.txt: is there and no file of tensors",
    ),
    (
        "explain --run run --feeds feeds --request abc",
        2,
        "feeds: its request_id are integers, and \"abc\" is none",
    ),
    ("explain --run run --feeds feeds --request=-5", 2, "feeds: no split holds request -5"),
    ("export --run empty --feeds feeds --out out", 2, "empty: holds no run"),
    ("export --run run --feeds empty --out out", 2, "empty: is empty; expected schema.toml"),
    ("export --run run --feeds feeds --out file", 2, "file: is a file; choose another --out"),
    ("import ebnerd --from empty --out out", 2, "empty: has no items.csv.gz"),
    ("import ebnerd --from nowhere --out out", 2, "nowhere: is no folder"),
    ("inspect empty", 2, "empty: is empty"),
    ("inspect nowhere", 2, "nowhere: no such directory"),
    (
        "plan --impressions-per-day 1e9 --users 3e8 --channels 1e6 --products 1e8 --requests-per-second 5e4",
        2,
        "plan: nothing tells alpha and beta of the network; measure with `eliverec bench network --json`",
    ),
    (
        "plan --impressions-per-day 1e9 --users 3e8 --channels 1e6 --products 1e8 --requests-per-second 5e4 --network file",
        2,
        "file: cannot be read: ",
    ),
    (
        "plan --impressions-per-day 1e9 --users 3e8 --channels 1e6 --products 1e8 --requests-per-second 5e4 --network nowhere",
        2,
        "nowhere: cannot be read",
    ),
    (
        "plan --impressions-per-day 1e9 --users 3e8 --channels 1e6 --products 1e8 --requests-per-second 5e4 --days 0",
        2,
        "plan: days is 0; write a number above 0",
    ),
    (
        "replay --logs empty --feeds world",
        2,
        "empty: is empty; expected schema.toml and folders events",
    ),
    ("replay --logs logs --feeds feeds", 2, "schema: user.user: the table has no such column"),
    ("report empty", 2, "empty: holds no results"),
    ("report file", 2, "file: holds no results"),
    ("retrieval --feeds empty", 2, "empty: is empty; expected schema.toml"),
    ("retrieval --feeds feeds --config mine.txt", 2, "mine.txt: "),
    ("retrieval --feeds feeds --config nowhere", 2, "nowhere: cannot be read"),
    ("retrieval --feeds feeds --logs empty", 2, "empty: is empty; expected schema.toml"),
    ("retrieval --feeds feeds --logs logs", 2, "the schema of feeds differs from that of the log"),
    ("retrieval --feeds feeds --run empty", 2, "empty: holds no run"),
    ("retrieval --feeds unwatched", 2, "unwatched: no feeds in the test split"),
    (
        "serve --bundle empty --state out --listen 0.0.0.0:0",
        2,
        "0.0.0.0:0 can be reached from other",
    ),
    ("serve --bundle empty --state out --listen 127.0.0.1:0", 2, "empty: holds no bundle"),
    ("serve --bundle nowhere --state out --listen 127.0.0.1:0", 2, "nowhere: holds no bundle"),
    ("serve --bundle empty --state out --config nowhere", 2, "nowhere: cannot be read"),
    ("serve --bundle empty --state out --config mine.txt", 2, "mine.txt: "),
    (
        "serve --bundle empty --state out --tokens mine.txt",
        2,
        "mine.txt: line 1: no [[token]] tables",
    ),
    (
        "samples --logs empty --out out",
        2,
        "empty: is empty; expected schema.toml and folders events",
    ),
    ("samples --logs feeds --out out", 2, "feeds/users.parquet: no such table"),
    ("samples --logs logs --out file", 2, "file: is a file, where a directory should be"),
    ("samples --logs logs --out logs", 2, "logs: is the log, or within its events"),
    (
        "samples --logs logs --out logs/events/x",
        2,
        "logs/events/x: is the log, or within its events",
    ),
    (
        "samples --logs logs --exchange out --phase users --shard 0/2",
        2,
        "out/channels/0-of-2.json: is not there; run `eliverec samples --phase channels --shard 0/2`",
    ),
    (
        "samples --logs logs --exchange logs --phase channels --shard 0/2",
        2,
        "logs: is the log, or within its events",
    ),
    (
        "samples --logs logs --exchange out --phase channels --shard 0/2 --out feeds",
        2,
        "samples: --out is for the phase feeds",
    ),
    (
        "samples --logs logs --out out --allowed-lateness 5 --memory 1",
        2,
        "samples: memory_limit_bytes is 1048576",
    ),
    (
        "samples --logs logs --out out --bag-products 99999",
        2,
        "features: bag_products is 99999; write at most",
    ),
    (
        "samples --logs logs --out out --from 2040-01-01",
        2,
        "out: no feeds, for no request is on the days asked for",
    ),
    (
        "samples --logs logs --out world --allowed-lateness 5",
        2,
        "world/samples.toml: the feeds there were made with other settings (allowed_lateness_ms = 600000)",
    ),
    ("score --run empty --feeds feeds --out s.parquet", 2, "empty: holds no run"),
    (
        "score --run run --feeds feeds --out empty",
        2,
        "empty: is no name for a score file; give one",
    ),
    ("score --run run --feeds feeds --out mine.txt", 2, "mine.txt: is there and no score file"),
    (
        "score --run run --feeds feeds --out feeds/s.parquet",
        2,
        "feeds/s.parquet: lies among the feeds",
    ),
    (
        "simulate --out file --users 5 --days 2 --seed 1",
        2,
        "file: is a file, where a directory should be",
    ),
    ("simulate --out out --users 0 --days 2 --seed 1", 2, "users is 0; give a number from 1"),
    ("simulate --out world --users 5 --days 2 --seed 1", 2, "world: exists and is not empty"),
    ("train --config config.toml --feeds empty --out out", 2, "empty: is empty"),
    (
        "train --config config.toml --feeds feeds --out feeds/test/run",
        2,
        "feeds/test/run: lies among the feeds",
    ),
    (
        "train --config config.toml --feeds feeds --out file",
        2,
        "file: is a file, where a directory should be",
    ),
    (
        "train --config config.toml --feeds feeds --out out --init-from empty",
        2,
        "empty: holds no run",
    ),
    (
        "train --config config.toml --feeds feeds --out out training.threads=100000",
        2,
        "override \"training.threads=100000\": training.threads is 100000; write at most 1024",
    ),
    ("train --config config.toml --feeds feeds --out run", 2, "run: already holds a run"),
    (
        "train --config config.toml --feeds unwatched --out out/a",
        2,
        "unwatched: no candidate of the train split was watched",
    ),
    (
        "train --config config.toml --feeds watched --out out/a",
        2,
        "watched: every candidate of the train split was watched",
    ),
    ("train --config empty --feeds feeds --out out", 2, "empty: cannot be read"),
    ("train --feeds feeds --out out --resume", 2, "out: holds no run to resume"),
    (
        "tune file --config config.toml --feeds feeds --out out",
        2,
        "file: line 1: missing field `seed`",
    ),
];

#[test]
fn every_command_has_its_errors_in_the_table() {
    let sandbox = Sandbox::new();
    let help = sandbox.succeed("--help");
    let commands = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    let commands = commands.take_while(|line| !line.is_empty());
    let named: Vec<&str> = commands.filter_map(|line| line.split_whitespace().next()).collect();
    assert!(named.len() > 10, "{help}");
    for command in named {
        // `help` has no input; the shells of `completions` are among its usage.
        let has_input = !["help", "completions"].contains(&command);
        let listed = TABLE.iter().any(|(words, ..)| words.split(' ').next() == Some(command));
        assert_eq!(listed, has_input, "{command}");
    }
}

#[test]
fn errors_have_their_code_and_text_every_time_and_leave_nothing() {
    let sandbox = site();
    let before = names(&sandbox.path(""));
    for (words, code, begins) in TABLE {
        let told = |_| {
            let output = sandbox.run(words);
            let lines = text(&output.stderr);
            assert_eq!(output.status.code(), Some(*code), "{words}: {lines}");
            assert_eq!(lines.matches("error: ").count(), 1, "{words}: {lines}");
            // Where links are followed, messages name the place in full.
            let root = fs_err::canonicalize(sandbox.path("")).unwrap();
            let last = lines.lines().last().unwrap_or_default();
            last.replace(&format!("{}/", root.display()), "")
        };
        let told: Vec<String> = (0..2).map(told).collect();
        assert!(told[0].starts_with(&format!("error: {begins}")), "{words}: {}", told[0]);
        assert_eq!(told[0], told[1], "{words}");
        assert!(told[0].len() < 400, "{words}: {}", told[0]);
        assert_eq!(names(&sandbox.path("")), before, "{words}");
    }
    assert_eq!(fs_err::read_to_string(sandbox.path("mine.txt")).unwrap(), "a text of mine");
}

/// Every file and folder below one.
fn names(folder: &Path) -> Vec<String> {
    let mut names = Vec::new();
    let mut ahead = vec![folder.to_path_buf()];
    while let Some(folder) = ahead.pop() {
        for entry in fs_err::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            names.push(path.display().to_string());
            if path.is_dir() && !path.is_symlink() {
                ahead.push(path);
            }
        }
    }
    names.sort();
    names
}

/// One cause has one code, whichever command meets it: the split of one class is bad input of `train`, `experiment` and `tune`.
#[test]
fn what_is_bad_input_of_a_run_is_that_of_many() {
    let sandbox = site();
    fs_err::create_dir(sandbox.path("configs")).unwrap();
    fs_err::copy(sandbox.path("config.toml"), sandbox.path("configs/a.toml")).unwrap();
    let space = "seed = 1\nconfigurations = 2\neta = 2\nupdates = [2]\n[range]\ninput.width = { values = [4, 8] }\n";
    fs_err::write(sandbox.path("space.toml"), space).unwrap();
    let reason = "unwatched: no candidate of the train split was watched";
    let folder = |split: &str| sandbox.path("unwatched").join(split).join("part-00000.parquet");
    fs_err::create_dir_all(folder("validation").parent().unwrap()).unwrap();
    fs_err::copy(folder("train"), folder("validation")).unwrap();
    for words in [
        "train --config config.toml --feeds unwatched --out out/a",
        "experiment configs --feeds unwatched --out results --seeds 1",
        "tune space.toml --config config.toml --feeds unwatched --out tuned",
    ] {
        let output = sandbox.run(words);
        let told = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{words}: {told}");
        assert!(told.contains(reason), "{words}: {told}");
    }
}

#[test]
fn usage_has_the_code_of_bad_input() {
    let sandbox = Sandbox::new();
    for words in [
        "completions nosh",
        "explain --run run --feeds feeds",
        "import nobody --from empty --out out",
        "samples --logs logs --out out --from 2022-13-01",
        "samples --logs logs --out out --history-days 3",
        "score --run run --feeds feeds --out s.parquet --split tset",
        "train --feeds feeds --out out",
    ] {
        let output = sandbox.run(words);
        assert_eq!(output.status.code(), Some(2), "{words}: {}", text(&output.stderr));
    }
}

/// Links that lead nowhere, and columns that stand twice, in every place where files are read.
#[cfg(unix)]
#[test]
fn broken_links_are_refused_by_name() {
    use fs_err::os::unix::fs::symlink;
    let sandbox = site();
    let of_feeds =
        ["feeds/train/x.parquet", "feeds/test/a=b", "feeds/validation/part-00000.parquet"];
    for name in of_feeds {
        let path = sandbox.path(name);
        let kept = fs_err::rename(&path, sandbox.path("kept")).is_ok();
        // The second leads to itself.
        let end = if name.ends_with("a=b") { path.clone() } else { "nowhere".into() };
        symlink(end, &path).unwrap();
        for words in ["inspect feeds", "check feeds"] {
            let told = sandbox.fail(words, 2);
            let expected = format!("error: {name}: is a link that leads nowhere");
            assert!(told.starts_with(&expected), "{words}: {told}");
        }
        fs_err::remove_file(&path).unwrap();
        if kept {
            fs_err::rename(sandbox.path("kept"), path).unwrap();
        }
    }
    // Names that are passed over are, links or not.
    symlink("nowhere", sandbox.path("feeds/train/_x.parquet")).unwrap();
    sandbox.succeed("inspect feeds");
    let day = fs_err::read_dir(sandbox.path("logs/events")).unwrap().next().unwrap().unwrap();
    let day = day.file_name().into_string().unwrap();
    let of_log = [format!("events/{day}/x.parquet"), "events/date=2040-01-01".into()];
    for name in of_log {
        let path = sandbox.path("logs").join(&name);
        symlink("nowhere", &path).unwrap();
        for words in ["samples --logs logs --out out", "check logs"] {
            let told = sandbox.fail(words, 2);
            let expected = format!("error: logs/{name}: is a link that leads nowhere");
            assert!(told.starts_with(&expected), "{words}: {told}");
        }
        fs_err::remove_file(&path).unwrap();
    }
    fs_err::remove_file(sandbox.path("logs/users.parquet")).unwrap();
    symlink("nowhere", sandbox.path("logs/users.parquet")).unwrap();
    let told = sandbox.fail("samples --logs logs --out out", 2);
    assert!(told.starts_with("error: logs/users.parquet: is a link that leads nowhere"), "{told}");
}
