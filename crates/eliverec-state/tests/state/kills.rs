//! SIGKILL at random moments under ingest, requests and snapshots, half of them twice in a row: no acknowledged event is lost or
//! doubled, and what is known after the restart is what a state that never died would know.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};

use eliverec_core::seed::Random;
use eliverec_state::{State, Table};

use crate::log::{BATCH, batch, config, dimensions, moment, row, schema, wanted};
use crate::oracle::{check, counts};

const DIRECTORY: &str = "ELIVEREC_TEST_STATE";
const FIRST: &str = "ELIVEREC_TEST_FIRST_BATCH";
const THREADS: u64 = 3;

/// Says a line to the parent.
fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "\n{line}").and_then(|()| out.flush()).unwrap();
}

/// Runs in a process of its own until it is killed.
#[test]
#[ignore = "a child of the test below"]
fn child() {
    let Ok(directory) = std::env::var(DIRECTORY) else { return };
    let first: u64 = std::env::var(FIRST).unwrap().parse().unwrap();
    say("opening");
    let state = State::open(Path::new(&directory), config(), &schema(), &dimensions()).unwrap();
    say("open");
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let state = &state;
            scope.spawn(move || {
                for of in (first + thread..).step_by(THREADS as usize) {
                    state.ingest(batch(of), moment(of)).unwrap();
                    if let Some(row) = row(of) {
                        state.upsert(Table::Channels, vec![row], moment(of)).unwrap();
                    }
                    say(&format!("acknowledged {of}"));
                }
            });
        }
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                state.features(&wanted(), 1, moment(first), &[0, 1, 2, 3, 4, 5, 6]);
                state.snapshot().unwrap();
            }
        });
    });
}

fn spawn(directory: &Path, first: u64) -> (Child, impl Iterator<Item = String>) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "kills::child", "--ignored", "--nocapture"])
        .env(DIRECTORY, directory)
        .env(FIRST, first.to_string())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    (child, lines)
}

fn kill(mut child: Child, lines: impl Iterator<Item = String>, acknowledged: &mut BTreeSet<u64>) {
    child.kill().unwrap();
    // What it said before it died counts.
    acknowledged.extend(lines.filter_map(|line| batch_of(&line)));
    child.wait().unwrap();
}

fn batch_of(line: &str) -> Option<u64> {
    line.strip_prefix("acknowledged ")?.parse().ok()
}

#[test]
fn no_kill_loses_or_doubles_what_was_acknowledged() {
    let kills: u64 = std::env::var("ELIVEREC_KILLS").map_or(12, |kills| kills.parse().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let mut random = Random::new(kills);
    let mut acknowledged = BTreeSet::new();
    let mut died = 0;
    while died < kills {
        let first = acknowledged.last().map_or(0_u64, |last| last + 1).saturating_sub(THREADS * 2);
        let (child, mut lines) = spawn(folder.path(), first);
        let batches = (random.uniform() * 25.0) as usize;
        let said = lines.by_ref().filter_map(|line| batch_of(&line));
        acknowledged.extend(said.take(batches + 1));
        kill(child, lines, &mut acknowledged);
        died += 1;
        if died % 2 == 1 {
            // And once more while it recovers, or just after.
            let (child, mut lines) = spawn(folder.path(), first);
            let until = if random.uniform() < 0.7 { "opening" } else { "open" };
            let _ = lines.by_ref().find(|line| line == until);
            kill(child, lines, &mut acknowledged);
            died += 1;
        }
        let state = State::open(folder.path(), config(), &schema(), &dimensions()).unwrap();
        assert!(state.opened().passed_over.is_empty(), "{:?}", state.opened());
        let records = check(&state, moment(0));
        let counts = counts(&records);
        assert!(counts.values().all(|count| *count == 1));
        for of in &acknowledged {
            for number in of * BATCH..(of + 1) * BATCH {
                assert!(counts.contains_key(&(number + 1)), "event {} of batch {of}", number + 1);
            }
        }
    }
    assert!(acknowledged.len() as u64 > kills, "{}", acknowledged.len());
}
