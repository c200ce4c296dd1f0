//! One fold, two drivers: the plans and the online driver make the same feeds, cell by cell.

use std::sync::Arc;

use eliverec_core::schema::Group;
use eliverec_core::{Dimension, Dimensions};
use eliverec_core::{Feed, Schema};
use eliverec_samples::{BelowThreshold, SampleConfig};
use eliverec_sim::{Collected, LoggingPolicy, SCHEMA, World, WorldConfig};
use proptest::prelude::*;

use crate::logs::{Shape, Site, config, day, dimensions, events, read, schema};
use crate::oracle::oracle;

fn feeds(site: &Site) -> Vec<Feed> {
    read(&site.feeds()).into_iter().map(|(_, feed)| feed).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(64) })]
    /// Random logs with late, duplicate and displaced events, many of them in the same second or the same hour.
    #[test]
    fn the_drivers_agree(
        seed in any::<u64>(),
        requests in 1_usize..60,
        other in 0_usize..400,
        days in 1_i64..4,
        grain_ms in prop::sample::select(vec![100_i64, 1_000, 60_000, 3_600_000]),
        threads in 1_usize..4,
        window_ms in prop::sample::select(vec![0_i64, 60_000, 1_800_000]),
        exposures in any::<bool>(),
    ) {
        let shape = Shape { requests, events: other, days, grain_ms };
        let events = events(shape, seed);
        let mut schema = schema();
        // Without the age of exposures, no fold takes impressions in.
        schema.dynamic.retain(|field| exposures || field.name != "exposure_age_s");
        let site = Site::with(schema.clone(), &dimensions(&schema), &events);
        let config = SampleConfig { threads, attribution_window_ms: window_ms, ..config() };
        let summary = site.run(&config);
        let expected = oracle(&schema, &Arc::new(dimensions(&schema)), &events, &config);
        prop_assert_eq!(&feeds(&site), &expected.feeds);
        prop_assert_eq!(summary.rows_in, events.len() as u64);
        prop_assert_eq!(summary.events_used, expected.fates.admitted);
        prop_assert_eq!(summary.late, expected.fates.late);
        prop_assert_eq!(summary.duplicates, expected.fates.duplicate);
        prop_assert_eq!(summary.feeds(), expected.feeds.len() as u64);
    }
}

/// A replay of feeds that drew on one day before their first starts with that day.
#[test]
fn a_limited_history_is_replayed() {
    let log = events(Shape { requests: 60, events: 400, days: 3, grain_ms: 1_000 }, 5);
    let site = Site::new(&log);
    let from = Some(day(2));
    let config = SampleConfig { from, history_days: Some(1), ..config() };
    let summary = site.run(&config);
    let found = eliverec_samples::replay(&site.logs(), &site.feeds(), false, |_| ()).unwrap();
    assert_eq!((found.requests, found.differing), (summary.feeds(), 0), "{found:?}");
    assert!(found.requests > 0 && summary.events_used < log.len() as u64, "{summary}");
}

/// Labels are compared with what users did, and a wrong one is told.
#[test]
fn labels_are_replayed() {
    let log = events(Shape { requests: 300, events: 400, days: 3, grain_ms: 1_000 }, 6);
    let site = Site::new(&log);
    site.run(&config());
    let replayed = || eliverec_samples::replay(&site.logs(), &site.feeds(), false, |_| ()).unwrap();
    let (right, same) = (replayed(), read(&site.feeds()));
    assert_eq!((right.requests, right.differing), (same.len() as u64, 0), "{right:?}");
    // One label of one feed in the middle turns round.
    let schema = schema();
    let encoder = eliverec_tables::FeedEncoder::new(&schema).unwrap();
    let mut of_day: Vec<Feed> = same
        .into_iter()
        .map(|(_, feed)| feed)
        .filter(|feed| eliverec_tables::events::Day::of(feed.ts_ms) == Some(day(0)))
        .collect();
    let wrong = of_day.len() / 2;
    let watched = &mut of_day[wrong].candidates.labels.as_mut().unwrap().watched[0];
    *watched = !*watched;
    let path = site.feeds().join(format!("train/{}.parquet", day(0)));
    let mut writer = eliverec_tables::FeedFileWriter::create(&path, &schema).unwrap();
    writer.append(encoder.encode(eliverec_tables::Split::Train, &of_day).unwrap()).unwrap();
    writer.finish().unwrap();
    let found = replayed();
    assert_eq!((found.cells, found.differing), (right.cells, 1), "{found:?}");
    let place = format!("request {}, label watched", of_day[wrong].request_id);
    assert_eq!(found.first, Some(place));
    let other = "its file of feeds is not the one that was written".to_owned();
    assert_eq!(found.differing_days, [(day(0), other)].into());
}

/// A request that stands twice keeps no label of a later one from being compared.
#[test]
fn labels_after_a_repeated_request_are_replayed() {
    let log = events(Shape { requests: 300, events: 400, days: 3, grain_ms: 1_000 }, 6);
    let site = Site::new(&log);
    site.run(&config());
    let train = site.feeds().join("train");
    fs_err::create_dir(train.join("copy=1")).unwrap();
    fs_err::copy(train.join(format!("{}.parquet", day(0))), train.join("copy=1/a.parquet"))
        .unwrap();
    let replayed = || eliverec_samples::replay(&site.logs(), &site.feeds(), false, |_| ()).unwrap();
    let before = replayed();
    let schema = schema();
    let encoder = eliverec_tables::FeedEncoder::new(&schema).unwrap();
    let of_day = |(split, feed): (eliverec_tables::Split, Feed)| {
        (split == eliverec_tables::Split::Validation).then_some(feed)
    };
    let mut feeds: Vec<Feed> = read(&site.feeds()).into_iter().filter_map(of_day).collect();
    let last = feeds.last_mut().unwrap().candidates.labels.as_mut().unwrap();
    last.watched[0] = !last.watched[0];
    let path = site.feeds().join(format!("validation/{}.parquet", day(1)));
    let mut writer = eliverec_tables::FeedFileWriter::create(&path, &schema).unwrap();
    writer.append(encoder.encode(eliverec_tables::Split::Validation, &feeds).unwrap()).unwrap();
    writer.finish().unwrap();
    let found = replayed();
    assert_eq!((found.cells, found.differing), (before.cells, before.differing + 1));
}

/// Days that are gone, emptied or cut are no requests to compare, and differ all the same.
#[test]
fn days_that_are_not_as_they_were_made_differ() {
    let log = events(Shape { requests: 300, events: 400, days: 4, grain_ms: 1_000 }, 6);
    let site = Site::new(&log);
    site.run(&config());
    let replayed = || eliverec_samples::replay(&site.logs(), &site.feeds(), false, |_| ()).unwrap();
    assert!(replayed().is_same());
    let path = |of| site.feeds().join(format!("train/{}.parquet", day(of)));
    let kept = [0, 1].map(|of| fs_err::read(path(of)).unwrap());
    let schema = schema();
    let encoder = eliverec_tables::FeedEncoder::new(&schema).unwrap();
    let write = |of, feeds: &[Feed]| {
        let mut writer = eliverec_tables::FeedFileWriter::create(&path(of), &schema).unwrap();
        if !feeds.is_empty() {
            let group = encoder.encode(eliverec_tables::Split::Train, feeds).unwrap();
            writer.append(group).unwrap();
        }
        writer.finish().unwrap();
    };
    let half: Vec<Feed> = read(&site.feeds())
        .into_iter()
        .map(|(_, feed)| feed)
        .filter(|feed| eliverec_tables::events::Day::of(feed.ts_ms) == Some(day(1)))
        .step_by(2)
        .collect();
    assert!(!half.is_empty());
    fs_err::remove_file(path(0)).unwrap();
    write(1, &half);
    let found = replayed();
    let gone = "its file of feeds is not there".to_owned();
    let other = "its file of feeds is not the one that was written".to_owned();
    assert_eq!((found.differing, found.is_same()), (0, false), "{found:?}");
    assert_eq!(found.differing_days, [(day(0), gone), (day(1), other.clone())].into());
    // No row at all.
    fs_err::write(path(0), &kept[0]).unwrap();
    write(1, &[]);
    assert_eq!(replayed().differing_days, [(day(1), other)].into());
    fs_err::write(path(1), &kept[1]).unwrap();
    assert!(replayed().is_same());
    // A day of which nothing is kept, as after a killed run.
    fs_err::copy(path(0), path(-1)).unwrap();
    let told = "samples-log.toml does not have it".to_owned();
    assert_eq!(replayed().differing_days, [(day(-1), told)].into());
    fs_err::remove_file(path(-1)).unwrap();
    // Without what they were made of, nobody knows which days there should be.
    fs_err::remove_file(site.feeds().join(eliverec_samples::MADE_OF_FILE)).unwrap();
    let found = replayed();
    let told: Vec<&str> = found.checked.findings.iter().map(|found| found.check).collect();
    assert!(found.is_same() && told.contains(&"days_not_known"), "{told:?}");
}

/// All columns of the tables of a simulated world.
fn world_dimensions(schema: &Schema, world: &World) -> Dimensions {
    Dimensions {
        users: Dimension::from_rows(schema, Group::User, world.users()).unwrap(),
        products: Dimension::from_rows(schema, Group::Product, world.products()).unwrap(),
        channels: Dimension::from_rows(schema, Group::Channel, world.channels()).unwrap(),
    }
}

/// A simulated world with its own schema: histories that fill, channels that go on and off the air.
#[test]
fn the_drivers_agree_on_a_world() {
    let world_config = WorldConfig { users: 150, days: 2, history_days: 3, ..Default::default() };
    let mut world = World::new(&world_config).unwrap();
    let mut log = Collected::default();
    let Ok(totals) = world.run(&mut LoggingPolicy::new(world_config.seed), &mut log, &mut |_| ());
    let schema = Schema::parse(SCHEMA).unwrap();
    let dimensions = world_dimensions(&schema, &world);
    let site = Site::with(schema.clone(), &dimensions, &log.events);
    // Every impression, so that there are as many as the world had.
    let config = SampleConfig { below_threshold: BelowThreshold::Negative, ..config() };
    let summary = site.run(&config);
    let expected = oracle(&schema, &Arc::new(dimensions), &log.events, &config);
    assert_eq!(summary.feeds(), totals.requests);
    assert_eq!(summary.impressions(), totals.impressions);
    assert!(summary.late > 0 && summary.duplicates > 0, "{summary}");
    let made = feeds(&site);
    assert_eq!(made.len(), expected.feeds.len());
    for (made, expected) in made.iter().zip(&expected.feeds) {
        assert_eq!(made, expected);
    }
    // The world's own count of watches, which nothing here was derived from; displaced and lost events blur it.
    let watched: u64 = summary.days.iter().map(|day| day.watched).sum();
    let apart = watched.abs_diff(totals.watched) as f64 / totals.watched as f64;
    assert!(apart < 0.02, "{watched} watched in feeds, {} in the world", totals.watched);
}
