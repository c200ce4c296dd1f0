use std::sync::Arc;

use burn::tensor::{Device, Tensor};
use eliverec_core::batch::Offsets;
use eliverec_core::seed::Random;
use proptest::prelude::*;

use super::{Grid, check, product, values};
use crate::fused::{UnitInputs, attention_unit};

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

fn naive(inputs: &[Grid], histories: &Offsets, candidates: &Offsets, longest: usize) -> Grid {
    let [target, items, of_target, of_item, weight, second, bias, score] = inputs else {
        panic!("eight inputs")
    };
    let mut result = Grid::zeros(candidates.total(), longest);
    for (events, shown) in histories.ranges().zip(candidates.ranges()) {
        for i in shown {
            for (place, j) in events.clone().enumerate() {
                let mut pair = Grid::zeros(1, target.columns);
                for (c, value) in pair.values.iter_mut().enumerate() {
                    *value = target.row(i)[c] * items.row(j)[c];
                }
                let mut hidden = product(&pair, weight);
                for (c, value) in hidden.values.iter_mut().enumerate() {
                    *value = sigmoid(*value + of_target.row(i)[c] + of_item.row(j)[c]);
                }
                let mut hidden = product(&hidden, second);
                for (value, bias) in hidden.values.iter_mut().zip(&bias.values) {
                    *value = sigmoid(*value + bias);
                }
                result.row_mut(i)[place] = product(&hidden, score).values[0];
            }
        }
    }
    result
}

fn fused(
    tensors: Vec<Tensor<2>>,
    histories: &Arc<Offsets>,
    candidates: &Arc<Offsets>,
    longest: usize,
) -> Tensor<2> {
    let [target, items, of_target, of_item, product, second_weight, bias, score] =
        tensors.try_into().unwrap();
    let second_bias = bias.squeeze_dim(0);
    let inputs = UnitInputs {
        target,
        items,
        of_target,
        of_item,
        product,
        second_weight,
        second_bias,
        score,
    };
    attention_unit(inputs, histories, candidates, longest)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn equals_the_loop(
        feeds in prop::collection::vec((0..9_usize, 0..20_usize), 0..20),
        d in prop::sample::select(vec![1_usize, 5, 16]),
        hidden in prop::sample::select(vec![[3_usize, 2], [16, 8], [32, 20]]),
        longer in 0..3_usize,
        seed: u64,
    ) {
        let mut random = Random::new(seed);
        let histories = Arc::new(Offsets::from_lengths(feeds.iter().map(|feed| feed.0)));
        let candidates = Arc::new(Offsets::from_lengths(feeds.iter().map(|feed| feed.1)));
        let (n, m, longest) = (candidates.total(), histories.total(), histories.longest() + 1 + longer);
        let [h, g] = hidden;
        let shapes = [(n, d), (m, d), (n, h), (m, h), (d, h), (h, g), (1, g), (g, 1)];
        let inputs = shapes.map(|(rows, columns)| Grid::normal(rows, columns, &mut random));
        check(
            &inputs,
            |inputs| naive(inputs, &histories, &candidates, longest),
            |tensors| fused(tensors, &histories, &candidates, longest),
            &mut random,
        );
    }
}

#[test]
fn nan_comes_out() {
    let (histories, candidates) =
        (Arc::new(Offsets::from_lengths([2])), Arc::new(Offsets::from_lengths([1])));
    let device = Device::flex();
    let ones = |rows, columns| Tensor::<2>::ones([rows, columns], &device);
    let items = Tensor::<2>::from_floats([[1.0], [f32::NAN]], &device);
    let (small, unit) = (ones(1, 4), ones(4, 1));
    let tensors =
        vec![ones(1, 1), items, small.clone(), ones(2, 4), small, ones(4, 4), ones(1, 4), unit];
    let scores = values(fused(tensors, &histories, &candidates, 3));
    assert!(scores[0].is_finite() && scores[1].is_nan());
    assert_eq!(scores[2], 0.0);
}
