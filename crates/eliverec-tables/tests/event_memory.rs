//! Writing and reading an event log hold a bounded part of it, however large it is and however many days it has.

#![expect(clippy::unwrap_used, reason = "a fixture that fails fails its test")]

mod counting;

use counting::peak_of;
use eliverec_core::{Event, EventKind, toy};
use eliverec_tables::events::{EventLog, EventWriter, Store};

/// What writing may hold: the events that wait, in buffers of up to twice their size, and a row group on its way.
const WRITING: usize = 80 << 20;
/// What reading may hold: a footer, a row group and some decoded rows.
const READING: usize = 16 << 20;
const DAY_MS: i64 = 86_400_000;

fn event(i: u64, days: u64) -> Event {
    let ts_ms = (i % days) as i64 * DAY_MS + (i / days % 86_400_000) as i64;
    Event {
        available_at_ms: ts_ms + (i % 2) as i64,
        user_id: Some(i % 1_000),
        channel_id: Some(i % 77),
        value: Some(i as f64),
        ..Event::new(i, ts_ms, EventKind::Leave)
    }
}

fn write(store: &Store, count: u64, days: u64) {
    let mut writer = EventWriter::create(store, &toy::schema()).unwrap();
    (0..count).for_each(|i| writer.push(&event(i, days)).unwrap());
    writer.finish().unwrap();
}

fn read(store: &Store) -> usize {
    let events = EventLog::open(store).unwrap().read(..).unwrap().strict();
    events.map(|event| assert!(event.is_ok())).count()
}

// One test, because tests of one process run at the same time and count together.
#[test]
fn memory_does_not_grow_with_the_log() {
    let folder = tempfile::tempdir().unwrap();
    for (name, count, days) in
        [("small", 400_000, 2), ("large", 1_600_000, 2), ("days", 800_000, 200)]
    {
        let store = Store::local(&folder.path().join(name)).unwrap();
        let ((), writing) = peak_of(|| write(&store, count, days));
        assert!(writing < WRITING, "{name}: {writing} bytes to write");
        let (read, reading) = peak_of(|| read(&store));
        assert_eq!(read as u64, count);
        assert!(reading < READING, "{name}: {reading} bytes to read");
    }
}
