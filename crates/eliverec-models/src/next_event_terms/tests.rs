use std::collections::BTreeMap;

use burn::tensor::{Device, TensorData};
use eliverec_core::batch::Offsets;
use eliverec_core::seed::Random;
use eliverec_core::toy;

use super::*;
use crate::own::OwnRows;
use crate::parameters;
use crate::rows::Rows;
use crate::settings::ModelSettings;
use crate::term::{Training, Turn};
use crate::trace::Trace;

const D: usize = 4;
const NEGATIVES: usize = 6;
const DRAWS: Draws = Draws { seed: 7, step: 3 };

fn history(lengths: &[usize], random: &mut Random, device: &Device) -> History {
    let rows = Rows::new(Offsets::from_lengths(lengths.iter().copied()), device);
    let values: Vec<f32> = (0..rows.total() * D).map(|_| random.normal() as f32).collect();
    let items = Tensor::from_data(TensorData::new(values, [rows.total(), D]), device);
    let ids = (0..rows.total()).map(|_| random.below(3) as u64).collect();
    History { bare: items.clone(), items, age_s: vec![0.0; rows.total()], ids, rows }
}

fn inputs(device: &Device) -> Inputs {
    let mut random = Random::new(4);
    let live = history(&[3, 0, 1, 5, 2], &mut random, device);
    let product = history(&[0, 2, 4, 1, 0], &mut random, device);
    let candidates = Rows::new(Offsets::from_lengths([2, 3, 1, 4, 2]), device);
    let values: Vec<f32> = (0..12 * D).map(|_| random.normal() as f32).collect();
    let channel: Tensor<2> = Tensor::from_data(TensorData::new(values, [12, D]), device);
    let watched = [0, 1, 0, 1, 1, 1, 0, 0, 0, 0, 1, 0].map(|x: u8| f32::from(x)).to_vec();
    Inputs {
        context: None,
        user: None,
        target: channel.clone(),
        channel,
        target_state: None,
        dynamic: None,
        tower_dynamic: false,
        candidate_ids: (0..12).map(|i| i % 4).collect(),
        candidates,
        live,
        product: Some(product),
        user_ids: vec![1, 2, 3, 4, 5],
        own: OwnRows::default(),
        numbers: BTreeMap::new(),
        history_means: false,
        training: Some(Training::whole(DRAWS, Turn::All)),
        watched,
    }
}

type Row = Vec<f64>;

fn rows(tensor: &Tensor<2>) -> Vec<Row> {
    let values: Vec<f32> = tensor.clone().try_into_vec_as().unwrap();
    values.chunks(D).map(|row| row.iter().map(|x| f64::from(*x)).collect()).collect()
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn anchor(events: &[Row], map: &[Row]) -> Row {
    let mean = |i: usize| events.iter().map(|x| x[i]).sum::<f64>() / events.len() as f64;
    (0..D).map(|j| (0..D).map(|i| mean(i) * map[i][j]).sum()).collect()
}

/// -log of the positive's share, against the drawn that are of another entity.
fn loss(anchor: &[f64], positive: (u64, &[f64]), drawn: &[(u64, &[f64])]) -> f64 {
    let own = dot(anchor, positive.1).exp();
    let others = drawn.iter().filter(|(id, _)| *id != positive.0);
    let others: f64 = others.map(|(_, x)| dot(anchor, x).exp()).sum();
    -(own / (own + others)).ln()
}

#[test]
fn equal_the_loop() {
    let (schema, device) = (toy::schema(), Device::flex());
    let settings = ModelSettings::default();
    let site = Site { width: D, ..settings.site(&schema) };
    let builder = Builder::new(&device, crate::builder::Init::Glorot);
    let config = NextEventConfig { negatives: NEGATIVES, ..NextEventConfig::default() };
    let terms = NextEventTerms::new(&config, &site, &builder);
    let terms = parameters::initialise(terms, &builder, 5, "test");
    let inputs = inputs(&device);
    let found: BTreeMap<&str, f32> = terms
        .of(&inputs, &mut Trace::off())
        .into_iter()
        .map(|term| (term.name, term.value.into_scalar::<f32>()))
        .collect();
    assert_eq!(found.len(), 4);

    // Which impression is taken of a feed with several watched ones.
    let mut random = DRAWS.stream("next_event watched");
    let shown = inputs.candidates.offsets.ranges();
    let chosen: Vec<Option<usize>> = shown
        .map(|range| {
            let watched: Vec<usize> = range.filter(|i| inputs.watched[*i] > 0.0).collect();
            (!watched.is_empty()).then(|| watched[random.below(watched.len())])
        })
        .collect();
    assert_eq!(chosen.iter().flatten().count(), 4);

    let live = &inputs.live;
    let (live_rows, channel) = (rows(&live.bare), rows(&inputs.channel));
    for (history, anchors, names) in [
        (live, &terms.live, ["next_live", "watched_live"]),
        (
            inputs.product.as_ref().unwrap(),
            terms.product.as_ref().unwrap(),
            ["next_product", "watched_product"],
        ),
    ] {
        let map = |map: &Option<Param<Tensor<2>>>| rows(&map.as_ref().unwrap().val());
        let (own, [next, watched]) = (rows(&history.bare), [&anchors.next, &anchors.watched]);
        let draw = |name: &str, from: &History| -> Vec<usize> {
            let mut random = DRAWS.stream(name);
            (0..NEGATIVES).map(|_| random.below(from.rows.total())).collect()
        };
        let drawn = draw(names[0], history);
        let drawn: Vec<(u64, &[f64])> =
            drawn.iter().map(|i| (history.ids[*i], own[*i].as_slice())).collect();
        let mut losses = Vec::new();
        for range in history.rows.offsets.ranges() {
            for at in range.start + 1..range.end {
                let anchor = anchor(&own[range.start..at], &map(next));
                losses.push(loss(&anchor, (history.ids[at], &own[at]), &drawn));
            }
        }
        let expected = losses.iter().sum::<f64>() / losses.len() as f64;
        assert!((f64::from(found[names[0]]) - expected).abs() < 1e-5, "{found:?} {expected}");

        let drawn = draw(names[1], live);
        let drawn: Vec<(u64, &[f64])> =
            drawn.iter().map(|i| (live.ids[*i], live_rows[*i].as_slice())).collect();
        let ranges = history.rows.offsets.ranges().zip(&chosen);
        let losses: Vec<f64> = ranges
            .filter_map(|(range, chosen)| {
                let chosen = (*chosen).filter(|_| !range.is_empty())?;
                let anchor = anchor(&own[range], &map(watched));
                Some(loss(&anchor, (inputs.candidate_ids[chosen], &channel[chosen]), &drawn))
            })
            .collect();
        let expected = losses.iter().sum::<f64>() / losses.len() as f64;
        assert!((f64::from(found[names[1]]) - expected).abs() < 1e-5, "{found:?} {expected}");
    }
}

#[test]
fn nothing_is_asked_outside_training() {
    let (schema, device) = (toy::schema(), Device::flex());
    let settings = ModelSettings::default();
    let site = Site { width: D, ..settings.site(&schema) };
    let builder = Builder::new(&device, crate::builder::Init::Glorot);
    let terms = NextEventTerms::new(&NextEventConfig::default(), &site, &builder);
    let inputs = Inputs { training: None, ..inputs(&device) };
    assert!(terms.of(&inputs, &mut Trace::off()).is_empty());
}
