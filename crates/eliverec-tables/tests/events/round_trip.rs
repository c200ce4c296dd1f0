//! Random events in random order come back, from the local disk and from an object store.

use std::collections::BTreeMap;

use eliverec_core::Event;
use eliverec_core::seed::Random;
use eliverec_tables::events::{Day, EventLog, EventWriter, Store};
use proptest::prelude::*;

use crate::logs::{events, first_day, in_memory, on_disk, read_strictly, schema, sorted, write};

/// What a log must give: days in order, events of a day as they were pushed.
fn by_day(events: &[Event]) -> Vec<Event> {
    let mut days: BTreeMap<Day, Vec<Event>> = BTreeMap::new();
    for event in events {
        days.entry(Day::of(event.available_at_ms).unwrap()).or_default().push(event.clone());
    }
    days.into_values().flatten().collect()
}

fn check(store: &Store, events: &[Event]) {
    write(store, events);
    assert_eq!(read_strictly(store).unwrap(), by_day(events));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_is_written_comes_back(count in 1_usize..200, seed in any::<u64>()) {
        let mut events = events(count, seed);
        Random::new(seed).shuffle(&mut events);
        check(&in_memory(), &events);
        check(&on_disk().1, &events);
    }
}

#[test]
fn many_row_groups_and_parts_come_back() {
    let events = events(300_000, 2);
    let store = in_memory();
    check(&store, &events);
    let mut writer = EventWriter::append(&store).unwrap();
    events.iter().for_each(|event| writer.push(event).unwrap());
    let written = writer.finish().unwrap();
    assert_eq!(written.events(), 300_000);
    let log = EventLog::open(&store).unwrap();
    assert_eq!(log.files(first_day()).len(), 2);
    assert_eq!(log.read(..).unwrap().count(), 600_000);
}

#[test]
fn more_days_than_open_files_come_back_in_order() {
    // Every day gets more than one row group early, because so many events wait.
    let events: Vec<Event> = events(600_000, 3)
        .into_iter()
        .map(|mut event| {
            let spread = (event.event_id as i64 % 40) * 86_400_000;
            event.ts_ms += spread;
            event.available_at_ms += spread;
            event
        })
        .collect();
    let store = in_memory();
    check(&store, &events);
    let log = EventLog::open(&store).unwrap();
    assert!(log.days().any(|day| log.files(day).len() > 1), "no file was closed early");
}

#[test]
fn days_are_chosen_by_arrival() {
    let store = in_memory();
    let events = events(1_000, 4);
    write(&store, &events);
    let log = EventLog::open(&store).unwrap();
    let second = first_day().plus(1).unwrap();
    let chosen = log.read(second..=second).unwrap().strict();
    let chosen: Vec<Event> = chosen.map(Result::unwrap).collect();
    let expected =
        events.iter().filter(|event| Day::of(event.available_at_ms) == Some(second)).cloned();
    assert_eq!(sorted(chosen), sorted(expected.collect()));
    let late = |event: &&Event| Day::of(event.ts_ms) == Some(first_day());
    assert!(log.read(second..=second).unwrap().strict().flatten().any(|event| late(&&event)));
    let message = log.read(..first_day()).unwrap_err().to_string();
    assert!(message.contains("the log goes from 2024-05-31 to 2024-06-0"), "{message}");
}

#[test]
fn files_are_plain_parquet_with_the_columns_of_the_contract() {
    let (_folder, store) = on_disk();
    write(&store, &events(100, 5));
    let rows =
        crate::feed_files::rows_of(&store.root().join("events/date=2024-05-31/part-00000.parquet"));
    let columns: Vec<String> =
        rows.schema().fields().iter().map(|f| format!("{} {}", f.name(), f.data_type())).collect();
    assert_eq!(
        columns,
        [
            "event_id UInt64",
            "ts Timestamp(ms, \"UTC\")",
            "available_at Timestamp(ms, \"UTC\")",
            "kind Dictionary(Int32, Utf8)",
            "user_id UInt64",
            "channel_id UInt64",
            "product_id UInt64",
            "request_id UInt64",
            "position UInt16",
            "value Float64",
            "hour UInt64",
            "load Float32",
        ]
    );
}

#[test]
fn the_writer_refuses_what_the_reader_would() {
    let mut writer = EventWriter::create(&in_memory(), &schema()).unwrap();
    let good = events(100, 6);
    let impression = good.iter().find(|event| !event.context.is_empty()).unwrap();
    let other = good.iter().find(|event| event.context.is_empty()).unwrap();
    let mut message = |event: Event| writer.push(&event).unwrap_err().to_string();
    let no_context = Event { context: Vec::new(), ..impression.clone() };
    assert!(message(no_context).contains("context: 0 values, the schema declares 2"));
    let swapped =
        Event { context: impression.context.iter().rev().copied().collect(), ..impression.clone() };
    assert!(message(swapped).contains("hour: its value does not fit"));
    let context = Event { context: impression.context.clone(), ..other.clone() };
    assert!(message(context).contains("context: only impressions have one"));
    let ahead = Event { ts_ms: other.available_at_ms + 86_400_000, ..other.clone() };
    assert!(message(ahead).contains("ts: 86400 s after available_at"));
    let never = Event { available_at_ms: i64::MAX, ..other.clone() };
    assert!(message(never).contains("available_at: 9223372036854775807 is outside the years"));
}
