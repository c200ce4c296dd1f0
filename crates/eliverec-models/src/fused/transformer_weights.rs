//! The weights of a transformer block as its products want them, and their gradients: query, key and value side by side.

use super::gemm::Matrix;

/// Input, then the weights in the order of [`super::BlockWeights`].
pub(super) const INPUTS: usize = 13;

/// The weights as matrices.
#[derive(Clone, Copy)]
pub(super) struct Weights<'a> {
    /// Query, key and value side by side, `[Wq Wk Wv]` `[d, 3 d]`.
    pub(super) project: Matrix<'a>,
    /// Wo `[d, d]`
    pub(super) output: Matrix<'a>,
    /// W1 `[d, f]`
    pub(super) expand: Matrix<'a>,
    /// W2 `[f, d]`
    pub(super) contract: Matrix<'a>,
    /// b1 `[f]`
    pub(super) expand_bias: &'a [f32],
    /// b2 `[d]`
    pub(super) contract_bias: &'a [f32],
    /// `[d]`
    pub(super) attention_gamma: &'a [f32],
    /// `[d]`
    pub(super) attention_beta: &'a [f32],
    /// `[d]`
    pub(super) feed_forward_gamma: &'a [f32],
    /// `[d]`
    pub(super) feed_forward_beta: &'a [f32],
}

impl<'a> Weights<'a> {
    /// From the operation's inputs and what [`join`] makes of them; `[d, f]` are the width and that of the hidden layer.
    pub(super) fn of(inputs: &[&'a [f32]; INPUTS], project: &'a [f32], [d, f]: [usize; 2]) -> Self {
        let [
            _x,
            _query,
            _key,
            _value,
            output,
            expand,
            expand_bias,
            contract,
            contract_bias,
            attention_gamma,
            attention_beta,
            feed_forward_gamma,
            feed_forward_beta,
        ] = *inputs;
        Self {
            project: Matrix::new(project, d, 3 * d),
            output: Matrix::new(output, d, d),
            expand: Matrix::new(expand, d, f),
            contract: Matrix::new(contract, f, d),
            expand_bias,
            contract_bias,
            attention_gamma,
            attention_beta,
            feed_forward_gamma,
            feed_forward_beta,
        }
    }
}

/// `[Wq Wk Wv]` `[d, 3 d]`, so that one product gives queries, keys and values.
pub(super) fn join(inputs: &[&[f32]; INPUTS], d: usize) -> Vec<f32> {
    let mut joined = Vec::with_capacity(3 * d * d);
    for row in 0..d {
        for part in &inputs[1..4] {
            joined.extend_from_slice(&part[row * d..(row + 1) * d]);
        }
    }
    joined
}

/// Gradients of all weights, one after the other, of the weights' shapes.
pub(super) struct WeightGradients<'a> {
    /// `[d, 3 d]`
    pub(super) project: &'a mut [f32],
    /// `[d, d]`
    pub(super) output: &'a mut [f32],
    /// `[d, f]`
    pub(super) expand: &'a mut [f32],
    /// `[f]`
    pub(super) expand_bias: &'a mut [f32],
    /// `[f, d]`
    pub(super) contract: &'a mut [f32],
    /// `[d]`, as those below.
    pub(super) contract_bias: &'a mut [f32],
    pub(super) attention_gamma: &'a mut [f32],
    pub(super) attention_beta: &'a mut [f32],
    pub(super) feed_forward_gamma: &'a mut [f32],
    pub(super) feed_forward_beta: &'a mut [f32],
}

/// Elements of every part of [`WeightGradients`].
fn sizes([d, f]: [usize; 2]) -> [usize; 10] {
    [3 * d * d, d * d, d * f, f, f * d, d, d, d, d, d]
}

/// Elements of all parts of [`WeightGradients`] together.
pub(super) fn size(widths: [usize; 2]) -> usize {
    sizes(widths).iter().sum()
}

impl<'a> WeightGradients<'a> {
    /// The parts of `all`, which lie one after the other.
    pub(super) fn of(all: &'a mut [f32], widths: [usize; 2]) -> Self {
        let mut rest = all;
        let [
            project,
            output,
            expand,
            expand_bias,
            contract,
            contract_bias,
            attention_gamma,
            attention_beta,
            feed_forward_gamma,
            feed_forward_beta,
        ] = sizes(widths).map(|size| {
            let (part, after) = std::mem::take(&mut rest).split_at_mut(size);
            rest = after;
            part
        });
        Self {
            project,
            output,
            expand,
            expand_bias,
            contract,
            contract_bias,
            attention_gamma,
            attention_beta,
            feed_forward_gamma,
            feed_forward_beta,
        }
    }
}

/// The gradients of the operation's inputs: that of x, and the parts of `all`, query, key and value apart again.
pub(super) fn take_apart(
    x_gradient: Vec<f32>,
    all: &mut [f32],
    [d, f]: [usize; 2],
) -> [Vec<f32>; INPUTS] {
    let gradients = WeightGradients::of(all, [d, f]);
    // [d, d] each
    let [query, key, value] = [0, d, 2 * d].map(|column| {
        let rows = gradients.project.chunks_exact(3 * d);
        rows.flat_map(|row| &row[column..column + d]).copied().collect()
    });
    [
        x_gradient,
        query,
        key,
        value,
        gradients.output.to_vec(),
        gradients.expand.to_vec(),
        gradients.expand_bias.to_vec(),
        gradients.contract.to_vec(),
        gradients.contract_bias.to_vec(),
        gradients.attention_gamma.to_vec(),
        gradients.attention_beta.to_vec(),
        gradients.feed_forward_gamma.to_vec(),
        gradients.feed_forward_beta.to_vec(),
    ]
}
