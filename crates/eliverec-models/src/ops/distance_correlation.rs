//! Distance correlation (Eq. 8): 0 exactly for independent vectors, whatever their widths.
//!
//! G. Szekely, M. Rizzo, N. Bakirov, "Measuring and testing dependence by correlation of distances", 2007; the
//! bias-corrected estimator: G. Szekely, M. Rizzo, "The distance correlation t-test of independence in high dimension", 2013.

use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use crate::fused;

/// Keeps square roots and quotients, and so gradients, finite where rows coincide.
const GUARD: f32 = 1e-12;

/// Which estimator of the squared distance covariance.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Estimator {
    /// Double centring. Its floor is high: independent gaussians, 256 rows of width 128, give 0.82.
    #[default]
    Plain,
    /// U-centring; about 0 for independent vectors, needs four rows.
    BiasCorrected,
}

/// `dCor(x, y)` of paired rows, from their distance matrices `[r, r]`, as `[1]`.
///
/// Plain: `dCov(x, y) / sqrt(dVar(x) dVar(y))`, `dCov = sqrt(mean(A o B))` with double centred distances.
/// Bias-corrected: the inner product of U-centred distances over the geometric mean of their own, which may be negative.
pub fn distance_correlation(distances: [Tensor<2>; 2], estimator: Estimator) -> Tensor<1> {
    let centre = match estimator {
        Estimator::Plain => double_centred,
        Estimator::BiasCorrected => u_centred,
    };
    let [a, b] = distances.map(centre);
    let covariance = (a.clone() * b.clone()).mean();
    let variances = a.square().mean() * b.square().mean();
    let squared = covariance / variances.clamp_min(GUARD * GUARD).sqrt();
    match estimator {
        Estimator::Plain => guarded_root(squared, GUARD),
        Estimator::BiasCorrected => squared,
    }
}

/// Euclidean distances between the rows of `x` `[r, d]`, as `[r, r]`, from differences: `|a|^2 + |b|^2 - 2ab` loses float32
/// digits. The gradient at coinciding rows is 0.
pub fn pairwise_distance(x: Tensor<2>) -> Tensor<2> {
    if fused::available(&x) { fused::pairwise_distance(x) } else { composed_distance(x) }
}

fn composed_distance(x: Tensor<2>) -> Tensor<2> {
    let difference = x.clone().unsqueeze_dim::<3>(1) - x.unsqueeze_dim::<3>(0); // [r, r, d]
    let squared = difference.square().sum_dim(2).squeeze_dim::<2>(2);
    guarded_root(squared, 0.0)
}

/// The root, and 0 with gradient 0 up to `least`.
fn guarded_root<const D: usize>(x: Tensor<D>, least: f32) -> Tensor<D> {
    let tiny = x.clone().lower_equal_scalar(least);
    x.mask_fill(tiny.clone(), 1.0).sqrt().mask_fill(tiny, 0.0)
}

/// `a_ij - mean_i - mean_j + mean`
fn double_centred(distances: Tensor<2>) -> Tensor<2> {
    let rows = distances.clone().mean_dim(1);
    let columns = distances.clone().mean_dim(0);
    let mean = rows.clone().mean_dim(0);
    distances - rows - columns + mean
}

/// `a_ij - sum_i / (r-2) - sum_j / (r-2) + sum / ((r-1)(r-2))`, 0 on the diagonal.
fn u_centred(distances: Tensor<2>) -> Tensor<2> {
    let [r, _] = distances.dims();
    let count = r as f32;
    let rows = distances.clone().sum_dim(1);
    let columns = distances.clone().sum_dim(0);
    let all = rows.clone().sum_dim(0) / ((count - 1.0) * (count - 2.0));
    let device = distances.device();
    let centred = distances - rows / (count - 2.0) - columns / (count - 2.0) + all;
    centred * (Tensor::<2>::ones([r, r], &device) - Tensor::<2>::eye(r, &device))
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::{Device, TensorData};
    use proptest::prelude::*;

    type Rows = Vec<[f64; 2]>;

    /// Szekely's definition in loops.
    fn naive(x: &Rows, y: &Rows) -> f64 {
        let centred = |rows: &Rows| -> Vec<Vec<f64>> {
            let r = rows.len();
            let d = |i: usize, j: usize| (rows[i][0] - rows[j][0]).hypot(rows[i][1] - rows[j][1]);
            let mean = |i: usize| (0..r).map(|j| d(i, j)).sum::<f64>() / r as f64;
            let all = (0..r).map(mean).sum::<f64>() / r as f64;
            (0..r).map(|i| (0..r).map(|j| d(i, j) - mean(i) - mean(j) + all).collect()).collect()
        };
        let covariance = |a: &[Vec<f64>], b: &[Vec<f64>]| {
            let products = a.iter().flatten().zip(b.iter().flatten()).map(|(a, b)| a * b);
            (products.sum::<f64>() / (a.len() * a.len()) as f64).max(0.0).sqrt()
        };
        let (a, b) = (centred(x), centred(y));
        covariance(&a, &b) / (covariance(&a, &a) * covariance(&b, &b)).sqrt()
    }

    fn tensor(rows: &Rows) -> Tensor<2> {
        let values: Vec<f32> = rows.iter().flatten().map(|x| *x as f32).collect();
        Tensor::from_data(TensorData::new(values, [rows.len(), 2]), &Device::flex().autodiff())
    }

    fn row() -> impl Strategy<Value = [f64; 2]> {
        prop::array::uniform2(-3.0..3.0)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn equals_the_loop(pairs in prop::collection::vec((row(), row()), 3..12)) {
            let (x, y): (Rows, Rows) = pairs.into_iter().unzip();
            let (a, b) = (pairwise_distance(tensor(&x)), composed_distance(tensor(&y)));
            let ours = distance_correlation([a, b], Estimator::Plain).into_scalar::<f32>();
            let expected = naive(&x, &y);
            prop_assert!((f64::from(ours) - expected).abs() < 1e-4, "{ours} {expected}");
        }
    }

    #[test]
    fn coinciding_rows_have_finite_gradients() {
        for estimator in [Estimator::Plain, Estimator::BiasCorrected] {
            let x = tensor(&vec![[1.0, 2.0]; 5]).require_grad();
            let y = tensor(&vec![[0.0, 0.0], [1.0, 1.0], [1.0, 1.0], [2.0, 0.0], [0.5, 0.0]])
                .require_grad();
            let (a, b) = (pairwise_distance(x.clone()), composed_distance(y.clone()));
            let gradients = distance_correlation([a, b], estimator).backward();
            for gradient in [x.grad(&gradients).unwrap(), y.grad(&gradients).unwrap()] {
                assert!(gradient.try_into_vec_as::<f32>().unwrap().iter().all(|g| g.is_finite()));
            }
        }
    }
}
