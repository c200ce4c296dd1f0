//! The fast path of ranking against the model itself: the same outputs, for every model and option that it takes, whatever the
//! lengths; the same bits with or without company, with a fresh or a kept encoded side; a reason for what it does not take.

#![expect(clippy::unwrap_used, reason = "a fixture that fails fails its test")]

use burn::tensor::{Device, Tensor, TensorData};
use eliverec_core::batch::{Batch, BatchBuilder};
use eliverec_core::feed::{Column, Feed};
use eliverec_core::matching::{History, Match};
use eliverec_core::schema::{Field, Kind, Schema};
use eliverec_core::seed::Random;
use eliverec_core::toy::{self, Counts};
use eliverec_core::unique::UniqueIds;
use eliverec_core::{Lengths, Normalization};
use eliverec_models::blocks::{AttentionScale, Normalize};
use eliverec_models::fast::{FastModel, Outputs, Request, Room, Wanted};
use eliverec_models::heads::HeadsConfig;
use eliverec_models::registry::ModelConfig;
use eliverec_models::settings::{Domain, Maps, Query};
use eliverec_models::zoo::din::DinConfig;
use eliverec_models::zoo::elive::{
    EliveConfig, EncoderKind, IntentWeight, Position, PrototypeSource,
};
use eliverec_models::zoo::eta::EtaConfig;
use eliverec_models::{Model, ModelSettings, parameters};
use proptest::prelude::*;

/// One of some values, drawn.
fn one<T: Clone>(random: &mut Random, of: &[T]) -> T {
    of[random.below(of.len())].clone()
}

fn elive(random: &mut Random, heads: usize) -> EliveConfig {
    use PrototypeSource::{Learned, Pooled};
    EliveConfig {
        heads,
        blocks: random.below(3),
        ffn_ratio: 1 + random.below(4),
        attention_scale: one(random, &[AttentionScale::Width, AttentionScale::Head]),
        position: one(random, &[Position::None, Position::Recency]),
        prototypes: one(random, &[Pooled, Learned]),
        target_product: random.below(2) == 0,
        disentangle: random.below(4) > 0,
        intention_weight: one(random, &[IntentWeight::Elementwise, IntentWeight::Scalar]),
        ..EliveConfig::default()
    }
}

/// Settings that the fast path takes.
fn settings(random: &mut Random) -> ModelSettings {
    let width = one(random, &[8, 12, 16, 48]);
    let heads = one(random, &[1, 2, 4]);
    let target_product = random.below(2) == 0;
    let normalize = one(random, &[Normalize::Softmax, Normalize::None, Normalize::Sigmoid]);
    let model = match random.below(4) {
        0 => ModelConfig::Eta(EtaConfig { heads }),
        1 => ModelConfig::Din(DinConfig { normalize, target_product }),
        _ => ModelConfig::Elive(elive(random, heads)),
    };
    let mut settings = ModelSettings { model, ..ModelSettings::default() };
    settings.input.width = width;
    settings.input.domain = one(random, &[Domain::Live, Domain::Both, Domain::Both]);
    settings.input.maps = one(random, &[Maps::Entity, Maps::Vocabulary]);
    if settings.input.maps == Maps::Vocabulary {
        settings.input.query = one(random, &[Query::Channel, Query::Moment]);
    }
    settings.tower.widths = one(random, &[vec![], vec![9], vec![20, 8], vec![33, 16, 5]]);
    settings.tower.intra_dynamic = random.below(2) == 0;
    let config = HeadsConfig { experts: 3, expert_width: 10, gate_hidden: 5, tower_hidden: 7 };
    settings.heads = (random.below(4) > 0).then_some(config);
    settings
}

/// The toy schema, or one that lacks a group or has one more field.
fn schema(random: &mut Random) -> Schema {
    let mut schema = toy::schema();
    match random.below(6) {
        0 => schema.dynamic.clear(),
        1 => schema.target.clear(),
        2 => {
            schema.user.clear();
            schema.context.clear();
        }
        3 => schema.context.clear(),
        _ => {
            let kind = Kind::Categorical { vocabulary: "category".into() };
            schema.target.push(Field { name: "current_category".into(), kind });
        }
    }
    if random.below(2) == 0 {
        schema.matches.push(Match {
            name: "clicked".into(),
            of: "category_id".into(),
            history: History::Products,
            field: "category_id".into(),
            last: Some(3),
            half_life_s: None,
        });
    }
    schema
}

/// A model none of whose parameters is 0 or 1.
fn model(settings: &ModelSettings, schema: &Schema, random: &mut Random) -> Model {
    let model = Model::new(settings, schema, 7, &Device::flex()).unwrap();
    parameters::update(model, |_, values| {
        values.iter_mut().for_each(|value| *value += 0.05 * random.normal() as f32);
    })
}

fn row(table: usize, id: u64, to: &mut [f32]) {
    let mut random = Random::new(id.wrapping_mul(31).wrapping_add(table as u64 + 1));
    to.fill_with(|| (random.normal() * 0.3) as f32);
}

fn batch(settings: &ModelSettings, schema: &Schema, feeds: &[Feed]) -> Batch {
    let normalization = Normalization::default();
    let mut builder = BatchBuilder::new(schema, &normalization, settings.lengths());
    feeds.iter().for_each(|feed| builder.push(feed).unwrap());
    builder.finish().unwrap()
}

/// What the model says of all impressions: the logits, then every task's outputs.
fn general(
    settings: &ModelSettings,
    schema: &Schema,
    model: &Model,
    batch: &Batch,
) -> Vec<Vec<f32>> {
    let unique = UniqueIds::of(schema, batch);
    let tables = settings.tables(schema).into_iter().zip(&unique.ids).enumerate();
    let leaves: Vec<Tensor<2>> = tables
        .map(|(table, (spec, ids))| {
            let mut values = vec![0.0; ids.len() * spec.width];
            let rows = values.chunks_exact_mut(spec.width).zip(ids);
            rows.for_each(|(to, id)| row(table, *id, to));
            Tensor::from_data(TensorData::new(values, [ids.len(), spec.width]), &Device::flex())
        })
        .collect();
    let output = model.forward(schema, batch, &unique, &leaves, None);
    let all = std::iter::once(output.logits).chain(output.tasks.into_iter().flatten());
    all.map(|scores| scores.try_into_vec_as().unwrap()).collect()
}

fn score(fast: &FastModel, batch: &Batch, feed: usize, wanted: Wanted, room: &mut Room) -> Outputs {
    let request = Request { batch, feed, rows: &row };
    let encoded = fast.encode(&request, room);
    fast.score(&request, &encoded, wanted, room, |_| ())
}

/// What the fast path says of all impressions, in the shape of [`general`].
fn fast(model: &FastModel, batch: &Batch, room: &mut Room) -> Vec<Vec<f32>> {
    let mut all: Vec<Vec<f32>> = Vec::new();
    for feed in 0..batch.feeds() {
        let Outputs { logits, tasks } = score(model, batch, feed, Wanted::All, room);
        let outputs: Vec<Vec<f32>> =
            std::iter::once(logits).chain(tasks.into_iter().flatten()).collect();
        all.resize(outputs.len(), Vec::new());
        all.iter_mut().zip(outputs).for_each(|(all, outputs)| all.extend(outputs));
    }
    all
}

fn assert_close(fast: &[Vec<f32>], general: &[Vec<f32>], what: &str) {
    assert_eq!(fast.len(), general.len(), "{what}");
    for (output, (fast, general)) in fast.iter().zip(general).enumerate() {
        assert_eq!(fast.len(), general.len(), "{what}");
        for (i, (a, b)) in fast.iter().zip(general).enumerate() {
            let tolerance = 1e-5 * b.abs().max(1.0);
            assert!((a - b).abs() < tolerance, "{what}: output {output} of {i}: {a}, not {b}");
        }
    }
}

fn feeds(schema: &Schema, random: &mut Random, most: usize) -> Vec<Feed> {
    let counts = |random: &mut Random| Counts {
        products: one(random, &[0, 1, 2, 17, 50]),
        channels: one(random, &[0, 1, 2, 17, 50]),
        candidates: one(random, &[1, 2, 15, 16, 17, 48, 63, 64, 65, 100, 500]).min(most),
    };
    (0..3)
        .map(|_| {
            let counts = counts(random);
            toy::draw(schema, counts, 40, random)
        })
        .collect()
}

/// The feed with one of its candidates.
fn only(feed: &Feed, i: usize) -> Feed {
    let mut alone = feed.clone();
    let candidates = &mut alone.candidates;
    let groups = [&mut candidates.channel, &mut candidates.target, &mut candidates.dynamic];
    for column in groups.into_iter().flatten() {
        *column = match &*column {
            Column::Ids(ids) => Column::Ids(vec![ids[i]]),
            Column::Numbers(numbers) => Column::Numbers(vec![numbers[i]]),
            Column::Lists { ends, ids } => {
                let start = if i == 0 { 0 } else { ends[i - 1] };
                let ids = ids[start as usize..ends[i] as usize].to_vec();
                Column::Lists { ends: vec![ids.len() as u32], ids }
            }
        };
    }
    candidates.position.truncate(1);
    alone
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn the_fast_path_gives_what_the_model_gives(seed: u64) {
        let random = &mut Random::new(seed);
        let (schema, settings) = (schema(random), settings(random));
        let model = model(&settings, &schema, random);
        let of_fast = FastModel::new(&settings, &schema, &model).unwrap();
        let mut room = Room::default();
        for _ in 0..2 {
            let batch = batch(&settings, &schema, &feeds(&schema, random, 500));
            let expected = general(&settings, &schema, &model, &batch);
            assert_close(&fast(&of_fast, &batch, &mut room), &expected, &format!("{settings:?}"));
        }
    }

    /// A kept encoded side, rooms that others used, one output instead of all: the same bits.
    #[test]
    fn bits_depend_on_the_request_alone(seed: u64) {
        let random = &mut Random::new(seed);
        let (schema, settings) = (schema(random), settings(random));
        let model = model(&settings, &schema, random);
        let fast = FastModel::new(&settings, &schema, &model).unwrap();
        let batch = batch(&settings, &schema, &feeds(&schema, random, 100));
        let mut used = Room::default();
        for feed in 0..batch.feeds() {
            let request = Request { batch: &batch, feed, rows: &row };
            let kept = fast.encode(&request, &mut used);
            let fresh = score(&fast, &batch, feed, Wanted::All, &mut Room::default());
            for other in 0..batch.feeds() {
                score(&fast, &batch, other, Wanted::All, &mut used);
            }
            let again = fast.score(&request, &kept, Wanted::All, &mut used, |_| ());
            prop_assert_eq!(&again, &fresh);
            let watch = fast.score(&request, &kept, Wanted::Watch, &mut used, |_| ());
            prop_assert_eq!(&watch.logits, &fresh.logits);
            prop_assert!(watch.tasks.is_none());
        }
    }

    #[test]
    fn a_candidate_scores_alone_as_in_company(seed: u64) {
        let random = &mut Random::new(seed);
        let (schema, settings) = (toy::schema(), settings(random));
        let model = model(&settings, &schema, random);
        let fast = FastModel::new(&settings, &schema, &model).unwrap();
        let counts = Counts { products: 5, channels: 3, candidates: 70 };
        let feed = &toy::draw(&schema, counts, 40, random);
        let mut room = Room::default();
        let whole = batch(&settings, &schema, std::slice::from_ref(feed));
        let company = score(&fast, &whole, 0, Wanted::All, &mut room);
        for i in 0..feed.impressions() {
            let alone = batch(&settings, &schema, &[only(feed, i)]);
            let outputs = score(&fast, &alone, 0, Wanted::All, &mut room);
            prop_assert_eq!(outputs.logits[0], company.logits[i]);
            let tasks = outputs.tasks.iter().flatten().zip(company.tasks.iter().flatten());
            for (alone, company) in tasks {
                prop_assert_eq!(alone[0], company[i]);
            }
        }
    }
}

#[test]
fn widths_of_the_paper_are_equal_too() {
    let (schema, random) = (toy::schema(), &mut Random::new(3));
    for blocks in [1, 2] {
        let mut settings = ModelSettings {
            model: ModelConfig::Elive(EliveConfig { blocks, ..EliveConfig::default() }),
            heads: Some(HeadsConfig::default()),
            ..ModelSettings::default()
        };
        settings.input.width = if blocks == 1 { 32 } else { 128 };
        let model = model(&settings, &schema, random);
        let of_fast = FastModel::new(&settings, &schema, &model).unwrap();
        let batch = batch(&settings, &schema, &feeds(&schema, random, 500));
        let expected = general(&settings, &schema, &model, &batch);
        assert_close(&fast(&of_fast, &batch, &mut Room::default()), &expected, "paper");
    }
}

#[test]
fn equal_histories_have_equal_content() {
    let (schema, random) = (toy::schema(), &mut Random::new(3));
    let aged = |position| {
        let config = EliveConfig { position, ..EliveConfig::default() };
        ModelSettings { model: ModelConfig::Elive(config), ..ModelSettings::default() }
    };
    let counts = Counts { products: 3, channels: 2, candidates: 2 };
    let feed = toy::draw(&schema, counts, 40, random);
    let mut older = toy::draw(&schema, Counts { candidates: 5, ..counts }, 40, random);
    (older.products, older.channels) = (feed.products.clone(), feed.channels.clone());
    older.products.age_s.iter_mut().for_each(|age_s| *age_s += 10_000.0);
    let mut longer = feed.clone();
    longer.channels = toy::draw(&schema, Counts { channels: 3, ..counts }, 40, random).channels;
    for (position, alike) in [(Position::None, true), (Position::Recency, false)] {
        let settings = aged(position);
        let model = model(&settings, &schema, random);
        let fast = FastModel::new(&settings, &schema, &model).unwrap();
        let feeds = [feed.clone(), older.clone(), longer.clone()];
        let batch = batch(&settings, &schema, &feeds);
        let content = |feed| fast.content(&batch, feed);
        assert_eq!(content(0) == content(1), alike, "{position:?}");
        assert_ne!(content(0), content(2));
    }
}

#[test]
fn what_it_leaves_to_the_general_path_it_names() {
    let schema = toy::schema();
    let of = |config: EliveConfig| ModelSettings {
        model: ModelConfig::Elive(config),
        ..ModelSettings::default()
    };
    let default = EliveConfig::default;
    for (settings, expected) in [
        (of(EliveConfig { encoder: EncoderKind::Din, ..default() }), "model.encoder = \"din\""),
        (of(EliveConfig { encoder: EncoderKind::Hgn, ..default() }), "model.encoder = \"hgn\""),
        (of(EliveConfig { encoder: EncoderKind::Gru, ..default() }), "model.encoder = \"gru\""),
        (
            of(EliveConfig { prototypes: PrototypeSource::Matched, ..default() }),
            "model.prototypes = \"matched\"",
        ),
    ] {
        let model = Model::new(&settings, &schema, 7, &Device::flex()).unwrap();
        let reason = FastModel::new(&settings, &schema, &model).unwrap_err().to_string();
        assert!(reason.starts_with(expected), "{reason}");
    }
    assert_eq!(Lengths::default().channels, 50, "the lengths that the tests draw are not cut");
}
