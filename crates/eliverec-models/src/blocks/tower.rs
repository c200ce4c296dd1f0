//! The prediction tower that every model shares (Eq. 11): concatenated fields to a logit.

use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor};

use super::{Dense, vector};
use crate::ops;
use crate::settings::{FieldNorm, TowerConfig};

/// Start of every PReLU slope.
const SLOPE: f32 = 0.25;

/// Dense layers with PReLU between them, optionally a layer norm per field before them.
#[derive(Module, Debug)]
pub struct Tower {
    field_norms: Vec<Norm>,
    layers: Vec<Dense>,
    slopes: Vec<Param<Tensor<1>>>,
}

#[derive(Module, Debug)]
struct Norm {
    gamma: Param<Tensor<1>>,
    beta: Param<Tensor<1>>,
}

impl Tower {
    /// A tower over fields of the given widths.
    pub fn new(config: &TowerConfig, fields: &[usize], device: &Device) -> Self {
        let norm = |width: &usize| Norm {
            gamma: vector(*width, 1.0, device),
            beta: vector(*width, 0.0, device),
        };
        let field_norms = match config.field_norm {
            FieldNorm::None => Vec::new(),
            FieldNorm::Layer => fields.iter().map(norm).collect(),
        };
        let mut widths = vec![fields.iter().sum()];
        widths.extend(&config.widths);
        widths.push(1);
        Self {
            field_norms,
            layers: widths.windows(2).map(|pair| Dense::new(pair[0], pair[1], device)).collect(),
            slopes: config.widths.iter().map(|width| vector(*width, SLOPE, device)).collect(),
        }
    }

    /// Fields `[n, w]` each to logits `[n]`.
    pub fn forward(&self, mut fields: Vec<Tensor<2>>) -> Tensor<1> {
        if !self.field_norms.is_empty() {
            let normed = fields.into_iter().zip(&self.field_norms);
            fields = normed
                .map(|(x, norm)| ops::layer_norm(x, norm.gamma.val(), norm.beta.val()))
                .collect();
        }
        let mut x = Tensor::cat(fields, 1);
        for (layer, slope) in self.layers.iter().zip(&self.slopes) {
            x = ops::prelu(layer.forward(x), slope.val());
        }
        let last = self.layers.last().expect("a tower ends in the layer of the logit");
        last.forward(x).squeeze_dim(1)
    }
}
