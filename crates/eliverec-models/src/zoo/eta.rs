//! ETA: the target attends over the short history with several heads.
//!
//! Q. Chen et al., "End-to-End User Behavior Retrieval in Click-Through Rate Prediction Model",
//! arXiv:2108.04468. Row "ETA" of the eLiveRec paper's Tables II to IV.
//!
//! Differences from the paper: no hash retrieval of long histories (eLiveRec, Sec. V-B, leaves it out
//! for online latency); no residual or layer norm around the attention, which the paper does not show.

use burn::module::Module;
use burn::tensor::Device;
use serde::{Deserialize, Serialize};

use super::check_heads;
use crate::blocks::TargetAttention;
use crate::error::Error;
use crate::inputs::Inputs;
use crate::trace::Trace;
use crate::trunk::Encoded;

/// `[model] name = "eta"` of an experiment file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EtaConfig {
    /// Attention heads; must divide the embedding width. The paper uses 8.
    pub heads: usize,
}

impl Default for EtaConfig {
    fn default() -> Self {
        Self { heads: 8 }
    }
}

impl EtaConfig {
    pub(crate) fn check(&self, width: usize) -> Result<(), Error> {
        check_heads(self.heads, width)
    }

    /// Builds the model for entity embeddings of `width`.
    pub(crate) fn init(&self, width: usize, products: bool, device: &Device) -> Eta {
        let attention = || TargetAttention::new(width, self.heads, device);
        Eta { live: attention(), product: products.then(attention) }
    }
}

/// One target attention per domain; the two never share weights.
#[derive(Module, Debug)]
pub struct Eta {
    live: TargetAttention,
    product: Option<TargetAttention>,
}

impl Eta {
    pub(crate) fn fields(&self) -> usize {
        1 + usize::from(self.product.is_some())
    }

    /// Fields: those that all models share, and one interest vector per domain in use, each `[n, d]`.
    pub fn encode(&self, inputs: &Inputs, trace: &mut Trace) -> Encoded {
        let mut fields = inputs.shared_fields();
        let target = || inputs.target.clone();
        fields.push((
            "live",
            self.live.forward(target(), &inputs.candidates, &inputs.live, "live", trace),
        ));
        if let (Some(attention), Some(history)) = (&self.product, &inputs.product) {
            fields.push((
                "product",
                attention.forward(target(), &inputs.candidates, history, "product", trace),
            ));
        }
        Encoded { fields, penalties: Vec::new() }
    }
}
