//! Sets that can be imported as feeds and as logs: what samples make of the log is what the importer makes of the set, in
//! every cell that means the same. `docs/logs.md` lists the cells that do not.

#![expect(clippy::unwrap_used, reason = "tests")]

mod tables;

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};

use eliverec_core::feed::Column;
use eliverec_core::schema::Group;
use eliverec_core::{Feed, Schema};
use eliverec_features::FeatureConfig;
use eliverec_samples::{SampleConfig, samples};
use eliverec_tables::events::Store;
use eliverec_tables::import::{Importer, Options, find};
use eliverec_tables::{FeedDirectory, Split};

/// The same requests from both ways: those of the importer, and those of its log.
struct Both {
    feeds: [Schema; 2],
    by_request: BTreeMap<u64, [Option<Feed>; 2]>,
}

fn both(name: &str, from: &Path) -> Both {
    let importer: &Importer = find(name).unwrap();
    let mut by_request: BTreeMap<u64, [Option<Feed>; 2]> = BTreeMap::new();
    let mut keep = |way: usize, feed: &Feed| {
        let place = &mut by_request.entry(feed.request_id).or_default()[way];
        assert!(place.replace(feed.clone()).is_none(), "request {} twice", feed.request_id);
    };
    importer
        .feeds(from, Options::default(), &mut |_, feed| {
            keep(0, feed);
            Ok(())
        })
        .unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (log, out) = (folder.path().join("log"), folder.path().join("feeds"));
    importer.run_log(from, &Store::local(&log).unwrap(), 1).unwrap();
    let features = FeatureConfig { stay_threshold_s: 0.0, ..FeatureConfig::default() };
    let attribution_window_ms = 60 * 60 * 1_000;
    let config = SampleConfig { features, attribution_window_ms, ..SampleConfig::default() };
    let summary = samples(&log, &out, &config, |_| ()).unwrap();
    assert_eq!(summary.late + summary.duplicates, 0, "a log of one pass has neither");
    let directory = FeedDirectory::open(&out).unwrap();
    for split in Split::ALL {
        if directory.feeds(split).unwrap() > 0 {
            directory.read(split).unwrap().for_each(|feed| keep(1, &feed.unwrap()));
        }
    }
    let schemas = [importer.schema(), importer.log_schema().unwrap()];
    Both { feeds: schemas, by_request }
}

impl Both {
    /// Both feeds of every request; both ways make the same requests.
    fn pairs(&self) -> impl Iterator<Item = [&Feed; 2]> {
        self.by_request.iter().map(|(request, [set, log])| {
            let of = |feed: &'_ Option<Feed>, way: &str| {
                assert!(feed.is_some(), "request {request} is not in the {way}");
            };
            of(set, "importer's feeds");
            of(log, "log's feeds");
            [set.as_ref().unwrap(), log.as_ref().unwrap()]
        })
    }

    /// A field of one way's feed.
    fn column<'a>(&self, way: usize, feed: &'a Feed, group: Group, name: &str) -> &'a Column {
        let place = self.feeds[way].fields(group).iter().position(|field| field.name == name);
        &feed.columns(group)[place.unwrap_or_else(|| panic!("no field {name}"))]
    }

    fn ids<'a>(&self, way: usize, feed: &'a Feed, group: Group, name: &str) -> &'a [u64] {
        match self.column(way, feed, group, name) {
            Column::Ids(ids) => ids,
            other => panic!("{name}: {other:?}"),
        }
    }

    /// Rows of candidates, by channel: both ways list them in an order of their own.
    fn candidates<T>(
        &self,
        way: usize,
        feed: &Feed,
        id: &str,
        row: impl Fn(usize) -> T,
    ) -> BTreeMap<u64, T> {
        let ids = self.ids(way, feed, Group::Candidate, id);
        let rows: BTreeMap<u64, T> = ids.iter().enumerate().map(|(i, id)| (*id, row(i))).collect();
        assert_eq!(rows.len(), ids.len(), "request {} shows a channel twice", feed.request_id);
        rows
    }

    /// Everything that both ways take from the request itself.
    fn assert_same_requests(&self, id: &str) {
        for pair @ [set, log] in self.pairs() {
            let request = set.request_id;
            assert_eq!((set.user_id, set.ts_ms), (log.user_id, log.ts_ms), "{request}");
            assert_eq!(set.user, log.user, "{request}");
            assert_eq!(set.context, log.context, "{request}");
            let [ours, theirs] = [0, 1].map(|way| {
                let labels = &pair[way].candidates.labels.as_ref().unwrap().watched;
                self.candidates(way, pair[way], id, |i| labels[i])
            });
            assert_eq!(ours, theirs, "watched, {request}");
        }
    }
}

/// The numbers of a `target` field by channel.
fn target(both: &Both, way: usize, feed: &Feed, id: &str, name: &str) -> BTreeMap<u64, f32> {
    let Column::Numbers(numbers) = both.column(way, feed, Group::Target, name) else {
        panic!("{name} is no number")
    };
    both.candidates(way, feed, id, |i| numbers[i])
}

fn driver(from: &Path) -> usize {
    let both = both("driver-live", from);
    both.assert_same_requests("room_id");
    for [set, log] in both.pairs() {
        let request = set.request_id;
        assert_eq!(set.channels.entity, log.channels.entity, "history of {request}");
        assert_eq!(set.channels.age_s, log.channels.age_s, "ages of {request}");
        let numbers = |way: usize, feed, name| target(&both, way, feed, "room_id", name);
        for (room, minutes) in numbers(1, log, "minutes_live") {
            let expected = numbers(0, set, "minutes_live")[&room];
            let rounding = expected * f32::EPSILON;
            assert!((minutes - expected).abs() <= rounding, "minutes of {room}, {request}");
        }
        // A fold's window is up to 10 s shorter than its name.
        let (least, most) = (numbers(0, set, "entries_30m"), numbers(0, set, "entries_60m"));
        for (room, found) in numbers(1, log, "entries_60m") {
            let range = least[&room]..=most[&room];
            assert!(range.contains(&found), "{found} entries of {room} in {range:?}, {request}");
        }
    }
    both.by_request.len()
}

fn ebnerd(from: &Path) -> usize {
    let both = both("ebnerd", from);
    both.assert_same_requests("article_id");
    for pair @ [set, log] in both.pairs() {
        let request = set.request_id;
        assert_eq!(set.products.entity, log.products.entity, "product history of {request}");
        assert_eq!(set.products.age_s, log.products.age_s, "ages of {request}");
        let lengths = |way: usize| {
            let Column::Numbers(all) =
                both.column(way, pair[way], Group::Candidate, "article_length")
            else {
                panic!("article_length is no number")
            };
            both.candidates(way, pair[way], "article_id", |i| all[i])
        };
        assert_eq!(lengths(0), lengths(1), "lengths of {request}");
    }
    both.by_request.len()
}

#[test]
fn driver_logs_give_the_importers_feeds() {
    assert_eq!(driver(tables::driver().path()), 4);
}

#[test]
fn ebnerd_logs_give_the_importers_feeds_but_for_visits_that_last() {
    let folder = tables::ebnerd();
    assert_eq!(ebnerd(folder.path()), 5);
    // Of user 7, at request 2: the visits to 1 and 3 have ended, that to 77 began 501 s before and lasted for 400.
    let both = both("ebnerd", folder.path());
    let [set, log] = both.pairs().find(|[set, _]| set.request_id == 2).unwrap();
    assert_eq!(both.ids(0, set, Group::Channel, "article_id"), [1, 77, 3]);
    // In the order of leaving; the paywalled 2, clicked in a list, was watched, too.
    assert_eq!(both.ids(1, log, Group::Channel, "article_id"), [1, 3, 2, 77]);
}

/// The folder of a real set; none, with a message, where the sets are not present. Where they are said to be, each has to be there.
fn data(name: &str) -> Option<PathBuf> {
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
    let named = std::env::var_os("ELIVEREC_DATA").map(PathBuf::from);
    let folder = named.clone().unwrap_or_else(beside).join(name);
    if folder.is_dir() {
        return Some(folder);
    }
    let folder = folder.display();
    assert!(named.is_none(), "ELIVEREC_DATA: {folder} is not there");
    // Not by a macro, whose text the harness would keep to itself.
    let told = writeln!(
        std::io::stderr(),
        "skipped: {folder} is not here; set ELIVEREC_DATA to the data folder"
    );
    told.unwrap();
    None
}

#[test]
fn the_real_driver_log_gives_the_importers_feeds() {
    if let Some(folder) = data("driver-live") {
        assert!(driver(&folder) > 1_000);
    }
}

#[test]
fn the_real_ebnerd_log_gives_the_importers_feeds() {
    if let Some(folder) = data("ebnerd-demo") {
        assert_eq!(ebnerd(&folder), 50_080);
    }
}
