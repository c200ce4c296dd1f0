//! What training minimises: binary cross entropy of watching (Eq. 11), computed from logits, beside what tasks and trunk add.
//!
//! Terms are reported as means over their own rows; the gradient is that of the loss times the number of impressions (see
//! `docs/paper.md`).

use burn::tensor::{Device, Tensor, TensorData};
use eliverec_models::ops;

use crate::gradient::NotFinite;

/// L_rec (Eq. 11) `[1]` of logits `[n]` against `watched`, 0 or 1 per impression.
pub(crate) fn watch_loss(logits: Tensor<1>, watched: &[f32], device: &Device) -> Tensor<1> {
    let labels = TensorData::new(watched.to_vec(), [watched.len()]);
    ops::binary_cross_entropy(logits, Tensor::from_data(labels, device))
}

pub(crate) fn scalar(tensor: &Tensor<1>) -> f32 {
    tensor.clone().into_scalar::<f32>()
}

/// The loss term again, if it is a number.
pub(crate) fn finite(term: &str, loss: Tensor<1>) -> Result<Tensor<1>, NotFinite> {
    let value = scalar(&loss);
    if value.is_finite() {
        return Ok(loss);
    }
    Err(NotFinite { term: format!("loss term {term}"), value })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn loss(logits: &[f32], watched: &[f32]) -> (f32, Vec<f32>) {
        let device = Device::flex().autodiff();
        let data = TensorData::new(logits.to_vec(), [logits.len()]);
        let logits = Tensor::<1>::from_data(data, &device).require_grad();
        let loss = watch_loss(logits.clone(), watched, &device);
        let value = scalar(&loss);
        let gradients = (loss * watched.len() as f32).backward();
        let gradient = logits.grad(&gradients).expect("the leaf took part");
        (value, gradient.try_into_vec_as().expect("a gradient can be read"))
    }

    #[test]
    fn equals_the_formula_and_its_gradient_is_that_of_the_sum() {
        let (logits, watched) = ([0.3_f32, -2.0, 1.5], [1.0_f32, 0.0, 0.0]);
        let (loss, gradient) = loss(&logits, &watched);
        let sigmoid = |z: f32| 1.0 / (1.0 + (-z).exp());
        let mean = logits.iter().zip(&watched).map(|(z, y)| {
            let p = sigmoid(*z);
            -(y * p.ln() + (1.0 - y) * (1.0 - p).ln())
        });
        assert!((loss - mean.sum::<f32>() / 3.0).abs() < 1e-6);
        for ((z, y), g) in logits.iter().zip(&watched).zip(&gradient) {
            assert!((g - (sigmoid(*z) - y)).abs() < 1e-6, "{g}");
        }
    }

    #[test]
    fn large_logits_stay_finite() {
        let (loss, gradient) = loss(&[200.0, -200.0], &[0.0, 1.0]);
        assert_eq!(loss, 200.0);
        assert!(gradient.iter().all(|g| g.is_finite()));
    }

    #[test]
    fn a_term_that_is_no_number_is_named() {
        let loss = Tensor::from_floats([f32::NAN], &Device::flex());
        assert_eq!(finite("L_cor", loss).unwrap_err().term, "loss term L_cor");
    }
}
