//! What happens inside a channel (Eq. 12-13) for candidates in lanes: gates by e_d, experts, and each task's mixture of them.

use super::engine::{Engine, Lanes, room};
use super::first_layer::{FIXED, FirstLayer, Inputs};
use super::loops::{Curve, Mix, Rectify, Scale, Squash, Unit};
use super::weight::{Parameters, Weight};
use crate::fused::column_softmax::ColumnSoftmax;
use crate::fused::product::{Left, Write};
use crate::heads::HeadsConfig;

/// The heads of all tasks.
#[derive(Debug)]
pub(super) struct Heads {
    gate: Option<Gate>,
    /// The experts' units, then each task's shares of them.
    pub(super) first: FirstLayer,
    /// e_d beside the gated fields `[width, units]`.
    dynamic: Option<Weight>,
    experts: usize,
    expert_width: usize,
    tasks: Vec<Task>,
}

/// A two-layer network per field, from e_d to one weight in (0, 1).
#[derive(Debug)]
struct Gate {
    /// `[width, fields * hidden]`
    hidden: Weight,
    bias: Vec<f32>,
    /// By field: weights `[hidden]` and offset of its unit.
    units: Vec<(Vec<f32>, f32)>,
}

/// A task's tower.
#[derive(Debug)]
struct Task {
    hidden: Weight,
    bias: Vec<f32>,
    output: Vec<f32>,
    offset: f32,
}

/// What of F a chunk of candidates has.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fields<'a> {
    /// The candidate's own fields, then those of the trunk that are vectors `[k, lanes]`.
    pub(super) rows: &'a [f32],
    /// 1, 1, and the weights of the events of the trunk's other fields `[2 + events, lanes]`.
    pub(super) attention: &'a [f32],
    /// Events of each of those fields.
    pub(super) lengths: &'a [usize],
    /// What stands for e_d `[width, lanes]`.
    pub(super) dynamic: &'a [f32],
    /// The first layer of the events, as [`FirstLayer::project`] gave it.
    pub(super) projected: &'a [f32],
}

impl Heads {
    /// Of `fields` fields of F, all of width `d`, for `tasks` tasks.
    pub(super) fn new(
        config: &HeadsConfig,
        parameters: &Parameters,
        inputs: &Inputs,
        [fields, tasks]: [usize; 2],
        d: usize,
    ) -> Self {
        let of_task = |k: usize, part: &str| format!("heads.mixture.tasks.{k}.{part}");
        let mut parts = vec![parameters.matrix("heads.mixture.experts.weight")];
        parts.extend((0..tasks).map(|k| parameters.matrix(&of_task(k, "gate"))));
        let weight = Weight::beside(&parts);
        // The shares have no bias.
        let mut bias = parameters.vector("heads.mixture.experts.bias");
        bias.resize(weight.outputs, 0.0);
        let dynamic = inputs.dynamic.as_ref();
        let gate = dynamic.map(|dynamic| Gate {
            hidden: dynamic.layer(&parameters.matrix("heads.gate.hidden.weight")),
            bias: parameters.vector("heads.gate.hidden.bias"),
            units: (0..fields)
                .map(|i| {
                    let weight = parameters.vector(&format!("heads.gate.weights.{i}.weight"));
                    (weight, parameters.vector(&format!("heads.gate.weights.{i}.bias"))[0])
                })
                .collect(),
        });
        let task = |k: usize| Task {
            hidden: parameters.matrix(&of_task(k, "hidden.weight")),
            bias: parameters.vector(&of_task(k, "hidden.bias")),
            output: parameters.vector(&of_task(k, "output.weight")),
            offset: parameters.vector(&of_task(k, "output.bias"))[0],
        };
        Self {
            gate,
            first: FirstLayer::new(&weight.rows(0..fields * d), bias, inputs, d),
            dynamic: dynamic.map(|input| input.layer(&weight.rows(fields * d..weight.inputs))),
            experts: config.experts,
            expert_width: config.expert_width,
            tasks: (0..tasks).map(task).collect(),
        }
    }

    /// The outputs of the candidates, added to those of every task.
    pub(super) fn outputs(
        &self,
        inputs: &Inputs,
        fields: Fields<'_>,
        lanes: Lanes,
        outputs: &mut [Vec<f32>],
        engine: &mut Engine,
        spare: &mut HeadsRoom,
    ) {
        let HeadsRoom { hidden, gates, rows, attention, sums, mixed, unit } = spare;
        let fields = match &self.gate {
            None => fields,
            Some(gate) => {
                gate.weights(fields.dynamic, lanes, gates, hidden, engine);
                let gates = gates.chunks_exact(lanes.all);
                gated(inputs, fields, gates, lanes, [rows, attention], engine)
            }
        };
        let sums = room(sums, self.first.units * lanes.all);
        self.first.sums(fields.rows, fields.attention, fields.projected, lanes, sums, engine);
        if let Some(weight) = &self.dynamic {
            let left = Left::transposed(&weight.values, weight.outputs);
            let shape = [weight.outputs, weight.inputs];
            engine.lanes(sums, left, fields.dynamic, shape, lanes, Write::Add);
        }
        let units = self.experts * self.expert_width;
        let (experts, shares) = sums.split_at_mut(units * lanes.all);
        engine.run(Rectify { values: experts, lanes: lanes.all });
        let shares = shares.chunks_exact_mut(self.experts * lanes.all);
        for ((task, shares), outputs) in self.tasks.iter().zip(shares).zip(outputs) {
            engine.run(ColumnSoftmax { weights: shares, padded: lanes.all, scale: 1.0 });
            let mixed = room(mixed, self.expert_width * lanes.all);
            engine.run(Mix { experts, shares, to: mixed, lanes: lanes.all });
            let hidden = room(hidden, task.hidden.outputs * lanes.all);
            engine.map(hidden, &task.hidden, mixed, lanes);
            let Task { bias, output, offset, .. } = task;
            let (curve, to) = (Curve::Rectifier, room(unit, lanes.all));
            engine.run(Unit { hidden, bias, curve, weight: output, offset: *offset, to });
            outputs.extend_from_slice(&unit[..lanes.used]);
        }
    }
}

impl Gate {
    /// The weights of all fields `to` `[fields, lanes]`.
    fn weights(
        &self,
        dynamic: &[f32],
        lanes: Lanes,
        to: &mut Vec<f32>,
        hidden: &mut Vec<f32>,
        engine: &mut Engine,
    ) {
        let hidden = room(hidden, self.hidden.outputs * lanes.all);
        engine.map(hidden, &self.hidden, dynamic, lanes);
        let to = room(to, self.units.len() * lanes.all);
        let each = hidden.len() / self.units.len();
        let parts = hidden.chunks_exact(each).zip(self.bias.chunks_exact(each / lanes.all));
        for ((to, (hidden, bias)), (weight, offset)) in
            to.chunks_exact_mut(lanes.all).zip(parts).zip(&self.units)
        {
            let curve = Curve::Rectifier;
            engine.run(Unit { hidden, bias, curve, weight, offset: *offset, to });
        }
        engine.run(Squash { values: to, scale: 1.0, lanes: lanes.all });
    }
}

/// The fields of F, each scaled by its weight of `gates`: vectors by row, weighted sums over events by their weights.
fn gated<'a, 'g>(
    inputs: &Inputs,
    fields: Fields<'a>,
    mut gates: impl Iterator<Item = &'g [f32]>,
    lanes: Lanes,
    [rows, attention]: [&'a mut Vec<f32>; 2],
    engine: &Engine,
) -> Fields<'a> {
    let mut next = || gates.next().expect("there is a gate for every field");
    let attention = room(attention, fields.attention.len());
    attention[..FIXED * lanes.all].copy_from_slice(&fields.attention[..FIXED * lanes.all]);
    if inputs.context.is_some() {
        attention[..lanes.all].copy_from_slice(next());
    }
    let rows = room(rows, fields.rows.len());
    let (mut from, mut to) = (fields.rows, &mut *rows);
    for input in inputs.own() {
        let (part, after) = from.split_at(input.width() * lanes.all);
        let (scaled, rest) = to.split_at_mut(part.len());
        engine.run(Scale { from: part, by: next(), to: scaled });
        (from, to) = (after, rest);
    }
    // The trunk's fields are either all vectors or all sums over events.
    let vector = inputs.d * lanes.all;
    for (from, to) in from.chunks_exact(vector).zip(to.chunks_exact_mut(vector)) {
        engine.run(Scale { from, by: next(), to });
    }
    let mut from = &fields.attention[FIXED * lanes.all..];
    let mut to = &mut attention[FIXED * lanes.all..];
    for length in fields.lengths {
        let (part, after) = from.split_at(length * lanes.all);
        let (scaled, rest) = to.split_at_mut(part.len());
        engine.run(Scale { from: part, by: next(), to: scaled });
        (from, to) = (after, rest);
    }
    Fields { rows, attention, ..fields }
}

/// Room for the heads of a chunk.
#[derive(Debug, Default)]
pub(super) struct HeadsRoom {
    hidden: Vec<f32>,
    gates: Vec<f32>,
    rows: Vec<f32>,
    attention: Vec<f32>,
    sums: Vec<f32>,
    mixed: Vec<f32>,
    unit: Vec<f32>,
}
