//! What callers are promised.

use std::sync::Arc;

use eliverec_core::dimensions::Value;
use eliverec_core::event::Scalar;
use eliverec_core::{Event, EventKind};
use eliverec_state::{
    Answered, Error, Group, OWN_EVENT_IDS, Publisher, Record, Row, State, StateConfig, Table,
};

use crate::log::{BATCH, BEGIN_MS, batch, config, dimensions, event, moment, row, schema, wanted};
use crate::oracle::{check, counts};

fn open(path: &std::path::Path, config: StateConfig) -> Result<State, Error> {
    State::open(path, config, &schema(), &dimensions())
}

/// Sends some batches with their rows.
fn send(state: &State, batches: std::ops::Range<u64>) {
    for of in batches {
        let acknowledged = state.ingest(batch(of), moment(of)).unwrap();
        assert_eq!(acknowledged.applied + acknowledged.late, BATCH);
        if let Some(row) = row(of) {
            state.upsert(Table::Channels, vec![row], moment(of)).unwrap();
        }
    }
}

#[test]
fn what_is_acknowledged_is_known_and_copies_are_told() {
    let folder = tempfile::tempdir().unwrap();
    let state = open(folder.path(), config()).unwrap();
    let leave = Event { value: Some(9.0), ..Event::new(7, BEGIN_MS, EventKind::Leave) };
    let leave = Event { user_id: Some(5), channel_id: Some(3), ..leave };
    let first = state.ingest(vec![leave.clone()], BEGIN_MS).unwrap();
    assert_eq!((first.sequence, first.applied, first.duplicates, first.late), (1, 1, 0, 0));
    let features = state.features(&wanted(), 5, BEGIN_MS, &[3]);
    assert_eq!((features.values.channels.len(), features.stand.position), (1, 1));
    assert_eq!((features.stand.ts_ms, features.stand.history), (BEGIN_MS + 1, 1));
    let again = state.ingest(vec![leave.clone(), leave], BEGIN_MS + 9).unwrap();
    assert_eq!((again.sequence, again.applied, again.duplicates), (1, 0, 2));
    let start = Event { channel_id: Some(4), ..Event::new(8, BEGIN_MS, EventKind::StreamStart) };
    state.ingest(vec![start.clone()], BEGIN_MS).unwrap();
    assert_eq!(&*state.live(), [4]);
    let end = Event { event_id: 9, ts_ms: BEGIN_MS + 1, kind: EventKind::StreamEnd, ..start };
    state.ingest(vec![end], BEGIN_MS).unwrap();
    assert!(state.live().is_empty());
    assert_eq!(state.position(), 3);
}

#[test]
fn a_wrong_batch_is_refused_as_a_whole() {
    let folder = tempfile::tempdir().unwrap();
    let state = open(folder.path(), config()).unwrap();
    let wrong = Event { user_id: None, kind: EventKind::Watch, ..event(3) };
    let error = state.ingest(vec![event(2), wrong], BEGIN_MS).unwrap_err().to_string();
    assert!(error.starts_with("event 1 of the batch (event_id 4): user_id: null"), "{error}");
    let shown = Event { context: Vec::new(), kind: EventKind::Impression, ..event(3) };
    let error = state.ingest(vec![shown], BEGIN_MS).unwrap_err().to_string();
    assert!(error.contains("context: 0 values, the schema declares 1"), "{error}");
    let rows = vec![Row { id: 1, values: vec![Value::Number(1.0)] }];
    let error = state.upsert(Table::Channels, rows, BEGIN_MS).unwrap_err().to_string();
    assert!(error.contains("row 0 of the batch (id 1): channels: column anchor_id"), "{error}");
    assert!(state.ingest(vec![event(1)], i64::MAX).is_err());
    assert_eq!(state.position(), 0);
}

#[test]
fn what_may_be_known_and_wait_is_bounded() {
    let folder = tempfile::tempdir().unwrap();
    let config = StateConfig { known_ids: 30, waiting_records: 25, ..config() };
    let state = open(folder.path(), config).unwrap();
    let many = (0..26).map(event).collect();
    assert!(matches!(state.ingest(many, moment(0)), Err(Error::Batch { given: 26, most: 25 })));
    state.ingest((0..20).map(event).collect(), moment(0)).unwrap();
    let more = || (20..40).map(event).collect();
    assert!(matches!(
        state.ingest(more(), moment(1)),
        Err(Error::KnownFull { known: 20, room_in_s: 900 })
    ));
    // When the first are too old to come twice, there is room again.
    let later_ms = moment(0) + 1_800_000;
    let later = (20..40).map(|number| Event { ts_ms: later_ms, ..event(number) }).collect();
    assert_eq!(state.ingest(later, later_ms).unwrap().applied, 20);
    assert_eq!(state.sizes().known_ids, 20);
}

#[test]
fn a_restart_goes_on_from_the_newest_snapshot() {
    let folder = tempfile::tempdir().unwrap();
    let state = open(folder.path(), config()).unwrap();
    send(&state, 0..40);
    let position = state.snapshot().unwrap();
    assert_eq!((position, state.snapshot().unwrap()), (state.position(), position));
    send(&state, 40..80);
    let end = state.position();
    let error = open(folder.path(), config()).unwrap_err().to_string();
    assert!(error.contains("another process has this state open"), "{error}");
    drop(state);
    let state = open(folder.path(), config()).unwrap();
    let opened = state.opened();
    assert_eq!((opened.snapshot, opened.replayed), (Some(position), end - position));
    // Copies of what was taken in before the restart are known.
    let copies = state.ingest(batch(79), moment(80)).unwrap();
    assert_eq!((copies.duplicates, state.position()), (BATCH + 1, end));
    let records = check(&state, moment(80));
    assert!(counts(&records).values().all(|count| *count == 1));
    drop(state);
    // Other settings make other features: neither snapshot nor a part of the log will do.
    let mut strict = config();
    strict.features.allowed_lateness_ms = 0;
    let state = open(folder.path(), strict).unwrap();
    assert_eq!((state.opened().passed_over.len(), state.opened().replayed), (2, end));
    drop(state);
    let mut other = schema();
    other.context.clear();
    let error = State::open(folder.path(), config(), &other, &dimensions()).unwrap_err();
    assert!(error.to_string().contains("another schema"), "{error}");
}

/// Days leave when two snapshots have them, and the state goes on without.
#[test]
fn days_that_stand_elsewhere_leave() {
    let folder = tempfile::tempdir().unwrap();
    let state = open(folder.path(), config()).unwrap();
    send(&state, 0..100);
    let days = state.days_over(moment(100)).unwrap();
    assert_eq!((days.len(), days[0].first), (1, 1));
    assert_eq!(state.leave(days[0].day, 60 * BATCH).unwrap(), 0);
    assert!(state.days_over(moment(100)).unwrap().is_empty());
    state.snapshot().unwrap();
    send(&state, 100..101);
    state.snapshot().unwrap();
    let files = || std::fs::read_dir(folder.path().join("log")).unwrap().count();
    let before = files();
    let (_, known) = crate::oracle::found(&state, moment(102));
    drop(state);
    let state = open(folder.path(), config()).unwrap();
    assert_eq!(files(), before);
    assert_eq!(crate::oracle::found(&state, moment(102)).1, known);
    assert!(state.position() > days[0].end);
    // The log begins behind them: without a snapshot there is no state.
    drop(state);
    std::fs::remove_dir_all(folder.path().join("snapshots")).unwrap();
    let error = open(folder.path(), config()).unwrap_err().to_string();
    assert!(error.contains("and 1 is needed"), "{error}");
}

#[test]
fn an_answer_is_logged_once_under_ids_of_the_log() {
    let folder = tempfile::tempdir().unwrap();
    let shown = |channel| {
        let impression = Event::new(0, BEGIN_MS, EventKind::Impression);
        let (user_id, channel_id, request_id) = (Some(1), Some(channel), Some(77));
        Event { user_id, channel_id, request_id, context: vec![Scalar::Id(1)], ..impression }
    };
    let answer = || vec![shown(3), shown(4)];
    let state = open(folder.path(), config()).unwrap();
    state.ingest(vec![event(0)], BEGIN_MS).unwrap();
    let answered = Answered {
        request_id: 77,
        user_id: 1,
        at_ms: BEGIN_MS,
        bundle: "b".into(),
        buckets: vec![("layer".into(), "bucket".into())],
        drawn: vec![(4, 0.25)],
        available_at_ms: 0,
    };
    let logged = state.log_answer(answer(), Some(answered.clone()), BEGIN_MS).unwrap();
    // Behind its impressions stands how it came to be, which is no event.
    assert_eq!((logged.sequence, logged.applied), (4, 2));
    let again = |state: &State, now_ms| {
        matches!(state.log_answer(answer(), None, now_ms), Err(Error::Answered { request_id: 77 }))
    };
    assert!(again(&state, BEGIN_MS));
    // Of the log, and of a snapshot.
    drop(state);
    let state = open(folder.path(), config()).unwrap();
    assert!(again(&state, BEGIN_MS));
    state.snapshot().unwrap();
    drop(state);
    let state = open(folder.path(), config()).unwrap();
    assert!(again(&state, BEGIN_MS + 60_000));
    let records = check(&state, BEGIN_MS);
    let ids: Vec<u64> = counts(&records).into_keys().collect();
    assert_eq!(ids, [1, OWN_EVENT_IDS.start + 2, OWN_EVENT_IDS.start + 3]);
    let Some((4, Record::Answered(logged))) = records.last() else { panic!("{records:?}") };
    assert_eq!(*logged, Answered { available_at_ms: logged.available_at_ms, ..answered.clone() });
    // The look at the log was days later, and only a start begins where the log ends.
    drop(state);
    let state = open(folder.path(), config()).unwrap();
    // One that nobody waits for stands before what comes later.
    state.note_answer(answered, BEGIN_MS + 61_000).unwrap();
    let later = state.ingest(vec![event(1)], BEGIN_MS + 61_000).unwrap();
    let records = check(&state, BEGIN_MS + 61_000);
    assert_eq!(later.sequence, 6);
    assert!(
        matches!(&records[4], (5, Record::Answered(logged)) if logged.available_at_ms >= BEGIN_MS + 61_000)
    );
}

/// Ends the thread that calls it.
#[derive(Debug)]
struct Panicking;

impl Publisher for Panicking {
    fn publish(&self, _: Group) {
        panic!("the publisher of a test");
    }

    fn position(&self) -> u64 {
        0
    }
}

#[test]
fn a_panic_while_writing_stops_the_state() {
    let folder = tempfile::tempdir().unwrap();
    let state = open(folder.path(), config()).unwrap();
    state.publish_to(Arc::new(Panicking));
    let stopped = |of| matches!(state.ingest(batch(of), moment(of)), Err(Error::Stopped { .. }));
    assert!(stopped(0));
    assert!(stopped(1));
    assert!(state.stopped().unwrap().to_string().contains("panicked"));
    assert!(matches!(state.snapshot(), Err(Error::Stopped { .. })));
    drop(state);
    // It was on disk, and what came later was not.
    let state = open(folder.path(), config()).unwrap();
    assert_eq!(state.ingest(batch(0), moment(2)).unwrap().duplicates, BATCH);
    assert_eq!(state.position(), BATCH);
}
