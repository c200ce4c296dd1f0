//! BST: a transformer over a history and the target behind it.
//!
//! Q. Chen et al., "Behavior Sequence Transformer for E-commerce Recommendation in Alibaba", DLP-KDD 2019. Row "BST" of the eLiveRec
//! paper's Tables II to IV. The authors published no code.
//!
//! Per domain, over x_1..x_l, the events with a vector of their age added, and x_t, the target with a vector of its place:
//! `s = LN(x_t + MHA(x_t; x_1..x_l, x_t))`, `y = LN(s + leaky(s W_1 + b_1) W_2 + b_2)`.
//!
//! One block, read at the target: the paper found one to be best, and of one nothing is read but what the target's place gives,
//! so the literal form is computed with keys and values of the events once per feed. Differences from the paper: the target's
//! place alone goes to the tower (its figure joins all places), vectors of age are added, not joined; no dropout; the
//! tower that all models share. Beside products the target is mapped into their space. No history: y is a function of e_vt.

use burn::module::{Module, Param};
use burn::tensor::{Bool, Tensor, activation};
use serde::{Deserialize, Serialize};

use crate::blocks::{RECENCY_BUCKETS, Tower, age_vectors, check_heads};
use crate::builder::Builder;
use crate::error::Error;
use crate::inputs::{History, Inputs};
use crate::ops;
use crate::rows::Rows;
use crate::site::Site;
use crate::trace::Trace;
use crate::trunk::{Encoded, Trunk, TrunkConfig};

/// Feed-forward width over d.
const FFN_RATIO: usize = 4;

/// Slope of the rectifier below zero.
const LEAK: f64 = 0.01;

/// `[model] name = "bst"` of an experiment file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BstConfig {
    /// Attention heads; must divide the embedding width. The paper uses 8.
    pub heads: usize,
}

impl Default for BstConfig {
    fn default() -> Self {
        Self { heads: 8 }
    }
}

impl TrunkConfig for BstConfig {
    type Trunk = Bst;

    fn check(&self, width: usize) -> Result<(), Error> {
        check_heads(self.heads, width)
    }

    fn init(&self, site: &Site<'_>, builder: &Builder) -> Result<Bst, Error> {
        let side = |project| Side::new(site.width, self.heads, project, builder);
        Ok(Bst { live: side(false), product: site.products.then(|| side(true)) })
    }
}

/// A transformer per domain; the two never share weights.
#[derive(Module, Debug)]
pub struct Bst {
    live: Side,
    product: Option<Side>,
}

impl Trunk for Bst {
    /// Fields: those that all models share, and per domain in use y `[n, d]`.
    fn shape(&self, site: &Site<'_>) -> Vec<(&'static str, usize)> {
        let mut fields = site.shared_fields();
        fields.push(("live", site.width));
        fields.extend(self.product.is_some().then_some(("product", site.width)));
        fields
    }

    fn encode(&self, inputs: &Inputs, _: &Tower, trace: &mut Trace) -> Encoded {
        let mut fields = inputs.shared_fields();
        fields.push(("live", self.live.forward(inputs, &inputs.live, "live", trace)));
        if let (Some(side), Some(history)) = (&self.product, &inputs.product) {
            fields.push(("product", side.forward(inputs, history, "product", trace)));
        }
        Encoded::of(fields)
    }
}

/// One domain; projections have no bias.
#[derive(Module, Debug)]
struct Side {
    /// From e_vt to the space of the events `[d, d]`, where that is another.
    project: Option<Param<Tensor<2>>>,
    /// Vectors of ages `[32, d]`.
    recency: Param<Tensor<2>>,
    /// The target's place `[d]`.
    place: Param<Tensor<1>>,
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
}

impl Side {
    fn new(d: usize, heads: usize, project: bool, builder: &Builder) -> Self {
        let (square, f) = (|| builder.matrix(d, d), FFN_RATIO * d);
        Self {
            project: project.then(square),
            recency: builder.vectors(RECENCY_BUCKETS, d),
            place: builder.vector(d),
            query: square(),
            key: square(),
            value: square(),
            output: square(),
            expand_weight: builder.rectified(d, f, 1),
            expand_bias: builder.constant(f, 0.0),
            contract_weight: builder.matrix(f, d),
            contract_bias: builder.constant(d, 0.0),
            attention_gamma: builder.constant(d, 1.0),
            attention_beta: builder.constant(d, 0.0),
            feed_forward_gamma: builder.constant(d, 1.0),
            feed_forward_beta: builder.constant(d, 0.0),
            heads,
        }
    }

    /// y `[n, d]`. Records the attention as `{name}.heads` `[b, h, c, l]`, without what the target gives to itself, and, averaged
    /// over heads, as `{name}.attention` `[b, c, l]`.
    fn forward(
        &self,
        inputs: &Inputs,
        history: &History,
        name: &str,
        trace: &mut Trace,
    ) -> Tensor<2> {
        let (candidates, mut target) = (&inputs.candidates, inputs.target.clone());
        if let Some(project) = &self.project {
            target = target.matmul(project.val());
        }
        let target = target + self.place.val().unsqueeze_dim(0);
        let mut items = history.items.clone();
        if history.rows.total() > 0 {
            items = items + age_vectors(self.recency.val(), history);
        }

        // MHA of the target over the events and itself
        let q = self.split(&target, &self.query, candidates); //                        [b, h, c, d/h]
        let own = [&self.key, &self.value].map(|w| self.split(&target, w, candidates));
        let [k, v] = [&self.key, &self.value].map(|w| self.split(&items, w, &history.rows));
        let ([b, h, c, head], l) = (q.dims(), history.rows.longest());
        let [own_key, own_value] = own;
        let of_own = (q.clone() * own_key).sum_dim(3); //                               [b, h, c, 1]
        let scores = Tensor::cat(vec![q.matmul(k.transpose()), of_own], 3); //          [b, h, c, l + 1]
        let events = history.rows.mask().reshape([b, 1, 1, l]).expand([b, h, c, l]);
        let itself = Tensor::<4, Bool>::full([b, h, c, 1], true, &target.device());
        let mask = Tensor::cat(vec![events, itself], 3);
        let weights = ops::masked_softmax(scores / (head as f32).sqrt(), mask);
        let (of_own, weights) = (weights.clone().narrow(3, l, 1), weights.narrow(3, 0, l));
        if trace.is_on() {
            let mean = weights.clone().mean_dim(1).squeeze_dim::<3>(1);
            trace.record_over(&format!("{name}.heads"), &weights, &history.rows);
            trace.record_over(&format!("{name}.attention"), &mean, &history.rows);
        }
        let heads = weights.matmul(v) + own_value * of_own;
        let heads = candidates.pack(heads.swap_dims(1, 2).reshape([b, c, h * head]));
        let sum = target + heads.matmul(self.output.val());
        let s = ops::layer_norm(sum, self.attention_gamma.val(), self.attention_beta.val());

        // FFN
        let hidden =
            s.clone().matmul(self.expand_weight.val()) + self.expand_bias.val().unsqueeze_dim(0);
        let contracted = activation::leaky_relu(hidden, LEAK).matmul(self.contract_weight.val());
        let sum = s + contracted + self.contract_bias.val().unsqueeze_dim(0);
        ops::layer_norm(sum, self.feed_forward_gamma.val(), self.feed_forward_beta.val())
    }

    /// Projects and pads: `[rows, d]` to `[b, h, longest, d/h]`.
    fn split(&self, x: &Tensor<2>, weight: &Param<Tensor<2>>, rows: &Rows) -> Tensor<4> {
        let padded = rows.pad(x.clone().matmul(weight.val()));
        let [b, l, d] = padded.dims();
        padded.reshape([b, l, self.heads, d / self.heads]).swap_dims(1, 2)
    }
}
