use std::sync::Arc;

use burn::tensor::{Device, Tensor};
use eliverec_core::batch::Offsets;
use eliverec_core::seed::Random;
use proptest::prelude::*;

use super::{Grid, check, softmax, values};
use crate::fused::{RetrievalOptions, disentangled_retrieval};

fn naive(
    inputs: &[Grid],
    histories: &Offsets,
    candidates: &Offsets,
    options: RetrievalOptions,
) -> Grid {
    let [h, difference, target] = inputs else { panic!("three inputs") };
    let d = h.columns;
    let mut result = Grid::zeros(candidates.total(), 2 * d);
    for (feed, (events, shown)) in histories.ranges().zip(candidates.ranges()).enumerate() {
        if events.is_empty() {
            continue;
        }
        let mut parts = [Vec::new(), Vec::new()];
        for i in events {
            let difference = difference.row(if options.per_event { i } else { feed });
            let scores: Vec<f64> = (0..d).map(|c| h.row(i)[c] * difference[c]).collect();
            let whole: f64 = scores.iter().sum();
            let share = |c: usize| {
                let score = if options.elementwise { scores[c] } else { whole };
                1.0 / (1.0 + (-score).exp())
            };
            parts[0].push((0..d).map(|c| share(c) * h.row(i)[c]).collect::<Vec<_>>());
            parts[1].push((0..d).map(|c| (1.0 - share(c)) * h.row(i)[c]).collect::<Vec<_>>());
        }
        for candidate in shown {
            for (side, parts) in parts.iter().enumerate() {
                let mut weights: Vec<f64> = parts
                    .iter()
                    .map(|part| {
                        let pairs = part.iter().zip(target.row(candidate));
                        pairs.map(|(a, b)| a * b).sum::<f64>()
                    })
                    .collect();
                softmax(&mut weights);
                for (weight, part) in weights.iter().zip(parts) {
                    for (c, value) in part.iter().enumerate() {
                        result.row_mut(candidate)[side * d + c] += weight * value;
                    }
                }
            }
        }
    }
    result
}

fn fused(
    tensors: Vec<Tensor<2>>,
    histories: &Arc<Offsets>,
    candidates: &Arc<Offsets>,
    options: RetrievalOptions,
) -> Tensor<2> {
    let [h, difference, target] = tensors.try_into().unwrap();
    disentangled_retrieval(h, difference, target, histories, candidates, options)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn equals_the_loop(
        feeds in prop::collection::vec((0..9_usize, 0..20_usize), 0..20),
        d in prop::sample::select(vec![1_usize, 5, 16, 32]),
        elementwise: bool,
        per_event: bool,
        seed: u64,
    ) {
        let mut random = Random::new(seed);
        let histories = Arc::new(Offsets::from_lengths(feeds.iter().map(|feed| feed.0)));
        let candidates = Arc::new(Offsets::from_lengths(feeds.iter().map(|feed| feed.1)));
        let options = RetrievalOptions { elementwise, per_event };
        let prototypes = if per_event { histories.total() } else { feeds.len() };
        let shapes = [histories.total(), prototypes, candidates.total()];
        let inputs = shapes.map(|rows| Grid::normal(rows, d, &mut random));
        check(
            &inputs,
            |inputs| naive(inputs, &histories, &candidates, options),
            |tensors| fused(tensors, &histories, &candidates, options),
            &mut random,
        );
    }
}

#[test]
fn nan_comes_out() {
    let (histories, candidates) =
        (Arc::new(Offsets::from_lengths([2])), Arc::new(Offsets::from_lengths([1])));
    let options = RetrievalOptions { elementwise: true, per_event: false };
    let device = Device::flex();
    let h = Tensor::<2>::from_floats([[1.0, f32::NAN], [1.0, 1.0]], &device);
    let one = Tensor::<2>::ones([1, 2], &device);
    let z = fused(vec![h, one.clone(), one], &histories, &candidates, options);
    assert!(values(z).iter().all(|value| value.is_nan()));
}
