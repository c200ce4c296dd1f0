//! Files appear whole or not at all, and no writer takes the place of another's file.

use eliverec_core::{Event, EventKind};
use eliverec_tables::events::write::{OPEN_PARTS, PENDING_EVENTS};
use eliverec_tables::events::{EventLog, EventWriter, Store};

use crate::logs::{events, first_day, in_memory, on_disk, read_strictly, schema, sorted, write};

/// Names of all files below a folder of the local disk.
fn files(store: &Store) -> Vec<String> {
    let mut names = Vec::new();
    let mut folders = vec![store.root().to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs_err::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                names.push(path.strip_prefix(store.root()).unwrap().display().to_string());
            }
        }
    }
    names.sort();
    names
}

/// Enough events that files are open when the writer is dropped, over `days` days.
fn many(days: u64) -> Vec<Event> {
    let event = |i| {
        let ts_ms = first_day().start_ms() + (i % days) as i64 * 86_400_000;
        Event { channel_id: Some(1), ..Event::new(i, ts_ms, EventKind::StreamStart) }
    };
    (0..PENDING_EVENTS as u64 + 10).map(event).collect()
}

#[test]
fn a_dropped_writer_leaves_no_part_of_a_file() {
    let (_folder, store) = on_disk();
    let mut writer = EventWriter::create(&store, &schema()).unwrap();
    many(2).iter().for_each(|event| writer.push(event).unwrap());
    let open = files(&store);
    assert!(open.iter().any(|name| name.ends_with(".parquet.partial")), "{open:?}");
    assert!(read_strictly(&store).unwrap_err().to_string().contains("no events"));
    drop(writer);
    assert_eq!(files(&store), ["schema.toml"]);
    // What is left counts as a new log.
    write(&store, &events(10, 1));
}

#[test]
fn files_closed_early_are_whole_when_the_writer_is_dropped() {
    let (_folder, store) = on_disk();
    let days = 2 * OPEN_PARTS as u64;
    let mut writer = EventWriter::create(&store, &schema()).unwrap();
    for round in 0..2 {
        for mut event in many(days) {
            event.event_id += round << 32;
            writer.push(&event).unwrap();
        }
    }
    drop(writer);
    let left = read_strictly(&store).unwrap();
    assert!(!left.is_empty() && left.len() < 2 * many(days).len(), "{}", left.len());
    assert!(files(&store).iter().all(|name| !name.contains("partial")));
}

#[test]
fn what_a_killed_writer_leaves_is_stepped_over() {
    for store in [on_disk(), (tempfile::tempdir().unwrap(), in_memory())] {
        let (_folder, store) = store;
        let mut killed = EventWriter::create(&store, &schema()).unwrap();
        many(1).iter().for_each(|event| killed.push(event).unwrap());
        // Its destructor does not run, as after a kill.
        std::mem::forget(killed);
        let events = events(100, 1);
        write(&store, &events);
        assert_eq!(sorted(read_strictly(&store).unwrap()), events);
        let first = EventLog::open(&store).unwrap().files(first_day());
        assert!(first[0].ends_with("date=2024-05-31/part-00001.parquet"), "{first:?}");
    }
}

#[test]
fn a_log_with_events_is_not_created_again() {
    for (_folder, store) in [on_disk(), (tempfile::tempdir().unwrap(), in_memory())] {
        write(&store, &events(10, 1));
        let error = EventWriter::create(&store, &schema()).unwrap_err().to_string();
        assert!(
            error.contains("holds events already (events/date=2024-05-31); remove it"),
            "{error}"
        );
        assert_eq!(read_strictly(&store).unwrap().len(), 10);
    }
}

#[test]
fn writers_at_once_make_parts_of_their_own() {
    for (_folder, store) in [on_disk(), (tempfile::tempdir().unwrap(), in_memory())] {
        EventWriter::create(&store, &schema()).unwrap().finish().unwrap();
        let events = events(4_000, 1);
        std::thread::scope(|scope| {
            for part in events.chunks(1_000) {
                let store = &store;
                scope.spawn(move || {
                    for events in part.chunks(100) {
                        let mut writer = EventWriter::append(store).unwrap();
                        events.iter().for_each(|event| writer.push(event).unwrap());
                        writer.finish().unwrap();
                    }
                });
            }
        });
        assert_eq!(sorted(read_strictly(&store).unwrap()), events);
        assert_eq!(EventLog::open(&store).unwrap().files(first_day()).len(), 40);
    }
}

#[test]
fn threads_of_an_asynchronous_runtime_may_write_and_read() {
    for (_folder, store) in [on_disk(), (tempfile::tempdir().unwrap(), in_memory())] {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let events = events(100, 1);
        let read = runtime.block_on(async {
            write(&store, &events);
            read_strictly(&store).unwrap()
        });
        assert_eq!(sorted(read), events);
    }
}

#[test]
fn appending_needs_a_log() {
    let (_folder, store) = on_disk();
    let error = EventWriter::append(&store).unwrap_err().to_string();
    assert!(error.contains("no such directory"), "{error}");
}
