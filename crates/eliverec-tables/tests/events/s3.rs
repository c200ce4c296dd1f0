//! Logs at an S3-compatible server that the test starts. Without it the test says so and passes.

use std::io::Write;
use std::process::Command;

use eliverec_core::Event;
use eliverec_tables::events::{EventLog, EventWriter, NewLog, Store};

use crate::logs::{events, first_day, on_disk, read_strictly, schema, sorted, write};
use crate::moto::{SKIPPED, Server};

/// Set in the process that talks to the server: access comes from the environment, which a test's own must not change.
const SERVED: &str = "ELIVEREC_TEST_S3";

#[test]
fn logs_at_a_real_server() {
    let Some(server) = Server::start() else {
        writeln!(std::io::stderr(), "{SKIPPED}").unwrap();
        return;
    };
    server.make_bucket("logs");
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "s3::with_the_server", "--ignored", "--nocapture"])
        .env(SERVED, "s3://logs")
        .envs(server.access())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&child.stdout) + String::from_utf8_lossy(&child.stderr);
    assert!(child.status.success() && text.contains("1 passed"), "{text}");
}

/// The part of [`logs_at_a_real_server`] that has the address in its environment.
#[test]
#[ignore = "run by logs_at_a_real_server, which sets its environment"]
fn with_the_server() {
    let root = std::env::var(SERVED).unwrap();
    let place = |name: &str| Store::open(format!("{root}/{name}")).unwrap();

    // What is written comes back, and a second writer adds to it.
    let store = place("small");
    assert!(read_strictly(&store).unwrap_err().to_string().contains("schema.toml"));
    let all = events(3_000, 1);
    write(&store, &all[..1_000]);
    let mut more = EventWriter::append(&store).unwrap();
    all[1_000..].iter().for_each(|event| more.push(event).unwrap());
    more.finish().unwrap();
    assert_eq!(sorted(read_strictly(&store).unwrap()), all);
    let files = EventLog::open(&store).unwrap().files(first_day());
    assert!(files.len() == 2 && files[0].starts_with(format!("{root}/small")), "{files:?}");

    // A file of several parts, which have 8 MiB.
    let store = place("large");
    let on_one_day = |mut event: Event| {
        event.ts_ms = first_day().start_ms() + event.event_id as i64;
        event.available_at_ms = event.ts_ms;
        // Ids that do not compress.
        event.event_id = event.event_id.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        event
    };
    let all = sorted(events(900_000, 2).into_iter().map(on_one_day).collect());
    write(&store, &all);
    let (_folder, local) = on_disk();
    write(&local, &all);
    let file = &EventLog::open(&local).unwrap().files(first_day())[0];
    let bytes = fs_err::metadata(file).unwrap().len();
    assert!(bytes > 8 << 20, "{bytes}");
    assert_eq!(EventLog::open(&store).unwrap().files(first_day()).len(), 1);
    assert_eq!(sorted(read_strictly(&store).unwrap()), all);

    // What a killed writer leaves is stepped over.
    let store = place("killed");
    let mut killed = EventWriter::create(&store, &schema()).unwrap();
    all.iter().for_each(|event| killed.push(event).unwrap());
    std::mem::forget(killed);
    write(&store, &all[..10]);
    assert_eq!(sorted(read_strictly(&store).unwrap()), all[..10]);

    // A whole log appears with its schema, and no second one takes its place.
    let store = place("whole");
    let log = NewLog::create(&store).unwrap();
    write(log.store(), &all[..100]);
    assert!(read_strictly(&store).is_err());
    log.publish().unwrap();
    assert_eq!(sorted(read_strictly(&store).unwrap()), all[..100]);
    assert!(NewLog::create(&store).is_err());

    // Errors name the address.
    let nowhere = Store::open("s3://no-such-bucket/logs").unwrap();
    let message = read_strictly(&nowhere).unwrap_err().to_string();
    assert!(message.contains("s3://no-such-bucket/logs"), "{message}");
}
