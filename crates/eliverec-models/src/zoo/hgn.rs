//! HGN: gates for the elements of each event's vector and for each event, by the user.
//!
//! C. Ma et al., "Hierarchical Gating Networks for Sequential Recommendation", KDD 2019. Row "HGN" of the eLiveRec paper's
//! Tables II and IV. Reference code: github.com/allenjack/HGN.
//!
//! Per domain, with the gates of [`Gating`]: `union = sum_i s_i x_i / sum_i s_i`, `mean = mean_i e_i`, `w = e_vt W_o`, and the
//! score's three products <u, w>, <union, w>, <mean, w>.
//!
//! Differences from the paper, which ranks items: logits from the tower that all models share, which sees the products and what
//! they are made of, and cross entropy in place of BPR. u is a linear map of e_c, one for both domains: a row per user id says
//! nothing of new users. The mean takes the place of the sum of events, whose size grows with the history. W_o takes the place of
//! a second table of items. The instance gate has a weight per place, counted from the newest event, since histories have any
//! length. No history: union and mean are zero.

use burn::module::{Module, Param};
use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use crate::blocks::{Gating, Tower};
use crate::builder::Builder;
use crate::error::Error;
use crate::inputs::{History, Inputs};
use crate::ops;
use crate::site::Site;
use crate::trace::Trace;
use crate::trunk::{Encoded, Trunk, TrunkConfig};

/// `[model] name = "hgn"` of an experiment file.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HgnConfig {}

impl TrunkConfig for HgnConfig {
    type Trunk = Hgn;

    fn init(&self, site: &Site<'_>, builder: &Builder) -> Result<Hgn, Error> {
        let side = || Side {
            gating: Gating::new(site.width, builder),
            target: builder.matrix(site.width, site.width),
        };
        let user = builder.matrix(site.width, site.width);
        Ok(Hgn { user, live: side(), product: site.products.then(side) })
    }
}

/// Names of a domain's fields: union, mean, and the three products.
const LIVE: [&str; 3] = ["live", "live_average", "live_dots"];
const PRODUCT: [&str; 3] = ["product", "product_average", "product_dots"];

/// Gates per domain; the two share u alone.
#[derive(Module, Debug)]
pub struct Hgn {
    /// From e_c to u `[d, d]`.
    user: Param<Tensor<2>>,
    live: Side,
    product: Option<Side>,
}

/// One domain.
#[derive(Module, Debug)]
struct Side {
    gating: Gating,
    /// W_o `[d, d]`
    target: Param<Tensor<2>>,
}

impl Trunk for Hgn {
    /// Fields: those that all models share, u `[n, d]`, and per domain in use union and mean `[n, d]` and the products `[n, 3]`.
    fn shape(&self, site: &Site<'_>) -> Vec<(&'static str, usize)> {
        let mut fields = site.shared_fields();
        fields.push(("user_map", site.width));
        for [union, average, dots] in
            [LIVE].into_iter().chain(self.product.as_ref().map(|_| PRODUCT))
        {
            fields.extend([(union, site.width), (average, site.width), (dots, 3)]);
        }
        fields
    }

    fn encode(&self, inputs: &Inputs, _: &Tower, trace: &mut Trace) -> Encoded {
        let user = inputs.context_or_zero().matmul(self.user.val()); //                 u [b, d]
        let mut fields = inputs.shared_fields();
        fields.push(("user_map", inputs.candidates.repeat(user.clone())));
        fields.extend(self.live.fields(&user, inputs, &inputs.live, LIVE, trace));
        if let (Some(side), Some(history)) = (&self.product, &inputs.product) {
            fields.extend(side.fields(&user, inputs, history, PRODUCT, trace));
        }
        Encoded::of(fields)
    }
}

impl Side {
    fn fields(
        &self,
        user: &Tensor<2>,
        inputs: &Inputs,
        history: &History,
        [name, average, dots]: [&'static str; 3],
        trace: &mut Trace,
    ) -> [(&'static str, Tensor<2>); 3] {
        let rows = &history.rows;
        let (union, mean) = if rows.total() == 0 {
            (user.zeros_like(), user.zeros_like())
        } else {
            let gated = self.gating.forward(user.clone(), history, name, trace);
            let weight = ops::masked_mean(gated.instances, rows); //                    [b, 1]
            let union = ops::masked_mean(gated.items, rows) / weight.clamp_min(f32::MIN_POSITIVE);
            (union, ops::masked_mean(history.items.clone(), rows))
        };
        let at_impressions = |vectors: &Tensor<2>| inputs.candidates.repeat(vectors.clone());
        let [user, union, mean] = [user, &union, &mean].map(at_impressions);
        let target = inputs.target.clone().matmul(self.target.val()); //                w [n, d]
        let dot = |vectors: &Tensor<2>| (vectors.clone() * target.clone()).sum_dim(1);
        let products = Tensor::cat([&user, &union, &mean].map(dot).to_vec(), 1); //     [n, 3]
        [(name, union), (average, mean), (dots, products)]
    }
}
