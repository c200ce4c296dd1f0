//! What a model gives back: the set F of Eq. 12. Heads, gate and task weighting attach to it, whatever the model.

use burn::tensor::Tensor;

/// The fields of every impression, and what the model adds to the loss.
#[derive(Debug)]
pub struct Encoded {
    /// Name and vectors `[n, w]` of each field, in the order in which they are concatenated.
    pub fields: Vec<(&'static str, Tensor<2>)>,
    /// Regularisers, none outside training.
    pub penalties: Vec<Penalty>,
}

/// One term of L_reg.
#[derive(Debug)]
pub struct Penalty {
    /// As logged.
    pub name: &'static str,
    /// Its lambda.
    pub weight: f32,
    /// `[1]`, before the weight.
    pub value: Tensor<1>,
}
