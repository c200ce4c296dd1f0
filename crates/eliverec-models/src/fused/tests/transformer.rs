use std::sync::Arc;

use burn::tensor::{Device, Tensor};
use eliverec_core::batch::Offsets;
use eliverec_core::seed::Random;
use proptest::prelude::*;

use super::{Grid, check, product, softmax, values};
use crate::fused::{BlockWeights, transformer_block};

/// Standard deviation of the row as layer norm takes it, and the row's mean.
fn moments(row: &[f64]) -> (f64, f64) {
    let mean = row.iter().sum::<f64>() / row.len() as f64;
    let squares: f64 = row.iter().map(|x| (x - mean).powi(2)).sum();
    ((squares / row.len() as f64 + 1e-5).sqrt(), mean)
}

fn normalize(x: &Grid, gamma: &Grid, beta: &Grid) -> Grid {
    let mut result = x.clone();
    for i in 0..x.rows {
        let (deviation, mean) = moments(x.row(i));
        for (j, y) in result.row_mut(i).iter_mut().enumerate() {
            *y = (*y - mean) / deviation * gamma.values[j] + beta.values[j];
        }
    }
    result
}

fn sum(left: &Grid, right: &Grid) -> Grid {
    let values = left.values.iter().zip(&right.values).map(|(a, b)| a + b).collect();
    Grid { values, ..left.clone() }
}

/// What the block computes on its way.
struct Steps {
    /// What enters either layer norm.
    summed: [Grid; 2],
    /// The feed-forward net's first layer before the rectifier.
    hidden: Grid,
    output: Grid,
}

impl Steps {
    /// Whether 32 bits can be held against the loop: next to the rectifier's kink they may land on its other side, where another
    /// slope is right, and layer norm divides what rounding leaves by the row's deviation.
    fn comparable(&self) -> bool {
        let rows = self.summed.iter().flat_map(|grid| (0..grid.rows).map(|i| grid.row(i)));
        rows.into_iter().all(|row| moments(row).0 > 0.1)
            && self.hidden.values.iter().all(|value| value.abs() > 1e-5)
    }
}

fn steps(inputs: &[Grid], offsets: &Offsets, heads: usize, scale: f64) -> Steps {
    let x = &inputs[0];
    let [q, k, v] = [1, 2, 3].map(|i| product(x, &inputs[i]));
    let head = x.columns / heads;
    let mut mixed = Grid::zeros(x.rows, x.columns);
    for range in offsets.ranges() {
        for (h, i) in (0..heads).flat_map(|h| range.clone().map(move |i| (h, i))) {
            let columns = h * head..(h + 1) * head;
            let mut weights: Vec<f64> = range
                .clone()
                .map(|j| columns.clone().map(|c| q.row(i)[c] * k.row(j)[c]).sum::<f64>() * scale)
                .collect();
            softmax(&mut weights);
            for (j, weight) in range.clone().zip(weights) {
                columns.clone().for_each(|c| mixed.row_mut(i)[c] += weight * v.row(j)[c]);
            }
        }
    }
    let attended = sum(x, &product(&mixed, &inputs[4]));
    let first = normalize(&attended, &inputs[9], &inputs[10]);
    let mut hidden = product(&first, &inputs[5]);
    for (i, value) in hidden.values.iter_mut().enumerate() {
        *value += inputs[6].values[i % inputs[6].columns];
    }
    let mut rectified = hidden.clone();
    rectified.values.iter_mut().for_each(|value| *value = value.max(0.0));
    let mut second = product(&rectified, &inputs[7]);
    for (i, value) in second.values.iter_mut().enumerate() {
        *value += inputs[8].values[i % inputs[8].columns];
    }
    let transformed = sum(&first, &second);
    let output = normalize(&transformed, &inputs[11], &inputs[12]);
    Steps { summed: [attended, transformed], hidden, output }
}

fn naive(inputs: &[Grid], offsets: &Offsets, heads: usize, scale: f64) -> Grid {
    steps(inputs, offsets, heads, scale).output
}

fn inputs(m: usize, d: usize, f: usize, random: &mut Random) -> Vec<Grid> {
    let shapes = [
        [m, d],
        [d, d],
        [d, d],
        [d, d],
        [d, d],
        [d, f],
        [1, f],
        [f, d],
        [1, d],
        [1, d],
        [1, d],
        [1, d],
        [1, d],
    ];
    let mut inputs: Vec<Grid> =
        shapes.map(|[rows, columns]| Grid::normal(rows, columns, random)).into();
    // Of the size of trained weights, so that rounding stays small.
    for (weight, width) in [(1, d), (2, d), (3, d), (4, d), (5, d), (7, f)] {
        let scale = 0.5 / (width as f64).sqrt();
        let round = |value: &mut f64| *value = f64::from((*value * scale) as f32);
        inputs[weight].values.iter_mut().for_each(round);
    }
    inputs
}

fn fused(tensors: Vec<Tensor<2>>, offsets: &Arc<Offsets>, heads: usize, scale: f32) -> Tensor<2> {
    let matrix = |i: usize| tensors[i].clone();
    let vector = |i: usize| -> Tensor<1> { tensors[i].clone().flatten(0, 1) };
    let weights = BlockWeights {
        query: matrix(1),
        key: matrix(2),
        value: matrix(3),
        output: matrix(4),
        expand_weight: matrix(5),
        expand_bias: vector(6),
        contract_weight: matrix(7),
        contract_bias: vector(8),
        attention_gamma: vector(9),
        attention_beta: vector(10),
        feed_forward_gamma: vector(11),
        feed_forward_beta: vector(12),
    };
    transformer_block(tensors[0].clone(), offsets, weights, heads, scale)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn equals_the_loop(
        lengths in prop::collection::vec(0..7_usize, 0..5),
        heads in 1..5_usize,
        head in prop::sample::select(vec![1_usize, 3, 4, 8, 16]),
        f in prop::sample::select(vec![1_usize, 5, 16, 32]),
        seed: u64,
    ) {
        // Layer norm of one column is constant and has no gradient worth comparing.
        prop_assume!(heads * head > 2);
        let mut random = Random::new(seed);
        let offsets = Arc::new(Offsets::from_lengths(lengths));
        let inputs = inputs(offsets.total(), heads * head, f, &mut random);
        prop_assume!(steps(&inputs, &offsets, heads, f64::from(0.3_f32)).comparable());
        check(
            &inputs,
            |inputs| naive(inputs, &offsets, heads, f64::from(0.3_f32)),
            |tensors| fused(tensors, &offsets, heads, 0.3),
            &mut random,
        );
    }
}

/// More rows than a chunk and a partition hold, one feed longer than a chunk.
#[test]
fn many_chunks_equal_the_loop() {
    let mut random = Random::new(5);
    let lengths = (0..40).map(|i| if i == 7 { 450 } else { 50 });
    let offsets = Arc::new(Offsets::from_lengths(lengths));
    let inputs = inputs(offsets.total(), 4, 3, &mut random);
    check(
        &inputs,
        |inputs| naive(inputs, &offsets, 2, 0.5),
        |tensors| fused(tensors, &offsets, 2, 0.5),
        &mut random,
    );
}

/// Values and all gradients, as bits.
fn bits(inputs: &[Grid], offsets: &Arc<Offsets>) -> Vec<u32> {
    let device = Device::flex().autodiff();
    let tensors: Vec<Tensor<2>> =
        inputs.iter().map(|input| input.tensor(&device).require_grad()).collect();
    let output = fused(tensors.clone(), offsets, 2, 0.25);
    let gradients = output.clone().powi_scalar(2).sum().backward();
    let results = tensors.iter().filter_map(|tensor| tensor.grad(&gradients));
    let all = std::iter::once(output.inner()).chain(results).flat_map(values);
    all.map(f32::to_bits).collect()
}

#[test]
fn threads_do_not_change_a_bit() {
    let mut random = Random::new(6);
    let offsets = Arc::new(Offsets::from_lengths((0..150).map(|i| i % 50)));
    let inputs = inputs(offsets.total(), 32, 64, &mut random);
    let [one, three] = [1, 3].map(|threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| bits(&inputs, &offsets))
    });
    assert_eq!(one, three);
    assert_eq!(bits(&inputs, &offsets), one);
}

#[test]
fn nan_stays_within_its_feed_and_comes_out() {
    let mut random = Random::new(7);
    let offsets = Arc::new(Offsets::from_lengths([3, 2]));
    let mut inputs = inputs(5, 16, 16, &mut random);
    inputs[0].row_mut(1)[4] = f64::NAN;
    let device = Device::flex();
    let tensors = inputs.iter().map(|input| input.tensor(&device)).collect();
    let output = values(fused(tensors, &offsets, 2, 0.25));
    assert!(output[..3 * 16].iter().all(|value| value.is_nan()));
    assert!(output[3 * 16..].iter().all(|value| value.is_finite()));
}
