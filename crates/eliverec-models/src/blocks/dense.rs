//! A linear layer with bias.

use burn::module::{Module, Param};
use burn::tensor::Tensor;

use crate::builder::Builder;

/// `x W + b`
#[derive(Module, Debug)]
pub struct Dense {
    weight: Param<Tensor<2>>,
    bias: Param<Tensor<1>>,
}

impl Dense {
    /// From `input` to `output` units.
    pub fn new(input: usize, output: usize, builder: &Builder) -> Self {
        Self { weight: builder.matrix(input, output), bias: builder.constant(output, 0.0) }
    }

    /// The same, with a ReLU or PReLU to follow.
    pub fn rectified(input: usize, output: usize, builder: &Builder) -> Self {
        Self::rectified_parts(input, output, 1, builder)
    }

    /// `parts` layers side by side, each from `input` to `output / parts` units, with a ReLU or PReLU to follow.
    pub fn rectified_parts(input: usize, output: usize, parts: usize, builder: &Builder) -> Self {
        let weight = builder.rectified(input, output, parts);
        Self { weight, bias: builder.constant(output, 0.0) }
    }

    /// `[rows, input]` to `[rows, output]`.
    pub fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        x.matmul(self.weight.val()) + self.bias.val().unsqueeze_dim(0)
    }

    /// `W`, `[input, output]`.
    pub fn weight(&self) -> Tensor<2> {
        self.weight.val()
    }

    /// `b`, `[output]`.
    pub fn bias(&self) -> Tensor<1> {
        self.bias.val()
    }
}
