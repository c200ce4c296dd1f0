//! Softmax over the rows of every column, and its backward: one column per candidate, a register of them at once.
#![expect(clippy::inline_always, reason = "only inlined code is compiled for the SIMD it is given")]

use pulp::Simd;

use super::exponential::exp;
use super::rows::{Rows, row, row_mut};

/// Eq. 7: softmax over the rows, in every column.
pub(super) struct ColumnSoftmax<'a> {
    pub(super) weights: &'a mut [f32],
    pub(super) padded: usize,
    pub(super) scale: f32,
}

impl Rows for ColumnSoftmax<'_> {
    fn width(&self) -> usize {
        self.padded
    }

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let rows = self.weights.len() / self.padded;
        let scale = simd.splat_f32s(self.scale);
        for column in 0..self.padded / S::F32_LANES {
            let mut greatest = simd.splat_f32s(f32::NEG_INFINITY);
            for i in 0..rows {
                let weight = &mut row_mut::<S>(self.weights, i, self.padded)[column];
                *weight = simd.mul_f32s(*weight, scale);
                greatest = simd.max_f32s(greatest, *weight);
            }
            let mut sum = simd.splat_f32s(0.0);
            for i in 0..rows {
                let weight = &mut row_mut::<S>(self.weights, i, self.padded)[column];
                *weight = exp(simd, simd.sub_f32s(*weight, greatest));
                sum = simd.add_f32s(sum, *weight);
            }
            let share = simd.div_f32s(simd.splat_f32s(1.0), sum);
            for i in 0..rows {
                let weight = &mut row_mut::<S>(self.weights, i, self.padded)[column];
                *weight = simd.mul_f32s(*weight, share);
            }
        }
    }
}

/// Gradients of weights become those of scores.
pub(super) struct ColumnSoftmaxBackward<'a> {
    pub(super) weights: &'a [f32],
    pub(super) gradients: &'a mut [f32],
    pub(super) padded: usize,
    pub(super) scale: f32,
}

impl Rows for ColumnSoftmaxBackward<'_> {
    fn width(&self) -> usize {
        self.padded
    }

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let rows = self.weights.len() / self.padded;
        let scale = simd.splat_f32s(self.scale);
        for column in 0..self.padded / S::F32_LANES {
            let mut along = simd.splat_f32s(0.0);
            for i in 0..rows {
                let weight = row::<S>(self.weights, i, self.padded)[column];
                let gradient = row::<S>(self.gradients, i, self.padded)[column];
                along = simd.mul_add_e_f32s(weight, gradient, along);
            }
            for i in 0..rows {
                let weight = row::<S>(self.weights, i, self.padded)[column];
                let gradient = &mut row_mut::<S>(self.gradients, i, self.padded)[column];
                let centred = simd.sub_f32s(*gradient, along);
                *gradient = simd.mul_f32s(simd.mul_f32s(weight, centred), scale);
            }
        }
    }
}
