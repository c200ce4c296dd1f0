//! ETA's trunk without a graph: keys and values once per request, the targets' heads in lanes.

use super::encoded::{Domain, Encoded};
use super::engine::{Engine, Lanes, Panels, room};
use super::weight::{Parameters, Weight};
use crate::fused::column_softmax::ColumnSoftmax;
use crate::fused::product::{Left, Write};

/// One target attention per domain.
#[derive(Debug)]
pub(super) struct Eta {
    sides: Vec<Side>,
    heads: usize,
    d: usize,
}

#[derive(Debug)]
struct Side {
    /// `[d, d]`
    query: Weight,
    /// Keys and values side by side `[d, 2 d]`.
    key_value: Panels,
    /// `[d, d]`
    output: Weight,
}

impl Eta {
    /// The trunk over the domains of these names.
    pub(super) fn new(parameters: &Parameters, domains: &[&str], heads: usize, d: usize) -> Self {
        let side = |name: &&str| {
            let matrix = |part: &str| parameters.matrix(&format!("trunk.{name}.{part}"));
            let key_value = Weight::beside(&["key", "value"].map(matrix));
            Side {
                query: matrix("query"),
                key_value: Panels::of(&key_value),
                output: matrix("output"),
            }
        };
        Self { sides: domains.iter().map(side).collect(), heads, d }
    }

    /// From E `[l, d]` of each domain to keys and values `[l, 2 d]`.
    pub(super) fn encode(&self, events: &[Vec<f32>], engine: &mut Engine) -> Encoded {
        let all = events.iter().zip(&self.sides);
        let domains = all.map(|(x, side)| {
            let events = x.len() / self.d;
            let mut encoded = vec![0.0; events * 2 * self.d];
            engine.rows(&mut encoded, x, &side.key_value);
            Domain { events, encoded, summary: Vec::new() }
        });
        Encoded { domains: domains.collect(), intents: Vec::new() }
    }

    /// The trunk's fields `to` `[fields * d, lanes]` for candidates `target` `[d, lanes]`.
    pub(super) fn vectors(
        &self,
        encoded: &Encoded,
        target: &[f32],
        lanes: Lanes,
        to: &mut [f32],
        engine: &mut Engine,
        spare: &mut EtaRoom,
    ) {
        let (d, head) = (self.d, self.d / self.heads);
        let sides = encoded.domains.iter().zip(&self.sides);
        for ((domain, side), field) in sides.zip(to.chunks_exact_mut(d * lanes.all)) {
            let events = domain.events;
            if events == 0 {
                field.fill(0.0);
                continue;
            }
            let query = room(&mut spare.query, d * lanes.all);
            engine.map(query, &side.query, target, lanes);
            let mixed = room(&mut spare.mixed, d * lanes.all);
            let weights = room(&mut spare.weights, events * lanes.all);
            for h in 0..self.heads {
                let of_head = h * head * lanes.all..(h + 1) * head * lanes.all;
                // S = K Q^T, W = softmax over the events  [l, lanes]
                let keys = Left::rows(&domain.encoded[h * head..], 2 * d);
                let query = &query[of_head.clone()];
                engine.lanes(weights, keys, query, [events, head], lanes, Write::Replace);
                let scale = (head as f32).sqrt().recip();
                engine.run(ColumnSoftmax { weights, padded: lanes.all, scale });
                // V^T W  [d / h, lanes]
                let values = Left::transposed(&domain.encoded[d + h * head..], 2 * d);
                let mixed = &mut mixed[of_head];
                engine.lanes(mixed, values, weights, [head, events], lanes, Write::Replace);
            }
            engine.map(field, &side.output, mixed, lanes);
        }
    }
}

/// Room for one domain of a chunk.
#[derive(Debug, Default)]
pub(super) struct EtaRoom {
    query: Vec<f32>,
    mixed: Vec<f32>,
    weights: Vec<f32>,
}
