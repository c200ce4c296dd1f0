//! Every fused operation against a loop in 64 bits: values, and gradients by differences of the loop.

mod attention_unit;
mod distance;
mod gather;
mod pooling;
mod recurrence;
mod retrieval;
mod transformer;

use burn::tensor::{Device, Tensor, TensorData};
use eliverec_core::seed::Random;

/// Step of the differences.
const STEP: f64 = 1e-5;

/// Elements of every input whose gradient is checked.
const SAMPLED: usize = 12;

/// A row-major matrix in 64 bits.
#[derive(Clone, Debug)]
struct Grid {
    values: Vec<f64>,
    rows: usize,
    columns: usize,
}

impl Grid {
    fn zeros(rows: usize, columns: usize) -> Self {
        Self { values: vec![0.0; rows * columns], rows, columns }
    }

    /// Normal draws that are exact in 32 bits.
    fn normal(rows: usize, columns: usize, random: &mut Random) -> Self {
        let values = (0..rows * columns).map(|_| f64::from(random.normal() as f32)).collect();
        Self { values, rows, columns }
    }

    fn row(&self, i: usize) -> &[f64] {
        &self.values[i * self.columns..(i + 1) * self.columns]
    }

    fn row_mut(&mut self, i: usize) -> &mut [f64] {
        &mut self.values[i * self.columns..(i + 1) * self.columns]
    }

    fn tensor(&self, device: &Device) -> Tensor<2> {
        let values: Vec<f32> = self.values.iter().map(|value| *value as f32).collect();
        Tensor::from_data(TensorData::new(values, [self.rows, self.columns]), device)
    }
}

fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.try_into_vec_as().unwrap()
}

fn close(actual: f32, expected: f64, what: &str) {
    let allowed = 2e-5 + 1e-4 * expected.abs();
    let apart = (f64::from(actual) - expected).abs();
    assert!(apart <= allowed, "{what}: {actual}, not {expected}");
}

/// The slope at a point by differences to either side. Where they disagree, a rectifier has its kink or a maximum changes hands
/// within a step, and every slope between the two is right: the one that is nearest to `actual`.
fn slope(actual: f32, at: impl Fn(f64) -> f64) -> f64 {
    let [below, here, above] = [-STEP, 0.0, STEP].map(at);
    let sides = [(here - below) / STEP, (above - here) / STEP];
    let [low, high] = [f64::min(sides[0], sides[1]), f64::max(sides[0], sides[1])];
    if high - low > 1e-3 { f64::from(actual).clamp(low, high) } else { f64::midpoint(low, high) }
}

/// Compares values and gradients of `fused` with those of `naive`, and the untracked result with the tracked one.
fn check(
    inputs: &[Grid],
    naive: impl Fn(&[Grid]) -> Grid,
    fused: impl Fn(Vec<Tensor<2>>) -> Tensor<2>,
    random: &mut Random,
) {
    let device = Device::flex().autodiff();
    let tensors: Vec<Tensor<2>> =
        inputs.iter().map(|input| input.tensor(&device).require_grad()).collect();
    let expected = naive(inputs);
    let output = fused(tensors.clone());
    assert_eq!(output.dims(), [expected.rows, expected.columns]);
    let plain = Device::flex();
    let untracked = fused(inputs.iter().map(|input| input.tensor(&plain)).collect());
    assert_eq!(values(untracked), values(output.clone()));
    for (i, (actual, expected)) in
        values(output.clone()).into_iter().zip(&expected.values).enumerate()
    {
        close(actual, *expected, &format!("value {i}"));
    }
    // Joined empty tensors leave the graph, and there is nothing to differentiate.
    if expected.values.is_empty() {
        return;
    }
    let factors = Grid::normal(expected.rows, expected.columns, random);
    let gradients = (output * factors.tensor(&device)).sum().backward();
    let loss = |inputs: &[Grid]| -> f64 {
        naive(inputs).values.iter().zip(&factors.values).map(|(value, factor)| value * factor).sum()
    };
    for (input, tensor) in tensors.iter().enumerate() {
        let gradient = tensor.grad(&gradients).map(values).unwrap_or_default();
        assert_eq!(gradient.len(), inputs[input].values.len(), "gradient of input {input}");
        for _ in 0..SAMPLED.min(gradient.len()) {
            let i = random.below(gradient.len());
            let at = |step: f64| {
                let mut moved = inputs.to_vec();
                moved[input].values[i] += step;
                loss(&moved)
            };
            let expected = slope(gradient[i], at);
            close(gradient[i], expected, &format!("gradient of input {input} at {i}"));
        }
    }
}

fn product(left: &Grid, right: &Grid) -> Grid {
    let mut result = Grid::zeros(left.rows, right.columns);
    for i in 0..left.rows {
        for p in 0..left.columns {
            for j in 0..right.columns {
                result.row_mut(i)[j] += left.row(i)[p] * right.row(p)[j];
            }
        }
    }
    result
}

fn softmax(scores: &mut [f64]) {
    let greatest = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    scores.iter_mut().for_each(|score| *score = (*score - greatest).exp());
    let sum: f64 = scores.iter().sum();
    scores.iter_mut().for_each(|score| *score /= sum);
}
