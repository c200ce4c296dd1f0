//! DIN's trunk without a graph: the attention unit for one event and all candidates in lanes.

use super::encoded::{Domain, Encoded};
use super::engine::{Engine, Lanes, Panels, room};
use super::loops::{AddBias, Curve, Multiply, PairLayer, Squash, Unit, Weigh};
use super::weight::{Parameters, Weight};
use crate::blocks::Normalize;
use crate::fused::column_softmax::ColumnSoftmax;
use crate::fused::product::{Left, Write};

/// One attention unit per domain.
#[derive(Debug)]
pub(super) struct Din {
    sides: Vec<Side>,
    normalize: Normalize,
    target_product: bool,
    d: usize,
}

#[derive(Debug)]
struct Side {
    /// What a candidate adds to the first hidden layer, `W_q + W_d` `[d, h]`.
    of_target: Weight,
    /// `[h]`
    bias: Vec<f32>,
    /// What an event adds, `W_k - W_d` `[d, h]`.
    of_event: Panels,
    /// Weight of their product `[d, h]`.
    product: Weight,
    /// `[h, g]`
    second: Weight,
    /// `[g]`
    second_bias: Vec<f32>,
    /// `[g]`
    score: Vec<f32>,
    score_bias: f32,
    /// `[d, d]`
    output: Weight,
    /// `[d]`
    output_bias: Vec<f32>,
}

impl Din {
    /// The trunk over the domains of these names.
    pub(super) fn new(
        parameters: &Parameters,
        domains: &[&str],
        normalize: Normalize,
        target_product: bool,
        d: usize,
    ) -> Self {
        let side = |name: &&str| {
            let matrix = |part: &str| parameters.matrix(&format!("trunk.{name}.{part}.weight"));
            let bias = |part: &str| parameters.vector(&format!("trunk.{name}.{part}.bias"));
            // [q, k, q - k, q * k] W
            let first = matrix("hidden1");
            let part = |i: usize| first.rows(i * d..(i + 1) * d);
            Side {
                of_target: part(0).plus(1.0, &part(2)),
                bias: bias("hidden1"),
                of_event: Panels::of(&part(1).plus(-1.0, &part(2))),
                product: part(3),
                second: matrix("hidden2"),
                second_bias: bias("hidden2"),
                score: matrix("score").values,
                score_bias: bias("score")[0],
                output: matrix("output"),
                output_bias: bias("output"),
            }
        };
        let sides = domains.iter().map(side).collect();
        Self { sides, normalize, target_product, d }
    }

    /// From E `[l, d]` of each domain to E and what the events add to the first hidden layer `[l, h]`.
    pub(super) fn encode(&self, events: Vec<Vec<f32>>, engine: &mut Engine) -> Encoded {
        let all = events.into_iter().zip(&self.sides);
        let domains = all.map(|(encoded, side)| {
            let events = encoded.len() / self.d;
            let mut summary = vec![0.0; events * side.of_event.outputs];
            engine.rows(&mut summary, &encoded, &side.of_event);
            Domain { events, encoded, summary }
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
        spare: &mut DinRoom,
    ) {
        let size = self.d * lanes.all;
        let mut rest = to;
        for (domain, side) in encoded.domains.iter().zip(&self.sides) {
            let (interest, after) = rest.split_at_mut(size);
            side.interest(domain, self.normalize, target, lanes, interest, engine, spare);
            rest = after;
            if self.target_product {
                let (product, after) = rest.split_at_mut(size);
                let lanes = lanes.all;
                engine.run(Multiply { from: interest, by: target, to: product, lanes });
                rest = after;
            }
        }
    }
}

impl Side {
    /// `u = (sum_i a_i k_i) W + b` `[d, lanes]`, zero without events.
    #[expect(clippy::too_many_arguments, reason = "what goes in, what comes out, and room")]
    fn interest(
        &self,
        domain: &Domain,
        normalize: Normalize,
        target: &[f32],
        lanes: Lanes,
        to: &mut [f32],
        engine: &mut Engine,
        spare: &mut DinRoom,
    ) {
        let (d, h) = (self.product.inputs, self.product.outputs);
        let l = domain.events;
        if l == 0 {
            return to.fill(0.0);
        }
        let of_target = room(&mut spare.of_target, h * lanes.all);
        engine.map(of_target, &self.of_target, target, lanes);
        engine.run(AddBias { values: of_target, bias: &self.bias, lanes: lanes.all });
        let weights = room(&mut spare.weights, l * lanes.all);
        let events = domain.encoded.chunks_exact(d).zip(domain.summary.chunks_exact(h));
        for ((event, of_event), weights) in events.zip(weights.chunks_exact_mut(lanes.all)) {
            // first = sigmoid(of_target + of_event + (target * event) W)  [h, lanes]
            let product = room(&mut spare.product, d * lanes.all);
            engine.run(Weigh { from: target, by: event, to: product, lanes: lanes.all });
            let first = room(&mut spare.first, h * lanes.all);
            engine.map(first, &self.product, product, lanes);
            engine.run(PairLayer { values: first, of_target, of_event, lanes: lanes.all });
            // score . sigmoid(first W2 + b2) + b  [lanes]
            let second = room(&mut spare.second, self.second.outputs * lanes.all);
            engine.map(second, &self.second, first, lanes);
            engine.run(Unit {
                hidden: second,
                bias: &self.second_bias,
                curve: Curve::Sigmoid,
                weight: &self.score,
                offset: self.score_bias,
                to: weights,
            });
        }
        let scale = (d as f32).sqrt().recip();
        match normalize {
            Normalize::Softmax => {
                engine.run(ColumnSoftmax { weights, padded: lanes.all, scale });
            }
            Normalize::None => {}
            Normalize::Sigmoid => engine.run(Squash { values: weights, scale, lanes: lanes.all }),
        }
        // sum_i a_i k_i  [d, lanes]
        let pooled = room(&mut spare.product, d * lanes.all);
        let events = Left::transposed(&domain.encoded, d);
        engine.lanes(pooled, events, weights, [d, l], lanes, Write::Replace);
        engine.map(to, &self.output, pooled, lanes);
        engine.run(AddBias { values: to, bias: &self.output_bias, lanes: lanes.all });
    }
}

/// Room for one domain of a chunk.
#[derive(Debug, Default)]
pub(super) struct DinRoom {
    of_target: Vec<f32>,
    product: Vec<f32>,
    first: Vec<f32>,
    second: Vec<f32>,
    weights: Vec<f32>,
}
