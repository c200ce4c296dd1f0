//! What a command tells beside its result, and where the documents list who tells.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, Float32Array, Float64Array, TimestampMillisecondArray,
};
use arrow::datatypes::{Float32Type, TimestampMillisecondType};

use crate::feed_files::{changed, rows_of, with_null, write_foreign};
use crate::sandbox::{Sandbox, text};

/// The list of the page is that of the commands that take feeds, and of those that take a place which may hold them.
#[test]
fn the_page_lists_every_command_that_reads_feeds() {
    let sandbox = Sandbox::new();
    let help = sandbox.succeed("--help");
    let commands = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    let commands = commands.take_while(|line| !line.is_empty());
    let takes_feeds = |command: &&str| {
        let help = sandbox.succeed(&format!("{command} --help"));
        help.contains("--feeds <DIR>") || help.contains("Feed directory")
    };
    let mut commands: Vec<&str> = commands
        .filter_map(|line| line.split_whitespace().next())
        // `samples` makes feeds, of a log that it tells of.
        .filter(|name| !["help", "completions", "samples"].contains(name))
        .filter(takes_feeds)
        .collect();
    commands.sort_unstable();
    let page = format!("{}/../../docs/feeds.md", env!("CARGO_MANIFEST_DIR"));
    let page = fs_err::read_to_string(page).unwrap();
    let (_, list) = page.split_once("*Each command* is each that reads feeds:").unwrap();
    let (list, _) = list.split_once('.').unwrap();
    let mut listed: Vec<&str> = list.split('`').skip(1).step_by(2).collect();
    listed.sort_unstable();
    assert_eq!(listed, commands);
}

/// The table of settings has every option that is kept with the feeds, with its default, and every key that is kept.
#[test]
fn the_page_lists_every_setting_of_samples() {
    let sandbox = Sandbox::new();
    let page = format!("{}/../../docs/logs.md", env!("CARGO_MANIFEST_DIR"));
    let page = fs_err::read_to_string(page).unwrap();
    let table = page.split("## Settings").nth(1).unwrap().split("\n## ").next().unwrap();
    let rows = table.lines().filter(|line| line.starts_with("| `--"));
    let rows: Vec<[&str; 3]> = rows
        .map(|line| {
            let cells: Vec<&str> =
                line.split('|').map(|cell| cell.trim().trim_matches('`')).collect();
            [cells[1], cells[2], cells[3]]
        })
        .collect();

    let help = sandbox.succeed("samples --help");
    let options = help.split("\n      --").skip(1);
    let options = options.map(|option| {
        let words: Vec<&str> = option.split_whitespace().collect();
        let value = words.get(1).filter(|word| word.starts_with('<'));
        let value =
            value.map_or(String::new(), |word| format!(" {}", word.replace(['<', '>'], "")));
        let text = words.join(" ");
        let default =
            text.split_once("[default: ").map(|(_, rest)| rest.split(']').next().unwrap());
        (format!("--{}{value}", words[0]), default.unwrap_or("all").to_owned())
    });
    // What these choose is not kept: where from and to, which days, and how a run goes about it.
    let not_kept = [
        "logs", "out", "from", "to", "memory", "threads", "lenient", "json", "phase", "shard",
        "shards", "exchange",
    ];
    let is_kept = |option: &str| {
        let name = option.trim_start_matches("--").split(' ').next().unwrap_or_default();
        !not_kept.contains(&name)
    };
    let mut options: Vec<(String, String)> = options.filter(|(name, _)| is_kept(name)).collect();
    let mut listed: Vec<(String, String)> =
        rows.iter().map(|[option, default, _]| ((*option).into(), (*default).into())).collect();
    options.sort();
    listed.sort();
    assert_eq!(listed, options);

    sandbox.succeed("simulate --out logs --users 60 --days 3 --seed 1");
    let kept = |out: &str, more: &str| -> toml::Table {
        sandbox.succeed(&format!("samples --logs logs --out {out}{more}"));
        toml::from_str(&fs_err::read_to_string(sandbox.path(out).join("samples.toml")).unwrap())
            .unwrap()
    };
    let defaults = kept("defaults", "");
    let numbers = flat(&defaults);
    for [option, default, key] in &rows {
        if let Some(word) = defaults.get(*key).and_then(toml::Value::as_str) {
            assert_eq!(word, *default, "{option}");
            continue;
        }
        let per_unit = if option.ends_with("MINUTES") { 60_000.0 } else { 1.0 };
        let default = default.parse().ok().map(|number: f64| number * per_unit);
        assert_eq!(numbers.get(*key).copied(), default, "{option}");
    }
    let all = kept("all", " --from 2022-09-02 --history-days 2 --history-age 30");
    let all: Vec<String> = flat(&all).into_keys().filter(|key| key != "from").collect();
    let mut listed: Vec<&str> = rows.iter().map(|[.., key]| *key).collect();
    listed.sort_unstable();
    assert_eq!(listed, all);
}

/// The numbers of a table by their dotted keys; other values as no number.
fn flat(table: &toml::Table) -> BTreeMap<String, f64> {
    let mut flat_table = BTreeMap::new();
    for (key, value) in table {
        if let Some(inner) = value.as_table() {
            flat_table.extend(flat(inner).into_iter().map(|(of, x)| (format!("{key}.{of}"), x)));
        } else {
            let number = value.as_float().or_else(|| value.as_integer().map(|x| x as f64));
            flat_table.insert(key.clone(), number.unwrap_or(f64::NAN));
        }
    }
    flat_table
}

#[test]
fn many_late_events_are_told_in_one_line() {
    let sandbox = Sandbox::new();
    sandbox.succeed("simulate --out logs --users 60 --days 3 --seed 1");
    let told = |out: &str| sandbox.succeed(&format!("samples --logs logs --out {out}"));
    let line = "minutes after they happened, and no feature knows them";
    assert!(!told("usual").contains(line));
    // Loaded half an hour after they happened, those of the last half hour of a day left out.
    for day in fs_err::read_dir(sandbox.path("logs/events")).unwrap() {
        let file = day.unwrap().path().join("part-00000.parquet");
        let rows = rows_of(&file);
        let late = changed(&rows, &["available_at"], &|array| {
            Some(half_an_hour_later(&rows["ts"], &array))
        });
        write_foreign(&file, &late, 10_000);
    }
    let told = sandbox.succeed("samples --logs logs --out late --lenient");
    assert_eq!(told.matches(line).count(), 1, "{told}");
    assert!(told.contains("does available_at say when they were processed or loaded?"), "{told}");
    let told = sandbox.succeed("samples --logs logs --out late2 --lenient --allowed-lateness 45");
    assert!(!told.contains(line), "{told}");
    let settings = fs_err::read_to_string(sandbox.path("late2/samples.toml")).unwrap();
    assert!(settings.contains("allowed_lateness_ms = 2700000"), "{settings}");
}

/// The times, half an hour later, in place of those that few of the events have.
fn half_an_hour_later(ts: &ArrayRef, known: &ArrayRef) -> ArrayRef {
    assert!(known.null_count() > known.len() / 2);
    let times = ts.as_primitive::<TimestampMillisecondType>();
    let later = times.iter().map(|time| time.map(|time| time + 1_800_000));
    Arc::new(later.collect::<TimestampMillisecondArray>().with_timezone("UTC"))
}

#[test]
fn a_task_without_labels_is_told_where_it_is_trained() {
    let sandbox = Sandbox::new();
    let file = sandbox.path("feeds/train/part-00000.parquet");
    let rows = rows_of(&file);
    write_foreign(&file, &changed(&rows, &["candidates", "bag_click"], &|_| None), 64);
    let told = |more: &str| {
        let words = format!(
            "train --config config.toml --feeds feeds --out run{more} training.max_steps=1"
        );
        let output = sandbox.run(&words);
        assert!(output.status.success());
        text(&output.stderr)
    };
    let line =
        "feeds: no candidate of the train split has the label bag_click of the task bag_click";
    assert!(!told("1").contains(line));
    assert!(told("2 tasks.mode=vanilla").contains(line));
}

/// Days of a log that has lost its beginning, made again, know less: told once, in text and as a finding.
#[test]
fn a_log_that_lost_its_beginning_is_told() {
    let sandbox = Sandbox::new();
    sandbox.succeed("simulate --out logs --users 60 --days 4 --seed 1");
    let mut days: Vec<_> = fs_err::read_dir(sandbox.path("logs/events"))
        .unwrap()
        .map(|day| day.unwrap().path())
        .collect();
    days.sort();
    let (first, last) = (days[0].clone(), days[days.len() - 1].clone());
    fs_err::rename(&last, sandbox.path("last")).unwrap();
    sandbox.succeed("samples --logs logs --out world");
    fs_err::rename(sandbox.path("last"), &last).unwrap();
    fs_err::remove_dir_all(&first).unwrap();
    let output = sandbox.run("samples --logs logs --out world --json");
    assert!(output.status.success());
    let told = text(&output.stderr);
    assert_eq!(told.matches("warning log_shortened: ").count(), 1, "{told}");
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let findings = json["findings"].as_array().unwrap().iter();
    let found: Vec<_> = findings.filter(|found| found["check"] == "log_shortened").collect();
    assert_eq!(found.len(), 1, "{json}");
    let day = |path: &std::path::Path| {
        path.file_name().unwrap().to_string_lossy().trim_start_matches("date=").to_owned()
    };
    let says = format!(
        "made again of a log whose first day is {}, and was {} before",
        day(&days[1]),
        day(&first)
    );
    assert!(found[0]["says"].as_str().unwrap().starts_with(&says), "{json}");
    // What is kept is counted, too.
    let of_days = json["days"].as_array().unwrap();
    assert!(of_days.iter().any(|of| of["made"] == "again"), "{json}");
    let kept = of_days.iter().find(|of| of["made"] == "before").unwrap();
    assert!(kept["impressions"].as_u64().unwrap() > kept["feeds"].as_u64().unwrap(), "{json}");
    assert!(kept["watched"].as_u64().unwrap() > 0, "{json}");
    // Days that nobody asked for are said to be as they were.
    let one = kept["day"].as_str().unwrap();
    let told = sandbox.succeed(&format!("samples --logs logs --out world --from {one} --to {one}"));
    let line = told.lines().find(|line| line.starts_with(one)).unwrap();
    assert!(line.ends_with(" watched, kept"), "{told}");
    assert_eq!(told.matches("as they were: not asked for").count(), of_days.len() - 1, "{told}");
}

/// A logarithm of numbers below 0 is that of 0: counted, in every command that reads them.
#[test]
fn numbers_below_zero_of_a_logarithm_are_told() {
    let sandbox = Sandbox::new();
    sandbox.succeed("train --config config.toml --feeds feeds --out run training.max_steps=1");
    let file = sandbox.path("feeds/test/part-00000.parquet");
    let rows = rows_of(&file);
    let below = changed(&rows, &["candidates", "clicks_60m"], &|numbers| {
        let numbers = numbers.as_primitive::<Float32Type>().values().iter();
        let below = numbers.enumerate().map(|(i, x)| if i % 2 == 0 { -7.0 } else { *x });
        Some(Arc::new(Float32Array::from_iter_values(below)))
    });
    write_foreign(&file, &below, 8);
    let scored = "score --run run --feeds feeds --out scores.parquet";
    for words in ["evaluate --run run --feeds feeds", scored, "inspect feeds", "check feeds"] {
        let output = sandbox.run(&format!("{words} --json"));
        assert!(output.status.success());
        let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        let findings = json["findings"].as_array().unwrap().iter();
        let found: Vec<_> = findings.filter(|found| found["check"] == "log_below_zero").collect();
        assert_eq!(found.len(), 1, "{words}: {json}");
        assert_eq!(
            (&found[0]["place"], &found[0]["level"]),
            (&"test: target.clicks_60m".into(), &"warning".into())
        );
        let (count, of) = (found[0]["count"].as_u64().unwrap(), found[0]["of"].as_u64().unwrap());
        assert_eq!(count, of.div_ceil(2), "{words}");
        assert!(found[0]["says"].as_str().unwrap().ends_with("the first is -7"), "{json}");
        let told = words == "check feeds" || text(&output.stderr).contains("log_below_zero");
        assert!(told, "{words}");
    }
}

/// `replay` and `retrieval` meet the bad row of a log as `samples` does, and pass over it if they are told to.
#[test]
fn a_bad_row_of_a_log_is_one_error_of_all_that_read_it() {
    let sandbox = Sandbox::new();
    sandbox.succeed("simulate --out logs --users 60 --days 3 --seed 1");
    sandbox.succeed("samples --logs logs --out world");
    let day = fs_err::read_dir(sandbox.path("logs/events")).unwrap().map(|day| day.unwrap().path());
    let file = day.min().unwrap().join("part-00000.parquet");
    let rows = rows_of(&file);
    let bad = changed(&rows, &["event_id"], &|ids| Some(with_null(&ids, 3)));
    write_foreign(&file, &bad, 1_000);
    let replay = "replay --logs logs --feeds world";
    let retrieval = "retrieval --feeds world --logs logs --k 5";
    let last = |words: &str| {
        let output = sandbox.run(words);
        assert_eq!(output.status.code(), Some(2), "{words}");
        text(&output.stderr).lines().last().unwrap().to_owned()
    };
    let of_samples = last("samples --logs logs --out again");
    assert!(of_samples.contains("row group 0, row 3: event_id: null"), "{of_samples}");
    assert_eq!((last(replay), last(retrieval)), (of_samples.clone(), of_samples));
    for words in [replay, retrieval] {
        let output = sandbox.run(&format!("{words} --lenient --json"));
        let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(json["read"]["left_out"]["no events"], 1, "{words}: {json}");
    }
}

#[test]
fn retrieval_tells_which_run_it_read() {
    let sandbox = Sandbox::new();
    sandbox.succeed("train --config config.toml --feeds feeds --out run training.max_steps=1");
    let words = "retrieval --feeds feeds --run run --k 5";
    let json: serde_json::Value =
        serde_json::from_str(&sandbox.succeed(&format!("{words} --json"))).unwrap();
    assert_eq!((&json["run"]["path"], &json["run"]["model"]), (&"run".into(), &"elive".into()));
    let checkpoint = json["run"]["checkpoint"].as_str().unwrap();
    let told = sandbox.succeed(words);
    assert!(told.starts_with(&format!("vectors of the run run: elive, {checkpoint}\n")), "{told}");
    assert!(!sandbox.succeed("retrieval --feeds feeds --k 5").contains("vectors of the run"));
}

#[test]
fn a_damaged_result_is_told_by_its_own_name() {
    let sandbox = Sandbox::new();
    fs_err::create_dir(sandbox.path("folder")).unwrap();
    fs_err::copy(sandbox.path("config.toml"), sandbox.path("folder/a.toml")).unwrap();
    let command = "experiment folder --feeds feeds --out results --seeds 1 training.max_steps=2";
    sandbox.succeed(command);
    fs_err::write(sandbox.path("results/results.jsonl.zst"), "{").unwrap();
    let told = sandbox.fail(command, 1);
    assert!(told.starts_with("error: results/results.jsonl.zst: "), "{told}");
    assert_eq!(told.matches("results.jsonl").count(), 1, "{told}");
}

/// Files with an encrypted footer have other letters at both ends.
#[test]
fn an_encrypted_file_is_not_called_damaged() {
    let sandbox = Sandbox::new();
    let file = sandbox.path("feeds/test/part-00000.parquet");
    let mut bytes = fs_err::read(&file).unwrap();
    let end = bytes.len() - 4;
    bytes[..4].copy_from_slice(b"PARE");
    bytes[end..].copy_from_slice(b"PARE");
    fs_err::write(&file, bytes).unwrap();
    let told = sandbox.fail("inspect feeds", 2);
    let expected =
        "error: feeds/test/part-00000.parquet: this program does not read it (it is encrypted)";
    assert!(told.starts_with(expected), "{told}");
}

/// A number that single precision does not have is told as it was written, and a name as a terminal can show it.
#[test]
fn values_are_told_as_they_were_written() {
    let sandbox = Sandbox::new();
    let file = sandbox.path("feeds/test/part-00000.parquet");
    let rows = rows_of(&file);
    let huge = changed(&rows, &["channels", "age_s"], &|array| {
        let mut ages: Vec<f64> = vec![1.0; array.len()];
        ages[2] = 1e300;
        Some(Arc::new(Float64Array::from(ages)))
    });
    write_foreign(&file, &huge, 1_000);
    let told = sandbox.fail("inspect feeds", 2);
    assert!(told.contains("age_s: 1e300 is not a finite number of single precision"), "{told}");
    fs_err::create_dir(sandbox.path("feeds/test/\u{1b}[31m")).unwrap();
    let told = sandbox.fail("inspect feeds", 2);
    assert!(told.starts_with("error: feeds/test/\\u{1b}[31m: is a folder"), "{told}");
}
