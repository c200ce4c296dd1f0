//! DIN's local activation unit: a weight for every event of a history from each target.
//!
//! G. Zhou et al., "Deep Interest Network for Click-Through Rate Prediction", KDD 2018.

use burn::module::Module;
use burn::tensor::{Tensor, activation};
use eliverec_core::batch::Offsets;
use serde::{Deserialize, Serialize};

use super::dense::Dense;
use crate::builder::Builder;
use crate::fused::{self, UnitInputs};
use crate::inputs::{History, Inputs};
use crate::ops;
use crate::rows::{Rows, indices};
use crate::trace::Trace;

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

/// `a_i = MLP([q, k_i, q - k_i, q * k_i])`, and from it `u = (sum_i a_i k_i) W + b` or every `a_i k_i`.
#[derive(Module, Debug)]
pub struct AttentionUnit {
    hidden1: Dense,
    hidden2: Dense,
    score: Dense,
    /// `None` where the events stay apart.
    output: Option<Dense>,
    #[module(skip)]
    normalize: Normalize,
}

impl AttentionUnit {
    /// For vectors of `width`; `output` if [`Self::interest`] is to be asked for.
    pub fn new(width: usize, normalize: Normalize, output: bool, builder: &Builder) -> Self {
        Self {
            hidden1: Dense::new(4 * width, HIDDEN[0], builder),
            hidden2: Dense::new(HIDDEN[0], HIDDEN[1], builder),
            score: Dense::new(HIDDEN[1], 1, builder),
            output: output.then(|| Dense::new(width, width, builder)),
            normalize,
        }
    }

    /// The interest `[n, d]`; zero where the history is empty. Records the scores as `{name}.scores` and the weights as
    /// `{name}.attention`, both `[b, c, l]`, and u as `{name}.pooled` `[n, d]`.
    pub fn interest(
        &self,
        inputs: &Inputs,
        history: &History,
        name: &str,
        trace: &mut Trace,
    ) -> Tensor<2> {
        let [_, d] = inputs.target.dims();
        let candidates = &inputs.candidates;
        let (b, c) = (candidates.feeds(), candidates.longest());

        // u = sum_i a_i k_i, per feed: [b, c, l] x [b, l, d]
        let weights = candidates.pad(self.weights(inputs, history, name, trace));
        trace.record_over(&format!("{name}.attention"), &weights, &history.rows);
        let pooled = candidates
            .pack(weights.matmul(history.rows.pad(history.items.clone())).reshape([b, c, d]));
        trace.record(&format!("{name}.pooled"), &pooled);
        let Some(output) = &self.output else { return pooled };
        let given: Vec<f32> =
            history.rows.offsets.ranges().map(|r| f32::from(u8::from(!r.is_empty()))).collect();
        let given = Tensor::<1>::from_floats(given.as_slice(), &pooled.device()).unsqueeze_dim(1);
        output.forward(pooled) * candidates.repeat(given)
    }

    /// `a_i k_i` of every impression with every event of its feed, impression by impression. Records the scores as
    /// `{name}.scores` and the weights as `{name}.encoder_attention`, both `[b, c, l]`.
    pub fn weighted(
        &self,
        inputs: &Inputs,
        history: &History,
        name: &str,
        trace: &mut Trace,
    ) -> WeightedEvents {
        let pairs = Pairs::new(&inputs.candidates, &history.rows);
        let device = inputs.target.device();
        let lengths = inputs.candidates.offsets.ranges().zip(history.rows.offsets.ranges());
        let lengths = lengths.flat_map(|(shown, past)| shown.map(move |_| past.len()));
        let rows = Rows::new(Offsets::from_lengths(lengths), &device);
        let rows = rows.with_fused(history.rows.fused);
        let weights = self.weights(inputs, history, name, trace);
        if trace.is_on() {
            let padded = inputs.candidates.pad(weights.clone());
            trace.record_over(&format!("{name}.encoder_attention"), &padded, &history.rows);
        }
        if pairs.events.is_empty() {
            let items = history.items.clone();
            return WeightedEvents { weighted: items.clone(), items, rows };
        }
        let items = history.items.clone().select(0, indices(pairs.events, &device));
        let [n, l] = [inputs.candidates.total(), history.rows.longest()];
        let weights = weights.reshape([n * l, 1]);
        let weights = weights.select(0, indices(pairs.places, &device));
        WeightedEvents { weighted: items.clone() * weights, items, rows }
    }

    /// `a_i` of every impression `[n, l]`, zero beyond the history's end. Records the scores as `{name}.scores` `[b, c, l]`.
    pub(crate) fn weights(
        &self,
        inputs: &Inputs,
        history: &History,
        name: &str,
        trace: &mut Trace,
    ) -> Tensor<2> {
        let scores = self.scores(inputs, history);
        if trace.is_on() {
            let padded = inputs.candidates.pad(scores.clone());
            trace.record_over(&format!("{name}.scores"), &padded, &history.rows);
        }
        let scale = (inputs.target.dims()[1] as f32).sqrt();
        let mask = inputs.candidates.repeat(history.rows.mask().float()).bool();
        match self.normalize {
            Normalize::Softmax => ops::masked_softmax(scores / scale, mask),
            Normalize::None => scores.mask_fill(mask.bool_not(), 0.0),
            Normalize::Sigmoid => {
                activation::sigmoid(scores / scale).mask_fill(mask.bool_not(), 0.0)
            }
        }
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

/// See [`AttentionUnit::weighted`].
#[derive(Debug)]
pub struct WeightedEvents {
    /// `k_i` `[pairs, d]`
    pub items: Tensor<2>,
    /// `a_i k_i` `[pairs, d]`
    pub weighted: Tensor<2>,
    /// From impression to its pairs.
    pub rows: Rows,
}

/// Every impression with every event of its feed.
pub(crate) struct Pairs {
    pub(crate) impressions: Vec<u32>,
    pub(crate) events: Vec<u32>,
    /// Place of each pair in `[n, longest]`, row-major.
    places: Vec<u32>,
}

impl Pairs {
    pub(crate) fn new(candidates: &Rows, events: &Rows) -> Self {
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
    pub(crate) fn rectangle(&self, scores: Tensor<2>, n: usize, l: usize) -> Tensor<2> {
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
