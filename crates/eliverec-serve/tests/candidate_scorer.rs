//! Requests of the simulated world, scored by the fast path and by the general one, with and without kept encoded sides.

#![expect(clippy::unwrap_used, reason = "a fixture that fails fails its test")]

use std::sync::Arc;

use eliverec_core::schema::Group;
use eliverec_core::{Batch, BatchBuilder, Dimension, Dimensions, Schema};
use eliverec_models::fast::{Stage, Wanted};
use eliverec_run::{Config, Prepared, Scorer, Scores, Scoring};
use eliverec_samples::{SampleConfig, samples};
use eliverec_serve::drawn_model::drawn_model;
use eliverec_serve::{CacheCounts, CandidateScorer, Path};
use eliverec_sim::{Collected, LoggingPolicy, SCHEMA, World, WorldConfig};
use eliverec_tables::events::{EventWriter, Store, write_dimensions};
use eliverec_tables::{FeedDirectory, Split};

/// Candidates that every kind of model is compared on.
const COMPARED: usize = 12_500;

/// Requests of a world, one feed each, in the order of their splits.
fn requests(schema: &Schema, lengths: eliverec_core::Lengths) -> Vec<Batch> {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let config = WorldConfig { users: 600, days: 5, history_days: 15, ..Default::default() };
    let mut world = World::new(&config).unwrap();
    let mut log = Collected::default();
    let Ok(_) = world.run(&mut LoggingPolicy::new(1), &mut log, &mut |_| ());
    let dimensions = Dimensions {
        users: Dimension::from_rows(schema, Group::User, world.users()).unwrap(),
        products: Dimension::from_rows(schema, Group::Product, world.products()).unwrap(),
        channels: Dimension::from_rows(schema, Group::Channel, world.channels()).unwrap(),
    };
    let store = Store::local(&path("logs")).unwrap();
    let mut writer = EventWriter::create(&store, schema).unwrap();
    log.events.iter().for_each(|event| writer.push(event).unwrap());
    writer.finish().unwrap();
    write_dimensions(&dimensions, &store).unwrap();
    samples(&path("logs"), &path("feeds"), &SampleConfig::default(), |_| ()).unwrap();
    let feeds = FeedDirectory::open(path("feeds")).unwrap();
    let normalization = eliverec_core::Normalization::default();
    let splits = Split::ALL.into_iter().filter(|split| feeds.feeds(*split).unwrap() > 0);
    let all = splits.flat_map(|split| feeds.read(split).unwrap()).map(|feed| {
        let mut builder = BatchBuilder::new(schema, &normalization, lengths);
        builder.push(&feed.unwrap()).unwrap();
        builder.finish().unwrap()
    });
    all.collect()
}

fn model(schema: &Schema, text: &str) -> Scorer {
    let text = format!("{text}\n[tasks]\nmode = \"vanilla\"\n");
    drawn_model(&Config::parse(&text, "config", &[]).unwrap(), schema, 2_000).unwrap()
}

/// That the intents of a request's user are those of the model's own forward; how many there are.
fn assert_intents(scorer: &CandidateScorer, scoring: &Scoring<'_>, batch: &Batch) -> usize {
    let fast = scorer.intents(scoring, batch.clone());
    let prepared = Prepared::of(scoring.schema, batch.clone());
    let general = eliverec_run::intents(scoring, &prepared).swap_remove(0);
    assert_eq!(fast.len(), general.len());
    for (fast, general) in fast.iter().zip(&general) {
        assert_eq!(fast.len(), general.len());
        let mut pairs = fast.iter().zip(general);
        assert!(
            pairs.all(|(a, b)| (a - b).abs() <= 1e-5 * b.abs().max(1.0)),
            "{fast:?} {general:?}"
        );
    }
    fast.len()
}

fn assert_close(fast: &Scores, general: &Scores) {
    let close = |fast: &[f32], general: &[f32]| {
        let mut pairs = fast.iter().zip(general);
        assert!(pairs.all(|(a, b)| (a - b).abs() <= 1e-5 * b.max(1.0)), "{fast:?} {general:?}");
    };
    close(&fast.p_watch, &general.p_watch);
    let (fast, general) = (fast.tasks.as_ref().unwrap(), general.tasks.as_ref().unwrap());
    assert_eq!(fast.len(), general.len());
    fast.iter().zip(general).for_each(|(fast, general)| close(fast, general));
}

#[test]
fn both_paths_give_one_score_and_kept_sides_change_no_bit() {
    let schema = Schema::parse(SCHEMA).unwrap();
    let requests = requests(&schema, eliverec_core::Lengths::default());
    let mut compared = 0;
    for text in [
        "[model]\nname = \"elive\"",
        "[model]\nname = \"elive\"\nheads = 4\nblocks = 1\ntarget_product = true\nposition = \"recency\"\n[input]\nwidth = 32",
        "[model]\nname = \"eta\"\nheads = 4\n[input]\nwidth = 64",
        "[model]\nname = \"din\"\n[input]\nwidth = 64\n[tower]\nintra_dynamic = true",
    ] {
        let model = model(&schema, text);
        let scoring = model.scoring();
        let fresh = CandidateScorer::new(&scoring, 0);
        let kept = CandidateScorer::new(&scoring, 1 << 30);
        let small = CandidateScorer::new(&scoring, 1 << 20);
        assert_eq!(fresh.path(), Path::Fast);
        let (mut impressions, mut asked, mut intents) = (0, 0, 0);
        for batch in &requests {
            if impressions >= COMPARED {
                break;
            }
            impressions += batch.impressions();
            asked += 1;
            if asked % 16 == 1 {
                intents += assert_intents(&fresh, &scoring, batch);
            }
            let mut stages = Vec::new();
            let scores = fresh.score(&scoring, batch.clone(), Wanted::All, |s| stages.push(s));
            assert_eq!(stages, Stage::ALL);
            assert_close(&scores, &scoring.score(&Prepared::of(&schema, batch.clone())));
            for scorer in [&kept, &small] {
                assert_eq!(scorer.score(&scoring, batch.clone(), Wanted::All, |_| ()), scores);
            }
        }
        assert!(impressions >= COMPARED, "the world has {impressions} impressions");
        assert_eq!(intents > 0, text.contains("elive"), "{text}");
        compared += impressions;
        let counts = kept.counts();
        assert_eq!((counts.requests, &counts.general), (asked, &None));
        assert_eq!(counts.cache.hits + counts.cache.misses, asked);
        assert!(counts.cache.hits > asked / 20, "{counts:?}");
        let small = small.counts().cache;
        assert!(small.bytes <= 1 << 20 && small.evicted > 0, "{small:?}");
        assert_eq!(fresh.counts().cache, CacheCounts::default());
        // Who asks for the intents first finds the encoded side when it comes to the scores.
        let asking = CandidateScorer::new(&scoring, 1 << 30);
        asking.intents(&scoring, requests[0].clone());
        asking.score(&scoring, requests[0].clone(), Wanted::All, |_| ());
        let CacheCounts { hits, misses, .. } = asking.counts().cache;
        assert_eq!((hits, misses), (1, 1));
    }
    assert!(compared >= 50_000, "{compared}");
}

#[test]
fn what_the_fast_path_leaves_goes_the_general_one_and_says_so() {
    let schema = Schema::parse(SCHEMA).unwrap();
    let model = model(&schema, "[model]\nname = \"elive\"\nencoder = \"hgn\"\n[input]\nwidth = 16");
    let scoring = model.scoring();
    let scorer = CandidateScorer::new(&scoring, 1 << 20);
    let Path::General(reason) = scorer.path() else { panic!("the encoder is hgn") };
    assert_eq!((reason.key, &*reason.value), ("model.encoder", "hgn"));
    let requests = eliverec_serve::bench::draw(
        &scoring,
        eliverec_serve::bench::Sizes { requests: 3, ..Default::default() },
    );
    for batch in requests.unwrap() {
        assert_eq!(assert_intents(&scorer, &scoring, &batch), 4);
        let expected = scoring.score(&Prepared::of(&schema, batch.clone()));
        assert_eq!(scorer.score(&scoring, batch.clone(), Wanted::All, |_| ()), expected);
        let watch = scorer.score(&scoring, batch, Wanted::Watch, |_| ());
        assert_eq!(watch, Scores { tasks: None, ..expected });
    }
    let counts = scorer.counts();
    assert_eq!((counts.requests, counts.cache), (6, CacheCounts::default()));
    assert!(counts.general.unwrap().contains("hgn"));
}

/// A scorer is asked by many threads at once.
#[test]
fn scorers_are_shared_between_threads() {
    fn shared<T: Send + Sync>() {}
    shared::<Arc<CandidateScorer>>();
}
