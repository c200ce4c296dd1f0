//! The disentangled encoder (Eq. 5-7): each event's share of the consistent and of the specific intent, and the target's
//! retrieval from either.

use burn::tensor::Tensor;

use super::config::IntentWeight;
use super::side::Sequence;
use crate::ops::{self, RetrievalOptions, Retrieved, Seen};
use crate::trace::Trace;

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
        let (consistent, specific) = ops::mean_and_max(sequence.embedded.clone(), &sequence.rows);
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

/// Eq. 5-7 with its options.
#[derive(Clone, Debug)]
pub(super) struct Disentangler {
    pub(super) weight: IntentWeight,
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
    ) -> Retrieved {
        let options = RetrievalOptions {
            elementwise: self.weight == IntentWeight::Elementwise,
            per_event: prototypes.level == Level::Event,
        };
        let retrieved = ops::disentangled_retrieval(
            sequence.encoded.clone(),
            prototypes.consistent - prototypes.specific,
            target,
            [&sequence.rows, &sequence.candidates],
            options,
            trace.is_on(),
        );
        if let Some(Seen { intention, attention: [consistent, specific] }) = &retrieved.seen {
            trace.record(&format!("{name}.intention"), &sequence.per_event(intention.clone()));
            for (part, attention) in [("consistent", consistent), ("specific", specific)] {
                let attention = sequence.per_candidate(attention.clone());
                let place = format!("{name}.{part}_attention");
                trace.record_over(&place, &attention, &sequence.history);
            }
        }
        retrieved
    }
}
