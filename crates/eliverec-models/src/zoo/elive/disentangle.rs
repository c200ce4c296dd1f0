//! The disentangled encoder (Eq. 5-7): each event's share of the consistent and of the specific intent, and the target's
//! retrieval from either.

use burn::tensor::{Tensor, activation};
use serde::{Deserialize, Serialize};

use super::side::Sequence;
use crate::fused::{self, RetrievalOptions};
use crate::ops;
use crate::trace::Trace;

/// How Eq. 5's exponent is read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IntentWeight {
    /// `h * o`, a weight per element (literal).
    #[default]
    Elementwise,
    /// `h . o`, one weight per event.
    Scalar,
}

/// What an exponent or a score is multiplied with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IntentScale {
    /// 1 (literal).
    #[default]
    None,
    /// 1/sqrt(d), as in Eq. 4.
    Width,
    /// 2: of two halves of h, each then attends as h would.
    Double,
}

impl IntentScale {
    pub(super) fn factor(self, width: usize) -> f32 {
        match self {
            Self::None => 1.0,
            Self::Width => 1.0 / (width as f32).sqrt(),
            Self::Double => 2.0,
        }
    }
}

/// o_c and o_s.
#[derive(Debug)]
pub(super) struct Prototypes {
    pub(super) consistent: Tensor<2>,
    pub(super) specific: Tensor<2>,
    pub(super) level: Level,
}

/// What a prototype belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Level {
    /// `[b, d]`
    Feed,
    /// `[m, d]`
    Event,
}

/// Temperature of the cosines by which [`Prototypes::matched`] looks for an event in the other domain.
const MATCH_TEMPERATURE: f32 = 0.2;

impl Prototypes {
    /// o_c = mean(E), o_s = max(E) over the real events.
    pub(super) fn pooled(sequence: &Sequence) -> Self {
        let (items, rows) = (&sequence.embedded, &sequence.rows);
        if rows.fused {
            let (consistent, specific) = fused::prototypes(items.clone(), &rows.offsets);
            return Self { consistent, specific, level: Level::Feed };
        }
        Self {
            consistent: ops::masked_mean(items.clone(), rows),
            specific: ops::masked_max(items.clone(), rows),
            level: Level::Feed,
        }
    }

    /// o_c = mean(E) of the other domain, o_s = mean(E) of its own. Without events there both are the latter, so that p is 1/2.
    pub(super) fn crossed(own: &Sequence, other: Option<&Sequence>) -> Self {
        let specific = Self::pooled(own).consistent;
        let consistent = other.map_or_else(
            || specific.clone(),
            |other| {
                let empty = other.rows.lengths().equal_elem(0.0).float();
                Self::pooled(other).consistent + specific.clone() * empty
            },
        );
        Self { consistent, specific, level: Level::Feed }
    }

    /// o_c of an event is what the other domain has most like it, `sum_j softmax_j(cos(e_i, e_j) / 0.2) e_j` over the events e_j
    /// there, o_s the mean(E) of its own. Without events there both are the latter, so that p is 1/2.
    pub(super) fn matched(own: &Sequence, other: Option<&Sequence>) -> Self {
        let specific = own.rows.repeat(ops::masked_mean(own.embedded.clone(), &own.rows));
        let Some(other) = other.filter(|other| other.rows.total() > 0 && own.rows.total() > 0)
        else {
            return Self { consistent: specific.clone(), specific, level: Level::Event };
        };
        let directions =
            |sequence: &Sequence| sequence.rows.pad(ops::unit(sequence.embedded.clone()));
        let likeness = directions(own).matmul(directions(other).transpose()) / MATCH_TEMPERATURE;
        let [b, l, n] = likeness.dims();
        let mask = other.rows.mask().reshape([b, 1, n]).expand([b, l, n]);
        let found =
            ops::masked_softmax(likeness, mask).matmul(other.rows.pad(other.embedded.clone()));
        let empty = own.rows.repeat(other.rows.lengths().equal_elem(0.0).float());
        let consistent = own.rows.pack(found) + specific.clone() * empty;
        Self { consistent, specific, level: Level::Event }
    }

    /// wo.P: the same two vectors for every feed.
    pub(super) fn learned(consistent: Tensor<1>, specific: Tensor<1>, feeds: usize) -> Self {
        let repeat = |vector: Tensor<1>| vector.unsqueeze_dim::<2>(0).repeat_dim(0, feeds);
        Self { consistent: repeat(consistent), specific: repeat(specific), level: Level::Feed }
    }
}

/// z_c and z_s of every impression.
#[derive(Clone, Debug)]
pub struct Retrieval {
    /// z_c `[n, d]`, zero without history.
    pub consistent: Tensor<2>,
    /// z_s `[n, d]`, zero without history.
    pub specific: Tensor<2>,
}

/// Eq. 5-7 with its options.
#[derive(Clone, Debug)]
pub(super) struct Disentangler {
    pub(super) weight: IntentWeight,
    pub(super) intention_scale: f32,
    pub(super) retrieval_scale: f32,
}

impl Disentangler {
    /// From H to z_c and z_s for `target` `[n, d]`. Records p_c as `{name}.intention`, the attentions `[b, c, l]`.
    pub(super) fn retrieve(
        &self,
        sequence: &Sequence,
        prototypes: Prototypes,
        target: &Tensor<2>,
        name: &str,
        trace: &mut Trace,
    ) -> Retrieval {
        let (events, encoded) = (&sequence.rows, sequence.encoded.clone());
        let (difference, level) = (prototypes.consistent - prototypes.specific, prototypes.level);
        if events.fused && !trace.is_on() {
            return self.fused(sequence, difference, level, target);
        }

        // eq. 5: p(z_c|v_i) = sigmoid(h_i * (o_c - o_s)), p(z_s|v_i) = 1 - p(z_c|v_i)    [m, d] or [m, 1]
        let difference = match level {
            Level::Feed => events.repeat(difference),
            Level::Event => difference,
        };
        let exponent = encoded.clone() * difference * self.intention_scale;
        let exponent = match self.weight {
            IntentWeight::Elementwise => exponent,
            IntentWeight::Scalar => exponent.sum_dim(1),
        };
        let intention = activation::sigmoid(exponent);
        if trace.is_on() {
            trace.record(&format!("{name}.intention"), &sequence.per_event(intention.clone()));
        }
        let consistent = encoded.clone() * intention; //                               z_c,i [m, d]
        let specific = encoded - consistent.clone();

        // eq. 6-7: a_c,i = softmax_i(e_vt . z_c,i), z_c = sum_i a_c,i z_c,i
        let mut retrieve = |components: Tensor<2>, part: &str| {
            attend(sequence, components, target, self.retrieval_scale, |attention| {
                trace.record(&format!("{name}.{part}_attention"), attention);
            })
        };
        Retrieval {
            consistent: retrieve(consistent, "consistent"),
            specific: retrieve(specific, "specific"),
        }
    }
}

impl Disentangler {
    fn fused(
        &self,
        sequence: &Sequence,
        difference: Tensor<2>,
        level: Level,
        target: &Tensor<2>,
    ) -> Retrieval {
        let options = RetrievalOptions {
            elementwise: self.weight == IntentWeight::Elementwise,
            intention_scale: self.intention_scale,
            retrieval_scale: self.retrieval_scale,
            per_event: level == Level::Event,
        };
        let both = fused::disentangled_retrieval(
            sequence.encoded.clone(),
            difference,
            target.clone(),
            &sequence.rows.offsets,
            &sequence.candidates.offsets,
            options,
        );
        let [_, d] = target.dims();
        Retrieval { consistent: both.clone().narrow(1, 0, d), specific: both.narrow(1, d, d) }
    }
}

/// `a_i = softmax_i(scale * q . k_i)` over the real events and `sum_i a_i k_i`, of `target` and vectors of the events: `[n, d]` each.
/// `record` sees the weights `[b, c, l]`.
pub(super) fn attend(
    sequence: &Sequence,
    vectors: Tensor<2>,
    target: &Tensor<2>,
    scale: f32,
    record: impl FnOnce(&Tensor<3>),
) -> Tensor<2> {
    let events = sequence.rows.pad(vectors); //                                        [b, l, d]
    let target = sequence.candidates.pad(target.clone()); //                           [b, c, d]
    let scores = target.matmul(events.clone().transpose()) * scale;
    let [b, c, l] = scores.dims();
    let mask = sequence.rows.mask().reshape([b, 1, l]).expand([b, c, l]);
    let attention = ops::masked_softmax(scores, mask);
    record(&sequence.per_candidate(attention.clone()));
    sequence.candidates.pack(attention.matmul(events))
}
