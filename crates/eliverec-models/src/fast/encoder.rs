//! The transformer blocks of a history without a graph: as [`crate::fused::transformer_block`] computes them, with weights that were
//! joined and laid out at load and nothing kept for a backward.

use super::engine::{Engine, Panels, room};
use super::weight::{Parameters, Weight};
use crate::blocks::AttentionScale;
use crate::fused::attention::{Attention, Room};
use crate::fused::rows::{BiasRectify, Normalize};

/// One block.
#[derive(Debug)]
pub(super) struct Block {
    attention: Attention,
    /// `[Wq Wk Wv]` `[d, 3 d]`
    project: Panels,
    /// `[d, d]`
    output: Panels,
    /// `[d, f]`
    expand: Panels,
    expand_bias: Vec<f32>,
    /// `[f, d]`
    contract: Panels,
    contract_bias: Vec<f32>,
    attention_gamma: Vec<f32>,
    attention_beta: Vec<f32>,
    feed_forward_gamma: Vec<f32>,
    feed_forward_beta: Vec<f32>,
    /// The bias that the heads' projection does not have `[d]`.
    no_bias: Vec<f32>,
}

impl Block {
    /// The block whose parameters begin with `name`.
    pub(super) fn new(
        parameters: &Parameters,
        name: &str,
        heads: usize,
        scale: AttentionScale,
    ) -> Self {
        let matrix = |part: &str| parameters.matrix(&format!("{name}.{part}"));
        let vector = |part: &str| parameters.vector(&format!("{name}.{part}"));
        let project = Weight::beside(&["query", "key", "value"].map(matrix));
        let width = project.inputs;
        let attention = Attention { width, heads, scale: scale.divisor(width, heads).recip() };
        Self {
            attention,
            project: Panels::of(&project),
            output: Panels::of(&matrix("output")),
            expand: Panels::of(&matrix("expand_weight")),
            expand_bias: vector("expand_bias"),
            contract: Panels::of(&matrix("contract_weight")),
            contract_bias: vector("contract_bias"),
            attention_gamma: vector("attention_gamma"),
            attention_beta: vector("attention_beta"),
            feed_forward_gamma: vector("feed_forward_gamma"),
            feed_forward_beta: vector("feed_forward_beta"),
            no_bias: vec![0.0; width],
        }
    }

    /// Events `[l, d]` of one feed, at least one, to `[l, d]` in their place.
    pub(super) fn forward(&self, x: &mut [f32], engine: &mut Engine, spare: &mut BlockRoom) {
        let d = self.attention.width;
        let l = x.len() / d;
        let BlockRoom { projected, mixed, log_sums, sum, scales, first, hidden, head } = spare;
        // [Q K V] = x [Wq Wk Wv]  [l, 3 d]
        let projected = room(projected, l * 3 * d);
        engine.rows(projected, x, &self.project);
        // mixed = softmax(Q K^T * scale) V, head by head  [l, d]
        let mixed = room(mixed, l * d);
        let log_sums = room(log_sums, l * self.attention.heads);
        self.attention.forward(engine.arch, projected, mixed, log_sums, head);
        engine.operations += 4 * (l * l * d) as u64;
        // x1 = LN(x + mixed Wo)  [l, d]
        let (sum, scales, first) = (room(sum, l * d), room(scales, l), room(first, l * d));
        engine.rows(sum, mixed, &self.output);
        engine.run(Normalize {
            values: sum,
            bias: &self.no_bias,
            residual: x,
            gamma: &self.attention_gamma,
            beta: &self.attention_beta,
            scales,
            output: first,
        });
        // hidden = relu(x1 W1 + b1)  [l, f]
        let hidden = room(hidden, l * self.expand.outputs);
        engine.rows(hidden, first, &self.expand);
        engine.run(BiasRectify { values: hidden, bias: &self.expand_bias });
        // y = LN(x1 + hidden W2 + b2)  [l, d]
        engine.rows(sum, hidden, &self.contract);
        engine.run(Normalize {
            values: sum,
            bias: &self.contract_bias,
            residual: first,
            gamma: &self.feed_forward_gamma,
            beta: &self.feed_forward_beta,
            scales,
            output: x,
        });
    }
}

/// Room for one block.
#[derive(Debug, Default)]
pub(super) struct BlockRoom {
    projected: Vec<f32>,
    mixed: Vec<f32>,
    log_sums: Vec<f32>,
    sum: Vec<f32>,
    scales: Vec<f32>,
    first: Vec<f32>,
    hidden: Vec<f32>,
    head: Room,
}
