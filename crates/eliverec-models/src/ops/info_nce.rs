//! InfoNCE between paired rows (Eq. 9), with the same user's other rows masked.

use burn::tensor::{Bool, Tensor, TensorData, activation};

/// Keeps the norm of a zero vector from dividing by zero.
const GUARD: f32 = 1e-12;

/// Cosines `[r, r]` of every row of `x` with every row of `y`, both `[r, d]`.
fn cosine_similarity(x: Tensor<2>, y: Tensor<2>) -> Tensor<2> {
    unit(x).matmul(unit(y).transpose())
}

/// Rows of length 1.
pub fn unit(x: Tensor<2>) -> Tensor<2> {
    let squared = x.clone().square().sum_dim(1);
    x / squared.clamp_min(GUARD).sqrt()
}

/// Mean over rows i of `-ln(exp(s_ii) / sum_j exp(s_ij))`, `s = cos / temperature`, where j runs over i itself and the rows of
/// other users. `anchors` and `positives` `[r, d]`, `users` of length r; `[1]`.
pub fn info_nce(
    anchors: Tensor<2>,
    positives: Tensor<2>,
    users: &[u64],
    temperature: f32,
) -> Tensor<1> {
    let r = users.len();
    let device = anchors.device();
    let similarity = cosine_similarity(anchors, positives) / temperature;
    let hidden = (0..r * r).map(|k| (k / r, k % r)).map(|(i, j)| i != j && users[i] == users[j]);
    let hidden = TensorData::new(hidden.collect::<Vec<bool>>(), [r, r]);
    let logits = similarity.mask_fill(Tensor::<2, Bool>::from_data(hidden, &device), -1e9);
    let diagonal = activation::log_softmax(logits, 1) * Tensor::<2>::eye(r, &device);
    diagonal.sum().neg() / r as f32
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Device;

    #[test]
    fn equals_the_loop_and_leaves_out_the_same_user() {
        let device = Device::flex();
        let x = [[1.0_f32, 0.2], [0.3, -1.0], [0.5, 0.5]];
        let y = [[0.9_f32, 0.1], [0.2, 0.8], [-0.4, 0.6]];
        let users = [7_u64, 8, 7];
        let cosine = |a: [f32; 2], b: [f32; 2]| {
            (a[0] * b[0] + a[1] * b[1]) / (a[0].hypot(a[1]) * b[0].hypot(b[1]))
        };
        let mut expected = 0.0;
        for i in 0..3 {
            let kept = (0..3).filter(|j| *j == i || users[*j] != users[i]);
            let sum: f32 = kept.map(|j| (cosine(x[i], y[j]) / 0.5).exp()).sum();
            expected -= ((cosine(x[i], y[i]) / 0.5).exp() / sum).ln() / 3.0;
        }
        let ours =
            info_nce(Tensor::from_floats(x, &device), Tensor::from_floats(y, &device), &users, 0.5);
        assert!((ours.into_scalar::<f32>() - expected).abs() < 1e-5);
    }
}
