//! Fused operations against composed ones in whole models: the same scores and the same gradients, whatever the width of a head and
//! the lengths of the histories.

#![expect(clippy::unwrap_used, reason = "a fixture that fails fails its test")]

use std::collections::BTreeMap;

use burn::tensor::{Device, Tensor, TensorData};
use eliverec_core::batch::Offsets;
use eliverec_core::seed::Random;
use eliverec_core::toy;
use eliverec_models::blocks::EvolutionAttention;
use eliverec_models::draws::Draws;
use eliverec_models::inputs::{History, Inputs};
use eliverec_models::own::OwnRows;
use eliverec_models::registry::ModelConfig;
use eliverec_models::rows::Rows;
use eliverec_models::term::{Training, Turn};
use eliverec_models::trace::Trace;
use eliverec_models::zoo::dien::DienConfig;
use eliverec_models::zoo::din::DinConfig;
use eliverec_models::zoo::elive::{EliveConfig, EncoderKind};
use eliverec_models::zoo::eta::EtaConfig;
use eliverec_models::{Model, ModelSettings, parameters};

/// Events of the feeds: none, one, two, next to a block of lanes, the paper's length and one more, longer than a chunk.
const LENGTHS: [usize; 7] = [0, 1, 2, 17, 50, 51, 450];
const HEADS: usize = 2;

/// Ends the names of the gradients of a feed's events. One of hundreds has a small part in a score: they are compared with one another,
/// feed by feed.
const EVENTS: &str = "events";

/// Names and values of logits, terms and gradients.
type Found = BTreeMap<String, Vec<f32>>;

fn found(settings: &ModelSettings, fused: bool) -> Found {
    let (d, device) = (settings.input.width, Device::flex().autodiff());
    let mut random = Random::new(d as u64);
    let mut leaf = |rows: usize| {
        let values: Vec<f32> = (0..rows * d).map(|_| 0.6 * random.normal() as f32).collect();
        Tensor::<2>::from_data(TensorData::new(values, [rows, d]), &device).require_grad()
    };
    let rows = |lengths: &[usize]| {
        Rows::new(Offsets::from_lengths(lengths.iter().copied()), &device).with_fused(fused)
    };
    let mut history = |lengths: &[usize]| {
        let rows = rows(lengths);
        let items = leaf(rows.total());
        History {
            bare: items.clone(),
            items,
            age_s: (0..rows.total()).map(|i| i as f32).collect(),
            ids: (0..rows.total() as u64).collect(),
            rows,
        }
    };
    let backwards: Vec<usize> = LENGTHS.into_iter().rev().collect();
    let (live, product) = (history(&LENGTHS), history(&backwards));
    let candidates = rows(&[3, 1, 2, 5, 9, 2, 4]);
    let target = leaf(candidates.total());
    let inputs = Inputs {
        context: Some(leaf(LENGTHS.len())),
        user: None,
        channel: target.clone(),
        target: target.clone(),
        target_state: Some(leaf(candidates.total())),
        dynamic: Some(leaf(candidates.total())),
        tower_dynamic: false,
        candidate_ids: (0..candidates.total() as u64).collect(),
        candidates,
        live: live.clone(),
        product: Some(product.clone()),
        user_ids: (0..LENGTHS.len() as u64).collect(),
        own: OwnRows::default(),
        numbers: BTreeMap::new(),
        history_means: false,
        training: Some(Training::whole(Draws { seed: 1, step: 0 }, Turn::All)),
        watched: Vec::new(),
    };
    let model = Model::new(settings, &toy::schema(), 3, &device).unwrap();
    let output = model.predict(&inputs, &mut Trace::off());
    let values = |tensor: Tensor<1>| -> Vec<f32> { tensor.try_into_vec_as().unwrap() };
    let mut found = Found::from([("logits".into(), values(output.logits.clone()))]);
    let mut loss = output.logits.square().mean();
    for term in output.terms {
        found.insert(term.name.into(), values(term.value.clone()));
        loss = loss + term.value * term.weight;
    }
    let gradients = loss.backward();
    let of = |leaf: &Tensor<2>| -> Vec<f32> {
        leaf.grad(&gradients).unwrap().try_into_vec_as().unwrap()
    };
    found.insert("gradient of target".into(), of(&target));
    for (name, history) in [("live", &live), ("product", &product)] {
        let gradient = of(&history.items);
        for range in history.rows.offsets.ranges() {
            let name = format!("gradient of {name} of {} {EVENTS}", range.len());
            found.insert(name, gradient[range.start * d..range.end * d].to_vec());
        }
    }
    let of_parameters = parameters::gradients(&model, &gradients).into_iter();
    found.extend(of_parameters.map(|(name, values)| (format!("gradient of {name}"), values)));
    found
}

fn settings(model: ModelConfig, width: usize) -> ModelSettings {
    let mut settings = ModelSettings { model, ..ModelSettings::default() };
    settings.input.width = width;
    settings.tower.widths = vec![16, 8];
    settings
}

#[test]
fn give_the_same_at_every_width_and_length() {
    let elive = |encoder| EliveConfig {
        encoder,
        heads: HEADS,
        blocks: 2,
        ffn_ratio: 2,
        separate_specific: true,
        ..EliveConfig::default()
    };
    for head in [4, 8, 16, 32] {
        for model in [
            ModelConfig::Elive(elive(EncoderKind::Transformer)),
            ModelConfig::Elive(elive(EncoderKind::Din)),
            ModelConfig::Elive(elive(EncoderKind::Hgn)),
            ModelConfig::Elive(elive(EncoderKind::Gru)),
            ModelConfig::Elive(EliveConfig {
                disentangle: false,
                ..elive(EncoderKind::Transformer)
            }),
            ModelConfig::Din(DinConfig::default()),
            ModelConfig::Dien(DienConfig::default()),
            ModelConfig::Dien(DienConfig {
                attention: EvolutionAttention::Unit,
                ..DienConfig::default()
            }),
            ModelConfig::Eta(EtaConfig { heads: HEADS }),
        ] {
            let settings = settings(model, HEADS * head);
            let (composed, fused) = (found(&settings, false), found(&settings, true));
            let names = |found: &Found| found.keys().cloned().collect::<Vec<_>>();
            assert_eq!(names(&composed), names(&fused), "{:?}", settings.model);
            for (name, expected) in &composed {
                let (floor, share) =
                    if name.ends_with(EVENTS) { (1e-10, 1e-3) } else { (1e-5, 1e-3) };
                let largest = expected.iter().fold(0.0, |most: f32, x| most.max(x.abs()));
                for (i, (ours, expected)) in fused[name].iter().zip(expected).enumerate() {
                    let apart = (ours - expected).abs();
                    assert!(
                        apart <= floor + share * largest,
                        "{:?}, {name} at {i}: {ours}, composed {expected} of up to {largest}",
                        settings.model
                    );
                }
            }
        }
    }
}
