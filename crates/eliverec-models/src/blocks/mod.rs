//! Layers that two or more models use.

mod attention_unit;
mod dense;
mod target_attention;
mod tower;
mod transformer;

pub use attention_unit::{AttentionUnit, Normalize, WeightedEvents};
pub use dense::Dense;
pub use target_attention::TargetAttention;
pub use tower::Tower;
pub use transformer::{AttentionScale, TransformerBlock, TransformerConfig};

use burn::module::Param;
use burn::tensor::{Device, Tensor};

/// A matrix `[rows, columns]` whose initial values come later, by name (`parameters::initialise`).
pub(crate) fn matrix(rows: usize, columns: usize, device: &Device) -> Param<Tensor<2>> {
    Param::from_tensor(Tensor::zeros([rows, columns], device))
}

/// A vector that starts at a constant.
pub(crate) fn vector(width: usize, value: f32, device: &Device) -> Param<Tensor<1>> {
    Param::from_tensor(Tensor::full([width], value, device))
}
