//! A request whose features the online driver makes gets from a bundle the scores and the intents that its feed gets from the run, up
//! to the rounding of another order: same features, same rows, same model.

#![expect(clippy::unwrap_used, reason = "a fixture that fails fails its test")]

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use eliverec_core::event::Scalar;
use eliverec_core::feed::Column;
use eliverec_core::schema::Group;
use eliverec_core::{
    Batch, BatchBuilder, Dimension, Dimensions, Event, Feed, FeedColumns, IdKinds, Schema,
};
use eliverec_features::{Candidate, FeatureConfig, FeedBuilder, OnlineDriver, Request};
use eliverec_models::fast::Wanted;
use eliverec_run::{Config, Prepared, Scorer, Scoring};
use eliverec_samples::{SampleConfig, feature_settings, samples};
use eliverec_serve::bundle::{About, MadeOf, Precision};
use eliverec_serve::{Bundle, BundleWriter, CandidateScorer};
use eliverec_sim::{Collected, LoggingPolicy, SCHEMA, World, WorldConfig};
use eliverec_tables::events::{EventWriter, Store, write_dimensions};
use eliverec_tables::{FeedDirectory, Split};
use eliverec_train::{Progress, TrainingOrder, ranks, train};

const CONFIG: &str = r#"
seed = 3
[model]
name = "elive"
heads = 2
blocks = 1
[input]
width = 16
[tower]
widths = [16, 8]
[tasks]
mode = "vanilla"
[training]
epochs = 1
max_steps = 20
patience = 0
"#;

/// The request that a feed was made of.
fn request_of(feed: &Feed) -> Request {
    let context = feed.context.iter().map(|column| match column {
        Column::Ids(ids) => Scalar::Id(ids[0]),
        Column::Numbers(numbers) => Scalar::Number(numbers[0]),
        Column::Lists { .. } => unreachable!("a log's context has no lists"),
    });
    let Column::Ids(channels) = &feed.candidates.channel[0] else { panic!("ids") };
    let candidate = |channel_id: &u64| Candidate {
        event_id: 0,
        channel_id: *channel_id,
        position: None,
        outcome: None,
    };
    Request {
        request_id: feed.request_id,
        user_id: feed.user_id,
        ts_ms: feed.ts_ms,
        context: context.collect(),
        candidates: channels.iter().map(candidate).collect(),
    }
}

fn batch(scoring: &Scoring<'_>, feed: &Feed) -> Batch {
    let lengths = scoring.config.settings().lengths();
    let mut builder = BatchBuilder::new(scoring.schema, scoring.normalization, lengths);
    builder.push(feed).unwrap();
    builder.finish().unwrap()
}

fn assert_close(online: &[f32], offline: &[f32], request: u64) {
    assert_eq!(online.len(), offline.len(), "request {request}");
    let mut pairs = online.iter().zip(offline);
    assert!(pairs.all(|(a, b)| (a - b).abs() <= 1e-5 * b.abs().max(1.0)), "request {request}");
}

#[test]
fn a_request_gets_the_scores_of_its_feed() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let world_config = WorldConfig { users: 120, days: 3, history_days: 2, ..Default::default() };
    let mut world = World::new(&world_config).unwrap();
    let mut log = Collected::default();
    let Ok(_) = world.run(&mut LoggingPolicy::new(1), &mut log, &mut |_| ());
    let schema = Schema::parse(SCHEMA).unwrap();
    assert_eq!(schema.fields(Group::Channel)[0].name, "channel_id");
    let dimensions = Arc::new(Dimensions {
        users: Dimension::from_rows(&schema, Group::User, world.users()).unwrap(),
        products: Dimension::from_rows(&schema, Group::Product, world.products()).unwrap(),
        channels: Dimension::from_rows(&schema, Group::Channel, world.channels()).unwrap(),
    });
    let store = Store::local(&path("logs")).unwrap();
    let mut writer = EventWriter::create(&store, &schema).unwrap();
    log.events.iter().for_each(|event| writer.push(event).unwrap());
    writer.finish().unwrap();
    write_dimensions(&dimensions, &store).unwrap();
    // Serving takes the settings from the feeds.
    let features = FeatureConfig { allowed_lateness_ms: 300_000, ..FeatureConfig::default() };
    let config = SampleConfig { features, ..SampleConfig::default() };
    samples(&path("logs"), &path("feeds"), &config, |_| ()).unwrap();
    let order = TrainingOrder {
        config: Some(Config::parse(CONFIG, "config", &[]).unwrap()),
        overrides: Vec::new(),
        feeds: FeedDirectory::open(path("feeds")).unwrap(),
        run: path("run"),
        resume: false,
        init_from: None,
        ranks: ranks::alone(),
    };
    train(&order, Progress::Silent, &AtomicBool::new(false)).unwrap();

    let (scorer, commit) = Scorer::open(&path("run")).unwrap();
    let feeds = FeedDirectory::open(path("feeds")).unwrap();
    let mut writer =
        BundleWriter::create(&path("bundle"), false, &scorer, Precision::Float32).unwrap();
    writer.write_features(&feature_settings(feeds.path()).unwrap().unwrap()).unwrap();
    writer.write_dimensions(&dimensions).unwrap();
    let mut golden = FeedColumns::empty(&schema);
    for feed in feeds.read(Split::Test).unwrap().take(5) {
        golden.push(&schema, &feed.unwrap()).unwrap();
    }
    writer.write_golden(golden, "test").unwrap();
    let made_of = MadeOf {
        run: "run".into(),
        checkpoint: commit.best,
        step: 20,
        feeds: "feeds".into(),
        other_feeds: None,
        tables: None,
    };
    let (version, program) = ("v".into(), "a test".into());
    let ids = IdKinds::default();
    writer.publish(About { version, created_ms: 0, program, made_of, ids }).unwrap();
    let bundle = Bundle::open(&path("bundle")).unwrap();
    let tables = bundle.dimensions.as_ref().unwrap();
    let builder = FeedBuilder::new(&bundle.model.schema, tables).unwrap();
    let mut driver = OnlineDriver::new(bundle.features.unwrap(), tables, builder.wanted()).unwrap();
    let serving = bundle.model.scoring();
    let candidates = CandidateScorer::new(&serving, 1 << 30);
    let mut events = log.events;
    events.sort_by_key(|event| (event.available_at_ms, event.event_id));
    let mut arrivals: VecDeque<Event> = events.into();
    let (mut compared, mut intents) = (0, 0);
    for split in Split::ALL.into_iter().filter(|split| feeds.feeds(*split).unwrap() > 0) {
        for feed in feeds.read(split).unwrap() {
            let feed = feed.unwrap();
            while let Some(event) =
                arrivals.pop_front_if(|event| event.available_at_ms < feed.ts_ms)
            {
                driver.event(&event);
            }
            let request = request_of(&feed);
            let channels: Vec<u64> = request.candidates.iter().map(|of| of.channel_id).collect();
            let features = driver.features(feed.user_id, feed.ts_ms, &channels);
            let online = batch(&serving, &builder.feed(&request, &features));
            let offline = Prepared::of(&schema, batch(&scorer.scoring(), &feed));

            // What retrieval asks with, as `eliverec retrieval` does.
            let asked = candidates.intents(&serving, online.clone());
            let expected = eliverec_run::intents(&scorer.scoring(), &offline).swap_remove(0);
            assert_eq!(asked.len(), expected.len());
            let pairs = asked.iter().zip(&expected);
            pairs.for_each(|(asked, expected)| assert_close(asked, expected, feed.request_id));
            intents += asked.len();

            let scores = candidates.score(&serving, online, Wanted::All, |_| ());
            let expected = scorer.scoring().score(&offline);
            assert_close(&scores.p_watch, &expected.p_watch, feed.request_id);
            let tasks = scores.tasks.iter().flatten().zip(expected.tasks.iter().flatten());
            tasks.for_each(|(task, expected)| assert_close(task, expected, feed.request_id));
            compared += channels.len();
        }
    }
    assert!(compared > 1_000 && intents > 100, "{compared} candidates, {intents} intents");
}
