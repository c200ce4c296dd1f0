//! A disk that fills up: nothing more is acknowledged, requests go on, and nothing that was acknowledged is lost.

#![cfg(unix)]

use std::io::Write;
use std::path::Path;
use std::process::Command;

use eliverec_state::{Error, State, StateConfig};

use crate::log::{BATCH, batch, config, dimensions, moment, schema};
use crate::oracle::{check, counts, found};

const DIRECTORY: &str = "ELIVEREC_TEST_FULL";

fn roomy() -> StateConfig {
    // All in one file, which is what the limit is on.
    StateConfig { segment_records: u64::MAX, ..config() }
}

/// Runs where no file may grow beyond a few megabytes.
#[test]
#[ignore = "a child of the test below"]
fn child() {
    let Ok(directory) = std::env::var(DIRECTORY) else { return };
    let state = State::open(Path::new(&directory), roomy(), &schema(), &dimensions()).unwrap();
    for of in 0.. {
        match state.ingest(batch(of), moment(of)) {
            Ok(_) => {
                let mut out = std::io::stdout().lock();
                writeln!(out, "\nacknowledged {of}").unwrap();
            }
            Err(error) => {
                assert!(
                    matches!(error, Error::Stopped { .. }) && error.is_disk_full(),
                    "{error:?}"
                );
                break;
            }
        }
    }
    assert!(matches!(state.stopped(), Some(Error::Stopped { is_disk_full: true, .. })));
    assert!(matches!(state.ingest(batch(0), moment(0)), Err(Error::Stopped { .. })));
    // It would know ids that are not in the log.
    assert!(matches!(state.snapshot(), Err(Error::Stopped { .. })));
    // Requests go on.
    assert_eq!(found(&state, moment(0)).1.len() as u64, crate::log::USERS);
    println!("\nstopped as it should");
}

#[test]
fn a_full_disk_acknowledges_nothing_that_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    let program = std::env::current_exe().unwrap();
    // The signal that comes with the limit would end the process before it sees the error.
    let script =
        "trap '' XFSZ; ulimit -f 6000; exec \"$0\" --exact full_disk::child --ignored --nocapture";
    let output = Command::new("sh")
        .args(["-c", script])
        .arg(program)
        .env(DIRECTORY, folder.path())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        text.contains("stopped as it should"),
        "{text}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let acknowledged: Vec<u64> =
        text.lines().filter_map(|line| line.strip_prefix("acknowledged ")?.parse().ok()).collect();
    assert!(acknowledged.len() > 50, "{}", acknowledged.len());
    let state = State::open(folder.path(), roomy(), &schema(), &dimensions()).unwrap();
    let counts = counts(&check(&state, moment(0)));
    for of in acknowledged {
        for number in of * BATCH..(of + 1) * BATCH {
            assert_eq!(counts.get(&(number + 1)), Some(&1), "batch {of}");
        }
    }
}
