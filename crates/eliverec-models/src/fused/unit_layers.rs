//! The layers of DIN's attention unit for one candidate and the events of its feed, and their backward: loops over rows.
#![expect(clippy::inline_always, reason = "only inlined code is compiled for the SIMD it is given")]

use pulp::Simd;

use super::exponential::sigmoid;
use super::rows::{RowLoop, row, row_mut};

/// `gradient * s (1 - s)` for `s` a sigmoid.
#[inline(always)]
fn sigmoid_backward<S: Simd>(simd: S, gradient: S::f32s, s: S::f32s) -> S::f32s {
    let slope = simd.mul_f32s(s, simd.sub_f32s(simd.splat_f32s(1.0), s));
    simd.mul_f32s(gradient, slope)
}

/// `products_j = target * item_j`.
pub(super) struct PairProducts<'a> {
    /// `[d]`
    pub(super) target: &'a [f32],
    /// `[l, d]`
    pub(super) items: &'a [f32],
    /// `[l, d]`
    pub(super) products: &'a mut [f32],
}

impl RowLoop for PairProducts<'_> {
    fn width(&self) -> usize {
        self.target.len()
    }

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let d = self.target.len();
        let target = row::<S>(self.target, 0, d);
        for j in 0..self.items.len() / d {
            let products = row_mut::<S>(self.products, j, d);
            for ((product, item), target) in
                products.iter_mut().zip(row::<S>(self.items, j, d)).zip(target)
            {
                *product = simd.mul_f32s(*item, *target);
            }
        }
    }
}

/// The backward of [`PairProducts`]: `dtarget += sum_j gradient_j * item_j`, `ditem_j += gradient_j * target`.
pub(super) struct PairProductsBackward<'a> {
    /// `[d]`
    pub(super) target: &'a [f32],
    /// `[l, d]`
    pub(super) items: &'a [f32],
    /// Of the products `[l, d]`.
    pub(super) gradient: &'a [f32],
    /// `[d]`
    pub(super) target_gradient: &'a mut [f32],
    /// `[l, d]`
    pub(super) item_gradient: &'a mut [f32],
}

impl RowLoop for PairProductsBackward<'_> {
    fn width(&self) -> usize {
        self.target.len()
    }

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let d = self.target.len();
        let target = row::<S>(self.target, 0, d);
        let target_gradient = row_mut::<S>(self.target_gradient, 0, d);
        for j in 0..self.items.len() / d {
            let (items, gradient) = (row::<S>(self.items, j, d), row::<S>(self.gradient, j, d));
            let item_gradient = row_mut::<S>(self.item_gradient, j, d);
            for column in 0..items.len() {
                let gradient = gradient[column];
                // ditem_j += gradient_j * target, dtarget += gradient_j * item_j
                item_gradient[column] =
                    simd.mul_add_e_f32s(gradient, target[column], item_gradient[column]);
                target_gradient[column] =
                    simd.mul_add_e_f32s(gradient, items[column], target_gradient[column]);
            }
        }
    }
}

/// `values_j = sigmoid(values_j + of_target + of_item_j)`: the first hidden layer.
pub(super) struct FirstLayer<'a> {
    /// `[l, h]`
    pub(super) values: &'a mut [f32],
    /// `[h]`
    pub(super) of_target: &'a [f32],
    /// `[l, h]`
    pub(super) of_item: &'a [f32],
}

impl RowLoop for FirstLayer<'_> {
    fn width(&self) -> usize {
        self.of_target.len()
    }

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let h = self.of_target.len();
        let of_target = row::<S>(self.of_target, 0, h);
        for j in 0..self.values.len() / h {
            let values = row_mut::<S>(self.values, j, h);
            for ((value, target), item) in
                values.iter_mut().zip(of_target).zip(row::<S>(self.of_item, j, h))
            {
                let sum = simd.add_f32s(*value, simd.add_f32s(*target, *item));
                *value = sigmoid(simd, sum);
            }
        }
    }
}

/// The backward of [`FirstLayer`], `da_j = gradient_j * values_j (1 - values_j)`: `gradient` of the result becomes da, that of
/// the sum; `dof_target += sum_j da_j`, `dof_item_j += da_j`.
pub(super) struct FirstLayerBackward<'a> {
    /// The result `[l, h]`.
    pub(super) values: &'a [f32],
    /// Before: of the result. After: da `[l, h]`.
    pub(super) gradient: &'a mut [f32],
    /// `[h]`
    pub(super) target_gradient: &'a mut [f32],
    /// `[l, h]`
    pub(super) item_gradient: &'a mut [f32],
}

impl RowLoop for FirstLayerBackward<'_> {
    fn width(&self) -> usize {
        self.target_gradient.len()
    }

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let h = self.target_gradient.len();
        let target_gradient = row_mut::<S>(self.target_gradient, 0, h);
        for j in 0..self.values.len() / h {
            let values = row::<S>(self.values, j, h);
            let gradient = row_mut::<S>(self.gradient, j, h);
            let item_gradient = row_mut::<S>(self.item_gradient, j, h);
            for column in 0..values.len() {
                // da_j = gradient_j * values_j (1 - values_j)
                let before = sigmoid_backward(simd, gradient[column], values[column]);
                gradient[column] = before;
                target_gradient[column] = simd.add_f32s(target_gradient[column], before);
                item_gradient[column] = simd.add_f32s(item_gradient[column], before);
            }
        }
    }
}

/// `values_j = sigmoid(values_j + bias)`, `scores_j = values_j . weight`: the second hidden layer and the score.
pub(super) struct SecondLayer<'a> {
    /// `[l, h]`
    pub(super) values: &'a mut [f32],
    /// `[h]`
    pub(super) bias: &'a [f32],
    /// `[h]`
    pub(super) weight: &'a [f32],
    /// `[l]`
    pub(super) scores: &'a mut [f32],
}

impl RowLoop for SecondLayer<'_> {
    fn width(&self) -> usize {
        self.bias.len()
    }

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let h = self.bias.len();
        let (bias, weight) = (row::<S>(self.bias, 0, h), row::<S>(self.weight, 0, h));
        for (j, score) in self.scores.iter_mut().enumerate() {
            let mut sum = simd.splat_f32s(0.0);
            for ((value, bias), weight) in
                row_mut::<S>(self.values, j, h).iter_mut().zip(bias).zip(weight)
            {
                *value = sigmoid(simd, simd.add_f32s(*value, *bias));
                sum = simd.mul_add_e_f32s(*value, *weight, sum);
            }
            *score = simd.reduce_sum_f32s(sum);
        }
    }
}

/// The backward of [`SecondLayer`], `da_j = gradient_j weight * values_j (1 - values_j)`: `values` become da, the gradient before
/// the sigmoid; `dweight += sum_j gradient_j values_j`, `dbias += sum_j da_j`.
pub(super) struct SecondLayerBackward<'a> {
    /// Before: the result. After: da `[l, h]`.
    pub(super) values: &'a mut [f32],
    /// `[h]`
    pub(super) weight: &'a [f32],
    /// `[l]`
    pub(super) gradient: &'a [f32],
    /// `[h]`
    pub(super) bias_gradient: &'a mut [f32],
    /// `[h]`
    pub(super) weight_gradient: &'a mut [f32],
}

impl RowLoop for SecondLayerBackward<'_> {
    fn width(&self) -> usize {
        self.weight.len()
    }

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let h = self.weight.len();
        let weight = row::<S>(self.weight, 0, h);
        let biases = row_mut::<S>(self.bias_gradient, 0, h);
        let weights = row_mut::<S>(self.weight_gradient, 0, h);
        for (j, gradient) in self.gradient.iter().enumerate() {
            let gradient = simd.splat_f32s(*gradient);
            let values = row_mut::<S>(self.values, j, h);
            for column in 0..values.len() {
                let value = values[column];
                // dweight += gradient_j values_j
                weights[column] = simd.mul_add_e_f32s(gradient, value, weights[column]);
                // da_j = gradient_j weight * values_j (1 - values_j), dbias += da_j
                let before = sigmoid_backward(simd, simd.mul_f32s(gradient, weight[column]), value);
                biases[column] = simd.add_f32s(biases[column], before);
                values[column] = before;
            }
        }
    }
}
