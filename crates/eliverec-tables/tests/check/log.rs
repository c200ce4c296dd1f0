//! Faults of event logs.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray};
use arrow::datatypes::{DataType, Int64Type, UInt64Type};
use eliverec_core::event::Scalar;
use eliverec_core::feed::Column;
use eliverec_core::schema::Group;
use eliverec_core::seed::Random;
use eliverec_core::{Dimension, Dimensions, Event, EventKind, IdKind, IdKinds, toy};
use eliverec_tables::check::{Checked, Level};
use eliverec_tables::events::check::{CHECKS, log as log_events};
use eliverec_tables::events::{
    Day, EventLog, EventWriter, Store, write_dimensions, write_id_kinds,
};
use tempfile::TempDir;

use super::{assert_all_planted, assert_clean, assert_found, of};
use crate::feed_files::{cast, changed, rows_of, with_null, write_foreign};

const MINUTE_MS: i64 = 60_000;
const DAY_MS: i64 = 1_440 * MINUTE_MS;
const LATENESS_MS: i64 = 10 * MINUTE_MS;
const USERS: u64 = 40;
const PRODUCTS: u64 = 30;
const CHANNELS: u64 = 20;

/// The events and tables of a log, before and after something is planted in them.
pub(crate) struct Log {
    events: Vec<Event>,
    dimensions: Dimensions,
}

impl Log {
    /// Two weeks of requests, each followed by what a user may do.
    fn new() -> Self {
        let schema = toy::schema();
        let mut random = Random::new(9);
        let start_ms = "2024-05-31".parse::<Day>().unwrap().start_ms();
        let mut log = Self { events: Vec::new(), dimensions: dimensions(&schema) };
        let mut id = |count: u64| random.below(count as usize) as u64;
        for channel in 0..CHANNELS {
            log.add(start_ms, EventKind::StreamStart, |event| event.channel_id = Some(channel));
            log.add(start_ms, EventKind::StreamEnd, |event| event.channel_id = Some(channel));
            for kind in [EventKind::ProductOn, EventKind::ProductOff] {
                log.add(start_ms, kind, |event| {
                    (event.channel_id, event.product_id) = (Some(channel), Some(channel));
                });
            }
        }
        for request in 0..1_400_u64 {
            let ts_ms = start_ms + request as i64 * DAY_MS / 100;
            let (user, product) = (id(USERS), id(PRODUCTS));
            log.add(ts_ms - 5_000, EventKind::ProductClick, |event| {
                (event.user_id, event.product_id) = (Some(user), Some(product));
            });
            let first = id(CHANNELS);
            for position in 0..4 {
                let of_channel = |event: &mut Event| {
                    event.user_id = Some(user);
                    event.channel_id = Some((first + position) % CHANNELS);
                    event.request_id = Some(request);
                };
                log.add(ts_ms, EventKind::Impression, |event| {
                    of_channel(event);
                    event.position = Some(position as u16);
                    event.context = vec![Scalar::Id(request % 24)];
                });
                if position == 1 {
                    log.add(ts_ms + 1_000, EventKind::Watch, of_channel);
                    let stay_s = 5 + id(300);
                    log.add(ts_ms + 1_000 * stay_s as i64, EventKind::Leave, |event| {
                        of_channel(event);
                        event.value = Some(stay_s as f64);
                    });
                    for kind in [EventKind::BagClick, EventKind::ProductClick, EventKind::Order] {
                        log.add(ts_ms + 3_000, kind, |event| {
                            of_channel(event);
                            event.product_id = Some(product);
                        });
                    }
                }
            }
        }
        log
    }

    fn add(&mut self, ts_ms: i64, kind: EventKind, fill: impl Fn(&mut Event)) {
        let mut event = Event::new(self.events.len() as u64, ts_ms, kind);
        fill(&mut event);
        self.events.push(event);
    }

    fn of(&mut self, kind: EventKind) -> impl Iterator<Item = &mut Event> {
        self.events.iter_mut().filter(move |event| event.kind == kind)
    }

    fn write(&self) -> (TempDir, Store) {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::local(&folder.path().join("logs")).unwrap();
        let mut writer = EventWriter::create(&store, &toy::schema()).unwrap();
        self.events.iter().for_each(|event| writer.push(event).unwrap());
        writer.finish().unwrap();
        write_dimensions(&self.dimensions, &store).unwrap();
        (folder, store)
    }

    fn check(&self) -> Checked {
        let (_folder, store) = self.write();
        log_events(&EventLog::open(&store).unwrap(), LATENESS_MS).unwrap()
    }
}

/// Everybody and everything has a row.
fn dimensions(schema: &eliverec_core::Schema) -> Dimensions {
    let table = |group, count: u64| {
        let fields = Dimension::fields_of(schema, group);
        let columns = fields.iter().map(|_| Column::Ids((0..count).map(|id| id % 5).collect()));
        Dimension::new(schema, group, (0..count).collect(), columns.collect()).unwrap()
    };
    Dimensions {
        users: table(Group::User, USERS),
        products: table(Group::Product, PRODUCTS),
        channels: table(Group::Channel, CHANNELS),
    }
}

/// As for feeds; what cannot be written by the writer has a test of its own.
macro_rules! planted {
    ($($check:ident, $level:ident, $place:literal, $plant:expr;)*) => {
        $(
            #[test]
            fn $check() {
                let mut log = Log::new();
                let plant: fn(&mut Log) = $plant;
                plant(&mut log);
                assert_found(&log.check(), stringify!($check), Level::$level, $place);
            }
        )*

        #[test]
        fn every_check_is_planted() {
            assert_all_planted(CHECKS, &["rows_rejected", "ids_not_kept", $(stringify!($check)),*]);
        }
    };
}

planted! {
    kind_absent, Severe, "events: kind", |log| {
        log.events.retain(|event| event.kind != EventKind::Leave);
    };
    users_never_meet, Severe, "events: user_id", |log| {
        for event in log.of(EventKind::ProductClick).filter(|event| event.channel_id.is_none()) {
            event.user_id = event.user_id.map(|user| user + (1 << 40));
        }
    };
    leaves_untied, Severe, "events: request_id", |log| {
        log.of(EventKind::Leave).for_each(|event| event.request_id = None);
    };
    ids_without_row, Severe, "channels.parquet", |log| {
        log.events.iter_mut().for_each(|event| {
            event.channel_id = event.channel_id.map(|channel| channel + (1 << 40));
        });
    };
    days_missing, Warning, "events", |log| {
        let gap_ms = "2024-06-04".parse::<Day>().unwrap().start_ms();
        log.events.retain(|event| !(gap_ms..gap_ms + DAY_MS).contains(&event.available_at_ms));
    };
    events_late, Warning, "events", |log| {
        log.of(EventKind::Impression).for_each(|event| event.available_at_ms += LATENESS_MS + 1);
    };
    arrives_before, Warning, "events", |log| {
        log.of(EventKind::Impression).for_each(|event| event.available_at_ms -= 10_000);
    };
    event_twice, Warning, "events", |log| {
        let again: Vec<Event> = log.of(EventKind::Watch).map(|event| event.clone()).collect();
        log.events.extend(again);
    };
    event_time_unit, Warning, "events: ts", |log| log.events.iter_mut().for_each(|event| {
        event.ts_ms /= 1_000;
        event.available_at_ms /= 1_000;
    });
    request_of_several, Warning, "events: request_id", |log| {
        log.of(EventKind::Impression).for_each(|event| {
            event.request_id = event.request_id.map(|id| id / 2);
        });
    };
    position_missing, Warning, "events: position", |log| {
        log.of(EventKind::Impression).step_by(3).for_each(|event| event.position = None);
    };
    leave_unit, Warning, "events: value", |log| {
        log.of(EventKind::Leave).for_each(|event| {
            event.value = event.value.map(|stay_s| stay_s * 1_000.0);
        });
    };
    clicks_of_one_domain, Warning, "events: channel_id", |log| {
        log.of(EventKind::ProductClick).for_each(|event| event.channel_id = Some(1));
    };
}

#[test]
fn rows_rejected() {
    let (_folder, store) = Log::new().write();
    let path = store.root().join("events/date=2024-06-02/part-00000.parquet");
    let rows = rows_of(&path);
    let kinds = cast(rows.column_by_name("kind").unwrap(), &DataType::Utf8);
    let mut kinds = kinds.as_string::<i32>().iter();
    let impression = kinds.position(|kind| kind == Some("impression")).unwrap();
    let rows = changed(&rows, &["request_id"], &|array| Some(with_null(&array, impression)));
    write_foreign(&path, &rows, 100);
    let checked = log_events(&EventLog::open(&store).unwrap(), LATENESS_MS).unwrap();
    assert_found(&checked, "rows_rejected", Level::Severe, "events: request_id");
    let says = &of(&checked, "rows_rejected")[0].says;
    for part in ["1 of ", "missing", "part-00000.parquet", "impression needs it"] {
        assert!(says.contains(part), "no {part:?} in {says}");
    }
}

#[test]
fn ids_not_kept() {
    let (_folder, store) = Log::new().write();
    let after = |change: &dyn Fn(&ArrayRef) -> ArrayRef, column: &str| {
        for folder in fs_err::read_dir(store.root().join("events")).unwrap() {
            let path = folder.unwrap().path().join("part-00000.parquet");
            write_foreign(&path, &changed(&rows_of(&path), &[column], &|a| Some(change(&a))), 100);
        }
        log_events(&EventLog::open(&store).unwrap(), LATENESS_MS).unwrap()
    };
    // Ids in the upper half of 64 bits without a sign are no negative ones.
    let large = |ids: &ArrayRef| {
        let ids = ids.as_primitive::<UInt64Type>();
        Arc::new(ids.unary::<_, UInt64Type>(|id| id | 1 << 63)) as ArrayRef
    };
    assert!(of(&after(&large, "request_id"), "ids_not_kept").is_empty());
    // The same bits with a sign.
    let signed = |ids: &ArrayRef| {
        let ids = ids.as_primitive::<UInt64Type>();
        Arc::new(ids.unary::<_, Int64Type>(|id| id as i64)) as ArrayRef
    };
    let checked = after(&signed, "request_id");
    assert_found(&checked, "ids_not_kept", Level::Note, "ids");
    let says = &of(&checked, "ids_not_kept")[0].says;
    assert!(says.starts_with("request_id: negative numbers here, the same 64 bits"), "{says}");
    let checked = after(&|ids| cast(ids, &DataType::Utf8), "request_id");
    let says = &of(&checked, "ids_not_kept")[0].says;
    assert_eq!(says, "request_id: text here, their 64-bit hash in feeds, scores and explanations");
}

#[test]
fn the_kind_of_ids_is_that_of_the_files_unless_the_log_says_it() {
    let (_folder, store) = Log::new().write();
    let kinds = || EventLog::open(&store).unwrap().id_kinds().unwrap();
    assert_eq!(kinds().of_group(Group::User), Some(IdKind::Integer));
    assert!(!kinds().vocabularies.is_empty());
    let path = store.root().join("users.parquet");
    let text = |ids: ArrayRef| Some(cast(&ids, &DataType::Utf8));
    write_foreign(&path, &changed(&rows_of(&path), &["user_id"], &text), 100);
    assert_eq!(kinds().of_group(Group::User), Some(IdKind::Text));
    // What says nothing says that nobody knows.
    write_id_kinds(&IdKinds::default(), &store).unwrap();
    assert!(kinds().is_empty());
    fs_err::write(store.root().join("ids.toml"), "[columns]\nuser_id = \"hash\"\n").unwrap();
    let error = EventLog::open(&store).unwrap().id_kinds().unwrap_err().to_string();
    assert!(error.contains("ids.toml"), "{error}");
}

#[test]
fn nothing_is_found_in_a_log_as_it_should_be() {
    let log = Log::new();
    let checked = log.check();
    assert_clean(&checked);
    assert_eq!(checked.findings, []);
    let read: Vec<(&str, u64, u64, u64)> = checked
        .read
        .parts
        .iter()
        .map(|part| {
            (part.name.as_str(), part.files, part.rows, part.impressions.unwrap_or_default())
        })
        .collect();
    let events = log.events.len() as u64;
    assert_eq!(
        read,
        [
            ("events", 15, events, 5_600),
            ("users", 1, USERS, 0),
            ("products", 1, PRODUCTS, 0),
            ("channels", 1, CHANNELS, 0)
        ]
    );
}

#[test]
fn an_absent_kind_is_a_warning_where_the_schema_asks_for_it() {
    let mut log = Log::new();
    log.events.retain(|event| event.kind != EventKind::ProductOn);
    assert_found(&log.check(), "kind_absent", Level::Note, "events: kind");
    let (_folder, store) = log.write();
    let mut schema = toy::schema();
    schema.dynamic[1].name = "on_sale_category_id".into();
    fs_err::write(store.root().join("schema.toml"), schema.to_toml()).unwrap();
    let checked = log_events(&EventLog::open(&store).unwrap(), LATENESS_MS).unwrap();
    assert_found(&checked, "kind_absent", Level::Warning, "events: kind");
}

#[test]
fn a_few_late_events_and_retries_are_notes() {
    let mut log = Log::new();
    log.of(EventKind::Watch).take(20).for_each(|event| event.available_at_ms += 2 * LATENESS_MS);
    let again: Vec<Event> = log.of(EventKind::Watch).take(20).map(|event| event.clone()).collect();
    log.events.extend(again);
    let checked = log.check();
    assert_clean(&checked);
    assert_found(&checked, "events_late", Level::Note, "events");
    assert_found(&checked, "event_twice", Level::Note, "events");
}
