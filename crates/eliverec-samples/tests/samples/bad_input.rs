//! Logs that cannot be used as they are, and fields that nothing can fill.

use std::sync::Arc;

use arrow::array::{AsArray, RecordBatch, TimestampMillisecondArray};
use arrow::datatypes::TimestampMillisecondType;
use eliverec_core::Schema;
use eliverec_core::event::Event;
use eliverec_features::FeedBuilder;
use eliverec_samples::{SampleConfig, samples};
use eliverec_tables::events::{Day, Reason};

use crate::feed_files::{rows_of, write_foreign};
use crate::logs::{DAY_MS, Shape, Site, config, day, dimensions, events, files, first_day, schema};

const SHAPE: Shape = Shape { requests: 50, events: 300, days: 2, grain_ms: 1_000 };

fn fails(site: &Site, config: &SampleConfig) -> String {
    samples(&site.logs(), &site.feeds(), config, |_| ()).unwrap_err().to_string()
}

/// Rows of a day stand in the folder of another: the writer would not do that.
pub fn misplaced(site: &Site) -> u64 {
    let from = site.logs().join("events/date=2024-05-31/part-00000.parquet");
    let to = site.logs().join("events/date=2024-06-01/part-00009.parquet");
    fs_err::copy(from, to).unwrap();
    let of_day = |event: &Event| Day::of(event.available_at_ms) == Some(first_day());
    events(SHAPE, 1).iter().filter(|event| of_day(event)).count() as u64
}

#[test]
fn a_wrong_row_is_named() {
    let site = Site::new(&events(SHAPE, 1));
    misplaced(&site);
    let message = fails(&site, &config());
    assert!(
        message.contains(
            "events/date=2024-06-01/part-00009.parquet: row group 0, row 0: available_at"
        ),
        "{message}"
    );
}

/// All files but that of what the feeds were made of: the logs differ.
fn feeds_of(folder: &std::path::Path) -> Vec<(String, Vec<u8>)> {
    let mut all = files(folder);
    all.retain(|(name, _)| name != eliverec_samples::MADE_OF_FILE);
    all
}

#[test]
fn lenient_runs_set_wrong_rows_aside() {
    let site = Site::new(&events(SHAPE, 1));
    let clean = site.other("clean");
    site.run_to(&clean, &config());
    let clean = feeds_of(&clean);
    let count = misplaced(&site);
    let lenient = SampleConfig { lenient: true, ..config() };
    for _ in 0..2 {
        let summary = site.run(&lenient);
        let key = ("available_at".to_owned(), Reason::WrongDay);
        assert_eq!(summary.rejected.get(&key), Some(&count), "{summary}");
        assert_eq!(summary.rows_rejected(), count);
        let mut made = feeds_of(&site.feeds());
        let rejected = made.iter().position(|(name, _)| name == "rejected/part-00000.parquet");
        made.remove(rejected.unwrap());
        assert!(made == clean);
    }
    // The rows of an earlier run are gone when no row is set aside any more, by a run that may, and by one that may not.
    let folder = site.feeds().join("rejected");
    let mended = Site::new(&events(SHAPE, 1));
    for config in [lenient, config()] {
        fs_err::create_dir_all(&folder).unwrap();
        fs_err::write(folder.join("part-00000.parquet"), "rows of a run before").unwrap();
        samples(&mended.logs(), &site.feeds(), &config, |_| ()).unwrap();
        assert!(!folder.exists());
    }
    // What somebody else has put there is not the program's to remove.
    fs_err::create_dir_all(folder.join("mine")).unwrap();
    for name in ["part-00000.parquet", "notes.txt", "mine/part-00000.parquet"] {
        fs_err::write(folder.join(name), name).unwrap();
    }
    for lenient in [true, false] {
        samples(&mended.logs(), &site.feeds(), &SampleConfig { lenient, ..config() }, |_| ())
            .unwrap();
        let left: Vec<String> = files(&folder).into_iter().map(|(name, _)| name).collect();
        assert_eq!(left, ["mine/part-00000.parquet", "notes.txt"]);
    }
}

/// A log of which no row is an event gives no feeds, says so, and leaves nothing.
#[test]
fn a_log_without_an_event_leaves_nothing() {
    let site = Site::new(&events(SHAPE, 1));
    let rows = misplaced(&site);
    for folder in fs_err::read_dir(site.logs().join("events")).unwrap() {
        let _ = fs_err::remove_file(folder.unwrap().path().join("part-00000.parquet"));
    }
    let told = fails(&site, &SampleConfig { lenient: true, ..config() });
    assert!(told.contains(&format!("{rows} of its {rows} rows are no events")), "{told}");
    assert!(!site.feeds().exists());
}

#[test]
fn a_torn_file_is_named() {
    let site = Site::new(&events(SHAPE, 2));
    let path = site.logs().join("events/date=2024-06-01/part-00000.parquet");
    let bytes = fs_err::read(&path).unwrap();
    for length in [0, 3, bytes.len() / 2, bytes.len() - 1] {
        fs_err::write(&path, &bytes[..length]).unwrap();
        for lenient in [false, true] {
            let message = fails(&site, &SampleConfig { lenient, ..config() });
            assert!(message.contains("part-00000.parquet: not a whole Parquet file"), "{message}");
        }
    }
}

#[test]
fn a_clock_that_is_ahead_by_a_day_is_rejected() {
    const ROW: usize = 7;
    let site = Site::new(&events(SHAPE, 3));
    let path = site.logs().join("events/date=2024-05-31/part-00000.parquet");
    let rows = rows_of(&path);
    let place = rows.schema().index_of("ts").unwrap();
    let times = rows.column(place).as_primitive::<TimestampMillisecondType>();
    let jumped =
        times.iter().enumerate().map(|(i, ts)| Some(ts? + if i == ROW { DAY_MS } else { 0 }));
    let jumped: TimestampMillisecondArray = jumped.collect();
    let mut columns = rows.columns().to_vec();
    columns[place] = Arc::new(jumped.with_timezone("UTC"));
    write_foreign(&path, &RecordBatch::try_new(rows.schema(), columns).unwrap(), 100);

    let message = fails(&site, &config());
    assert!(message.contains("row group 0, row 7: ts: "), "{message}");
    assert!(message.contains("one of the clocks is wrong"), "{message}");
    let summary = site.run(&SampleConfig { lenient: true, ..config() });
    assert_eq!(summary.rejected.get(&("ts".to_owned(), Reason::Clock)), Some(&1), "{summary}");
    assert_eq!(summary.rows_rejected(), 1);
}

#[test]
fn days_without_events_are_an_error() {
    let site = Site::new(&events(SHAPE, 4));
    let message = fails(&site, &SampleConfig { to: Some(day(-40)), ..config() });
    assert!(message.contains("no events on the days asked for; the log goes from"), "{message}");
    let message = fails(&Site::new(&[]), &config());
    assert!(message.contains("no events"), "{message}");
}

#[test]
fn fields_without_a_source_are_named() {
    let broken = |change: &dyn Fn(String) -> String| {
        let schema = Schema::parse(&change(schema().to_toml())).unwrap();
        let dimensions = Arc::new(dimensions(&schema));
        FeedBuilder::new(&schema, &dimensions).unwrap_err().to_string()
    };
    let cases = [
        (
            "viewers_10m",
            "viewers_11m",
            "dynamic.viewers_11m: no feature is called \"viewers_11m\"; the nearest names are",
        ),
        (
            "current_brand",
            "current_maker",
            "target.current_maker: products have no field maker or maker_id",
        ),
        (
            "\"stay\"\nkind",
            "\"revenue_1m_\"\nkind",
            "channel_event.revenue_1m_: a watch has the field stay",
        ),
    ];
    for (from, to, start) in cases {
        let message = broken(&|text| text.replacen(from, to, 1));
        assert!(message.starts_with(&format!("schema: {start}")), "{message}");
    }
}
