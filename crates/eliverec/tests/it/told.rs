//! What a command tells beside its result, and where the documents list who tells.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, TimestampMillisecondArray};
use arrow::datatypes::TimestampMillisecondType;

use crate::feed_files::{changed, rows_of, write_foreign};
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
