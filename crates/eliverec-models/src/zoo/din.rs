//! DIN: an attention unit weighs each event by the target.
//!
//! G. Zhou et al., "Deep Interest Network for Click-Through Rate Prediction", KDD 2018. Row "DIN" of the eLiveRec paper's
//! Tables II and IV. Reference code: github.com/zhougr1993/DeepInterestNetwork.
//!
//! Differences from the paper: softmax over the events with scores over sqrt(d), as in the reference code (`normalize`
//! chooses); no batch norm and no Dice, whose scores depend on the rest of the batch; no bias per item; the tower that
//! all models share.

use burn::module::Module;
use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use crate::blocks::{AttentionUnit, Normalize, Tower};
use crate::builder::Builder;
use crate::error::Error;
use crate::inputs::Inputs;
use crate::site::Site;
use crate::trace::Trace;
use crate::trunk::{Encoded, Trunk, TrunkConfig};

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

impl TrunkConfig for DinConfig {
    type Trunk = Din;

    fn init(&self, site: &Site<'_>, builder: &Builder) -> Result<Din, Error> {
        let unit = || AttentionUnit::new(site.width, self.normalize, true, builder);
        let target_product = self.target_product;
        Ok(Din { live: unit(), product: site.products.then(unit), target_product })
    }
}

/// Names of a domain's fields: u and u * e_vt.
const LIVE: [&str; 2] = ["live", "live_target"];
const PRODUCT: [&str; 2] = ["product", "product_target"];

/// One attention unit per domain; the two never share weights.
#[derive(Module, Debug)]
pub struct Din {
    live: AttentionUnit,
    product: Option<AttentionUnit>,
    #[module(skip)]
    target_product: bool,
}

impl Trunk for Din {
    /// Fields: those that all models share, and per domain in use the interest u and, if asked for, u * e_vt, each `[n, d]`.
    fn shape(&self, site: &Site<'_>) -> Vec<(&'static str, usize)> {
        let mut fields = site.shared_fields();
        let mut push = |[name, with_target]: [&'static str; 2]| {
            fields.push((name, site.width));
            fields.extend(self.target_product.then_some((with_target, site.width)));
        };
        push(LIVE);
        if self.product.is_some() {
            push(PRODUCT);
        }
        fields
    }

    fn encode(&self, inputs: &Inputs, _: &Tower, trace: &mut Trace) -> Encoded {
        let mut fields = inputs.shared_fields();
        let live = self.live.interest(inputs, &inputs.live, "live", trace);
        self.push(&mut fields, LIVE, live, inputs);
        if let (Some(unit), Some(history)) = (&self.product, &inputs.product) {
            let product = unit.interest(inputs, history, "product", trace);
            self.push(&mut fields, PRODUCT, product, inputs);
        }
        Encoded::of(fields)
    }
}

impl Din {
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
