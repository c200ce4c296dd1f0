//! A day stands in one place, whatever happens on the way.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use eliverec_archive::{Error, archive, begin, gone, keep_newest};
use eliverec_core::seed::Random;
use eliverec_core::{Dimensions, Event, EventKind, IdKinds, Schema};
use eliverec_state::{State, StateConfig};
use eliverec_tables::events::{EventLog, Row, Store};

const DIRECTORY: &str = "ELIVEREC_TEST_ARCHIVE";
const FIRST: &str = "ELIVEREC_TEST_FIRST_BATCH";
const HOUR_MS: i64 = 3_600_000;
const BEGIN_MS: i64 = 20_000 * 24 * HOUR_MS;
const BATCH: u64 = 30;

fn open(path: &Path) -> State {
    let schema = Schema::parse(eliverec_sim::SCHEMA).unwrap();
    let dimensions = Dimensions::empty(&schema).unwrap();
    begin(&path.join("logs"), &schema, &dimensions, &IdKinds::default()).unwrap();
    let config = StateConfig { gather_ms: 0, segment_records: 200, ..StateConfig::default() };
    State::open(&path.join("state"), config, &schema, &dimensions).unwrap()
}

/// Some hours between one batch and the next.
fn moment(batch: u64) -> i64 {
    BEGIN_MS + batch as i64 * 5 * HOUR_MS
}

fn batch(batch: u64) -> Vec<Event> {
    let start = |id| {
        let start = Event::new(id, moment(batch), EventKind::StreamStart);
        Event { channel_id: Some(id % 9), ..start }
    };
    (batch * BATCH..(batch + 1) * BATCH).map(start).collect()
}

/// How often each event stands in the folders.
fn events(logs: &Path) -> BTreeMap<u64, usize> {
    let log = EventLog::open(&Store::local(logs).unwrap()).unwrap();
    let mut counts = BTreeMap::new();
    for row in log.read(..).unwrap() {
        let Row::Event(event) = row.unwrap() else { panic!("a rejected row") };
        *counts.entry(event.event_id).or_default() += 1;
    }
    counts
}

/// Runs in a process of its own until it is killed.
#[test]
#[ignore = "a child of the test below"]
fn child() {
    let Ok(path) = std::env::var(DIRECTORY) else { return };
    let first: u64 = std::env::var(FIRST).unwrap().parse().unwrap();
    let state = open(Path::new(&path));
    for of in first.. {
        state.ingest(batch(of), moment(of)).unwrap();
        let mut out = std::io::stdout().lock();
        writeln!(out, "\nacknowledged {of}").and_then(|()| out.flush()).unwrap();
        drop(out);
        archive(&state, &Path::new(&path).join("logs"), moment(of), None).unwrap();
        state.snapshot().unwrap();
    }
}

#[test]
fn no_kill_loses_or_doubles_a_day() {
    let kills: u64 = std::env::var("ELIVEREC_KILLS").map_or(6, |kills| kills.parse().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let mut random = Random::new(kills);
    let mut acknowledged: BTreeSet<u64> = BTreeSet::new();
    for _ in 0..kills {
        let first = acknowledged.last().map_or(0, |last| last + 1);
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "days::child", "--ignored", "--nocapture"])
            .env(DIRECTORY, folder.path())
            .env(FIRST, first.to_string())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        let mut said =
            lines.filter_map(|line| line.strip_prefix("acknowledged ")?.parse::<u64>().ok());
        let batches = 1 + (random.uniform() * 12.0) as usize;
        acknowledged.extend(said.by_ref().take(batches));
        // Somewhere in what follows the last acknowledgement.
        for _ in 0..(random.uniform() * 2e6) as u64 {
            std::hint::spin_loop();
        }
        child.kill().unwrap();
        acknowledged.extend(said);
        child.wait().unwrap();
    }
    let state = open(folder.path());
    let logs = folder.path().join("logs");
    let last = acknowledged.last().unwrap();
    archive(&state, &logs, moment(last + 20), None).unwrap();
    let counts = events(&logs);
    assert!(counts.values().all(|count| *count == 1));
    for of in &acknowledged {
        assert!((of * BATCH..(of + 1) * BATCH).all(|id| counts.contains_key(&id)), "batch {of}");
    }
    assert!(acknowledged.len() as u64 >= kills);
}

#[test]
fn a_folder_with_other_events_is_in_the_way() {
    let folder = tempfile::tempdir().unwrap();
    let state = open(folder.path());
    let logs = folder.path().join("logs");
    state.ingest(batch(0), moment(0)).unwrap();
    state.ingest(batch(1), moment(1)).unwrap();
    // Somebody else's events of that day.
    let other = open(&folder.path().join("other"));
    other.ingest(batch(0), moment(0)).unwrap();
    archive(&other, &logs, moment(10), None).unwrap();
    let Err(Error::OtherDay { found, expected, path }) = archive(&state, &logs, moment(10), None)
    else {
        panic!("the folder was taken for ours");
    };
    assert_eq!((found, expected), (BATCH, 2 * BATCH));
    fs_err::remove_dir_all(path).unwrap();
    let archived = archive(&state, &logs, moment(10), None).unwrap();
    assert_eq!((archived.days.values().sum::<u64>(), archived.rows), (2 * BATCH, 0));
    assert!(archive(&state, &logs, moment(10), None).unwrap().days.is_empty());
}

#[test]
fn the_newest_days_are_kept_and_what_left_does_not_come_back() {
    let folder = tempfile::tempdir().unwrap();
    let state = open(folder.path());
    let logs = folder.path().join("logs");
    // Five hours apart: nearly seven days.
    for of in 0..32 {
        state.ingest(batch(of), moment(of)).unwrap();
    }
    let archived = archive(&state, &logs, moment(32), None).unwrap();
    let days: Vec<_> = archived.days.keys().copied().collect();
    assert_eq!(days.len(), 6);
    assert!(keep_newest(&logs, 6).unwrap().is_empty());
    // A kill in the middle of a removal.
    let torn = logs.join("events").join(format!(".removed-{}", days[0]));
    fs_err::rename(logs.join("events").join(format!("date={}", days[0])), &torn).unwrap();
    let newest_event = *events(&logs).last_key_value().unwrap().0;
    assert_eq!(keep_newest(&logs, 2).unwrap(), days[1..4]);
    assert!(!torn.exists());
    let kept = events(&logs);
    assert_eq!(*kept.last_key_value().unwrap().0, newest_event);
    assert_eq!(kept.len() as u64, archived.days[&days[4]] + archived.days[&days[5]]);
    assert!(archive(&state, &logs, moment(32), None).unwrap().days.is_empty());
}

#[test]
fn as_many_events_of_others_are_other_events() {
    let folder = tempfile::tempdir().unwrap();
    let state = open(folder.path());
    let logs = folder.path().join("logs");
    state.ingest(batch(0), moment(0)).unwrap();
    let other = open(&folder.path().join("other"));
    let mut events = batch(0);
    events[7].event_id = 7_000;
    other.ingest(events, moment(0)).unwrap();
    archive(&other, &logs, moment(10), None).unwrap();
    let refused = archive(&state, &logs, moment(10), None).unwrap_err();
    assert!(matches!(refused, Error::OtherDay { found: BATCH, expected: BATCH, .. }), "{refused}");
    assert_eq!(state.days_over(moment(10)).unwrap().len(), 1, "it stays in the log");
}

#[test]
fn after_a_start_only_days_that_were_compared_leave() {
    let folder = tempfile::tempdir().unwrap();
    let logs = folder.path().join("logs");
    let files = || fs_err::read_dir(folder.path().join("state/log")).unwrap().count();
    let state = open(folder.path());
    for of in 0..16 {
        state.ingest(batch(of), moment(of)).unwrap();
    }
    let days: Vec<_> = archive(&state, &logs, moment(16), None).unwrap().days.into_keys().collect();
    assert_eq!(days.len(), 3);
    drop(state);
    fs_err::remove_dir_all(logs.join("events").join(format!("date={}", days[1]))).unwrap();
    let state = open(folder.path());
    assert_eq!(gone(&state, &logs, None).unwrap(), days[1..2]);
    // A day is not missed where it was to be removed.
    assert!(gone(&state, &logs, Some(1)).unwrap().is_empty());
    let before = files();
    for of in 16..18 {
        state.ingest(batch(of), moment(of)).unwrap();
        state.snapshot().unwrap();
    }
    assert!(files() >= before, "two snapshots have them, and nobody has looked for their folders");
    let archived = archive(&state, &logs, moment(18), None).unwrap();
    assert_eq!(archived.again, days[1..2]);
    assert!(files() < before);
    assert!(
        events(&logs).len() as u64 >= 14 * BATCH && gone(&state, &logs, None).unwrap().is_empty()
    );
}

#[test]
fn one_service_has_a_log_and_what_is_none_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let schema = Schema::parse(eliverec_sim::SCHEMA).unwrap();
    let dimensions = Dimensions::empty(&schema).unwrap();
    let begin =
        |name: &str| begin(&folder.path().join(name), &schema, &dimensions, &IdKinds::default());
    let held = begin("logs").unwrap();
    assert!(matches!(begin("logs"), Err(Error::Held { .. })));
    drop(held);
    assert!(begin("logs").is_ok());
    fs_err::create_dir(folder.path().join("bundle")).unwrap();
    fs_err::write(folder.path().join("bundle/manifest.json"), "{}").unwrap();
    let told = begin("bundle").unwrap_err().to_string();
    assert!(told.contains("bundle: holds \"manifest.json\", and no log"), "{told}");
    assert_eq!(fs_err::read_dir(folder.path().join("bundle")).unwrap().count(), 1);
}
