//! What training minimises: binary cross entropy of watching (Eq. 11), computed from logits, and the model's penalties.
//!
//! Terms are reported as means over the impressions; the gradient is that of the sum over the batch (see `docs/paper.md`).

use std::collections::HashMap;

use burn::tensor::{Device, Tensor, TensorData};
use eliverec_core::Batch;
use eliverec_models::{Output, ops};

/// The loss of one batch.
#[derive(Debug)]
pub struct Objective {
    /// Number of impressions times the loss, `[1]`: what is differentiated.
    pub total: Tensor<1>,
    /// The loss: mean cross entropy and weighted penalties.
    pub loss: f32,
    /// Every term without its weight, `watch` first.
    pub terms: Vec<(&'static str, f32)>,
}

impl Objective {
    /// The loss of `output` against `watched`, 0 or 1 per impression `[n]`.
    pub fn of(output: &Output, watched: &[f32], device: &Device) -> Self {
        let watch = watch_loss(output.logits.clone(), watched, device);
        let mut terms = vec![("watch", scalar(&watch))];
        let mut loss = watch;
        for penalty in &output.penalties {
            terms.push((penalty.name, scalar(&penalty.value)));
            loss = loss + penalty.value.clone() * penalty.weight;
        }
        let value = scalar(&loss);
        Self { total: loss * watched.len() as f32, loss: value, terms }
    }

    /// The first term that is no number, and its value.
    pub fn not_finite(&self) -> Option<(&'static str, f32)> {
        self.terms.iter().copied().chain([("loss", self.loss)]).find(|(_, v)| !v.is_finite())
    }
}

/// L_nce of a model that cannot tell users apart: the mean of ln(1 + negatives) over the feeds with both histories, where
/// the negatives of a feed are those feeds of other users (Eq. 9). 0 without such feeds.
pub fn alignment_floor(batch: &Batch) -> f32 {
    let both = batch.products.ranges().zip(batch.channels.ranges());
    let users: Vec<u64> = both
        .zip(&batch.user_ids)
        .filter(|((products, channels), _)| !products.is_empty() && !channels.is_empty())
        .map(|(_, user)| *user)
        .collect();
    let mut feeds_of: HashMap<u64, usize> = HashMap::new();
    users.iter().for_each(|user| *feeds_of.entry(*user).or_default() += 1);
    let logs = users.iter().map(|user| ((1 + users.len() - feeds_of[user]) as f64).ln());
    (logs.sum::<f64>() / users.len().max(1) as f64) as f32
}

/// L_rec (Eq. 11) `[1]` of logits `[n]` against `watched`, 0 or 1 per impression.
pub(crate) fn watch_loss(logits: Tensor<1>, watched: &[f32], device: &Device) -> Tensor<1> {
    let labels = TensorData::new(watched.to_vec(), [watched.len()]);
    ops::binary_cross_entropy(logits, Tensor::from_data(labels, device))
}

pub(crate) fn scalar(tensor: &Tensor<1>) -> f32 {
    tensor.clone().into_scalar::<f32>()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn loss(logits: &[f32], watched: &[f32]) -> (f32, Vec<f32>) {
        let device = Device::flex().autodiff();
        let data = TensorData::new(logits.to_vec(), [logits.len()]);
        let logits = Tensor::<1>::from_data(data, &device).require_grad();
        let output = Output { logits: logits.clone(), penalties: Vec::new(), tasks: None };
        let objective = Objective::of(&output, watched, &device);
        let gradients = objective.total.backward();
        let gradient = logits.grad(&gradients).expect("the leaf took part");
        (objective.loss, gradient.try_into_vec_as().expect("a gradient can be read"))
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
    fn the_floor_counts_feeds_of_other_users_only() {
        let batch = eliverec_core::toy::batch(60, 9);
        let both: Vec<usize> = (0..batch.feeds())
            .filter(|i| {
                !batch.products.range(*i).is_empty() && !batch.channels.range(*i).is_empty()
            })
            .collect();
        let logs = both.iter().map(|i| {
            let others = both.iter().filter(|j| batch.user_ids[**j] != batch.user_ids[*i]).count();
            ((1 + others) as f32).ln()
        });
        let expected = logs.sum::<f32>() / both.len() as f32;
        assert!((alignment_floor(&batch) - expected).abs() < 1e-4);
    }

    #[test]
    fn a_term_that_is_no_number_is_named() {
        let objective = Objective {
            total: Tensor::zeros([1], &Device::flex()),
            loss: f32::NAN,
            terms: vec![("watch", 0.4), ("L_cor", f32::NAN)],
        };
        assert_eq!(objective.not_finite().map(|(name, _)| name), Some("L_cor"));
    }
}
