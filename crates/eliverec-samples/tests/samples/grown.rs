//! The daily job: a log that grows, and `samples` into the same folder each time, give what one run over the whole log gives.

use std::path::{Path, PathBuf};

use eliverec_core::Dimension;
use eliverec_core::event::{Event, EventKind, Scalar};
use eliverec_core::feed::Column;
use eliverec_core::schema::Group;
use eliverec_samples::{Made, SampleConfig, Summary, samples};
use eliverec_tables::events::EventLog;
use eliverec_tables::events::{EventWriter, Store, write_dimensions};
use proptest::prelude::*;

use crate::logs::{DAY_MS, Shape, Site, config, day, dimensions, events, files, first_day, schema};

/// Adds a file with these arrivals to the folders of their days.
fn grow(logs: &Path, name: &str, arrivals: &[Event]) {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::local(folder.path()).unwrap();
    let mut writer = EventWriter::create(&store, &schema()).unwrap();
    arrivals.iter().for_each(|event| writer.push(event).unwrap());
    writer.finish().unwrap();
    let log = EventLog::open(&store).unwrap();
    for day in log.days() {
        let to = logs.join(format!("events/date={day}"));
        fs_err::create_dir_all(&to).unwrap();
        for (i, file) in log.files(day).iter().enumerate() {
            fs_err::copy(file, to.join(format!("{name}-{i}.parquet"))).unwrap();
        }
    }
    fs_err::copy(folder.path().join("schema.toml"), logs.join("schema.toml")).unwrap();
    write_dimensions(&dimensions(&schema()), &Store::local(logs).unwrap()).unwrap();
}

/// A log that grows, its feeds, and those of one run over all of it.
struct Daily {
    folder: tempfile::TempDir,
}

impl Daily {
    fn new() -> Self {
        let daily = Self { folder: tempfile::tempdir().unwrap() };
        fs_err::create_dir_all(daily.logs()).unwrap();
        daily
    }

    fn logs(&self) -> PathBuf {
        self.folder.path().join("logs")
    }

    fn feeds(&self) -> PathBuf {
        self.folder.path().join("feeds")
    }

    fn run(&self) -> Summary {
        let summary = samples(&self.logs(), &self.feeds(), &config(), |_| ()).unwrap();
        assert!(summary.adds_up(), "{summary}");
        summary
    }

    fn at_once(&self) -> Vec<(String, Vec<u8>)> {
        let feeds = self.folder.path().join("at once");
        let _ = fs_err::remove_dir_all(&feeds);
        samples(&self.logs(), &feeds, &config(), |_| ()).unwrap();
        files(&feeds)
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(12) })]
    /// Late leaves, clicks after midnight, second arrivals, events of three days ago, arrivals once or thrice a day.
    #[test]
    fn a_log_that_grows_has_the_feeds_of_the_whole(
        seed in any::<u64>(),
        steps_per_day in prop::sample::select(vec![1_i64, 3]),
    ) {
        let mut log = events(Shape { requests: 150, events: 300, days: 4, grain_ms: 1_000 }, seed);
        for event in log.iter_mut().step_by(17) {
            event.available_at_ms += 3 * DAY_MS;
        }
        let step = |event: &Event| {
            (event.available_at_ms - first_day().start_ms()).div_euclid(DAY_MS / steps_per_day)
        };
        let mut steps: Vec<i64> = log.iter().map(step).collect();
        steps.sort_unstable();
        steps.dedup();
        let daily = Daily::new();
        for now in steps {
            let arrivals: Vec<Event> = log.iter().filter(|of| step(of) == now).cloned().collect();
            grow(&daily.logs(), &format!("{now:05}"), &arrivals);
            daily.run();
            prop_assert!(files(&daily.feeds()) == daily.at_once(), "after step {}", now);
        }
    }
}

fn of_request(request: u64, kind: EventKind, after_ms: i64) -> Event {
    let start_ms = first_day().start_ms() + DAY_MS - 600_000;
    Event {
        user_id: Some(request % 9 + 1),
        channel_id: Some(1),
        request_id: Some(request),
        ..Event::new(1_000 * (after_ms.unsigned_abs() + 1) + request, start_ms + after_ms, kind)
    }
}

/// Shown at 23:50, entered at 23:51, left at 23:55 by three of 53 and after midnight by fifty.
#[test]
fn labels_that_arrive_after_midnight_come_in() {
    let daily = Daily::new();
    let (mut first, mut second) = (Vec::new(), Vec::new());
    for request in 1..=53 {
        let context = vec![Scalar::Id(23), Scalar::Number(0.0)];
        let shown = of_request(request, EventKind::Impression, 0);
        first.push(Event { position: Some(0), context, ..shown });
        first.push(of_request(request, EventKind::Watch, 60_000));
        let early = request <= 3;
        let (after_s, into) = if early { (300, &mut first) } else { (1_200, &mut second) };
        let leave = of_request(request, EventKind::Leave, after_s * 1_000);
        into.push(Event { value: Some(after_s as f64 - 60.0), ..leave });
    }
    grow(&daily.logs(), "first", &first);
    let summary = daily.run();
    assert_eq!((summary.days[0].watched, summary.days[0].is_final), (3, false));
    assert!(summary.to_string().contains("2024-05-31 and later: not final"), "{summary}");
    grow(&daily.logs(), "second", &second);
    let summary = daily.run();
    assert_eq!((summary.days[0].watched, summary.days[0].made), (53, Made::Again));
    let text = summary.to_string();
    assert!(
        text.contains("53 watched, made again\n2024-05-31: made again, for events/date=2024-06-01/second-0.parquet has come"),
        "{text}"
    );
    assert!(files(&daily.feeds()) == daily.at_once());
    // The day after the next has come: nothing that follows can change the first.
    let follow = of_request(1, EventKind::Follow, 2 * DAY_MS);
    grow(&daily.logs(), "third", &[Event { request_id: None, ..follow }]);
    fs_err::write(daily.logs().join("events/_SUCCESS"), "").unwrap();
    let summary = daily.run();
    let read = summary.checked.read.to_string();
    assert!(read.contains("passed over 1 whose names begin with . or _: "), "{read}");
    assert_eq!((summary.days[0].made, summary.days[0].is_final), (Made::Before, true));
    assert!(files(&daily.feeds()) == daily.at_once());
}

/// A file that comes, changes or goes makes the days again that it has arrivals for, and the later ones.
#[test]
fn files_that_come_late_are_noticed() {
    let log = events(Shape { requests: 200, events: 400, days: 4, grain_ms: 1_000 }, 9);
    let site = Site::new(&log);
    site.run(&config());
    let made = |site: &Site| -> Vec<Made> {
        let summary = site.run(&config());
        let whole = site.other("whole");
        let _ = fs_err::remove_dir_all(&whole);
        site.run_to(&whole, &config());
        assert!(files(&site.feeds()) == files(&whole), "{summary}");
        summary.days.iter().map(|day| day.made).collect()
    };
    assert_eq!(made(&site), [Made::Before; 4]);
    let at_ms = day(2).start_ms() + 1_000;
    let click = Event {
        user_id: Some(1),
        product_id: Some(1),
        ..Event::new(900_000, at_ms, EventKind::ProductClick)
    };
    grow(&site.logs(), "late", std::slice::from_ref(&click));
    let from_the_second = [Made::Before, Made::Again, Made::Again, Made::Again];
    assert_eq!(made(&site), from_the_second);
    grow(&site.logs(), "late", &[Event { product_id: Some(2), ..click }]);
    assert_eq!(made(&site), from_the_second);
    fs_err::remove_file(site.logs().join(format!("events/date={}/late-0.parquet", day(2))))
        .unwrap();
    assert_eq!(made(&site), from_the_second);
    // Without the file that tells what they were made of, nothing is known of any day.
    fs_err::remove_file(site.feeds().join(eliverec_samples::MADE_OF_FILE)).unwrap();
    assert_eq!(made(&site), [Made::Again; 4]);
}

/// A day whose only request is gone from the log is gone from the feeds.
#[test]
fn a_day_without_requests_goes() {
    let daily = Daily::new();
    let shown = |request, at_ms| Event {
        position: Some(0),
        context: vec![Scalar::Id(23), Scalar::Number(0.0)],
        ts_ms: at_ms,
        available_at_ms: at_ms,
        ..of_request(request, EventKind::Impression, 0)
    };
    let (one, two) = (day(0).start_ms(), day(1).start_ms());
    grow(&daily.logs(), "a", &[shown(1, one), shown(2, two)]);
    grow(&daily.logs(), "b", &[shown(3, two + 5)]);
    assert_eq!(daily.run().feeds(), 3);
    for name in ["a", "b"] {
        let file = format!("events/date={}/{name}-0.parquet", day(1));
        fs_err::remove_file(daily.logs().join(file)).unwrap();
    }
    assert_eq!(daily.run().feeds(), 1);
    assert!(files(&daily.feeds()) == daily.at_once());
}

/// Tables change every day: the days that are there keep the rows as they were, which is told, and another folder has the new ones.
#[test]
fn tables_that_change_make_no_day_again() {
    let site =
        Site::new(&events(Shape { requests: 100, events: 200, days: 3, grain_ms: 1_000 }, 6));
    site.run(&config());
    let before = files(&site.feeds());
    let mut tables = dimensions(&site.schema);
    let prices = (1..=tables.products.len()).map(|id| id as f32 * 7.0).collect();
    let columns = vec![tables.products.columns()[0].clone(), Column::Numbers(prices)];
    let ids = tables.products.ids().to_vec();
    tables.products = Dimension::new(&site.schema, Group::Product, ids, columns).unwrap();
    write_dimensions(&tables, &Store::local(&site.logs()).unwrap()).unwrap();
    let summary = site.run(&config());
    assert!(summary.days.iter().all(|day| day.made == Made::Before), "{summary}");
    let words = "kept with the rows of the tables as they were, for products.parquet has changed";
    let told = summary.notes.iter().filter(|note| note.contains(words));
    assert_eq!(told.count(), 1, "{summary}");
    let feeds = |files: Vec<(String, Vec<u8>)>| -> Vec<(String, Vec<u8>)> {
        files.into_iter().filter(|(name, _)| name.ends_with(".parquet")).collect()
    };
    assert!(feeds(files(&site.feeds())) == feeds(before.clone()));
    let anew = site.other("anew");
    site.run_to(&anew, &config());
    assert!(feeds(files(&anew)) != feeds(before));
}

/// Days made with other settings are not taken for those of this run because nothing beside them says so.
#[test]
fn days_whose_settings_are_gone_are_made_again() {
    let log = events(Shape { requests: 200, events: 400, days: 3, grain_ms: 1_000 }, 9);
    let site = Site::new(&log);
    site.run(&config());
    let settings = site.feeds().join(eliverec_samples::RECIPE_FILE);
    let mut other = config();
    other.features.stay_threshold_s *= 10.0;
    let whole = site.other("whole");
    site.run_to(&whole, &other);
    let refused = || {
        let error = samples(&site.logs(), &site.feeds(), &other, |_| ()).unwrap_err();
        assert!(error.is_bad_input(), "{error}");
        error.to_string()
    };
    assert!(refused().contains("made with other settings"));
    fs_err::remove_file(&settings).unwrap();
    // Not all of them can be.
    let asked = SampleConfig { from: Some(day(1)), ..other.clone() };
    let error = samples(&site.logs(), &site.feeds(), &asked, |_| ()).unwrap_err().to_string();
    assert!(error.contains("cannot be made again") && !settings.exists(), "{error}");
    let summary = site.run(&other);
    assert!(summary.days.iter().all(|day| day.made == Made::Again), "{summary}");
    let why =
        "made again, for samples.toml is not there to tell with which settings they were made";
    assert!(summary.to_string().contains(why), "{summary}");
    assert!(files(&site.feeds()) == files(&whole));
    // Nor if what says so was edited.
    let text = fs_err::read_to_string(&settings).unwrap();
    let before = site.other("before");
    site.run_to(&before, &config());
    let edited = fs_err::read_to_string(before.join(eliverec_samples::RECIPE_FILE)).unwrap();
    assert_ne!(text, edited);
    fs_err::write(&settings, edited).unwrap();
    let summary = site.run(&config());
    let why = "made again, for samples-log.toml has other settings than samples.toml";
    assert!(summary.to_string().contains(why), "{summary}");
    assert!(files(&site.feeds()) == files(&before));
}
