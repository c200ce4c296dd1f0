//! A post-norm transformer block over packed histories, forward and backward.
//!
//! x1 = LN(x + MHA(x)), y = LN(x1 + relu(x1 W1 + b1) W2 + b2), each feed attending to its own events. A chunk of
//! feeds runs through the whole block while it is in the cache. Kept for the backward: queries, keys and values, the heads'
//! outputs, the hidden layer and both normalised sums, about 5 KiB per event at width 128; what costs little more than
//! reading it back (softmax weights, x1) is computed again.

use std::sync::Arc;

use eliverec_core::batch::Offsets;
use pulp::Arch;
use rayon::prelude::*;

use super::activations::{Activations, Kept};
use super::attention::{Attention, Room};
use super::chunks::{Chunk, add_up, chunks, cut, partitions};
use super::gemm::{Matrix, multiply};
use super::record::Operation;
use super::rows::{
    Affine, BiasRectify, BiasRectifyBackward, Loop, Normalize, NormalizeBackward, SumRows,
};

/// Input, then the weights in the order of [`super::BlockWeights`].
const INPUTS: usize = 13;

/// The block as an operation.
#[derive(Debug)]
pub(super) struct TransformerBlock {
    /// From feed to its events.
    pub(super) offsets: Arc<Offsets>,
    /// Width, heads and scale.
    pub(super) attention: Attention,
    /// Width of the hidden layer, `f`.
    pub(super) hidden: usize,
}

/// The weights as matrices.
#[derive(Clone, Copy)]
struct Weights<'a> {
    /// Query, key and value side by side `[d, 3 d]`.
    project: Matrix<'a>,
    /// `[d, d]`
    output: Matrix<'a>,
    /// `[d, f]`
    expand: Matrix<'a>,
    /// `[f, d]`
    contract: Matrix<'a>,
    expand_bias: &'a [f32],
    contract_bias: &'a [f32],
    attention_gamma: &'a [f32],
    attention_beta: &'a [f32],
    feed_forward_gamma: &'a [f32],
    feed_forward_beta: &'a [f32],
}

/// A worker's room for one chunk.
#[derive(Default)]
struct Scratch {
    head: Room,
    /// `[m, d]`: x1, and the gradients of the sums.
    first_output: Vec<f32>,
    sum: Vec<f32>,
    mixed: Vec<f32>,
    /// `[m, f]`
    hidden: Vec<f32>,
    /// `[m, 3 d]`
    projected: Vec<f32>,
}

/// A chunk's rows `[m, d]` in the backward.
struct ChunkRows<'a> {
    x: &'a [f32],
    y_gradient: &'a [f32],
    /// Is written.
    x_gradient: &'a mut [f32],
}

/// Gradients of all weights, one after the other.
struct WeightGradients<'a> {
    project: &'a mut [f32],
    output: &'a mut [f32],
    expand: &'a mut [f32],
    expand_bias: &'a mut [f32],
    contract: &'a mut [f32],
    contract_bias: &'a mut [f32],
    attention_gamma: &'a mut [f32],
    attention_beta: &'a mut [f32],
    feed_forward_gamma: &'a mut [f32],
    feed_forward_beta: &'a mut [f32],
}

impl TransformerBlock {
    /// Elements of every part of [`WeightGradients`].
    fn sizes(&self) -> [usize; 10] {
        let (d, f) = (self.attention.width, self.hidden);
        [3 * d * d, d * d, d * f, f, f * d, d, d, d, d, d]
    }

    fn split<'a>(&self, all: &'a mut [f32]) -> WeightGradients<'a> {
        let mut rest = all;
        let parts = self.sizes().map(|size| {
            let (part, after) = std::mem::take(&mut rest).split_at_mut(size);
            rest = after;
            part
        });
        let [project, output, expand, expand_bias, contract, contract_bias, ag, ab, fg, fb] = parts;
        WeightGradients {
            project,
            output,
            expand,
            expand_bias,
            contract,
            contract_bias,
            attention_gamma: ag,
            attention_beta: ab,
            feed_forward_gamma: fg,
            feed_forward_beta: fb,
        }
    }

    /// Query, key and value side by side, so that one product gives all three `[d, 3 d]`.
    fn join(&self, inputs: &[&[f32]; INPUTS]) -> Vec<f32> {
        let d = self.attention.width;
        let mut joined = Vec::with_capacity(3 * d * d);
        for row in 0..d {
            for part in &inputs[1..4] {
                joined.extend_from_slice(&part[row * d..(row + 1) * d]);
            }
        }
        joined
    }

    fn weights<'a>(&self, inputs: &[&'a [f32]; INPUTS], project: &'a [f32]) -> Weights<'a> {
        let (d, f) = (self.attention.width, self.hidden);
        let [_, _, _, _, output, expand, expand_bias, contract, contract_bias, ag, ab, fg, fb] =
            *inputs;
        Weights {
            project: Matrix::new(project, d, 3 * d),
            output: Matrix::new(output, d, d),
            expand: Matrix::new(expand, d, f),
            contract: Matrix::new(contract, f, d),
            expand_bias,
            contract_bias,
            attention_gamma: ag,
            attention_beta: ab,
            feed_forward_gamma: fg,
            feed_forward_beta: fb,
        }
    }

    fn forward_chunk(
        &self,
        chunk: &Chunk,
        weights: &Weights,
        x: &[f32],
        y: &mut [f32],
        kept: &mut Activations,
        scratch: &mut Scratch,
    ) {
        let arch = Arch::new();
        let (m, d, h) = (chunk.rows.len(), self.attention.width, self.attention.heads);
        for (buffer, width) in [
            (&mut kept.projected, 3 * d),
            (&mut kept.mixed, d),
            (&mut kept.log_sums, h),
            (&mut kept.first, d),
            (&mut kept.first_scales, 1),
            (&mut kept.hidden, self.hidden),
            (&mut kept.second, d),
            (&mut kept.second_scales, 1),
            (&mut scratch.first_output, d),
            (&mut scratch.sum, d),
        ] {
            buffer.resize(m * width, 0.0);
        }
        multiply(&mut kept.projected, Matrix::new(x, m, d), weights.project, false);
        for rows in chunk.feeds(&self.offsets) {
            self.attention.forward(
                arch,
                &kept.projected[rows.start * 3 * d..rows.end * 3 * d],
                &mut kept.mixed[rows.start * d..rows.end * d],
                &mut kept.log_sums[rows.start * h..rows.end * h],
                &mut scratch.head,
            );
        }
        multiply(&mut kept.first, Matrix::new(&kept.mixed, m, d), weights.output, false);
        // The projection of the heads has no bias.
        scratch.sum[..d].fill(0.0);
        arch.dispatch(Loop(Normalize {
            values: &mut kept.first,
            bias: &scratch.sum[..d],
            residual: x,
            gamma: weights.attention_gamma,
            beta: weights.attention_beta,
            scales: &mut kept.first_scales,
            output: &mut scratch.first_output,
        }));
        let first = Matrix::new(&scratch.first_output, m, d);
        multiply(&mut kept.hidden, first, weights.expand, false);
        let bias = weights.expand_bias;
        arch.dispatch(Loop(BiasRectify { values: &mut kept.hidden, bias }));
        let hidden = Matrix::new(&kept.hidden, m, self.hidden);
        multiply(&mut kept.second, hidden, weights.contract, false);
        arch.dispatch(Loop(Normalize {
            values: &mut kept.second,
            bias: weights.contract_bias,
            residual: &scratch.first_output,
            gamma: weights.feed_forward_gamma,
            beta: weights.feed_forward_beta,
            scales: &mut kept.second_scales,
            output: y,
        }));
    }

    fn backward_chunk(
        &self,
        chunk: &Chunk,
        weights: &Weights,
        ChunkRows { x, y_gradient, x_gradient }: ChunkRows,
        kept: &Activations,
        sums: &mut WeightGradients,
        scratch: &mut Scratch,
    ) {
        let arch = Arch::new();
        let (m, d, f, h) =
            (chunk.rows.len(), self.attention.width, self.hidden, self.attention.heads);
        for (buffer, width) in [
            (&mut scratch.first_output, d),
            (&mut scratch.sum, d),
            (&mut scratch.mixed, d),
            (&mut scratch.hidden, f),
            (&mut scratch.projected, 3 * d),
        ] {
            buffer.resize(m * width, 0.0);
        }
        scratch.sum.copy_from_slice(y_gradient);
        arch.dispatch(Loop(NormalizeBackward {
            gradient: &mut scratch.sum,
            normal: &kept.second,
            scales: &kept.second_scales,
            gamma: weights.feed_forward_gamma,
            gamma_gradient: sums.feed_forward_gamma,
            beta_gradient: sums.feed_forward_beta,
        }));
        arch.dispatch(Loop(SumRows { values: &scratch.sum, sums: sums.contract_bias }));
        let sum = Matrix::new(&scratch.sum, m, d);
        multiply(sums.contract, Matrix::new(&kept.hidden, m, f).transposed(), sum, true);
        multiply(&mut scratch.hidden, sum, weights.contract.transposed(), false);
        arch.dispatch(Loop(BiasRectifyBackward {
            gradient: &mut scratch.hidden,
            values: &kept.hidden,
            bias_gradient: sums.expand_bias,
        }));
        arch.dispatch(Loop(Affine {
            normal: &kept.first,
            gamma: weights.attention_gamma,
            beta: weights.attention_beta,
            output: &mut scratch.first_output,
        }));
        let hidden = Matrix::new(&scratch.hidden, m, f);
        let first = Matrix::new(&scratch.first_output, m, d);
        multiply(sums.expand, first.transposed(), hidden, true);
        // The residual's gradient is in the sum already.
        multiply(&mut scratch.sum, hidden, weights.expand.transposed(), true);
        arch.dispatch(Loop(NormalizeBackward {
            gradient: &mut scratch.sum,
            normal: &kept.first,
            scales: &kept.first_scales,
            gamma: weights.attention_gamma,
            gamma_gradient: sums.attention_gamma,
            beta_gradient: sums.attention_beta,
        }));
        let sum = Matrix::new(&scratch.sum, m, d);
        multiply(sums.output, Matrix::new(&kept.mixed, m, d).transposed(), sum, true);
        multiply(&mut scratch.mixed, sum, weights.output.transposed(), false);
        for rows in chunk.feeds(&self.offsets) {
            let wide = rows.start * 3 * d..rows.end * 3 * d;
            let narrow = rows.start * d..rows.end * d;
            self.attention.backward(
                arch,
                [
                    &kept.projected[wide.clone()],
                    &kept.mixed[narrow.clone()],
                    &kept.log_sums[rows.start * h..rows.end * h],
                    &scratch.mixed[narrow],
                ],
                &mut scratch.projected[wide],
                &mut scratch.head,
            );
        }
        let projected = Matrix::new(&scratch.projected, m, 3 * d);
        multiply(sums.project, Matrix::new(x, m, d).transposed(), projected, true);
        x_gradient.copy_from_slice(&scratch.sum);
        multiply(x_gradient, projected, weights.project.transposed(), true);
    }
}

impl Operation<INPUTS> for TransformerBlock {
    type Saved = Kept;

    fn forward(&self, inputs: [&[f32]; INPUTS], keep: bool) -> (Vec<f32>, [usize; 2], Kept) {
        let d = self.attention.width;
        let joined = self.join(&inputs);
        let weights = self.weights(&inputs, &joined);
        let chunks = chunks(&self.offsets);
        let mut y = vec![0.0; inputs[0].len()];
        let parts = cut(&mut y, chunks.iter().map(|chunk| chunk.rows.clone()), d);
        let work: Vec<_> = chunks.iter().zip(parts).collect();
        let kept = work.into_par_iter().map_init(Scratch::default, |scratch, (chunk, y)| {
            let x = &inputs[0][chunk.rows.start * d..chunk.rows.end * d];
            let mut kept = Activations::take();
            self.forward_chunk(chunk, &weights, x, y, &mut kept, scratch);
            if keep {
                return Some(kept);
            }
            kept.give_back();
            None
        });
        let kept = kept.collect::<Vec<_>>().into_iter().flatten().collect();
        (y, [self.offsets.total(), d], Kept(kept))
    }

    fn backward(
        &self,
        inputs: [&[f32]; INPUTS],
        saved: &Kept,
        gradient: &[f32],
    ) -> [Vec<f32>; INPUTS] {
        let d = self.attention.width;
        let joined = self.join(&inputs);
        let weights = self.weights(&inputs, &joined);
        let chunks = chunks(&self.offsets);
        let partitions = partitions(&chunks);
        let mut x_gradient = vec![0.0; inputs[0].len()];
        let mut parts =
            cut(&mut x_gradient, chunks.iter().map(|chunk| chunk.rows.clone()), d).into_iter();
        let work: Vec<_> = partitions
            .into_iter()
            .map(|range| (range.clone(), parts.by_ref().take(range.len()).collect::<Vec<_>>()))
            .collect();
        let sums: Vec<Vec<f32>> = work
            .into_par_iter()
            .map_init(Scratch::default, |scratch, (range, parts)| {
                let mut all = vec![0.0; self.sizes().iter().sum()];
                let mut sums = self.split(&mut all);
                for (i, x_gradient) in range.zip(parts) {
                    let chunk = &chunks[i];
                    let place = chunk.rows.start * d..chunk.rows.end * d;
                    let (x, y_gradient) = (&inputs[0][place.clone()], &gradient[place]);
                    let rows = ChunkRows { x, y_gradient, x_gradient };
                    self.backward_chunk(chunk, &weights, rows, &saved.0[i], &mut sums, scratch);
                }
                all
            })
            .collect();
        let total = add_up(sums, self.sizes().iter().sum());
        let mut rest = total.as_slice();
        let [project, weights @ ..] = self.sizes().map(|size| {
            let (part, after) = rest.split_at(size);
            rest = after;
            part
        });
        let third = |i: usize| -> Vec<f32> {
            project.chunks_exact(3 * d).flat_map(|row| &row[i * d..(i + 1) * d]).copied().collect()
        };
        let [output, expand, expand_bias, contract, contract_bias, ag, ab, fg, fb] =
            weights.map(<[f32]>::to_vec);
        [
            x_gradient,
            third(0),
            third(1),
            third(2),
            output,
            expand,
            expand_bias,
            contract,
            contract_bias,
            ag,
            ab,
            fg,
            fb,
        ]
    }
}
