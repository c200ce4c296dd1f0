//! The basic sequence encoder (Eq. 3-4): multi-head self-attention and feed-forward, each with residual and layer norm.
//!
//! A. Vaswani et al., "Attention is all you need", 2017, with the norm after the residual.

use burn::module::{Module, Param};
use burn::tensor::{Tensor, activation};
use serde::{Deserialize, Serialize};

use crate::builder::Builder;
use crate::fused::{self, BlockWeights};
use crate::ops;
use crate::rows::Rows;
use crate::trace::Trace;

/// What the attention scores are divided by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AttentionScale {
    /// sqrt(d), literal Eq. 4.
    #[default]
    Width,
    /// sqrt(d / h), the usual one.
    Head,
}

impl AttentionScale {
    /// What the scores of `heads` heads, `width` wide together, are divided by.
    pub(crate) fn divisor(self, width: usize, heads: usize) -> f32 {
        match self {
            Self::Width => (width as f32).sqrt(),
            Self::Head => ((width / heads) as f32).sqrt(),
        }
    }
}

/// Sizes of a block.
#[derive(Clone, Copy, Debug)]
pub struct TransformerConfig {
    /// d
    pub width: usize,
    /// h, must divide d.
    pub heads: usize,
    /// Feed-forward width over d.
    pub ffn_ratio: usize,
    /// Scale of the scores.
    pub scale: AttentionScale,
}

/// One block; weights are `[in, out]`, projections have no bias.
#[derive(Module, Debug)]
pub struct TransformerBlock {
    query: Param<Tensor<2>>,
    key: Param<Tensor<2>>,
    value: Param<Tensor<2>>,
    output: Param<Tensor<2>>,
    expand_weight: Param<Tensor<2>>,
    expand_bias: Param<Tensor<1>>,
    contract_weight: Param<Tensor<2>>,
    contract_bias: Param<Tensor<1>>,
    attention_gamma: Param<Tensor<1>>,
    attention_beta: Param<Tensor<1>>,
    feed_forward_gamma: Param<Tensor<1>>,
    feed_forward_beta: Param<Tensor<1>>,
    heads: usize,
    #[module(skip)]
    divisor: f32,
}

impl TransformerConfig {
    /// A block of these sizes.
    pub fn init(&self, builder: &Builder) -> TransformerBlock {
        let (d, f) = (self.width, self.width * self.ffn_ratio);
        let divisor = self.scale.divisor(d, self.heads);
        TransformerBlock {
            query: builder.matrix(d, d),
            key: builder.matrix(d, d),
            value: builder.matrix(d, d),
            output: builder.matrix(d, d),
            expand_weight: builder.rectified(d, f, 1),
            expand_bias: builder.constant(f, 0.0),
            contract_weight: builder.matrix(f, d),
            contract_bias: builder.constant(d, 0.0),
            attention_gamma: builder.constant(d, 1.0),
            attention_beta: builder.constant(d, 0.0),
            feed_forward_gamma: builder.constant(d, 1.0),
            feed_forward_beta: builder.constant(d, 0.0),
            heads: self.heads,
            divisor,
        }
    }
}

impl TransformerBlock {
    /// Events `[m, d]` to `[m, d]`; a feed's events attend to one another only.
    pub fn forward(&self, x: Tensor<2>, events: &Rows) -> Tensor<2> {
        if events.fused { self.fused(x, events) } else { self.composed(x, events) }
    }

    /// Records the attention as `{name}.attention` `[b, h, l, l]` and what comes of it as `{name}.encoded` `[m, d]`, in detail only:
    /// the fused step keeps no attention, so it is computed once more.
    pub(crate) fn traced(
        &self,
        x: Tensor<2>,
        events: &Rows,
        name: &str,
        trace: &mut Trace,
    ) -> Tensor<2> {
        if trace.is_in_detail() {
            trace.record(&format!("{name}.attention"), &self.attention(&x, events));
        }
        let y = self.forward(x, events);
        if trace.is_in_detail() {
            trace.record(&format!("{name}.encoded"), &y);
        }
        y
    }

    fn fused(&self, x: Tensor<2>, events: &Rows) -> Tensor<2> {
        let weights = BlockWeights {
            query: self.query.val(),
            key: self.key.val(),
            value: self.value.val(),
            output: self.output.val(),
            expand_weight: self.expand_weight.val(),
            expand_bias: self.expand_bias.val(),
            contract_weight: self.contract_weight.val(),
            contract_bias: self.contract_bias.val(),
            attention_gamma: self.attention_gamma.val(),
            attention_beta: self.attention_beta.val(),
            feed_forward_gamma: self.feed_forward_gamma.val(),
            feed_forward_beta: self.feed_forward_beta.val(),
        };
        let scale = self.divisor.recip();
        fused::transformer_block(x, &events.offsets, weights, self.heads, scale)
    }

    fn composed(&self, x: Tensor<2>, events: &Rows) -> Tensor<2> {
        // eq. 4: softmax(Q K^T / sqrt(d)) V, heads side by side
        let weights = self.attention(&x, events);
        let v = self.split(&x, &self.value, events); //                                [b, h, l, d/h]
        let heads = weights.matmul(v).swap_dims(1, 2); //                              [b, l, h, d/h]
        let ([b, l, ..], [_, d]) = (heads.dims(), x.dims());
        let attended = events.pack(heads.reshape([b, l, d])).matmul(self.output.val());
        let x =
            ops::layer_norm(x + attended, self.attention_gamma.val(), self.attention_beta.val());

        // eq. 3: FFN with residual
        let hidden =
            x.clone().matmul(self.expand_weight.val()) + self.expand_bias.val().unsqueeze_dim(0);
        let contracted = activation::relu(hidden).matmul(self.contract_weight.val());
        let y = x + contracted + self.contract_bias.val().unsqueeze_dim(0);
        ops::layer_norm(y, self.feed_forward_gamma.val(), self.feed_forward_beta.val())
    }

    /// `softmax(Q K^T / sqrt(d))` of eq. 4 over each feed's own events, `[b, h, l, l]`.
    fn attention(&self, x: &Tensor<2>, events: &Rows) -> Tensor<4> {
        let q = self.split(x, &self.query, events); //                                 [b, h, l, d/h]
        let k = self.split(x, &self.key, events);
        let scores = q.matmul(k.transpose()) / self.divisor; //                        [b, h, l, l]
        let [b, h, l, _] = scores.dims();
        let mask = events.mask().reshape([b, 1, 1, l]).expand([b, h, l, l]);
        ops::masked_softmax(scores, mask)
    }

    /// Projects and pads: `[m, d]` to `[b, h, l, d/h]`.
    fn split(&self, x: &Tensor<2>, weight: &Param<Tensor<2>>, events: &Rows) -> Tensor<4> {
        let padded = events.pad(x.clone().matmul(weight.val()));
        let [b, l, d] = padded.dims();
        padded.reshape([b, l, self.heads, d / self.heads]).swap_dims(1, 2)
    }
}
