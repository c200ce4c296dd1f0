//! The first layer above the fields F, of the tower and of the experts, with the fields taken apart by what they depend on.
//!
//! z W = sum_i a_i (z_i W): where a field is a weighted sum over the events of a history, the layer is applied to the events, once
//! per request, and a candidate takes the same weights to their results. The context is one more such event, whose weight is 1, and
//! so is the bias.

use super::engine::{Engine, Lanes, Panels, room};
use super::reading::Input;
use super::weight::Weight;
use crate::fused::product::{Left, Write};

/// Rows of the events' results that belong to no event: the context's and the bias.
pub(super) const FIXED: usize = 2;

/// The inputs below the first layers.
#[derive(Debug)]
pub(super) struct Inputs {
    /// Width of every field.
    pub(super) d: usize,
    /// e_c, once per request.
    pub(super) context: Option<Input>,
    /// e_vt `[d]`.
    pub(super) target: Input,
    pub(super) state: Option<Input>,
    pub(super) dynamic: Option<Input>,
    /// Whether e_d is a field of F as well.
    pub(super) dynamic_field: bool,
}

impl Inputs {
    /// Numbers of a candidate's own fields of F: those that come before the trunk's.
    pub(super) fn own_rows(&self) -> usize {
        self.own().map(Input::width).sum()
    }

    /// The candidate's own fields of F, in their order.
    pub(super) fn own(&self) -> impl Iterator<Item = &Input> {
        let dynamic = self.dynamic.as_ref().filter(|_| self.dynamic_field);
        std::iter::once(&self.target).chain(&self.state).chain(dynamic)
    }
}

/// A first layer of some units.
#[derive(Debug)]
pub(super) struct FirstLayer {
    pub(super) units: usize,
    /// `[width, units]`
    context: Option<Weight>,
    /// `[units]`
    bias: Vec<f32>,
    /// Of the candidate's own fields, then of the trunk's `[rows, units]`.
    rows: Weight,
    /// Of each of the trunk's fields `[d, units]`.
    fields: Vec<Panels>,
}

impl FirstLayer {
    /// From the layer's weight `[sum of widths, units]` over fields of F, all of width `d`, in their order.
    pub(super) fn new(weight: &Weight, bias: Vec<f32>, inputs: &Inputs, d: usize) -> Self {
        let mut fields = (0..weight.inputs / d).map(|i| weight.rows(i * d..(i + 1) * d));
        let mut next = || fields.next().expect("the layer has as many inputs as F has fields");
        let context = inputs.context.as_ref().map(|input| input.layer(&next()));
        let mut rows = Weight::empty(weight.outputs);
        for input in inputs.own() {
            rows = rows.above(&input.layer(&next()));
        }
        let trunk: Vec<Weight> = fields.collect();
        rows = trunk.iter().fold(rows, Weight::above);
        let fields = trunk.iter().map(Panels::of).collect();
        Self { units: weight.outputs, context, bias, rows, fields }
    }

    /// The layer applied to what does not depend on the candidate, `to` `[2 + events, units]`: the context `[width]`, the bias, and
    /// the events `parts` `[events, d]`, `lengths` of them for each of the trunk's fields.
    pub(super) fn project(
        &self,
        context: &[f32],
        parts: &[f32],
        lengths: &[usize],
        to: &mut Vec<f32>,
        engine: &mut Engine,
    ) {
        let events: usize = lengths.iter().sum();
        let to = room(to, (FIXED + events) * self.units);
        let (of_context, rest) = to.split_at_mut(self.units);
        match &self.context {
            Some(weight) => engine.vector(of_context, context, weight),
            None => of_context.fill(0.0),
        }
        let (bias, mut rest) = rest.split_at_mut(self.units);
        bias.copy_from_slice(&self.bias);
        let mut parts = parts;
        for (length, field) in lengths.iter().zip(&self.fields) {
            let (to, after) = rest.split_at_mut(length * self.units);
            let (part, more) = parts.split_at(length * field.inputs);
            engine.rows(to, part, field);
            (rest, parts) = (after, more);
        }
    }

    /// The units' sums `to` `[units, lanes]`: of `rows` `[k, lanes]`, the candidate's own fields and, as far as they are given as
    /// vectors, the trunk's; and of the weights `attention` `[2 + events, lanes]` of what [`Self::project`] gave.
    pub(super) fn sums(
        &self,
        rows: &[f32],
        attention: &[f32],
        projected: &[f32],
        lanes: Lanes,
        to: &mut [f32],
        engine: &mut Engine,
    ) {
        let (k, events) = (rows.len() / lanes.all, attention.len() / lanes.all);
        let left = Left::transposed(&self.rows.values, self.units);
        engine.lanes(to, left, rows, [self.units, k], lanes, Write::Replace);
        let left = Left::transposed(projected, self.units);
        engine.lanes(to, left, attention, [self.units, events], lanes, Write::Add);
    }
}
