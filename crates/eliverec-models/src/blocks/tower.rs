//! The prediction tower that every model shares (Eq. 11): concatenated fields to a logit.

use burn::module::{Module, Param};
use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use super::dense::Dense;
use crate::builder::Builder;
use crate::ops;

/// The prediction layers that every model shares (Eq. 11).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TowerConfig {
    /// Units of the hidden layers; a last layer gives the logit.
    pub widths: Vec<usize>,
    /// Whether the tower sees e_d as well; literal Eq. 11 does not.
    pub intra_dynamic: bool,
    /// Whether the tower sees, per domain, the mean of the events and its product with e_vt, element by element.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub history_means: bool,
}

impl Default for TowerConfig {
    fn default() -> Self {
        Self { widths: vec![200, 80], intra_dynamic: false, history_means: false }
    }
}

/// Start of every PReLU slope.
const SLOPE: f32 = 0.25;

/// Dense layers with PReLU between them.
#[derive(Module, Debug)]
pub struct Tower {
    layers: Vec<Dense>,
    slopes: Vec<Param<Tensor<1>>>,
}

impl Tower {
    /// A tower over fields of the given widths; without fields nothing, which nobody asks for a logit.
    pub fn new(config: &TowerConfig, fields: &[usize], builder: &Builder) -> Self {
        if fields.is_empty() {
            return Self { layers: Vec::new(), slopes: Vec::new() };
        }
        let mut widths = vec![fields.iter().sum()];
        widths.extend(&config.widths);
        widths.push(1);
        let hidden = config.widths.len();
        let layer = |(i, pair): (usize, &[usize])| {
            let new = if i < hidden { Dense::rectified } else { Dense::new };
            new(pair[0], pair[1], builder)
        };
        Self {
            layers: widths.windows(2).enumerate().map(layer).collect(),
            slopes: config.widths.iter().map(|width| builder.constant(*width, SLOPE)).collect(),
        }
    }

    /// Fields `[n, w]` each to logits `[n]`.
    pub fn forward(&self, fields: Vec<Tensor<2>>) -> Tensor<1> {
        let mut x = Tensor::cat(fields, 1);
        for (layer, slope) in self.layers.iter().zip(&self.slopes) {
            x = ops::prelu(layer.forward(x), slope.val());
        }
        let last = self.layers.last().expect("a tower ends in the layer of the logit");
        last.forward(x).squeeze_dim(1)
    }
}
