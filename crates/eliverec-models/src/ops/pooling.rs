//! Pooling of a feed's real rows: the prototypes of Eq. 5.

use burn::tensor::{Tensor, TensorData};

use crate::fused;
use crate::rows::Rows;

/// [`masked_mean`] and [`masked_max`], in one step where the device has it.
pub fn mean_and_max(packed: Tensor<2>, rows: &Rows) -> (Tensor<2>, Tensor<2>) {
    if rows.fused {
        return fused::prototypes(packed, &rows.offsets);
    }
    (masked_mean(packed.clone(), rows), masked_max(packed, rows))
}

/// Mean over each feed's rows: `[rows, d]` to `[b, d]`, zero for a feed without rows.
pub fn masked_mean(packed: Tensor<2>, rows: &Rows) -> Tensor<2> {
    let sum = rows.pad(packed).sum_dim(1).squeeze_dim::<2>(1);
    sum / rows.lengths().clamp_min(1.0)
}

/// At each row the mean over its feed's rows up to and including it: `[rows, d]` to `[rows, d]`.
pub fn prefix_means(packed: Tensor<2>, rows: &Rows) -> Tensor<2> {
    let padded = rows.pad(packed); //                                             [b, l, d]
    let [feeds, longest, _] = padded.dims();
    let share = |i: usize, j: usize| if j <= i { 1.0 / (i + 1) as f32 } else { 0.0 };
    let shares: Vec<f32> =
        (0..longest).flat_map(|i| (0..longest).map(move |j| share(i, j))).collect();
    let shares =
        Tensor::<2>::from_data(TensorData::new(shares, [longest, longest]), &padded.device());
    let shares = shares.unsqueeze_dim::<3>(0).expand([feeds, longest, longest]);
    rows.pack(shares.matmul(padded))
}

/// Element-wise maximum over each feed's rows: `[rows, d]` to `[b, d]`, zero for a feed without rows.
/// The gradient of a maximum that is reached several times is split evenly among them.
pub fn masked_max(packed: Tensor<2>, rows: &Rows) -> Tensor<2> {
    let [_, width] = packed.dims();
    let padded = rows.pad(packed); //                                             [b, l, d]
    let [feeds, longest, _] = padded.dims();
    let mask = rows.mask().unsqueeze_dim::<3>(2).expand([feeds, longest, width]);
    let values = padded.clone().detach().mask_fill(mask.clone().bool_not(), f32::MIN);
    let largest = values.clone().max_dim(1).expand([feeds, longest, width]);
    let reached = values.equal(largest).bool_and(mask).float();
    let share = reached.clone() / reached.sum_dim(1).clamp_min(1.0);
    (padded * share).sum_dim(1).squeeze_dim(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Device;
    use eliverec_core::batch::Offsets;

    #[test]
    fn empty_feeds_pool_to_zero_and_ties_share_the_gradient() {
        let device = Device::flex().autodiff();
        let rows = Rows::new(Offsets::from_lengths([3, 0]), &device);
        let x = Tensor::<2>::from_floats([[1.0, -3.0], [2.0, -1.0], [2.0, -2.0]], &device)
            .require_grad();
        let max = masked_max(x.clone(), &rows);
        assert_eq!(max.try_to_vec_as::<f32>().unwrap(), [2.0, -1.0, 0.0, 0.0]);
        let mean = masked_mean(x.clone(), &rows).try_into_vec_as::<f32>().unwrap();
        assert!((mean[0] - 5.0 / 3.0).abs() < 1e-6 && (mean[1] + 2.0).abs() < 1e-6);
        assert_eq!(mean[2..], [0.0, 0.0]);
        let gradient = x.grad(&max.sum().backward()).unwrap();
        assert_eq!(gradient.try_into_vec_as::<f32>().unwrap(), [0.0, 0.0, 0.5, 1.0, 0.5, 0.0]);
    }
}
