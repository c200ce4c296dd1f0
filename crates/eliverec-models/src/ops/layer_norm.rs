//! Layer norm over the last dimension.

use burn::tensor::Tensor;

/// Added to the variance.
const EPSILON: f32 = 1e-5;

/// `(x - mean) / sqrt(var + 1e-5) * gamma + beta` per row, biased variance. `x` `[rows, w]`, `gamma` and `beta` `[w]`.
pub fn layer_norm(x: Tensor<2>, gamma: Tensor<1>, beta: Tensor<1>) -> Tensor<2> {
    let centred = x.clone() - x.mean_dim(1);
    let variance = centred.clone().square().mean_dim(1);
    centred / (variance + EPSILON).sqrt() * gamma.unsqueeze_dim(0) + beta.unsqueeze_dim(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Device;

    #[test]
    fn rows_get_mean_zero_and_variance_one() {
        let device = Device::flex();
        let x = Tensor::<2>::from_floats([[1.0, 2.0, 6.0], [-4.0, 0.0, 4.0]], &device);
        let y = layer_norm(x, Tensor::ones([3], &device), Tensor::zeros([3], &device));
        let rows = y.try_into_vec_as::<f32>().unwrap();
        for row in rows.chunks(3) {
            let mean = row.iter().sum::<f32>() / 3.0;
            let variance = row.iter().map(|x| (x - mean).powi(2)).sum::<f32>() / 3.0;
            assert!(mean.abs() < 1e-6 && (variance - 1.0).abs() < 1e-4);
        }
    }
}
