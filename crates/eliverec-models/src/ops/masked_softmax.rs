//! Softmax over the unmasked places of the last dimension.

use burn::tensor::{Bool, Tensor};

/// Low enough to lose against any score, high enough that differences stay finite.
const LOWEST: f32 = -1e30;

/// `exp(x_i) / sum over unmasked j of exp(x_j)` along the last dimension, 0 at masked places; all zero where everything is masked.
///
/// # Shapes
/// `scores` and `mask` (true = real) are of one shape.
pub fn masked_softmax<const D: usize>(scores: Tensor<D>, mask: Tensor<D, Bool>) -> Tensor<D> {
    let hidden = mask.bool_not();
    let scores = scores.mask_fill(hidden.clone(), LOWEST);
    // The largest score only shifts the exponent: no gradient flows through it.
    let largest = scores.clone().detach().max_dim(D - 1);
    let exponentials = (scores - largest).exp().mask_fill(hidden, 0.0);
    let sum = exponentials.clone().sum_dim(D - 1);
    exponentials / sum.clamp_min(f32::MIN_POSITIVE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::{Device, TensorData};
    use proptest::prelude::*;

    fn naive(scores: &[f32], mask: &[bool]) -> Vec<f32> {
        let sum: f64 =
            scores.iter().zip(mask).filter(|(_, m)| **m).map(|(s, _)| f64::from(*s).exp()).sum();
        let weight = |s: f32, m: bool| if m { (f64::from(s).exp() / sum) as f32 } else { 0.0 };
        scores.iter().zip(mask).map(|(s, m)| weight(*s, *m)).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn equals_the_loop(row in prop::collection::vec((-20.0_f32..20.0, any::<bool>()), 1..20)) {
            let (scores, mask): (Vec<f32>, Vec<bool>) = row.into_iter().unzip();
            let device = Device::flex();
            let shape = [1, scores.len()];
            let weights = masked_softmax(
                Tensor::<2>::from_data(TensorData::new(scores.clone(), shape), &device),
                Tensor::<2, Bool>::from_data(TensorData::new(mask.clone(), shape), &device),
            );
            let weights = weights.try_into_vec_as::<f32>().unwrap();
            for (ours, expected) in weights.iter().zip(naive(&scores, &mask)) {
                prop_assert!((ours - expected).abs() < 1e-6, "{ours} {expected}");
            }
        }
    }
}
