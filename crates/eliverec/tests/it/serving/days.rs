//! Days that are over become folders, whatever kills the service, and the oldest leave if they are to.

use std::collections::BTreeMap;
use std::path::Path;

use eliverec_core::seed::{Random, stream};
use eliverec_tables::events::{EventLog, Row, Store, read_dimensions};
use serde_json::{Value, json};

use super::server::{Server, number, serve, spin, until, until_while, world, written};
use crate::sandbox::tell;

const BEGIN_MS: i64 = 20_000 * 86_400_000;
const HOUR_MS: i64 = 3_600_000;
const BATCH: u64 = 50;

/// Five hours after the batch before.
fn moment(batch: u64) -> i64 {
    BEGIN_MS + batch as i64 * 5 * HOUR_MS
}

fn batch(batch: u64) -> Value {
    let ts = moment(batch);
    let click = |i| json!({"event_id": batch * BATCH + i, "ts": ts, "available_at": ts, "kind": "product_click", "user_id": i, "product_id": batch});
    (0..BATCH).map(click).collect()
}

/// How often each event stands in the folders, all of which can be read, and so can the tables.
fn events(days: &Path) -> BTreeMap<u64, usize> {
    if folders(days).is_empty() {
        return BTreeMap::new();
    }
    let store = Store::local(days).unwrap();
    let log = EventLog::open(&store).unwrap();
    read_dimensions(&store, log.schema()).unwrap();
    let mut counts = BTreeMap::new();
    for row in log.read(..).unwrap() {
        let Row::Event(event) = row.unwrap() else { panic!("a rejected row") };
        *counts.entry(event.event_id).or_default() += 1;
    }
    counts
}

/// Names of days' folders, in order.
fn folders(days: &Path) -> Vec<String> {
    let names = std::fs::read_dir(days.join("events")).into_iter().flatten().flatten();
    let names = names.map(|entry| entry.file_name().to_string_lossy().into_owned());
    let mut names: Vec<String> = names.filter(|name| name.starts_with("date=")).collect();
    names.sort();
    names
}

/// `ELIVEREC_KILLS` makes more of them.
#[test]
fn a_kill_while_days_become_folders_leaves_whole_days() {
    let kills = number("ELIVEREC_KILLS", 3);
    let sandbox = world(60);
    let settings = "snapshot_s = 1\n[state]\ngather_ms = 0\nsegment_records = 300\n";
    fs_err::write(sandbox.path("serve.toml"), settings).unwrap();
    let begin = || Server::begin(&sandbox, "--clock callers --config serve.toml");
    let days = sandbox.path("state/days");
    let mut random = Random::new(stream(kills, "kills"));
    let (mut next, mut amid) = (0, 0);
    for _ in 0..kills {
        let before = folders(&days);
        let mut server = begin();
        for _ in 0..12 {
            assert_eq!(server.posted("/v1/events", &batch(next))["admitted"], BATCH);
            let row = json!({"anchor_id": next, "category_id": 3});
            assert_eq!(server.put("/v1/channels/5", &row).0, 200);
            next += 1;
        }
        let partial = days.join(".archive-partial");
        until("a day on its way", || partial.exists() || folders(&days) != before);
        spin(&mut random, 8_000_000);
        server.kill();
        amid += u64::from(partial.exists());
        assert!(events(&days).values().all(|count| *count == 1));
    }
    let server = begin();
    server.posted("/v1/events", &batch(next + 20));
    let last = format!("events/date={}", eliverec_core::Day::of(moment(next - 1)).unwrap());
    let is_there = || days.join(&last).is_dir();
    until_while("the last day's folder", || written(&days), is_there);
    server.end();
    let counts = events(&days);
    assert!(counts.values().all(|count| *count == 1));
    assert_eq!(counts.len() as u64, next * BATCH, "every event of every day, once");
    tell(&format!("days: {kills} kills, {amid} of them while a folder was being made"));
}

#[test]
fn only_as_many_days_stay_as_the_settings_say() {
    let sandbox = world(60);
    let settings = |keep: u64| {
        let text = format!("[state]\nkeep_days = {keep}\n");
        fs_err::write(sandbox.path("serve.toml"), text).unwrap();
    };
    settings(1);
    let words = "serve --bundle bundle --state state --listen 127.0.0.1:0 --config serve.toml";
    let refused = sandbox.fail(words, 2);
    assert!(refused.contains("state.keep_days: is less than 2"), "{refused}");
    settings(2);
    let server = Server::of(&mut serve(
        &sandbox,
        "--state state --clock callers --config serve.toml --log-level error",
    ));
    let server = server.unwrap();
    for next in 0..26 {
        server.posted("/v1/events", &batch(next));
    }
    // 26 batches are five days and a part of the sixth.
    let days = sandbox.path("state/days");
    let day =
        |i: i64| format!("date={}", eliverec_core::Day::of(BEGIN_MS + i * 24 * HOUR_MS).unwrap());
    until("two days", || folders(&days) == [day(3), day(4)]);
    server.end();
    assert_eq!(events(&days).len() as u64, 9 * BATCH);
}
