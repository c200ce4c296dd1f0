//! One step of GRU or AUGRU for all sequences that run, and its backward: loops over rows. The products with weights stand between
//! them.
#![expect(clippy::inline_always, reason = "only inlined code is compiled for the SIMD it is given")]

use pulp::Simd;

use super::exponential::{sigmoid, tanh};
use super::rows::{RowLoop, row, row_mut};

/// `gradient * s (1 - s)` for `s` a sigmoid.
#[inline(always)]
fn sigmoid_backward<S: Simd>(simd: S, gradient: S::f32s, s: S::f32s) -> S::f32s {
    let slope = simd.mul_f32s(s, simd.sub_f32s(simd.splat_f32s(1.0), s));
    simd.mul_f32s(gradient, slope)
}

/// `r, u = sigmoid(of state + of event)`, `reset = r * h`.
pub(super) struct Gates<'a> {
    /// Before: what h gives to r and u `[k, 2 d]`. After: r and u.
    pub(super) values: &'a mut [f32],
    /// What events give to r, u and c `[m, 3 d]`.
    pub(super) projected: &'a [f32],
    /// Which event each sequence is at `[k]`.
    pub(super) events: &'a [usize],
    /// h `[k, d]`
    pub(super) before: &'a [f32],
    /// `[k, d]`
    pub(super) reset: &'a mut [f32],
    /// d
    pub(super) width: usize,
}

impl RowLoop for Gates<'_> {
    fn width(&self) -> usize {
        self.width
    }

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let d = self.width;
        for (i, event) in self.events.iter().enumerate() {
            let gates = row_mut::<S>(self.values, 2 * i, d).iter_mut();
            let rows = row::<S>(self.before, i, d).iter().zip(row_mut::<S>(self.reset, i, d));
            for ((r, x), (before, reset)) in
                gates.zip(row::<S>(self.projected, 3 * event, d)).zip(rows)
            {
                *r = sigmoid(simd, simd.add_f32s(*r, *x));
                *reset = simd.mul_f32s(*r, *before);
            }
            let gates = row_mut::<S>(self.values, 2 * i + 1, d).iter_mut();
            for (u, x) in gates.zip(row::<S>(self.projected, 3 * event + 1, d)) {
                *u = sigmoid(simd, simd.add_f32s(*u, *x));
            }
        }
    }
}

/// `c = tanh(of reset state + of event)`, `h <- h + a u (c - h)`.
pub(super) struct Update<'a> {
    /// Before: what r * h gives to c `[k, d]`. After: c.
    pub(super) fresh: &'a mut [f32],
    /// r and u `[k, 2 d]`.
    pub(super) gates: &'a [f32],
    /// `[m, 3 d]`
    pub(super) projected: &'a [f32],
    /// `[k]`
    pub(super) events: &'a [usize],
    /// h before `[k, d]`.
    pub(super) before: &'a [f32],
    /// a `[k]`
    pub(super) attention: &'a [f32],
    /// h after `[k, d]`.
    pub(super) state: &'a mut [f32],
    /// d
    pub(super) width: usize,
}

impl RowLoop for Update<'_> {
    fn width(&self) -> usize {
        self.width
    }

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let d = self.width;
        for (i, (event, attention)) in self.events.iter().zip(self.attention).enumerate() {
            let attention = simd.splat_f32s(*attention);
            let fresh = row_mut::<S>(self.fresh, i, d).iter_mut();
            let fresh = fresh.zip(row::<S>(self.projected, 3 * event + 2, d));
            let states = row::<S>(self.before, i, d).iter().zip(row_mut::<S>(self.state, i, d));
            let updates = row::<S>(self.gates, 2 * i + 1, d);
            for (((c, x), u), (before, state)) in fresh.zip(updates).zip(states) {
                *c = tanh(simd, simd.add_f32s(*c, *x));
                let update = simd.mul_f32s(attention, *u);
                *state = simd.mul_add_e_f32s(update, simd.sub_f32s(*c, *before), *before);
            }
        }
    }
}

/// The backward of [`Update`]. With g the gradient of h after: `da = sum of g (c - h) u`, that of u before its sigmoid
/// `g (c - h) a u (1 - u)`, that of c before its tangent `g a u (1 - c^2)`, and what goes straight to h before `g (1 - a u)`.
pub(super) struct UpdateBackward<'a> {
    /// Before: of h after. After: what goes straight to h before `[k, d]`.
    pub(super) state_gradient: &'a mut [f32],
    /// r and u `[k, 2 d]`.
    pub(super) gates: &'a [f32],
    /// c `[k, d]`
    pub(super) fresh: &'a [f32],
    /// h before `[k, d]`.
    pub(super) before: &'a [f32],
    /// a `[k]`
    pub(super) attention: &'a [f32],
    /// Of r and u before their sigmoids `[k, 2 d]`; u's half is set.
    pub(super) gates_gradient: &'a mut [f32],
    /// Of c before its tangent `[k, d]`.
    pub(super) fresh_gradient: &'a mut [f32],
    /// `[k]`
    pub(super) attention_gradient: &'a mut [f32],
    /// d
    pub(super) width: usize,
}

impl RowLoop for UpdateBackward<'_> {
    fn width(&self) -> usize {
        self.width
    }

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let (d, one) = (self.width, simd.splat_f32s(1.0));
        let attention = self.attention.iter().zip(self.attention_gradient);
        for (i, (attention, attention_gradient)) in attention.enumerate() {
            let attention = simd.splat_f32s(*attention);
            let mut of_attention = simd.splat_f32s(0.0);
            let gradients = row_mut::<S>(self.state_gradient, i, d).iter_mut();
            let given = row::<S>(self.gates, 2 * i + 1, d).iter().zip(row::<S>(self.fresh, i, d));
            let given = given.zip(row::<S>(self.before, i, d));
            let made = row_mut::<S>(self.gates_gradient, 2 * i + 1, d).iter_mut();
            let made = made.zip(row_mut::<S>(self.fresh_gradient, i, d));
            for ((g, ((u, c), before)), (of_update, of_fresh)) in gradients.zip(given).zip(made) {
                let apart = simd.mul_f32s(*g, simd.sub_f32s(*c, *before));
                of_attention = simd.mul_add_e_f32s(apart, *u, of_attention);
                *of_update = sigmoid_backward(simd, simd.mul_f32s(apart, attention), *u);
                let update = simd.mul_f32s(attention, *u);
                let slope = simd.sub_f32s(one, simd.mul_f32s(*c, *c));
                *of_fresh = simd.mul_f32s(simd.mul_f32s(*g, update), slope);
                *g = simd.mul_f32s(*g, simd.sub_f32s(one, update));
            }
            *attention_gradient = simd.reduce_sum_f32s(of_attention);
        }
    }
}

/// The backward of r * h: of r before its sigmoid, and of h, which is added to.
pub(super) struct ResetBackward<'a> {
    /// Of r * h `[k, d]`.
    pub(super) reset_gradient: &'a [f32],
    /// r and u `[k, 2 d]`.
    pub(super) gates: &'a [f32],
    /// h before `[k, d]`.
    pub(super) before: &'a [f32],
    /// Of r and u before their sigmoids `[k, 2 d]`; r's half is set.
    pub(super) gates_gradient: &'a mut [f32],
    /// Of h before `[k, d]`.
    pub(super) state_gradient: &'a mut [f32],
    /// d
    pub(super) width: usize,
}

impl RowLoop for ResetBackward<'_> {
    fn width(&self) -> usize {
        self.width
    }

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let d = self.width;
        for i in 0..self.before.len() / d {
            let given =
                row::<S>(self.reset_gradient, i, d).iter().zip(row::<S>(self.gates, 2 * i, d));
            let given = given.zip(row::<S>(self.before, i, d));
            let made = row_mut::<S>(self.gates_gradient, 2 * i, d).iter_mut();
            let made = made.zip(row_mut::<S>(self.state_gradient, i, d));
            for (((g, r), before), (of_reset, of_state)) in given.zip(made) {
                *of_reset = sigmoid_backward(simd, simd.mul_f32s(*g, *before), *r);
                *of_state = simd.mul_add_e_f32s(*g, *r, *of_state);
            }
        }
    }
}
