//! A post-norm transformer block over packed histories, forward and backward.
//!
//! x1 = LN(x + MHA(x)), MHA(x) = softmax(Q K^T * scale) V Wo per head, [Q K V] = x [Wq Wk Wv], each feed attending to its own
//! events; y = LN(x1 + relu(x1 W1 + b1) W2 + b2). A chunk of
//! feeds runs through the whole block while it is in the cache. Kept for the backward: queries, keys and values, the heads'
//! outputs, the hidden layer and both normalised sums, about 5 KiB per event at width 128; what costs little more than
//! reading it back (softmax weights, x1) is computed again.

use std::sync::Arc;

use eliverec_core::batch::Offsets;
use eliverec_core::profile::Part;
use pulp::Arch;
use rayon::prelude::*;

use super::activations::{Activations, Kept};
use super::attention::{Attention, Room};
use super::chunks::{Chunk, add_up, chunks, cut, partitions};
use super::gemm::{Matrix, add_product, set_product};
use super::record::{Keep, Operation};
use super::rows::{
    Affine, BiasRectify, BiasRectifyBackward, Loop, Normalize, NormalizeBackward, SumRows,
};
use super::transformer_weights::{INPUTS, WeightGradients, Weights, join, size, take_apart};

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

/// A worker's room for one chunk.
#[derive(Default)]
struct Scratch {
    head: Room,
    /// x1 `[m, d]`.
    first_output: Vec<f32>,
    /// Gradient of a layer norm's output, then of its sum `[m, d]`.
    sum_gradient: Vec<f32>,
    /// Of the heads' outputs `[m, d]`.
    mixed_gradient: Vec<f32>,
    /// Of the hidden layer `[m, f]`.
    hidden_gradient: Vec<f32>,
    /// Of queries, keys and values `[m, 3 d]`.
    projected_gradient: Vec<f32>,
    /// The bias that the heads' projection does not have `[d]`.
    no_bias: Vec<f32>,
}

/// A chunk's rows `[m, d]` in the backward.
struct ChunkRows<'a> {
    x: &'a [f32],
    y_gradient: &'a [f32],
    /// Is written.
    x_gradient: &'a mut [f32],
}

impl TransformerBlock {
    /// `y` `[m, d]` of a chunk from its `x` `[m, d]`, and what the backward needs in `kept`.
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
        ] {
            buffer.resize(m * width, 0.0);
        }
        // [Q K V] = x [Wq Wk Wv]  [m, 3 d]
        set_product(&mut kept.projected, Matrix::new(x, m, d), weights.project);
        // mixed = softmax(Q K^T * scale) V, feed by feed and head by head  [m, d]
        for rows in chunk.feeds(&self.offsets) {
            self.attention.forward(
                arch,
                &kept.projected[rows.start * 3 * d..rows.end * 3 * d],
                &mut kept.mixed[rows.start * d..rows.end * d],
                &mut kept.log_sums[rows.start * h..rows.end * h],
                &mut scratch.head,
            );
        }
        // mixed Wo  [m, d]
        set_product(&mut kept.first, Matrix::new(&kept.mixed, m, d), weights.output);
        // x1 = LN(x + mixed Wo)  [m, d]
        scratch.no_bias.resize(d, 0.0);
        arch.dispatch(Loop(Normalize {
            values: &mut kept.first,
            bias: &scratch.no_bias,
            residual: x,
            gamma: weights.attention_gamma,
            beta: weights.attention_beta,
            scales: &mut kept.first_scales,
            output: &mut scratch.first_output,
        }));
        // hidden = relu(x1 W1 + b1)  [m, f]
        let first = Matrix::new(&scratch.first_output, m, d);
        set_product(&mut kept.hidden, first, weights.expand);
        let bias = weights.expand_bias;
        arch.dispatch(Loop(BiasRectify { values: &mut kept.hidden, bias }));
        // hidden W2  [m, d]
        let hidden = Matrix::new(&kept.hidden, m, self.hidden);
        set_product(&mut kept.second, hidden, weights.contract);
        // y = LN(x1 + hidden W2 + b2)  [m, d]
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

    /// The gradient of a chunk's `x`, and its part of the weights' gradients, added to `sums`; d stands for "gradient of".
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
            (&mut scratch.sum_gradient, d),
            (&mut scratch.mixed_gradient, d),
            (&mut scratch.hidden_gradient, f),
            (&mut scratch.projected_gradient, 3 * d),
        ] {
            buffer.resize(m * width, 0.0);
        }
        // ds2, the gradient of s2 = x1 + hidden W2 + b2, from dy  [m, d]
        scratch.sum_gradient.copy_from_slice(y_gradient);
        arch.dispatch(Loop(NormalizeBackward {
            gradient: &mut scratch.sum_gradient,
            normal: &kept.second,
            scales: &kept.second_scales,
            gamma: weights.feed_forward_gamma,
            gamma_gradient: sums.feed_forward_gamma,
            beta_gradient: sums.feed_forward_beta,
        }));
        // db2 += sum of ds2 over the rows  [d]
        arch.dispatch(Loop(SumRows { values: &scratch.sum_gradient, sums: sums.contract_bias }));
        // dW2 += hidden^T ds2  [f, d]
        let sum_gradient = Matrix::new(&scratch.sum_gradient, m, d);
        add_product(sums.contract, Matrix::new(&kept.hidden, m, f).transposed(), sum_gradient);
        // dhidden = ds2 W2^T, 0 where the rectifier was off; db1 += sum of it over the rows  [m, f]
        set_product(&mut scratch.hidden_gradient, sum_gradient, weights.contract.transposed());
        arch.dispatch(Loop(BiasRectifyBackward {
            gradient: &mut scratch.hidden_gradient,
            values: &kept.hidden,
            bias_gradient: sums.expand_bias,
        }));
        // x1, again  [m, d]
        arch.dispatch(Loop(Affine {
            normal: &kept.first,
            gamma: weights.attention_gamma,
            beta: weights.attention_beta,
            output: &mut scratch.first_output,
        }));
        // dW1 += x1^T dhidden  [d, f]
        let hidden_gradient = Matrix::new(&scratch.hidden_gradient, m, f);
        let first = Matrix::new(&scratch.first_output, m, d);
        add_product(sums.expand, first.transposed(), hidden_gradient);
        // dx1 = ds2, which came through the residual, + dhidden W1^T  [m, d]
        add_product(&mut scratch.sum_gradient, hidden_gradient, weights.expand.transposed());
        // ds1, the gradient of s1 = x + mixed Wo, from dx1  [m, d]
        arch.dispatch(Loop(NormalizeBackward {
            gradient: &mut scratch.sum_gradient,
            normal: &kept.first,
            scales: &kept.first_scales,
            gamma: weights.attention_gamma,
            gamma_gradient: sums.attention_gamma,
            beta_gradient: sums.attention_beta,
        }));
        // dWo += mixed^T ds1  [d, d]
        let sum_gradient = Matrix::new(&scratch.sum_gradient, m, d);
        add_product(sums.output, Matrix::new(&kept.mixed, m, d).transposed(), sum_gradient);
        // dmixed = ds1 Wo^T  [m, d]
        set_product(&mut scratch.mixed_gradient, sum_gradient, weights.output.transposed());
        // [dQ dK dV], feed by feed  [m, 3 d]
        for rows in chunk.feeds(&self.offsets) {
            let wide = rows.start * 3 * d..rows.end * 3 * d;
            let narrow = rows.start * d..rows.end * d;
            self.attention.backward(
                arch,
                [
                    &kept.projected[wide.clone()],
                    &kept.mixed[narrow.clone()],
                    &kept.log_sums[rows.start * h..rows.end * h],
                    &scratch.mixed_gradient[narrow],
                ],
                &mut scratch.projected_gradient[wide],
                &mut scratch.head,
            );
        }
        // d[Wq Wk Wv] += x^T [dQ dK dV]  [d, 3 d]
        let projected_gradient = Matrix::new(&scratch.projected_gradient, m, 3 * d);
        add_product(sums.project, Matrix::new(x, m, d).transposed(), projected_gradient);
        // dx = ds1, which came through the residual, + [dQ dK dV] [Wq Wk Wv]^T  [m, d]
        x_gradient.copy_from_slice(&scratch.sum_gradient);
        add_product(x_gradient, projected_gradient, weights.project.transposed());
    }
}

impl Operation<INPUTS> for TransformerBlock {
    type Saved = Kept;
    const PART: Part = Part::Elements;

    fn forward(&self, inputs: [&[f32]; INPUTS], keep: Keep) -> (Vec<f32>, [usize; 2], Kept) {
        let (d, f) = (self.attention.width, self.hidden);
        let joined = join(&inputs, d);
        let weights = Weights::of(&inputs, &joined, [d, f]);
        let chunks = chunks(&self.offsets);
        let mut y = vec![0.0; inputs[0].len()];
        let parts = cut(&mut y, chunks.iter().map(|chunk| chunk.rows.clone()), d);
        let work: Vec<_> = chunks.iter().zip(parts).collect();
        let kept = work.into_par_iter().map_init(Scratch::default, |scratch, (chunk, y)| {
            let x = &inputs[0][chunk.rows.start * d..chunk.rows.end * d];
            let mut kept = Activations::take();
            self.forward_chunk(chunk, &weights, x, y, &mut kept, scratch);
            match keep {
                Keep::ForBackward => Some(kept),
                Keep::Nothing => {
                    kept.give_back();
                    None
                }
            }
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
        let (d, f) = (self.attention.width, self.hidden);
        let joined = join(&inputs, d);
        let weights = Weights::of(&inputs, &joined, [d, f]);
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
                let mut all = vec![0.0; size([d, f])];
                let mut sums = WeightGradients::of(&mut all, [d, f]);
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
        let mut total = add_up(sums, size([d, f]));
        take_apart(x_gradient, &mut total, [d, f])
    }
}
