//! A map between the users' vectors of two domains that is kept near a rotation, so that its transpose leads back.

use burn::module::{Module, Param};
use burn::tensor::Tensor;

use crate::builder::Builder;

/// `u X` one way, `u X^T` the other. X starts at I.
#[derive(Module, Debug)]
pub struct Rotation {
    weight: Param<Tensor<2>>,
}

impl Rotation {
    /// Of vectors of `width`.
    pub fn new(width: usize, builder: &Builder) -> Self {
        Self { weight: builder.identity(width) }
    }

    /// `u X`, `[rows, d]`.
    pub fn forward(&self, u: Tensor<2>) -> Tensor<2> {
        u.matmul(self.weight.val())
    }

    /// `u X^T`, `[rows, d]`.
    pub fn back(&self, u: Tensor<2>) -> Tensor<2> {
        u.matmul(self.weight.val().transpose())
    }

    /// `|X X^T - I|^2 / d`, `[1]`.
    pub fn penalty(&self) -> Tensor<1> {
        let weight = self.weight.val();
        let [d, _] = weight.dims();
        let off = weight.clone().matmul(weight.clone().transpose())
            - Tensor::<2>::eye(d, &weight.device());
        off.square().sum() / d as f32
    }
}
