//! Loops over rows, compiled for the machine at run time: layer norm, bias, rectifier, softmax, each with its backward.
//!
//! Rows whose width is no multiple of the machine's register take the scalar path: correct, and only toy models are
//! that narrow.
#![expect(clippy::inline_always, reason = "only inlined code is compiled for the SIMD it is given")]

use pulp::{Scalar, Simd, WithSimd};

/// Added to the variance, as in PyTorch's and Burn's layer norm.
const EPSILON: f32 = 1e-5;

/// Row `i` of a matrix whose rows have `width` elements, in registers.
#[inline(always)]
pub(crate) fn row<S: Simd>(values: &[f32], i: usize, width: usize) -> &[S::f32s] {
    S::as_simd_f32s(&values[i * width..(i + 1) * width]).0
}

/// [`row`], to be written.
#[inline(always)]
pub(crate) fn row_mut<S: Simd>(values: &mut [f32], i: usize, width: usize) -> &mut [S::f32s] {
    S::as_mut_simd_f32s(&mut values[i * width..(i + 1) * width]).0
}

/// A loop over rows of one width.
pub(crate) trait RowLoop {
    /// The width of all rows.
    fn width(&self) -> usize;

    /// The loop; `width` is a multiple of the register.
    fn run<S: Simd>(self, simd: S);
}

/// Compiles a loop for the machine.
pub(crate) struct Loop<R>(pub(crate) R);

impl<R: RowLoop> WithSimd for Loop<R> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        if self.0.width().is_multiple_of(S::F32_LANES) {
            self.0.run(simd);
        } else {
            self.0.run(Scalar);
        }
    }
}

/// Layer norm of a sum: `s = branch + bias + residual`, `normal = (s - mean(s)) / sqrt(mean((s - mean(s))^2) + 1e-5)`,
/// `output = normal * gamma + beta`, means over a row.
pub(crate) struct Normalize<'a> {
    /// Before: the branch `[m, d]`. After: its normalised sum with the residual.
    pub(crate) values: &'a mut [f32],
    /// Added to every row `[d]`.
    pub(crate) bias: &'a [f32],
    /// `[m, d]`
    pub(crate) residual: &'a [f32],
    /// `[d]`
    pub(crate) gamma: &'a [f32],
    /// `[d]`
    pub(crate) beta: &'a [f32],
    /// 1 / standard deviation of every row `[m]`.
    pub(crate) scales: &'a mut [f32],
    /// `[m, d]`
    pub(crate) output: &'a mut [f32],
}

impl RowLoop for Normalize<'_> {
    fn width(&self) -> usize {
        self.gamma.len()
    }

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let d = self.gamma.len();
        let (bias, gamma) = (row::<S>(self.bias, 0, d), row::<S>(self.gamma, 0, d));
        let beta = row::<S>(self.beta, 0, d);
        for (i, scale) in self.scales.iter_mut().enumerate() {
            let values = row_mut::<S>(self.values, i, d);
            // s = branch + bias + residual
            let mut sum = simd.splat_f32s(0.0);
            for ((value, residual), bias) in
                values.iter_mut().zip(row::<S>(self.residual, i, d)).zip(bias)
            {
                *value = simd.add_f32s(simd.add_f32s(*value, *bias), *residual);
                sum = simd.add_f32s(sum, *value);
            }
            let mean = simd.splat_f32s(simd.reduce_sum_f32s(sum) / d as f32);
            // c = s - mean(s)
            let mut squares = simd.splat_f32s(0.0);
            for value in values.iter_mut() {
                *value = simd.sub_f32s(*value, mean);
                squares = simd.mul_add_e_f32s(*value, *value, squares);
            }
            // scale = 1 / sqrt(mean(c^2) + 1e-5)
            *scale = (simd.reduce_sum_f32s(squares) / d as f32 + EPSILON).sqrt().recip();
            let scale = simd.splat_f32s(*scale);
            let output = row_mut::<S>(self.output, i, d);
            for (((value, output), gamma), beta) in
                values.iter_mut().zip(output).zip(gamma).zip(beta)
            {
                // normal = c * scale, output = normal * gamma + beta
                *value = simd.mul_f32s(*value, scale);
                *output = simd.mul_add_e_f32s(*value, *gamma, *beta);
            }
        }
    }
}

/// The backward of [`Normalize`]: `gradient` of the output becomes that of the sum, and parameters' gradients are added to.
///
/// With `g = gradient * gamma`: `ds = scale * (g - mean(g) - normal * mean(g * normal))`, means over a row;
/// `dgamma += sum of gradient * normal`, `dbeta += sum of gradient`, sums over rows.
pub(crate) struct NormalizeBackward<'a> {
    /// Before: of the output. After: of the sum `[m, d]`.
    pub(crate) gradient: &'a mut [f32],
    /// `[m, d]`
    pub(crate) normal: &'a [f32],
    /// `[m]`
    pub(crate) scales: &'a [f32],
    /// `[d]`
    pub(crate) gamma: &'a [f32],
    /// `[d]`
    pub(crate) gamma_gradient: &'a mut [f32],
    /// `[d]`
    pub(crate) beta_gradient: &'a mut [f32],
}

impl RowLoop for NormalizeBackward<'_> {
    fn width(&self) -> usize {
        self.gamma.len()
    }

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let d = self.gamma.len();
        let gamma = row::<S>(self.gamma, 0, d);
        let gammas = row_mut::<S>(self.gamma_gradient, 0, d);
        let betas = row_mut::<S>(self.beta_gradient, 0, d);
        for (i, scale) in self.scales.iter().enumerate() {
            let gradient = row_mut::<S>(self.gradient, i, d);
            let normal = row::<S>(self.normal, i, d);
            let (mut sum, mut product) = (simd.splat_f32s(0.0), simd.splat_f32s(0.0));
            for ((((gradient, normal), gamma), gammas), betas) in
                gradient.iter_mut().zip(normal).zip(gamma).zip(&mut *gammas).zip(&mut *betas)
            {
                // dgamma += gradient * normal, dbeta += gradient, g = gradient * gamma
                *gammas = simd.mul_add_e_f32s(*gradient, *normal, *gammas);
                *betas = simd.add_f32s(*betas, *gradient);
                *gradient = simd.mul_f32s(*gradient, *gamma);
                sum = simd.add_f32s(sum, *gradient);
                product = simd.mul_add_e_f32s(*gradient, *normal, product);
            }
            // -mean(g) and -mean(g * normal)
            let mean = simd.splat_f32s(-simd.reduce_sum_f32s(sum) / d as f32);
            let along = simd.splat_f32s(-simd.reduce_sum_f32s(product) / d as f32);
            let scale = simd.splat_f32s(*scale);
            for (gradient, normal) in gradient.iter_mut().zip(normal) {
                // ds = scale * (g - mean(g) - normal * mean(g * normal))
                let centred = simd.add_f32s(*gradient, mean);
                *gradient = simd.mul_f32s(simd.mul_add_e_f32s(*normal, along, centred), scale);
            }
        }
    }
}

/// `output = normal * gamma + beta`: what [`Normalize`] gave, again.
pub(crate) struct Affine<'a> {
    /// `[m, d]`
    pub(crate) normal: &'a [f32],
    /// `[d]`
    pub(crate) gamma: &'a [f32],
    /// `[d]`
    pub(crate) beta: &'a [f32],
    /// `[m, d]`
    pub(crate) output: &'a mut [f32],
}

impl RowLoop for Affine<'_> {
    fn width(&self) -> usize {
        self.gamma.len()
    }

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let d = self.gamma.len();
        let (gamma, beta) = (row::<S>(self.gamma, 0, d), row::<S>(self.beta, 0, d));
        for i in 0..self.normal.len() / d {
            let normal = row::<S>(self.normal, i, d);
            let output = row_mut::<S>(self.output, i, d);
            for (((output, normal), gamma), beta) in
                output.iter_mut().zip(normal).zip(gamma).zip(beta)
            {
                *output = simd.mul_add_e_f32s(*normal, *gamma, *beta);
            }
        }
    }
}

/// `values = max(values + bias, 0)`; NaN stays NaN.
pub(crate) struct BiasRectify<'a> {
    /// `[m, f]`
    pub(crate) values: &'a mut [f32],
    /// `[f]`
    pub(crate) bias: &'a [f32],
}

impl RowLoop for BiasRectify<'_> {
    fn width(&self) -> usize {
        self.bias.len()
    }

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let f = self.bias.len();
        let zero = simd.splat_f32s(0.0);
        for i in 0..self.values.len() / f {
            let bias = row::<S>(self.bias, 0, f);
            for (value, bias) in row_mut::<S>(self.values, i, f).iter_mut().zip(bias) {
                let sum = simd.add_f32s(*value, *bias);
                *value = simd.select_f32s(simd.less_than_f32s(sum, zero), zero, sum);
            }
        }
    }
}

/// The backward of [`BiasRectify`]: `gradient` becomes 0 where the result is 0 or less, and `bias_gradient += sum of gradient`
/// over the rows.
pub(crate) struct BiasRectifyBackward<'a> {
    /// Before: of the result. After: of the sum `[m, f]`.
    pub(crate) gradient: &'a mut [f32],
    /// The result `[m, f]`.
    pub(crate) values: &'a [f32],
    /// `[f]`
    pub(crate) bias_gradient: &'a mut [f32],
}

impl RowLoop for BiasRectifyBackward<'_> {
    fn width(&self) -> usize {
        self.bias_gradient.len()
    }

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let f = self.bias_gradient.len();
        let zero = simd.splat_f32s(0.0);
        for i in 0..self.values.len() / f {
            let bias = row_mut::<S>(self.bias_gradient, 0, f);
            let values = row::<S>(self.values, i, f);
            let gradient = row_mut::<S>(self.gradient, i, f);
            for ((gradient, value), bias) in gradient.iter_mut().zip(values).zip(bias) {
                let off = simd.less_than_or_equal_f32s(*value, zero);
                *gradient = simd.select_f32s(off, zero, *gradient);
                *bias = simd.add_f32s(*bias, *gradient);
            }
        }
    }
}

/// `sums += sum of values` over the rows.
pub(crate) struct SumRows<'a> {
    /// `[m, d]`
    pub(crate) values: &'a [f32],
    /// `[d]`
    pub(crate) sums: &'a mut [f32],
}

impl RowLoop for SumRows<'_> {
    fn width(&self) -> usize {
        self.sums.len()
    }

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let d = self.sums.len();
        for i in 0..self.values.len() / d {
            let sums = row_mut::<S>(self.sums, 0, d);
            for (sum, value) in sums.iter_mut().zip(row::<S>(self.values, i, d)) {
                *sum = simd.add_f32s(*sum, *value);
            }
        }
    }
}
