//! DIN: an attention unit weighs each event by the target.
//!
//! G. Zhou et al., "Deep Interest Network for Click-Through Rate Prediction", KDD 2018. Row "DIN" of the eLiveRec paper's
//! Tables II and IV. Reference code: github.com/zhougr1993/DeepInterestNetwork.
//!
//! Differences from the paper: softmax over the events with scores over sqrt(d), as in the reference code (`normalize`
//! chooses); no batch norm and no Dice, whose scores depend on the rest of the batch; no bias per item; the tower that
//! all models share.

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use serde::{Deserialize, Serialize};

use crate::blocks::{AttentionUnit, Normalize};
use crate::error::Error;
use crate::inputs::Inputs;
use crate::trace::Trace;
use crate::trunk::Encoded;

/// `[model] name = "din"` of an experiment file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DinConfig {
    /// How scores become weights.
    pub normalize: Normalize,
    /// Whether the tower also sees u * e_vt, element by element (the reference code; the paper's figure has u alone).
    pub target_product: bool,
}

impl Default for DinConfig {
    fn default() -> Self {
        Self { normalize: Normalize::default(), target_product: true }
    }
}

impl DinConfig {
    #[expect(
        clippy::unused_self,
        clippy::unnecessary_wraps,
        reason = "every config has this signature"
    )]
    pub(crate) fn check(&self, _width: usize) -> Result<(), Error> {
        Ok(())
    }

    /// Builds the model for entity embeddings of `width`.
    pub(crate) fn init(&self, width: usize, products: bool, device: &Device) -> Din {
        let unit = || AttentionUnit::new(width, self.normalize, true, device);
        let target_product = self.target_product;
        Din { live: unit(), product: products.then(unit), target_product }
    }
}

/// One attention unit per domain; the two never share weights.
#[derive(Module, Debug)]
pub struct Din {
    live: AttentionUnit,
    product: Option<AttentionUnit>,
    #[module(skip)]
    target_product: bool,
}

impl Din {
    pub(crate) fn fields(&self) -> usize {
        let domains = 1 + usize::from(self.product.is_some());
        domains * (1 + usize::from(self.target_product))
    }

    /// Fields: those that all models share, and per domain in use the interest u and, if asked for, u * e_vt, each `[n, d]`.
    pub fn encode(&self, inputs: &Inputs, trace: &mut Trace) -> Encoded {
        let mut fields = inputs.shared_fields();
        let live = self.live.interest(inputs, &inputs.live, "live", trace);
        self.push(&mut fields, ["live", "live_target"], live, inputs);
        if let (Some(unit), Some(history)) = (&self.product, &inputs.product) {
            let product = unit.interest(inputs, history, "product", trace);
            self.push(&mut fields, ["product", "product_target"], product, inputs);
        }
        Encoded { fields, penalties: Vec::new() }
    }

    fn push(
        &self,
        fields: &mut Vec<(&'static str, Tensor<2>)>,
        [name, with_target]: [&'static str; 2],
        interest: Tensor<2>,
        inputs: &Inputs,
    ) {
        let product = self.target_product.then(|| interest.clone() * inputs.target.clone());
        fields.push((name, interest));
        fields.extend(product.map(|product| (with_target, product)));
    }
}
