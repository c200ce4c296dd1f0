//! A request answered in process gets the scores that its feed gets, up to the rounding of another order: same features, same rows,
//! same model.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use eliverec_core::event::Scalar;
use eliverec_core::feed::Column;
use eliverec_core::schema::Group;
use eliverec_core::{BatchBuilder, Dimension, Dimensions, Event, Feed, FeedColumns, Schema};
use eliverec_features::FeatureConfig;
use eliverec_run::{Config, Prepared, Scorer};
use eliverec_samples::{SampleConfig, feature_settings, samples};
use eliverec_serve::bundle::{About, MadeOf, Precision};
use eliverec_serve::{Asked, BundleWriter, Ranker};
use eliverec_sim::{Collected, LoggingPolicy, SCHEMA, World, WorldConfig};
use eliverec_tables::events::{EventWriter, Store, write_dimensions};
use eliverec_tables::{FeedDirectory, Split};
use eliverec_train::{Progress, TrainingOrder, train};

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

fn asked(feed: &Feed) -> Asked {
    let context = feed.context.iter().map(|column| match column {
        Column::Ids(ids) => Scalar::Id(ids[0]),
        Column::Numbers(numbers) => Scalar::Number(numbers[0]),
        Column::Lists { .. } => unreachable!("a log's context has no lists"),
    });
    let Column::Ids(channels) = &feed.candidates.channel[0] else { panic!("ids") };
    Asked {
        user_id: feed.user_id,
        ts_ms: feed.ts_ms,
        context: context.collect(),
        channels: channels.clone(),
    }
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
    };
    train(&order, Progress::Silent, &AtomicBool::new(false)).unwrap();

    let scorer = Scorer::open(&path("run")).unwrap();
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
        checkpoint: scorer.commit.best.clone(),
        step: 20,
        feeds: "feeds".into(),
        other_feeds: None,
        tables: None,
    };
    let (version, program) = ("v".into(), "a test".into());
    writer.publish(About { version, created_ms: 0, program, made_of }).unwrap();
    let mut ranker = Ranker::open(&path("bundle")).unwrap();
    let mut events = log.events;
    events.sort_by_key(|event| (event.available_at_ms, event.event_id));
    let mut arrivals: VecDeque<Event> = events.into();
    let mut compared = 0;
    for split in Split::ALL.into_iter().filter(|split| feeds.feeds(*split).unwrap() > 0) {
        for feed in feeds.read(split).unwrap() {
            let feed = feed.unwrap();
            while let Some(event) =
                arrivals.pop_front_if(|event| event.available_at_ms < feed.ts_ms)
            {
                ranker.event(&event);
            }
            let lengths = scorer.config.settings().lengths();
            let mut builder = BatchBuilder::new(&schema, &scorer.normalization, lengths);
            builder.push(&feed).unwrap();
            let prepared = Prepared::of(&schema, builder.finish().unwrap());
            let offline = scorer.scoring().score(&prepared);
            let asked = asked(&feed);
            let online = ranker.rank(&asked).unwrap();
            assert!(online.is_sorted_by(|a, b| a.p_watch >= b.p_watch));
            let tasks = offline.tasks.unwrap();
            for (i, channel) in asked.channels.iter().enumerate() {
                let found = online.iter().find(|ranked| ranked.channel_id == *channel).unwrap();
                let close = |a: f32, b: f32| (a - b).abs() <= 1e-5 * b.max(1.0);
                assert!(close(found.p_watch, offline.p_watch[i]), "request {}", feed.request_id);
                let mut expected = tasks.iter().map(|task| task[i]);
                assert!(found.tasks.iter().all(|task| close(*task, expected.next().unwrap())));
                compared += 1;
            }
        }
    }
    assert!(compared > 1_000, "{compared} candidates");
    let nobody = Asked {
        user_id: u64::MAX,
        ts_ms: i64::MAX / 2,
        context: asked_context(&schema),
        channels: vec![u64::MAX],
    };
    assert!(ranker.rank(&nobody).unwrap()[0].p_watch.is_finite());
    assert!(ranker.rank(&Asked { channels: Vec::new(), ..nobody.clone() }).is_err());
    let error = ranker.rank(&Asked { context: Vec::new(), ..nobody }).unwrap_err().to_string();
    assert!(error.contains("context"), "{error}");
}

/// Zeros.
fn asked_context(schema: &Schema) -> Vec<Scalar> {
    let columns = Column::empty_group(schema.fields(Group::Context));
    let zero = |column: &Column| match column {
        Column::Numbers(_) => Scalar::Number(0.0),
        _ => Scalar::Id(0),
    };
    columns.iter().map(zero).collect()
}
