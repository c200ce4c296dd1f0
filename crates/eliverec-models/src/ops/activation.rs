//! The tower's activation and the loss of Eq. 11.

use burn::tensor::{Tensor, activation};

/// `max(x, 0) + slope * min(x, 0)` with one slope per unit: `x` `[n, w]`, `slope` `[w]`.
pub fn prelu(x: Tensor<2>, slope: Tensor<1>) -> Tensor<2> {
    let positive = activation::relu(x.clone());
    let negative = x - positive.clone();
    positive + negative * slope.unsqueeze_dim(0)
}

/// Eq. 11: mean binary cross entropy `[1]` of labels in {0, 1}, from logits `[n]`:
/// `max(x, 0) - x y + ln(1 + exp(-|x|))`, which never overflows.
pub fn binary_cross_entropy(logits: Tensor<1>, labels: Tensor<1>) -> Tensor<1> {
    let rest = logits.clone().abs().neg().exp().log1p();
    (activation::relu(logits.clone()) - logits * labels + rest).mean()
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Device;

    #[test]
    fn cross_entropy_equals_the_formula_and_survives_large_logits() {
        let device = Device::flex();
        let loss = |x: f32, y: f32| {
            let logit = Tensor::<1>::from_floats([x], &device);
            binary_cross_entropy(logit, Tensor::from_floats([y], &device)).into_scalar::<f32>()
        };
        for (x, y) in [(0.3_f32, 1.0_f32), (-2.0, 1.0), (1.5, 0.0)] {
            let p = 1.0 / (1.0 + (-x).exp());
            let expected = -(y * p.ln() + (1.0 - y) * (1.0 - p).ln());
            assert!((loss(x, y) - expected).abs() < 1e-6);
        }
        assert!((loss(-200.0, 1.0) - 200.0).abs() < 1e-3);
    }
}
