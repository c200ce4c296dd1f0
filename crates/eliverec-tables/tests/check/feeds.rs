//! Faults of feed directories.

use eliverec_core::feed::Column;
use eliverec_core::schema::{Field, Kind, Transform, Vocabulary};
use eliverec_core::{Feed, Schema, toy};
use eliverec_tables::check::{CHECKS, Checked, Level, feeds};
use eliverec_tables::{Error, FeedDirectory, FeedWriter, Split};

use super::{assert_all_planted, assert_clean, assert_found, of};

const TRAIN: usize = 600;
const LATER: usize = 150;
/// 2024-05-31 in UTC.
const START_MS: i64 = 1_717_113_600_000;

/// A set that can be written, before and after something is planted in it.
pub(crate) struct Set {
    schema: Schema,
    feeds: Vec<(Split, Feed)>,
}

impl Set {
    /// Toy feeds of a few days in 2024, in three splits by time.
    fn new() -> Self {
        let feeds = toy::feeds(TRAIN + 2 * LATER, 4).into_iter().enumerate();
        let feeds = feeds.map(|(i, mut feed)| {
            feed.ts_ms += START_MS;
            // Toy feeds may show a channel of their twenty more than once.
            let channels = ids(&mut feed.candidates.channel[0]);
            for at in 1..channels.len() {
                while channels[..at].contains(&channels[at]) {
                    channels[at] = (channels[at] + 1) % 20;
                }
            }
            let split = match i {
                i if i < TRAIN => Split::Train,
                i if i < TRAIN + LATER => Split::Validation,
                _ => Split::Test,
            };
            (split, feed)
        });
        Self { schema: toy::schema(), feeds: feeds.collect() }
    }

    fn check(&self) -> Checked {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("feeds");
        let mut writer = FeedWriter::create(&path, &self.schema).unwrap();
        self.feeds.iter().for_each(|(split, feed)| writer.push(*split, feed).unwrap());
        writer.finish().unwrap();
        feeds(&FeedDirectory::open(&path).unwrap()).unwrap()
    }

    /// Changes every feed.
    fn each(&mut self, change: impl Fn(usize, &mut Feed)) {
        self.feeds.iter_mut().enumerate().for_each(|(i, (_, feed))| change(i, feed));
    }

    fn of(&mut self, split: Split) -> impl Iterator<Item = &mut Feed> {
        self.feeds.iter_mut().filter(move |(of, _)| *of == split).map(|(_, feed)| feed)
    }
}

/// Whether they were watched.
fn watched(feed: &mut Feed) -> &mut Vec<bool> {
    &mut feed.candidates.labels.as_mut().unwrap().watched
}

/// The labels of a task, in the order of the schema: stay, goods bag, product click.
fn task(feed: &mut Feed, k: usize) -> &mut Vec<Option<f32>> {
    &mut feed.candidates.labels.as_mut().unwrap().tasks[k]
}

fn ids(column: &mut Column) -> &mut Vec<u64> {
    let Column::Ids(ids) = column else { panic!("{column:?}") };
    ids
}

fn numbers(column: &mut Column) -> &mut Vec<f32> {
    let Column::Numbers(numbers) = column else { panic!("{column:?}") };
    numbers
}

/// A test for each check: its name, the level, a part of the place, and what is done to the set.
macro_rules! planted {
    ($($check:ident, $level:ident, $place:literal, $plant:expr;)*) => {
        $(
            #[test]
            fn $check() {
                let mut set = Set::new();
                let plant: fn(&mut Set) = $plant;
                plant(&mut set);
                assert_found(&set.check(), stringify!($check), Level::$level, $place);
            }
        )*

        #[test]
        fn every_check_is_planted() {
            assert_all_planted(CHECKS, &[$(stringify!($check)),*]);
        }
    };
}

planted! {
    field_tells_label, Severe, "train: target.clicks_60m", |set| set.each(|_, feed| {
        let watched = watched(feed).clone();
        let clicks = numbers(&mut feed.candidates.target[0]).iter_mut();
        clicks.zip(watched).for_each(|(x, watched)| *x += if watched { 100.0 } else { 0.0 });
    });
    position_tells_label, Severe, "train: candidates.position", |set| set.each(|_, feed| {
        let watched = watched(feed).clone();
        feed.candidates.position = watched.iter().map(|watched| watched.then_some(0)).collect();
    });
    one_class, Severe, "validation", |set| set.of(Split::Validation).for_each(|feed| {
        watched(feed).fill(false);
        task(feed, 0).fill(None);
    });
    ids_never_meet, Severe, "vocabulary channel", |set| set.each(|_, feed| {
        // What text ids in place of integers look like; fewer than twenty would say nothing.
        ids(&mut feed.channels.entity[0]).iter_mut().for_each(|id| *id += 1 << 40);
    });
    ids_unseen, Severe, "test: vocabulary user", |set| set.of(Split::Test).for_each(|feed| {
        ids(&mut feed.user[0])[0] += 1 << 40;
    });
    splits_share_requests, Severe, "train, test", |set| {
        let again: Vec<Feed> = set.of(Split::Train).take(5).map(|feed| feed.clone()).collect();
        set.feeds.extend(again.into_iter().map(|feed| (Split::Test, feed)));
    };
    request_twice, Warning, "train", |set| {
        let again: Vec<Feed> = set.of(Split::Train).take(5).map(|feed| feed.clone()).collect();
        set.feeds.extend(again.into_iter().map(|feed| (Split::Train, feed)));
    };
    splits_out_of_order, Severe, "test", |set| {
        set.of(Split::Test).for_each(|feed| feed.ts_ms -= 86_400_000 * 30);
    };
    time_unit, Warning, "train: ts", |set| set.each(|_, feed| feed.ts_ms /= 1_000);
    not_oldest_first, Severe, "train: channels", |set| set.each(|_, feed| {
        feed.channels.age_s.reverse();
    });
    age_unit, Warning, "train: products", |set| set.each(|_, feed| {
        feed.products.age_s.iter_mut().for_each(|age| *age *= 1_000_000.0);
    });
    ages_equal, Warning, "train: channels", |set| set.each(|_, feed| {
        feed.channels.age_s.fill(60.0);
    });
    events_repeat, Warning, "train: products", |set| set.each(|_, feed| {
        for column in feed.products.entity.iter_mut().chain(&mut feed.products.event) {
            let doubled = ids(column).iter().flat_map(|id| [*id, *id]).collect();
            *column = Column::Ids(doubled);
        }
        let ages = &mut feed.products.age_s;
        *ages = ages.iter().flat_map(|age| [*age, *age]).collect();
    });
    history_empty, Warning, "train: products", |set| set.each(|i, feed| {
        if i % 3 > 0 {
            feed.products.entity.iter_mut().for_each(Column::clear);
            feed.products.event.iter_mut().for_each(Column::clear);
            feed.products.age_s.clear();
        }
    });
    history_cut, Note, "train: products", |set| set.each(|_, feed| {
        for column in feed.products.entity.iter_mut().chain(&mut feed.products.event) {
            ids(column).resize(60, 1);
        }
        feed.products.age_s = (0..60).map(|i| (60 - i) as f32).collect();
    });
    candidate_twice, Warning, "train: candidates", |set| set.each(|_, feed| {
        let channels = ids(&mut feed.candidates.channel[0]);
        channels[1] = channels[0];
    });
    stay_unit, Warning, "train: candidates.stay_s", |set| set.each(|_, feed| {
        task(feed, 0).iter_mut().flatten().for_each(|stay| *stay *= 1_000.0);
    });
    label_constant, Warning, "train: candidates.bag_click", |set| set.each(|_, feed| {
        task(feed, 1).iter_mut().flatten().for_each(|click| *click = 0.0);
        task(feed, 0).iter_mut().flatten().for_each(|stay| *stay = 0.0);
    });
    label_missing, Note, "train: candidates.product_click", |set| set.each(|_, feed| {
        task(feed, 2).fill(None);
    });
    feeds_of_one_class, Warning, "train", |set| set.each(|i, feed| {
        watched(feed).fill(i % 3 == 0);
    });
    users_of_one_class, Warning, "train", |set| set.each(|_, feed| {
        let user_id = feed.user_id;
        watched(feed).fill(user_id % 3 == 0);
    });
    field_zero, Warning, "train: target.clicks_60m", |set| set.each(|_, feed| {
        numbers(&mut feed.candidates.target[0]).fill(0.0);
    });
    field_constant, Warning, "train: context.hour", |set| set.each(|_, feed| {
        ids(&mut feed.context[0])[0] = 7;
        // All in the highest bucket, as milliseconds would be.
        numbers(&mut feed.channels.event[0]).iter_mut().for_each(|x| *x = *x * 1_000.0 + 60.0);
    });
    field_stops, Warning, "test: dynamic.viewers", |set| set.of(Split::Test).for_each(|feed| {
        numbers(&mut feed.candidates.dynamic[0]).fill(0.0);
    });
    lists_empty, Warning, "train: dynamic.on_sale", |set| set.each(|_, feed| {
        let Column::Lists { ends, ids } = &mut feed.candidates.dynamic[1] else { panic!() };
        ends.fill(0);
        ids.clear();
    });
    outliers, Warning, "train: target.clicks_60m", |set| {
        set.schema.target[0].kind = Kind::Dense { transform: Transform::None };
        set.each(|i, feed| {
            if i == 100 {
                numbers(&mut feed.candidates.target[0])[0] = 1e9;
            }
        });
    };
    log_below_zero, Warning, "train: target.clicks_60m", |set| set.each(|i, feed| {
        if i % 10 == 0 {
            numbers(&mut feed.candidates.target[0]).iter_mut().for_each(|x| *x = -1.0 - *x);
        }
    });
    ids_seen_once, Warning, "vocabulary user", |set| set.each(|i, feed| {
        ids(&mut feed.user[0])[0] = i as u64 * 3 / 4;
    });
    vocabulary_unused, Note, "vocabulary brand", |set| {
        set.schema.vocabulary.push(Vocabulary { name: "brand".into(), width: None, min_count: 1 });
    };
    split_empty, Note, "test", |set| set.feeds.retain(|(split, _)| *split != Split::Test);
}

#[test]
fn nothing_is_found_in_toy_feeds() {
    let checked = Set::new().check();
    assert_clean(&checked);
    let read: Vec<(&str, u64, u64)> =
        checked.read.parts.iter().map(|part| (part.name.as_str(), part.files, part.rows)).collect();
    let (train, later) = (TRAIN as u64, LATER as u64);
    assert_eq!(read, [("train", 1, train), ("validation", 1, later), ("test", 1, later)]);
    assert!(checked.read.parts.iter().all(|part| part.impressions > Some(part.rows)));
    assert!(checked.covers.iter().any(|text| text == "uniqueness of request_id: all requests"));
}

#[test]
fn both_faults_of_a_plant_are_told_and_the_worst_first() {
    let mut set = Set::new();
    set.each(|_, feed| {
        ids(&mut feed.context[0])[0] = 7;
        numbers(&mut feed.channels.event[0]).fill(1e6);
        task(feed, 2).fill(None);
        feed.channels.age_s.reverse();
    });
    let checked = set.check();
    let constant = of(&checked, "field_constant");
    let says: Vec<&str> = constant.iter().map(|finding| finding.says.as_str()).collect();
    assert!(says.iter().any(|says| says.contains("values are one id")), "{says:?}");
    assert!(says.iter().any(|says| says.contains("fall into bucket 2")), "{says:?}");
    let levels: Vec<Level> = checked.findings.iter().map(|finding| finding.level).collect();
    assert!(levels.is_sorted_by(|a, b| a >= b), "{levels:?}");
    assert_eq!((checked.worst(), levels.last()), (Some(Level::Severe), Some(&Level::Note)));
}

#[test]
fn rare_ids_are_no_finding_where_they_share_a_row() {
    let mut set = Set::new();
    set.each(|i, feed| ids(&mut feed.user[0])[0] = i as u64);
    set.schema.vocabulary[0].min_count = 2;
    assert!(of(&set.check(), "ids_seen_once").is_empty());
}

/// Microseconds among milliseconds: the value that is told is the wrong one, which is not the smallest.
#[test]
fn the_time_that_is_told_is_one_of_the_wrong_ones() {
    let mut set = Set::new();
    let feed = set.of(Split::Train).nth(5).unwrap();
    feed.ts_ms *= 1_000;
    let wrong_ms = feed.ts_ms;
    let checked = set.check();
    let found = &of(&checked, "time_unit")[0];
    let expected = format!(
        "1 of {TRAIN} requests are outside the years 1990 to 2100; the first is {wrong_ms} ms"
    );
    assert!(found.says.starts_with(&expected), "{}", found.says);
}

/// The history that fits does not hide the one that does not, and two that do not fit are two findings.
#[test]
fn each_history_is_compared_with_the_candidates_by_itself() {
    for (of_products, of_channels) in [(true, false), (false, true), (true, true)] {
        let mut set = Set::new();
        set.each(|i, feed| {
            let category = |column: &mut Column, away: bool| {
                let all = ids(column).iter_mut().enumerate();
                let shift = if away { 1 << 40 } else { 0 };
                all.for_each(|(at, id)| *id = ((i + 7 * at) % 40) as u64 + shift);
            };
            category(&mut feed.products.entity[1], of_products);
            category(&mut feed.channels.entity[1], of_channels);
            category(&mut feed.candidates.channel[1], false);
        });
        let checked = set.check();
        let found = of(&checked, "ids_never_meet");
        let says: Vec<&str> = found.iter().map(|finding| finding.says.as_str()).collect();
        let told =
            |history: &str| says.iter().any(|says| says.contains(&format!("ids in {history} ")));
        assert_eq!((told("product"), told("channel")), (of_products, of_channels), "{says:?}");
    }
}

#[test]
fn a_clock_that_starts_at_0_is_a_note() {
    let mut set = Set::new();
    set.each(|_, feed| feed.ts_ms -= START_MS);
    assert_found(&set.check(), "time_unit", Level::Note, "train: ts");
    // As where each user's steps are counted.
    set.of(Split::Test).for_each(|feed| feed.ts_ms %= 60_000);
    assert_found(&set.check(), "splits_out_of_order", Level::Warning, "test");
}

#[test]
fn a_schema_without_products_is_not_asked_for_their_histories() {
    let mut set = Set::new();
    set.schema.product.clear();
    set.schema.product_event.clear();
    set.each(|_, feed| {
        feed.products.entity.clear();
        feed.products.event.clear();
        feed.products.age_s.clear();
    });
    assert!(of(&set.check(), "history_empty").is_empty());
}

#[test]
fn feeds_without_labels_are_a_note() {
    let mut set = Set::new();
    set.of(Split::Test).for_each(|feed| feed.candidates.labels = None);
    let checked = set.check();
    assert_clean(&checked);
    assert_found(&checked, "label_missing", Level::Note, "test");
}

#[test]
fn an_id_that_is_0_everywhere_was_not_filled() {
    let mut set = Set::new();
    let vocabulary = "hour".to_owned();
    set.schema.context =
        vec![Field { name: "hour".into(), kind: Kind::Categorical { vocabulary } }];
    set.each(|_, feed| ids(&mut feed.context[0])[0] = 0);
    assert_found(&set.check(), "field_zero", Level::Warning, "train: context.hour");
}

#[test]
fn a_directory_without_feeds_is_an_error() {
    let mut set = Set::new();
    set.feeds.clear();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("feeds");
    FeedWriter::create(&path, &set.schema).unwrap().finish().unwrap();
    let error = feeds(&FeedDirectory::open(&path).unwrap()).unwrap_err();
    assert!(matches!(error, Error::Directory { .. }) && error.to_string().contains("own-data.md"));
}
