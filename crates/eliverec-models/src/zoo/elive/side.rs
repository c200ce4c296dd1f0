//! One domain's side: the basic sequence encoder (Eq. 3-4), or what takes its place in Fig. 5, a vector per event and not one
//! per history, and the learned prototypes of wo.P.

use burn::module::{Module, Param};
use burn::tensor::Tensor;

use super::config::{EliveConfig, EncoderKind, Position, PrototypeSource};
use crate::blocks::{
    AttentionUnit, Gating, Gru, Normalize, RECENCY_BUCKETS, TransformerBlock, TransformerConfig,
    age_vectors,
};
use crate::builder::Builder;
use crate::inputs::{History, Inputs};
use crate::ops;
use crate::rows::Rows;
use crate::trace::Trace;

/// Start of the bias of the recurrence's update gate, as that of DIEN over events: states are kept rather than replaced.
const UPDATE: f32 = -1.0;

/// From E to H, by one of the four of [`EncoderKind`]; the two domains never share weights.
#[derive(Module, Debug)]
pub(super) struct Side {
    recency: Option<Param<Tensor<2>>>,
    blocks: Vec<TransformerBlock>,
    unit: Option<AttentionUnit>,
    gating: Option<Gating>,
    gru: Option<Gru>,
    pub(super) consistent: Option<Param<Tensor<1>>>,
    pub(super) specific: Option<Param<Tensor<1>>>,
}

/// The events of a domain, encoded. With DIN there is a copy of a feed's events for each of its impressions.
pub(super) struct Sequence {
    /// E with recency `[m, d]`.
    pub(super) embedded: Tensor<2>,
    /// H `[m, d]`.
    pub(super) encoded: Tensor<2>,
    /// From feed, or impression, to events.
    pub(super) rows: Rows,
    /// From feed to impressions, or from each impression to itself.
    pub(super) candidates: Rows,
    /// From feed to impressions, where there is a copy for each.
    copies: Option<Rows>,
    /// From feed to events.
    pub(super) history: Rows,
}

impl Side {
    pub(super) fn new(config: &EliveConfig, width: usize, builder: &Builder) -> Self {
        let block = TransformerConfig {
            width,
            heads: config.heads,
            ffn_ratio: config.ffn_ratio,
            scale: config.attention_scale,
        };
        let blocks = match config.encoder {
            EncoderKind::Transformer => config.blocks,
            EncoderKind::Din | EncoderKind::Hgn | EncoderKind::Gru => 0,
        };
        let learned = config.disentangle && config.prototypes == PrototypeSource::Learned;
        Self {
            recency: (config.position == Position::Recency)
                .then(|| builder.vectors(RECENCY_BUCKETS, width)),
            blocks: (0..blocks).map(|_| block.init(builder)).collect(),
            unit: (config.encoder == EncoderKind::Din)
                .then(|| AttentionUnit::new(width, Normalize::Softmax, false, builder)),
            gating: (config.encoder == EncoderKind::Hgn).then(|| Gating::new(width, builder)),
            gru: (config.encoder == EncoderKind::Gru).then(|| Gru::new(width, UPDATE, builder)),
            consistent: learned.then(|| builder.vector(width)),
            specific: learned.then(|| builder.vector(width)),
        }
    }

    /// Records E with recency as `{name}.embedded` and H as `{name}.encoded`, with what each encoder has on the way.
    pub(super) fn encode(
        &self,
        inputs: &Inputs,
        history: &History,
        name: &str,
        trace: &mut Trace,
    ) -> Sequence {
        let mut history = history.clone();
        if let Some(recency) = &self.recency {
            history.items = history.items.clone() + age_vectors(recency.val(), &history);
        }
        let sequence = if let Some(unit) = &self.unit {
            Sequence::of_impressions(unit, inputs, &history, name, trace)
        } else {
            let embedded = history.items.clone();
            if history.rows.total() > 0 {
                for (i, block) in self.blocks.iter().enumerate() {
                    let place = format!("{name}.block{i}");
                    history.items = block.traced(history.items, &history.rows, &place, trace);
                }
                if let Some(gating) = &self.gating {
                    // A user id alone would say nothing of new users.
                    let user = inputs.context_or_zero();
                    history.items = gating.forward(user, &history, name, trace).items;
                }
                if let Some(gru) = &self.gru {
                    history.items = gru.states(history.items, &history.rows);
                }
            }
            Sequence {
                embedded,
                encoded: history.items,
                rows: history.rows.clone(),
                candidates: inputs.candidates.clone(),
                copies: None,
                history: history.rows,
            }
        };
        trace.record(&format!("{name}.embedded"), &sequence.embedded);
        trace.record(&format!("{name}.encoded"), &sequence.encoded);
        sequence
    }
}

impl Sequence {
    fn of_impressions(
        unit: &AttentionUnit,
        inputs: &Inputs,
        history: &History,
        name: &str,
        trace: &mut Trace,
    ) -> Self {
        let events = unit.weighted(inputs, history, name, trace);
        Self {
            embedded: events.items,
            encoded: events.weighted,
            rows: events.rows,
            candidates: inputs.candidates.each(),
            copies: Some(inputs.candidates.clone()),
            history: history.rows.clone(),
        }
    }

    /// `[m, w]` of the events as they stand in the history: the mean over copies.
    pub(super) fn per_event(&self, values: Tensor<2>) -> Tensor<2> {
        let Some(copies) = self.copies.as_ref().filter(|_| self.history.total() > 0) else {
            return values;
        };
        let padded = self.rows.pad(values);
        let [n, l, w] = padded.dims();
        let of_impressions = padded.reshape([n, l * w]);
        let of_feeds = ops::masked_mean(of_impressions, copies);
        self.history.pack(of_feeds.reshape([self.history.feeds(), l, w]))
    }

    /// `[b, c, l]` with one row per candidate of a feed, from attention as the sequence has it.
    pub(super) fn per_candidate(&self, attention: Tensor<3>) -> Tensor<3> {
        match &self.copies {
            Some(copies) => copies.pad(self.candidates.pack(attention)),
            None => attention,
        }
    }
}
