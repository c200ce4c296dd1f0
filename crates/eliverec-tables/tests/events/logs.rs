//! Event logs for the tests of this binary.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::RecordBatch;
use eliverec_core::event::Scalar;
use eliverec_core::schema::{Field, Kind, Transform};
use eliverec_core::seed::Random;
use eliverec_core::{Event, EventKind, Schema, toy};
use eliverec_tables::Error;
use eliverec_tables::events::{Day, EventLog, EventWriter, Store};
use object_store::memory::InMemory;
use tempfile::TempDir;

use crate::feed_files::{rows_of, write_foreign};

/// 2024-05-31 in UTC.
pub(crate) fn first_day() -> Day {
    "2024-05-31".parse().unwrap()
}

/// The toy schema, with a number in the context.
pub(crate) fn schema() -> Schema {
    let mut schema = toy::schema();
    let kind = Kind::Dense { transform: Transform::None };
    schema.context.push(Field { name: "load".into(), kind });
    schema
}

/// Events of every kind over three days, some late, the same for the same seed.
pub(crate) fn events(count: usize, seed: u64) -> Vec<Event> {
    let mut random = Random::new(seed);
    (0..count as u64).map(|event_id| event(event_id, &mut random)).collect()
}

fn event(event_id: u64, random: &mut Random) -> Event {
    let kind = EventKind::ALL[random.below(EventKind::ALL.len())];
    let ts_ms = first_day().start_ms() + random.below(3 * 86_400_000) as i64;
    let required = kind.requires();
    let mut id = |required: bool, below: usize| {
        (required || random.below(2) == 0).then(|| random.below(below) as u64)
    };
    let (user_id, channel_id) = (id(required.user, 50), id(required.channel, 20));
    let (product_id, request_id) = (id(required.product, 90), id(required.request, 1_000));
    let valued = matches!(kind, EventKind::Leave | EventKind::Order);
    let late = if random.below(3) == 0 { random.below(90_000_000) as i64 } else { 0 };
    let impression = kind == EventKind::Impression;
    Event {
        available_at_ms: ts_ms + late,
        user_id,
        channel_id,
        product_id,
        request_id,
        position: impression.then(|| random.below(10) as u16),
        value: valued.then(|| random.uniform() * 100.0),
        context: if impression {
            vec![Scalar::Id(random.below(24) as u64), Scalar::Number(random.uniform() as f32)]
        } else {
            Vec::new()
        },
        ..Event::new(event_id, ts_ms, kind)
    }
}

/// A log in memory.
pub(crate) fn in_memory() -> Store {
    Store::of(Arc::new(InMemory::new()), "logs", "memory://logs")
}

/// A log in a folder of the local disk, and what removes it.
pub(crate) fn on_disk() -> (TempDir, Store) {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::local(&folder.path().join("logs")).unwrap();
    (folder, store)
}

/// Writes a new log.
pub(crate) fn write(store: &Store, events: &[Event]) {
    let mut writer = EventWriter::create(store, &schema()).unwrap();
    events.iter().for_each(|event| writer.push(event).unwrap());
    writer.finish().unwrap();
}

/// All events of a log, or the first error.
pub(crate) fn read_strictly(store: &Store) -> Result<Vec<Event>, Error> {
    EventLog::open(store)?.read(..)?.strict().collect()
}

/// In the order of their ids.
pub(crate) fn sorted(mut events: Vec<Event>) -> Vec<Event> {
    events.sort_by_key(|event| event.event_id);
    events
}

/// A log of one day on the local disk, the day's file, and its rows.
pub(crate) fn one_day(count: usize) -> (TempDir, Store, PathBuf, RecordBatch) {
    let (folder, store) = on_disk();
    let mut events = events(count, 1);
    for event in &mut events {
        event.ts_ms = first_day().start_ms() + event.event_id as i64;
        event.available_at_ms = event.ts_ms + event.event_id as i64 % 2;
    }
    write(&store, &events);
    let path = store.root().join("events/date=2024-05-31/part-00000.parquet");
    let rows = rows_of(&path);
    (folder, store, path, rows)
}

/// The log with its one file replaced, in row groups of ten rows.
pub(crate) fn replaced(path: &Path, rows: &RecordBatch) {
    write_foreign(path, rows, 10);
}

/// Known by their content: one byte of a value counts, whatever the size and the footer say, and where the log lies does not.
#[test]
fn a_file_with_the_same_size_and_footer_is_another_one() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::local(folder.path()).unwrap();
    let mut writer = EventWriter::create(&store, &schema()).unwrap();
    events(100, 3).iter().for_each(|event| writer.push(event).unwrap());
    writer.finish().unwrap();
    let log = EventLog::open(&store).unwrap();
    let day = log.days().next().unwrap();
    let (marks, file) = (log.marks(day).unwrap(), log.files(day)[0].clone());
    let mut bytes = fs_err::read(&file).unwrap();
    bytes[8] ^= 1;
    fs_err::write(&file, &bytes).unwrap();
    assert_ne!(log.marks(day).unwrap(), marks);
    bytes[8] ^= 1;
    fs_err::write(&file, &bytes).unwrap();
    assert_eq!(log.marks(day).unwrap(), marks);
    let moved = folder.path().with_extension("moved");
    fs_err::rename(folder.path(), &moved).unwrap();
    let log = EventLog::open(&Store::local(&moved).unwrap()).unwrap();
    assert_eq!(log.marks(day).unwrap(), marks);
    fs_err::rename(&moved, folder.path()).unwrap();
}
