use std::sync::Arc;

use burn::tensor::{Device, Tensor};
use eliverec_core::batch::Offsets;
use eliverec_core::seed::Random;
use proptest::prelude::*;

use super::{Grid, check, product, values};
use crate::fused::{augru_last, gru_states};

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

/// The states of one sequence of events.
fn states(
    events: impl Iterator<Item = usize>,
    [projected, gates, candidate]: [&Grid; 3],
    attention: impl Fn(usize) -> f64,
) -> Vec<Grid> {
    let d = candidate.rows;
    let mut state = Grid::zeros(1, d);
    let step = |(step, event): (usize, usize)| {
        let (x, of_gates) = (projected.row(event), product(&state, gates));
        let mut reset = state.clone();
        for (i, value) in reset.values.iter_mut().enumerate() {
            *value *= sigmoid(x[i] + of_gates.values[i]);
        }
        let of_reset = product(&reset, candidate);
        for i in 0..d {
            let update = attention(step) * sigmoid(x[d + i] + of_gates.values[d + i]);
            let fresh = (x[2 * d + i] + of_reset.values[i]).tanh();
            state.values[i] += update * (fresh - state.values[i]);
        }
        state.clone()
    };
    events.enumerate().map(step).collect()
}

fn naive_states(inputs: &[Grid], histories: &Offsets) -> Grid {
    let [projected, gates, candidate] = inputs else { panic!("three inputs") };
    let mut result = Grid::zeros(projected.rows, candidate.rows);
    for events in histories.ranges() {
        let all = states(events.clone(), [projected, gates, candidate], |_| 1.0);
        for (event, state) in events.zip(all) {
            result.row_mut(event).copy_from_slice(&state.values);
        }
    }
    result
}

fn naive_last(inputs: &[Grid], histories: &Offsets, candidates: &Offsets) -> Grid {
    let [projected, gates, candidate, attention] = inputs else { panic!("four inputs") };
    let mut result = Grid::zeros(attention.rows, candidate.rows);
    for (events, shown) in histories.ranges().zip(candidates.ranges()) {
        for i in shown {
            let weights = [projected, gates, candidate];
            let all = states(events.clone(), weights, |step| attention.row(i)[step]);
            if let Some(last) = all.last() {
                result.row_mut(i).copy_from_slice(&last.values);
            }
        }
    }
    result
}

fn fused_states(tensors: Vec<Tensor<2>>, histories: &Arc<Offsets>) -> Tensor<2> {
    let [projected, gates, candidate] = tensors.try_into().unwrap();
    gru_states(projected, [gates, candidate], histories)
}

fn fused_last(tensors: Vec<Tensor<2>>, offsets: [&Arc<Offsets>; 2]) -> Tensor<2> {
    let [projected, gates, candidate, attention] = tensors.try_into().unwrap();
    augru_last(projected, [gates, candidate], attention, offsets)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn equals_the_loop(
        feeds in prop::collection::vec((0..9_usize, 0..20_usize), 0..20),
        d in prop::sample::select(vec![1_usize, 5, 16]),
        longer in 0..3_usize,
        seed: u64,
    ) {
        let mut random = Random::new(seed);
        let histories = Arc::new(Offsets::from_lengths(feeds.iter().map(|feed| feed.0)));
        let candidates = Arc::new(Offsets::from_lengths(feeds.iter().map(|feed| feed.1)));
        let (n, m, longest) = (candidates.total(), histories.total(), histories.longest() + 1 + longer);
        let shapes = [(m, 3 * d), (d, 2 * d), (d, d), (n, longest)];
        let mut inputs = shapes.map(|(rows, columns)| Grid::normal(rows, columns, &mut random));
        for weight in &mut inputs[1..3] {
            weight.values.iter_mut().for_each(|value| *value = f64::from(0.4 * *value as f32));
        }
        check(
            &inputs[..3],
            |inputs| naive_states(inputs, &histories),
            |tensors| fused_states(tensors, &histories),
            &mut random,
        );
        check(
            &inputs,
            |inputs| naive_last(inputs, &histories, &candidates),
            |tensors| fused_last(tensors, [&histories, &candidates]),
            &mut random,
        );
    }
}

#[test]
fn nan_comes_out_of_its_own_sequence_alone() {
    let histories = Arc::new(Offsets::from_lengths([1, 2]));
    let candidates = Arc::new(Offsets::from_lengths([1, 1]));
    let device = Device::flex();
    let nan = [[0.5; 3], [0.5; 3], [f32::NAN, 0.0, 0.0]];
    let ones = |rows, columns| Tensor::<2>::ones([rows, columns], &device);
    let given = || vec![Tensor::from_floats(nan, &device), ones(1, 2), ones(1, 1)];
    let found = values(fused_states(given(), &histories));
    assert!(found[0].is_finite() && found[1].is_finite() && found[2].is_nan());
    let inputs = given().into_iter().chain([ones(2, 2)]).collect();
    let found = values(fused_last(inputs, [&histories, &candidates]));
    assert!(found[0].is_finite() && found[1].is_nan());
}
