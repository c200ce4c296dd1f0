//! ETA: the target attends over the short history with several heads.
//!
//! Q. Chen et al., "End-to-End User Behavior Retrieval in Click-Through Rate Prediction Model",
//! arXiv:2108.04468. Row "ETA" of the eLiveRec paper's Tables II to IV.
//!
//! Differences from the paper: no hash retrieval of long histories (eLiveRec, Sec. V-B, leaves it out
//! for online latency); no residual or layer norm around the attention, which the paper does not show.

use burn::module::Module;
use serde::{Deserialize, Serialize};

use crate::blocks::{TargetAttention, Tower, check_heads};
use crate::builder::Builder;
use crate::error::Error;
use crate::inputs::Inputs;
use crate::site::Site;
use crate::trace::Trace;
use crate::trunk::{Encoded, Trunk, TrunkConfig};

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

impl TrunkConfig for EtaConfig {
    type Trunk = Eta;

    fn check(&self, width: usize) -> Result<(), Error> {
        check_heads(self.heads, width)
    }

    fn init(&self, site: &Site<'_>, builder: &Builder) -> Result<Eta, Error> {
        let attention = || TargetAttention::new(site.width, self.heads, builder);
        Ok(Eta { live: attention(), product: site.products.then(attention) })
    }
}

/// One target attention per domain; the two never share weights.
#[derive(Module, Debug)]
pub struct Eta {
    live: TargetAttention,
    product: Option<TargetAttention>,
}

impl Trunk for Eta {
    /// Fields: those that all models share, and one interest vector per domain in use, each `[n, d]`.
    fn shape(&self, site: &Site<'_>) -> Vec<(&'static str, usize)> {
        let mut fields = site.shared_fields();
        fields.push(("live", site.width));
        fields.extend(self.product.is_some().then_some(("product", site.width)));
        fields
    }

    fn encode(&self, inputs: &Inputs, _: &Tower, trace: &mut Trace) -> Encoded {
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
        Encoded::of(fields)
    }
}
