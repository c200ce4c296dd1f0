//! DIN: an attention unit weighs each event by the target.
//!
//! G. Zhou et al., "Deep Interest Network for Click-Through Rate Prediction", KDD 2018. Row "DIN" of the eLiveRec paper's
//! Tables II and IV. Reference code: github.com/zhougr1993/DeepInterestNetwork.
//!
//! Differences from the paper: softmax over the events with scores over sqrt(d), as in the reference code (`normalize`
//! chooses); no batch norm and no Dice, whose scores depend on the rest of the batch; no bias per item; the tower that
//! all models share.

use burn::module::Module;
use burn::tensor::{Device, Tensor, activation};
use serde::{Deserialize, Serialize};

use crate::blocks::Dense;
use crate::error::Error;
use crate::fused::{self, UnitInputs};
use crate::inputs::{History, Inputs};
use crate::ops;
use crate::rows::{Rows, indices};
use crate::trace::Trace;
use crate::trunk::Encoded;

/// `[model] name = "din"` of an experiment file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DinConfig {
    /// How scores become weights.
    pub normalize: Normalize,
    /// Whether the tower also sees u * e_vt, element by element (the reference code; the paper's figure has u alone).
    pub target_product: bool,
}

impl Default for DinConfig {
    fn default() -> Self {
        Self { normalize: Normalize::default(), target_product: true }
    }
}

/// How DIN's scores become weights.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Normalize {
    /// Softmax over the events (the reference code).
    #[default]
    Softmax,
    /// The score itself (the paper's text).
    None,
    /// Sigmoid of the score over sqrt(d).
    Sigmoid,
}

/// Units of the attention unit's hidden layers, as in the reference code.
const HIDDEN: [usize; 2] = [80, 40];

impl DinConfig {
    #[expect(
        clippy::unused_self,
        clippy::unnecessary_wraps,
        reason = "every config has this signature"
    )]
    pub(crate) fn check(&self, _width: usize) -> Result<(), Error> {
        Ok(())
    }

    /// Builds the model for entity embeddings of `width`.
    pub(crate) fn init(&self, width: usize, products: bool, device: &Device) -> Din {
        let unit = || AttentionUnit {
            hidden1: Dense::new(4 * width, HIDDEN[0], device),
            hidden2: Dense::new(HIDDEN[0], HIDDEN[1], device),
            score: Dense::new(HIDDEN[1], 1, device),
            output: Dense::new(width, width, device),
            normalize: self.normalize,
        };
        let target_product = self.target_product;
        Din { live: unit(), product: products.then(unit), target_product }
    }
}

/// One attention unit per domain; the two never share weights.
#[derive(Module, Debug)]
pub struct Din {
    live: AttentionUnit,
    product: Option<AttentionUnit>,
    #[module(skip)]
    target_product: bool,
}

impl Din {
    pub(crate) fn fields(&self) -> usize {
        let domains = 1 + usize::from(self.product.is_some());
        domains * (1 + usize::from(self.target_product))
    }

    /// Fields: those that all models share, and per domain in use the interest u and, if asked for, u * e_vt, each `[n, d]`.
    pub fn encode(&self, inputs: &Inputs, trace: &mut Trace) -> Encoded {
        let mut fields = inputs.shared_fields();
        let live = self.live.forward(inputs, &inputs.live, "live", trace);
        self.push(&mut fields, ["live", "live_target"], live, inputs);
        if let (Some(unit), Some(history)) = (&self.product, &inputs.product) {
            let product = unit.forward(inputs, history, "product", trace);
            self.push(&mut fields, ["product", "product_target"], product, inputs);
        }
        Encoded { fields, penalties: Vec::new() }
    }

    fn push(
        &self,
        fields: &mut Vec<(&'static str, Tensor<2>)>,
        [name, with_target]: [&'static str; 2],
        interest: Tensor<2>,
        inputs: &Inputs,
    ) {
        let product = self.target_product.then(|| interest.clone() * inputs.target.clone());
        fields.push((name, interest));
        fields.extend(product.map(|product| (with_target, product)));
    }
}

/// `a_i = MLP([q, k_i, q - k_i, q * k_i])`, `u = (sum_i a_i k_i) W + b`.
#[derive(Module, Debug)]
struct AttentionUnit {
    hidden1: Dense,
    hidden2: Dense,
    score: Dense,
    output: Dense,
    #[module(skip)]
    normalize: Normalize,
}

impl AttentionUnit {
    /// The interest `[n, d]`; zero where the history is empty. Records the weights as `{name}.attention` `[b, c, l]`.
    fn forward(
        &self,
        inputs: &Inputs,
        history: &History,
        name: &str,
        trace: &mut Trace,
    ) -> Tensor<2> {
        let [_, d] = inputs.target.dims();
        let candidates = &inputs.candidates;
        let (b, c) = (candidates.feeds(), candidates.longest());

        let scores = self.scores(inputs, history);
        let mask = candidates.repeat(history.rows.mask().float()).bool();
        let weights = match self.normalize {
            Normalize::Softmax => ops::masked_softmax(scores / (d as f32).sqrt(), mask),
            Normalize::None => scores.mask_fill(mask.bool_not(), 0.0),
            Normalize::Sigmoid => {
                activation::sigmoid(scores / (d as f32).sqrt()).mask_fill(mask.bool_not(), 0.0)
            }
        };

        // u = sum_i a_i k_i, per feed: [b, c, l] x [b, l, d]
        let weights = candidates.pad(weights);
        trace.record(&format!("{name}.attention"), &weights);
        let pooled = candidates
            .pack(weights.matmul(history.rows.pad(history.items.clone())).reshape([b, c, d]));
        let given: Vec<f32> =
            history.rows.offsets.ranges().map(|r| f32::from(u8::from(!r.is_empty()))).collect();
        let given = Tensor::<1>::from_floats(given.as_slice(), &pooled.device()).unsqueeze_dim(1);
        self.output.forward(pooled) * candidates.repeat(given)
    }

    /// The scores `[n, l]` of every impression with every event of its feed; of no meaning beyond the history's end.
    ///
    /// The first layer is taken apart: `[q, k, q - k, q * k] W = q (W_q + W_d) + k (W_k - W_d) + (q * k) W_p`, so that the
    /// parts that depend on one of the two are computed once per impression and once per event.
    fn scores(&self, inputs: &Inputs, history: &History) -> Tensor<2> {
        let (target, items) = (inputs.target.clone(), history.items.clone());
        let [n, d] = target.dims();
        let weight = self.hidden1.weight();
        let part = |i: usize| weight.clone().narrow(0, i * d, d);
        let of_target =
            target.clone().matmul(part(0) + part(2)) + self.hidden1.bias().unsqueeze_dim(0);
        let of_item = items.clone().matmul(part(1) - part(2));
        let longest = history.rows.longest();
        if history.rows.fused {
            let unit = UnitInputs {
                target,
                items,
                of_target,
                of_item,
                product: part(3),
                second_weight: self.hidden2.weight(),
                second_bias: self.hidden2.bias(),
                score: self.score.weight(),
            };
            let (histories, candidates) = (&history.rows.offsets, &inputs.candidates.offsets);
            let scores = fused::attention_unit(unit, histories, candidates, longest);
            return scores + self.score.bias().unsqueeze_dim(0);
        }
        let pairs = Pairs::new(&inputs.candidates, &history.rows);
        let device = target.device();
        if pairs.impressions.is_empty() {
            return Tensor::zeros([n, longest], &device);
        }
        let (i, j) =
            (indices(pairs.impressions.clone(), &device), indices(pairs.events.clone(), &device));
        let product = target.select(0, i.clone()) * items.select(0, j.clone());
        let hidden = of_target.select(0, i) + of_item.select(0, j) + product.matmul(part(3));
        let hidden = self.hidden2.forward(activation::sigmoid(hidden));
        pairs.rectangle(self.score.forward(activation::sigmoid(hidden)), n, longest)
    }
}

/// Every impression with every event of its feed.
struct Pairs {
    impressions: Vec<u32>,
    events: Vec<u32>,
    /// Place of each pair in `[n, longest]`, row-major.
    places: Vec<u32>,
}

impl Pairs {
    fn new(candidates: &Rows, events: &Rows) -> Self {
        let longest = events.longest();
        let mut pairs = Self { impressions: Vec::new(), events: Vec::new(), places: Vec::new() };
        for (shown, past) in candidates.offsets.ranges().zip(events.offsets.ranges()) {
            for impression in shown {
                for (i, event) in past.clone().enumerate() {
                    pairs.impressions.push(impression as u32);
                    pairs.events.push(event as u32);
                    pairs.places.push((impression * longest + i) as u32);
                }
            }
        }
        pairs
    }

    /// `[pairs, 1]` to `[n, l]`, zero elsewhere.
    fn rectangle(&self, scores: Tensor<2>, n: usize, l: usize) -> Tensor<2> {
        let device = scores.device();
        let pairs = self.places.len();
        let mut source = vec![pairs as u32; n * l];
        for (pair, place) in self.places.iter().enumerate() {
            source[*place as usize] = pair as u32;
        }
        let with_zero = Tensor::cat(vec![scores, Tensor::zeros([1, 1], &device)], 0);
        with_zero.select(0, indices(source, &device)).reshape([n, l])
    }
}
