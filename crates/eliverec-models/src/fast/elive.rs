//! eLiveRec's trunk without a graph: both encoders and what Eq. 5 and 6 make of the events once per request, Eq. 7 for candidates in
//! lanes.

use super::encoded::{Domain, Encoded};
use super::encoder::{Block, BlockRoom};
use super::engine::{Engine, Lanes, room};
use super::loops::Multiply;
use super::unsupported::Unsupported;
use super::weight::Parameters;
use crate::fused::RetrievalOptions;
use crate::fused::column_softmax::ColumnSoftmax;
use crate::fused::intention::Split;
use crate::fused::product::{Left, Write};
use crate::intents::pooled;
use crate::zoo::elive::{EliveConfig, EncoderKind, IntentWeight, PrototypeSource};

/// The trunk.
#[derive(Debug)]
pub(super) struct Elive {
    /// By domain.
    sides: Vec<Side>,
    d: usize,
    /// `None` without disentangling.
    split: Option<RetrievalOptions>,
    pub(super) target_product: bool,
}

#[derive(Debug)]
struct Side {
    blocks: Vec<Block>,
    /// o_c - o_s of learned prototypes `[d]`.
    learned: Option<Vec<f32>>,
}

impl Elive {
    /// The trunk over the domains of these names, or why it has to be computed with a graph's operations.
    pub(super) fn new(
        config: &EliveConfig,
        parameters: &Parameters,
        domains: &[&str],
        d: usize,
    ) -> Result<Self, Unsupported> {
        let refuse = |key, value: &str| Err(Unsupported { key, value: value.into() });
        match config.encoder {
            EncoderKind::Transformer => {}
            EncoderKind::Din => return refuse("model.encoder", "din"),
            EncoderKind::Hgn => return refuse("model.encoder", "hgn"),
            EncoderKind::Gru => return refuse("model.encoder", "gru"),
        }
        if config.disentangle && config.prototypes == PrototypeSource::Matched {
            return refuse("model.prototypes", "matched");
        }
        let side = |name: &&str| {
            let block = |i: usize| {
                let place = format!("trunk.{name}.blocks.{i}");
                Block::new(parameters, &place, config.heads, config.attention_scale)
            };
            let learned = config.disentangle && config.prototypes == PrototypeSource::Learned;
            let learned = learned.then(|| {
                let consistent = parameters.vector(&format!("trunk.{name}.consistent"));
                let specific = parameters.vector(&format!("trunk.{name}.specific"));
                consistent.iter().zip(specific).map(|(c, s)| c - s).collect()
            });
            Side { blocks: (0..config.blocks).map(block).collect(), learned }
        };
        let split = config.disentangle.then(|| RetrievalOptions {
            elementwise: config.intention_weight == IntentWeight::Elementwise,
            per_event: false,
        });
        Ok(Self {
            sides: domains.iter().map(side).collect(),
            d,
            split,
            target_product: config.target_product,
        })
    }

    /// From E `[l, d]` of each domain to H and o_c - o_s `[d]`.
    pub(super) fn encode(
        &self,
        events: Vec<Vec<f32>>,
        engine: &mut Engine,
        spare: &mut BlockRoom,
    ) -> Encoded {
        let domains = events.into_iter().zip(&self.sides).map(|(mut encoded, side)| {
            let summary = self.difference(&encoded, side);
            if !encoded.is_empty() {
                side.blocks.iter().for_each(|block| block.forward(&mut encoded, engine, spare));
            }
            Domain { events: encoded.len() / self.d, encoded, summary }
        });
        Encoded { domains: domains.collect(), intents: Vec::new() }
    }

    /// o_c - o_s `[d]` of a domain with these events E `[l, d]`; empty without disentangling.
    fn difference(&self, events: &[f32], side: &Side) -> Vec<f32> {
        if self.split.is_none() {
            return Vec::new();
        }
        if let Some(learned) = &side.learned {
            return learned.clone();
        }
        let pairs = mean(events, self.d).into_iter().zip(maximum(events, self.d));
        pairs.map(|(mean, maximum)| mean - maximum).collect()
    }

    /// The user's intents, of the events' own vectors `[l, d]` of each domain and of what [`Self::encode`] made of the events.
    pub(super) fn intents(
        &self,
        bare: &[Vec<f32>],
        encoded: &Encoded,
        engine: &Engine,
        spare: &mut EliveRoom,
    ) -> Vec<Vec<f32>> {
        let Some(options) = self.split else { return Vec::new() };
        let mut intents = Vec::new();
        for (bare, domain) in bare.iter().zip(&encoded.domains) {
            let share = room(&mut spare.share, bare.len());
            if !bare.is_empty() {
                let parts = room(&mut spare.parts, 2 * bare.len()).split_at_mut(bare.len());
                engine.run(Split {
                    h: &domain.encoded,
                    difference: &domain.summary,
                    width: self.d,
                    options,
                    share,
                    parts: parts.into(),
                });
            }
            intents.extend(pooled(bare, share, self.d).into_iter().flatten());
        }
        intents
    }

    /// Whether there are any.
    pub(super) const fn has_intents(&self) -> bool {
        self.split.is_some()
    }

    /// The events of each of the trunk's fields one after the other `[events, d]`, and how many each has: with disentangling
    /// z_c and z_s of every domain, else H.
    pub(super) fn parts(&self, encoded: &Encoded, engine: &Engine, spare: &mut EliveRoom) {
        let d = self.d;
        let each = if self.split.is_some() { 2 } else { 1 };
        spare.lengths.clear();
        for domain in &encoded.domains {
            spare.lengths.extend(std::iter::repeat_n(domain.events, each));
        }
        let total: usize = spare.lengths.iter().sum();
        let mut rest = room(&mut spare.parts, total * d);
        for domain in &encoded.domains {
            let size = domain.events * d;
            let (first, after) = rest.split_at_mut(size);
            rest = after;
            let Some(options) = self.split else {
                first.copy_from_slice(&domain.encoded);
                continue;
            };
            let (second, after) = rest.split_at_mut(size);
            rest = after;
            if size > 0 {
                engine.run(Split {
                    h: &domain.encoded,
                    difference: &domain.summary,
                    width: d,
                    options,
                    share: room(&mut spare.share, size),
                    parts: [first, second],
                });
            }
        }
    }

    /// The weights of eq. 7, `to` `[events, lanes]`, of the events of [`Self::parts`] for each candidate of `target` `[d, lanes]`.
    pub(super) fn attend(
        &self,
        target: &[f32],
        lanes: Lanes,
        to: &mut [f32],
        engine: &mut Engine,
        spare: &EliveRoom,
    ) {
        let (d, mut rest) = (self.d, to);
        let events = rest.len() / lanes.all;
        engine.lanes(rest, Left::rows(&spare.parts, d), target, [events, d], lanes, Write::Replace);
        for length in &spare.lengths {
            let (weights, after) = rest.split_at_mut(length * lanes.all);
            engine.run(ColumnSoftmax { weights, padded: lanes.all, scale: 1.0 });
            rest = after;
        }
    }

    /// The trunk's fields as vectors, `to` `[fields * d, lanes]`, each followed by its product with the target if asked for.
    pub(super) fn vectors(
        &self,
        target: &[f32],
        attention: &[f32],
        lanes: Lanes,
        to: &mut [f32],
        engine: &mut Engine,
        spare: &EliveRoom,
    ) {
        let (d, mut rest, mut attention) = (self.d, to, attention);
        let mut parts = &spare.parts[..];
        for length in &spare.lengths {
            let (z, after) = rest.split_at_mut(d * lanes.all);
            rest = after;
            let (weights, more) = attention.split_at(length * lanes.all);
            let (part, others) = parts.split_at(length * d);
            // z = sum_i a_i z_i  [d, lanes]
            engine.lanes(
                z,
                Left::transposed(part, d),
                weights,
                [d, *length],
                lanes,
                Write::Replace,
            );
            if self.target_product {
                let (product, after) = rest.split_at_mut(d * lanes.all);
                engine.run(Multiply { from: z, by: target, to: product, lanes: lanes.all });
                rest = after;
            }
            (attention, parts) = (more, others);
        }
    }
}

/// The mean of rows `[l, d]`, zero for none.
fn mean(rows: &[f32], d: usize) -> Vec<f32> {
    let share = 1.0 / (rows.len() / d).max(1) as f32;
    let mut mean = vec![0.0; d];
    for row in rows.chunks_exact(d) {
        mean.iter_mut().zip(row).for_each(|(mean, x)| *mean += share * x);
    }
    mean
}

/// The greatest of rows `[l, d]`, column by column, zero for none.
fn maximum(rows: &[f32], d: usize) -> Vec<f32> {
    let mut rows = rows.chunks_exact(d);
    let mut greatest = rows.next().map_or_else(|| vec![0.0; d], <[f32]>::to_vec);
    for row in rows {
        let pairs = greatest.iter_mut().zip(row);
        // NaN, once there, stays.
        pairs.for_each(|(greatest, x)| {
            if *x > *greatest || x.is_nan() {
                *greatest = *x;
            }
        });
    }
    greatest
}

/// Room for a request's parts.
#[derive(Debug, Default)]
pub(super) struct EliveRoom {
    /// `[events, d]`
    pub(super) parts: Vec<f32>,
    /// Events of each of the trunk's fields.
    pub(super) lengths: Vec<usize>,
    share: Vec<f32>,
}

impl EliveRoom {
    /// No parts.
    pub(super) fn clear(&mut self) {
        self.lengths.clear();
    }
}
