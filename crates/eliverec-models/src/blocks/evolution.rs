//! DIEN's interests and their evolution towards a target.
//!
//! G. Zhou et al., "Deep Interest Evolution Network for Click-Through Rate Prediction", AAAI 2019; reference code:
//! github.com/mouna99/dien.

use burn::module::{Module, Param};
use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use super::attention_unit::{AttentionUnit, Normalize};
use super::gru::Gru;
use super::next_event::{Hidden, NextEvents, Sharing};
use crate::builder::Builder;
use crate::draws::Draws;
use crate::error::Error;
use crate::inputs::{History, Inputs};
use crate::ops;
use crate::rows::indices;
use crate::trace::Trace;

/// How an interest is weighed by the target.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EvolutionAttention {
    /// `a_t = softmax_t(h_t W e_vt)` (the paper).
    #[default]
    Bilinear,
    /// DIN's unit on h_t, with a softmax (the reference code).
    Unit,
}

/// Start of u's bias of the first layer: states are kept. In the second the attention shrinks u already.
const UPDATE: [f32; 2] = [-1.0, 1.0];

/// `h_1..h_l = GRU(x_1..x_l)`, `h' = AUGRU(h_1..h_l)` with weights a_t from the target, of one domain.
#[derive(Module, Debug)]
pub struct Evolution {
    /// To h.
    extract: Gru,
    /// To h'.
    evolve: Gru,
    /// W, transposed.
    query: Option<Param<Tensor<2>>>,
    unit: Option<AttentionUnit>,
}

/// What [`Evolution::forward`] gives.
#[derive(Debug)]
pub struct Evolved {
    /// h' `[n, d]`, zero without history.
    pub last: Tensor<2>,
    /// h_t `[m, d]`; `None` where nobody has a history.
    pub interests: Option<Tensor<2>>,
}

impl Evolution {
    /// For vectors of `width`.
    pub fn new(width: usize, attention: EvolutionAttention, builder: &Builder) -> Self {
        let [first, second] = UPDATE;
        let unit = attention == EvolutionAttention::Unit;
        Self {
            extract: Gru::new(width, first, builder),
            evolve: Gru::new(width, second, builder),
            query: (!unit).then(|| builder.matrix(width, width)),
            unit: unit.then(|| AttentionUnit::new(width, Normalize::Softmax, false, builder)),
        }
    }

    /// Records h as `{name}.interests` `[m, d]` and a as `{name}.attention` `[b, c, l]`; DIN's unit also its scores.
    pub fn forward(
        &self,
        inputs: &Inputs,
        history: &History,
        name: &str,
        trace: &mut Trace,
    ) -> Evolved {
        let candidates = &inputs.candidates;
        if history.rows.total() == 0 {
            return Evolved { last: inputs.target.zeros_like(), interests: None };
        }
        let states = self.extract.states(history.items.clone(), &history.rows);
        trace.record(&format!("{name}.interests"), &states);
        let attention = self.attention(inputs, history, &states, name, trace);
        if trace.is_on() {
            let padded = candidates.pad(attention.clone());
            trace.record_over(&format!("{name}.attention"), &padded, &history.rows);
        }
        let rows = [&history.rows, candidates];
        let last = self.evolve.attended(states.clone(), rows, attention);
        Evolved { last, interests: Some(states) }
    }

    /// a of every impression `[n, l]`, zero beyond the history's end.
    fn attention(
        &self,
        inputs: &Inputs,
        history: &History,
        states: &Tensor<2>,
        name: &str,
        trace: &mut Trace,
    ) -> Tensor<2> {
        if let Some(unit) = &self.unit {
            let interests = History { items: states.clone(), ..history.clone() };
            return unit.weights(inputs, &interests, name, trace);
        }
        let mut query = inputs.target.clone();
        if let Some(map) = &self.query {
            query = query.matmul(map.val());
        }
        let query = inputs.candidates.pad(query); //                                   [b, c, d]
        let scores = query.matmul(history.rows.pad(states.clone()).transpose());
        let [b, c, l] = scores.dims();
        let mask = history.rows.mask().reshape([b, 1, l]).expand([b, c, l]);
        inputs.candidates.pack(ops::masked_softmax(scores, mask))
    }

    /// Whether h_t tells the event after it from another of the batch: the mean cross entropy of <h_t, x_t+1>, x bare, plus that of
    /// the others; twice ln 2 of a model that knows nothing, 0 where no event has one after it.
    pub fn next_event(evolved: &Evolved, history: &History, draws: Draws, name: &str) -> Tensor<1> {
        let device = history.items.device();
        let pairs = NextEvents::every(&history.rows.offsets);
        let Some(interests) = evolved.interests.as_ref().filter(|_| !pairs.next.is_empty()) else {
            return Tensor::zeros([1], &device);
        };
        let mut random = draws.stream(name);
        let drawn = pairs.negatives(history, 1, Sharing::Pair, Hidden::Positive, &mut random);
        let (of, others) = drawn.counting();
        let others_before = of.iter().map(|pair| pairs.before[*pair as usize]).collect();
        let entropy = |before: Vec<u32>, events: Vec<u32>, label: f32| {
            let rows = events.len();
            let states = interests.clone().select(0, indices(before, &device));
            let events = history.bare.clone().select(0, indices(events, &device));
            let logits = (states * events).sum_dim(1).squeeze_dim(1);
            ops::binary_cross_entropy(logits, Tensor::full([rows], label, &device))
        };
        let come = entropy(pairs.before, pairs.next, 1.0);
        if others.is_empty() { come } else { come + entropy(others_before, others, 0.0) }
    }
}

/// Checks the weight of [`Evolution::next_event`].
///
/// # Errors
/// [`Error::Config`] for `model.auxiliary_weight`.
pub fn check_auxiliary_weight(weight: f32) -> Result<(), Error> {
    if weight.is_finite() && weight >= 0.0 {
        return Ok(());
    }
    let reason = "must be a number that is not negative".into();
    Err(Error::Config { key: "model.auxiliary_weight", reason })
}
