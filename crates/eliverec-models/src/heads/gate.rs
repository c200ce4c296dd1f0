//! The embedding gate unit (Eq. 12): what is on sale now decides which fields of F count.

use burn::module::Module;
use burn::tensor::{Tensor, activation};

use super::config::HeadsConfig;
use crate::blocks::Dense;
use crate::builder::Builder;
use crate::trace::Trace;

/// A two-layer network per field, from e_d `[rows, d]` to one weight in (0, 1). Fields may be of any width.
#[derive(Module, Debug)]
pub(super) struct Gate {
    /// All fields' hidden layers side by side, `[d, fields * hidden]`: one product in place of many small ones.
    hidden: Dense,
    weights: Vec<Dense>,
}

impl Gate {
    pub(super) fn new(
        config: &HeadsConfig,
        fields: usize,
        width: usize,
        builder: &Builder,
    ) -> Self {
        Self {
            hidden: Dense::rectified_parts(width, fields * config.gate_hidden, fields, builder),
            weights: (0..fields).map(|_| Dense::new(config.gate_hidden, 1, builder)).collect(),
        }
    }

    /// eq. 12: w_i = sigmoid(MLP_i(e_d)), F_i <- w_i F_i
    pub(super) fn forward(
        &self,
        fields: &[(&'static str, Tensor<2>)],
        dynamic: Tensor<2>,
        trace: &mut Trace,
    ) -> Vec<Tensor<2>> {
        let hidden = activation::relu(self.hidden.forward(dynamic)); //      [rows, fields * hidden]
        let parts = hidden.chunk(self.weights.len(), 1);
        let gated = fields.iter().zip(parts).zip(&self.weights);
        gated
            .map(|(((name, field), part), layer)| {
                let weight = activation::sigmoid(layer.forward(part)); //    [rows, 1]
                trace.record(&format!("gate.{name}"), &weight);
                field.clone() * weight
            })
            .collect()
    }
}
