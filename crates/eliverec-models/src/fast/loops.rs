//! Loops over rows of lanes, one lane per candidate: a row is a unit, an event or a field.
#![expect(clippy::inline_always, reason = "only inlined code is compiled for the SIMD it is given")]

use pulp::Simd;

use crate::fused::exponential::sigmoid;
use crate::fused::rows::{RowLoop, row, row_mut};

/// `values_i = v + bias_i` where that is not negative, else `slope_i` times it.
pub(super) struct Prelu<'a> {
    /// `[m, lanes]`
    pub(super) values: &'a mut [f32],
    /// `[m]`; none adds nothing.
    pub(super) bias: Option<&'a [f32]>,
    /// `[m]`
    pub(super) slopes: &'a [f32],
    pub(super) lanes: usize,
}

impl RowLoop for Prelu<'_> {
    fn width(&self) -> usize {
        self.lanes
    }

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let zero = simd.splat_f32s(0.0);
        for (i, slope) in self.slopes.iter().enumerate() {
            let bias = simd.splat_f32s(self.bias.map_or(0.0, |bias| bias[i]));
            let slope = simd.splat_f32s(*slope);
            for value in row_mut::<S>(self.values, i, self.lanes) {
                let sum = simd.add_f32s(*value, bias);
                let negative = simd.less_than_f32s(sum, zero);
                *value = simd.select_f32s(negative, simd.mul_f32s(sum, slope), sum);
            }
        }
    }
}

/// `values = max(values, 0)`; NaN stays NaN.
pub(super) struct Rectify<'a> {
    /// `[m, lanes]`
    pub(super) values: &'a mut [f32],
    pub(super) lanes: usize,
}

impl RowLoop for Rectify<'_> {
    fn width(&self) -> usize {
        self.lanes
    }

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let zero = simd.splat_f32s(0.0);
        for i in 0..self.values.len() / self.lanes {
            for value in row_mut::<S>(self.values, i, self.lanes) {
                *value = simd.select_f32s(simd.less_than_f32s(*value, zero), zero, *value);
            }
        }
    }
}

/// What a unit's sum becomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Curve {
    /// `max(x, 0)`
    Rectifier,
    /// `1 / (1 + e^-x)`
    Sigmoid,
}

impl Curve {
    #[inline(always)]
    fn of<S: Simd>(self, simd: S, x: S::f32s) -> S::f32s {
        let zero = simd.splat_f32s(0.0);
        match self {
            Self::Rectifier => simd.select_f32s(simd.less_than_f32s(x, zero), zero, x),
            Self::Sigmoid => sigmoid(simd, x),
        }
    }
}

/// `to = offset + sum_i weight_i curve(hidden_i + bias_i)`: a hidden layer and the one unit above it.
pub(super) struct Unit<'a> {
    /// `[m, lanes]`
    pub(super) hidden: &'a [f32],
    /// `[m]`
    pub(super) bias: &'a [f32],
    pub(super) curve: Curve,
    /// `[m]`
    pub(super) weight: &'a [f32],
    pub(super) offset: f32,
    /// `[lanes]`
    pub(super) to: &'a mut [f32],
}

impl RowLoop for Unit<'_> {
    fn width(&self) -> usize {
        self.to.len()
    }

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let lanes = self.to.len();
        let to = row_mut::<S>(self.to, 0, lanes);
        to.fill(simd.splat_f32s(self.offset));
        for (i, (bias, weight)) in self.bias.iter().zip(self.weight).enumerate() {
            let (bias, weight) = (simd.splat_f32s(*bias), simd.splat_f32s(*weight));
            for (to, hidden) in to.iter_mut().zip(row::<S>(self.hidden, i, lanes)) {
                let value = self.curve.of(simd, simd.add_f32s(*hidden, bias));
                *to = simd.mul_add_e_f32s(value, weight, *to);
            }
        }
    }
}

/// `values = sigmoid(values * scale)`.
pub(super) struct Squash<'a> {
    /// `[m, lanes]`
    pub(super) values: &'a mut [f32],
    pub(super) scale: f32,
    pub(super) lanes: usize,
}

impl RowLoop for Squash<'_> {
    fn width(&self) -> usize {
        self.lanes
    }

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let scale = simd.splat_f32s(self.scale);
        for i in 0..self.values.len() / self.lanes {
            for value in row_mut::<S>(self.values, i, self.lanes) {
                *value = sigmoid(simd, simd.mul_f32s(*value, scale));
            }
        }
    }
}

/// `to_i = from_i * by` for every row, by a row of lanes.
pub(super) struct Scale<'a> {
    /// `[m, lanes]`
    pub(super) from: &'a [f32],
    /// `[lanes]`
    pub(super) by: &'a [f32],
    /// `[m, lanes]`
    pub(super) to: &'a mut [f32],
}

impl RowLoop for Scale<'_> {
    fn width(&self) -> usize {
        self.by.len()
    }

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let lanes = self.by.len();
        let by = row::<S>(self.by, 0, lanes);
        for i in 0..self.from.len() / lanes {
            let to = row_mut::<S>(self.to, i, lanes);
            for ((to, from), by) in to.iter_mut().zip(row::<S>(self.from, i, lanes)).zip(by) {
                *to = simd.mul_f32s(*from, *by);
            }
        }
    }
}

/// `to_i = from_i * by_i`, by as many rows of lanes.
pub(super) struct Multiply<'a> {
    /// `[m, lanes]`
    pub(super) from: &'a [f32],
    /// `[m, lanes]`
    pub(super) by: &'a [f32],
    /// `[m, lanes]`
    pub(super) to: &'a mut [f32],
    pub(super) lanes: usize,
}

impl RowLoop for Multiply<'_> {
    fn width(&self) -> usize {
        self.lanes
    }

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        for i in 0..self.to.len() / self.lanes {
            let pairs =
                row::<S>(self.from, i, self.lanes).iter().zip(row::<S>(self.by, i, self.lanes));
            for (to, (from, by)) in row_mut::<S>(self.to, i, self.lanes).iter_mut().zip(pairs) {
                *to = simd.mul_f32s(*from, *by);
            }
        }
    }
}

/// `to_i = from_i * by_i`, by a number for each row.
pub(super) struct Weigh<'a> {
    /// `[m, lanes]`
    pub(super) from: &'a [f32],
    /// `[m]`
    pub(super) by: &'a [f32],
    /// `[m, lanes]`
    pub(super) to: &'a mut [f32],
    pub(super) lanes: usize,
}

impl RowLoop for Weigh<'_> {
    fn width(&self) -> usize {
        self.lanes
    }

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        for (i, by) in self.by.iter().enumerate() {
            let by = simd.splat_f32s(*by);
            let from = row::<S>(self.from, i, self.lanes);
            for (to, from) in row_mut::<S>(self.to, i, self.lanes).iter_mut().zip(from) {
                *to = simd.mul_f32s(*from, by);
            }
        }
    }
}

/// `values_i = sigmoid(values_i + of_target_i + of_event_i)`: the first hidden layer of DIN's unit, of one event.
pub(super) struct PairLayer<'a> {
    /// `[h, lanes]`
    pub(super) values: &'a mut [f32],
    /// `[h, lanes]`
    pub(super) of_target: &'a [f32],
    /// `[h]`
    pub(super) of_event: &'a [f32],
    pub(super) lanes: usize,
}

impl RowLoop for PairLayer<'_> {
    fn width(&self) -> usize {
        self.lanes
    }

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        for (i, of_event) in self.of_event.iter().enumerate() {
            let of_event = simd.splat_f32s(*of_event);
            let of_target = row::<S>(self.of_target, i, self.lanes);
            for (value, of_target) in
                row_mut::<S>(self.values, i, self.lanes).iter_mut().zip(of_target)
            {
                let sum = simd.add_f32s(*value, simd.add_f32s(*of_target, of_event));
                *value = sigmoid(simd, sum);
            }
        }
    }
}

/// `values_i += bias_i`
pub(super) struct AddBias<'a> {
    /// `[m, lanes]`
    pub(super) values: &'a mut [f32],
    /// `[m]`
    pub(super) bias: &'a [f32],
    pub(super) lanes: usize,
}

impl RowLoop for AddBias<'_> {
    fn width(&self) -> usize {
        self.lanes
    }

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        for (i, bias) in self.bias.iter().enumerate() {
            let bias = simd.splat_f32s(*bias);
            for value in row_mut::<S>(self.values, i, self.lanes) {
                *value = simd.add_f32s(*value, bias);
            }
        }
    }
}

/// `to_i = sum_e share_e experts_e,i`: what a task makes of the experts.
pub(super) struct Mix<'a> {
    /// `[experts, w, lanes]`
    pub(super) experts: &'a [f32],
    /// `[experts, lanes]`
    pub(super) shares: &'a [f32],
    /// `[w, lanes]`
    pub(super) to: &'a mut [f32],
    pub(super) lanes: usize,
}

impl RowLoop for Mix<'_> {
    fn width(&self) -> usize {
        self.lanes
    }

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let width = self.to.len() / self.lanes;
        for i in 0..width {
            let to = row_mut::<S>(self.to, i, self.lanes);
            to.fill(simd.splat_f32s(0.0));
            for e in 0..self.shares.len() / self.lanes {
                let shares = row::<S>(self.shares, e, self.lanes);
                let expert = row::<S>(self.experts, e * width + i, self.lanes);
                for ((to, share), value) in to.iter_mut().zip(shares).zip(expert) {
                    *to = simd.mul_add_e_f32s(*share, *value, *to);
                }
            }
        }
    }
}
