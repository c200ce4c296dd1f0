//! Softmax over the rows of every column, and its backward: one column per candidate, a register of them at once.
#![expect(clippy::inline_always, reason = "only inlined code is compiled for the SIMD it is given")]

use pulp::Simd;

use super::exponential::exp;
use super::rows::{RowLoop, row, row_mut};

/// The weights of Eq. 7, in every column: `w_i = exp(scale * s_i) / sum_j exp(scale * s_j)`, i and j over the rows.
pub(crate) struct ColumnSoftmax<'a> {
    /// Before: scores s. After: weights w `[l, padded]`.
    pub(crate) weights: &'a mut [f32],
    /// Columns: candidates and padding.
    pub(crate) padded: usize,
    /// Factor of the scores.
    pub(crate) scale: f32,
}

impl RowLoop for ColumnSoftmax<'_> {
    fn width(&self) -> usize {
        self.padded
    }

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let rows = self.weights.len() / self.padded;
        let scale = simd.splat_f32s(self.scale);
        for column in 0..self.padded / S::F32_LANES {
            // s_i = scale * s_i, g = max_i s_i
            let mut greatest = simd.splat_f32s(f32::NEG_INFINITY);
            for i in 0..rows {
                let weight = &mut row_mut::<S>(self.weights, i, self.padded)[column];
                *weight = simd.mul_f32s(*weight, scale);
                greatest = simd.max_f32s(greatest, *weight);
            }
            // e_i = exp(s_i - g), which the shift keeps from overflowing
            let mut sum = simd.splat_f32s(0.0);
            for i in 0..rows {
                let weight = &mut row_mut::<S>(self.weights, i, self.padded)[column];
                *weight = exp(simd, simd.sub_f32s(*weight, greatest));
                sum = simd.add_f32s(sum, *weight);
            }
            // w_i = e_i / sum_j e_j
            let share = simd.div_f32s(simd.splat_f32s(1.0), sum);
            for i in 0..rows {
                let weight = &mut row_mut::<S>(self.weights, i, self.padded)[column];
                *weight = simd.mul_f32s(*weight, share);
            }
        }
    }
}

/// The backward of [`ColumnSoftmax`] without a factor: `ds_i = w_i (dw_i - sum_j w_j dw_j)`.
pub(crate) struct ColumnSoftmaxBackward<'a> {
    /// `[l, padded]`
    pub(crate) weights: &'a [f32],
    /// Before: of the weights, dw. After: of the scores, ds `[l, padded]`.
    pub(crate) gradients: &'a mut [f32],
    /// Columns: candidates and padding.
    pub(crate) padded: usize,
}

impl RowLoop for ColumnSoftmaxBackward<'_> {
    fn width(&self) -> usize {
        self.padded
    }

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let rows = self.weights.len() / self.padded;
        for column in 0..self.padded / S::F32_LANES {
            // along = sum_j w_j dw_j
            let mut along = simd.splat_f32s(0.0);
            for i in 0..rows {
                let weight = row::<S>(self.weights, i, self.padded)[column];
                let gradient = row::<S>(self.gradients, i, self.padded)[column];
                along = simd.mul_add_e_f32s(weight, gradient, along);
            }
            for i in 0..rows {
                let weight = row::<S>(self.weights, i, self.padded)[column];
                let gradient = &mut row_mut::<S>(self.gradients, i, self.padded)[column];
                // ds_i = w_i (dw_i - along)
                *gradient = simd.mul_f32s(weight, simd.sub_f32s(*gradient, along));
            }
        }
    }
}
