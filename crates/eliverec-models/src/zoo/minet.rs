//! MiNet: what the user wants in the long run, on the live side, and among products, each weighed for every target.
//!
//! W. Ouyang et al., "MiNet: Mixed Interest Network for Cross-Domain Click-Through Rate Prediction", CIKM 2020. Row "MiNet" of
//! the eLiveRec paper's Tables II to IV. Reference code: github.com/oywtece/minet.
//!
//! With the target q = e_vt and the user's vector p_u = e_c W:
//!
//! - items: `p_t = sum_i softmax_i(v^T ReLU(V [k_i, q, p_u, k_i * q])) k_i` over the watched channels; p_s the same over the
//!   clicked products, with `(k_j Ha Hb) * q` in the last place, as products lie in a space of their own;
//! - interests: `w_x = exp(h_x^T ReLU(D_x [q, p_u, p_t, p_s]) + b_x)` for x of u, t and s, with b_u = 1 and b_t = b_s = 0;
//! - the tower sees `w_u p_u`, `w_t p_t`, `w_s p_s` beside the fields that all models share;
//! - products: a net of the tower's shape over `[e_p, p_u, mean(s_1..s_{n-1})]`, gamma times its loss ([`NextClicks`]).
//!
//! Differences from the paper: live streams stand for the target's domain, drawn clicks of products for the source's; the mean
//! in the source's net, without which there is nothing to learn from clicks alone. From the reference code: the softmax runs over
//! real events only, where there an empty place takes its share; no history, no interest. The weights of interests are not
//! normalised, in either; the exponent is kept in +-8, and `interest_weight = "sigmoid"` takes 2 sigmoid, which cannot inflate.

use std::collections::BTreeMap;

use burn::module::{Module, Param};
use burn::tensor::{Tensor, activation};
use serde::{Deserialize, Serialize};

use crate::blocks::{NextClicks, Pairs, Tower};
use crate::builder::Builder;
use crate::error::{Error, not_negative};
use crate::inputs::{History, Inputs};
use crate::ops;
use crate::rows::indices;
use crate::site::Site;
use crate::trace::{Recorded, Trace};
use crate::trunk::{Encoded, Observed, Trunk, TrunkConfig};

/// Hidden units of both attentions.
const HIDDEN: usize = 64;

/// Rank of the map from products to channels.
const TRANSFER: usize = 10;

/// Bound of the exponent of an interest's weight.
const LARGEST: f32 = 8.0;

/// `[model] name = "minet"` of an experiment file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MinetConfig {
    /// How an interest's score becomes its weight.
    pub interest_weight: InterestWeight,
    /// gamma: weight of the product side's task; 0 for none.
    pub product_weight: f32,
}

/// See [`MinetConfig::interest_weight`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InterestWeight {
    /// exp (the paper).
    #[default]
    Exp,
    /// 2 sigmoid, between 0 and 2.
    Sigmoid,
}

impl Default for MinetConfig {
    fn default() -> Self {
        Self { interest_weight: InterestWeight::default(), product_weight: 0.5 }
    }
}

impl TrunkConfig for MinetConfig {
    type Trunk = Minet;

    fn joins_domains(&self) -> bool {
        true
    }

    fn check(&self, _: usize) -> Result<(), Error> {
        not_negative("model.product_weight", self.product_weight)
    }

    fn init(&self, site: &Site<'_>, builder: &Builder) -> Result<Minet, Error> {
        let d = site.width;
        let clicks = || Tower::new(site.tower, &[d, d, d], builder);
        Ok(Minet {
            user: builder.matrix(d, d),
            live: ItemAttention::new(d, false, builder),
            product: ItemAttention::new(d, true, builder),
            interests: INTERESTS
                .map(|(_, start)| InterestGate::new(d, start, builder))
                .into_iter()
                .collect(),
            clicks: (self.product_weight > 0.0).then(clicks),
            interest_weight: self.interest_weight,
            product_weight: self.product_weight,
        })
    }
}

/// Field of each interest, and b_x.
const INTERESTS: [(&str, f32); 3] = [("user", 1.0), ("live", 0.0), ("product", 0.0)];

/// See the module's page.
#[derive(Module, Debug)]
pub struct Minet {
    /// From e_c to p_u `[d, d]`.
    user: Param<Tensor<2>>,
    live: ItemAttention,
    product: ItemAttention,
    /// In the order of [`INTERESTS`].
    interests: Vec<InterestGate>,
    /// The net of the product side's task.
    clicks: Option<Tower>,
    #[module(skip)]
    interest_weight: InterestWeight,
    #[module(skip)]
    product_weight: f32,
}

impl Trunk for Minet {
    /// Fields: those that all models share, and the three interests, each by its weight, `[n, d]`.
    fn shape(&self, site: &Site<'_>) -> Vec<(&'static str, usize)> {
        let interests = INTERESTS.map(|(name, _)| (name, site.width));
        site.shared_fields().into_iter().chain(interests).collect()
    }

    /// Records each interest's weight as `{name}.weight` `[n, 1]`.
    fn encode(&self, inputs: &Inputs, _: &Tower, trace: &mut Trace) -> Encoded {
        let user = inputs.context_or_zero().matmul(self.user.val()); //                 p_u [b, d]
        let live = self.live.forward(inputs, &user, Some(&inputs.live), "live", trace);
        let products = inputs.product.as_ref();
        let product = self.product.forward(inputs, &user, products, "product", trace);
        let interests = [inputs.candidates.repeat(user.clone()), live, product];

        let seen = [inputs.target.clone()].into_iter().chain(interests.clone());
        let seen = Tensor::cat(seen.collect(), 1); //                                            [n, 4 d]
        let mut fields = inputs.shared_fields();
        let gates = INTERESTS.iter().zip(&self.interests);
        for (((name, _), gate), interest) in gates.zip(interests) {
            let score = gate.forward(seen.clone());
            let weight = match self.interest_weight {
                InterestWeight::Exp => score.clamp(-LARGEST, LARGEST).exp(),
                InterestWeight::Sigmoid => activation::sigmoid(score) * 2.0,
            };
            trace.record(&format!("{name}.weight"), &weight);
            fields.push((name, interest * weight));
        }
        let mut encoded = Encoded::of(fields);
        if let Some(net) = &self.clicks {
            encoded.terms.extend(NextClicks::term(inputs, self.product_weight, |clicks| {
                let before = clicks.before.product.as_ref();
                let mean = before.map(|before| ops::masked_mean(before.bare.clone(), &before.rows));
                let mean = mean.unwrap_or_else(|| user.zeros_like());
                net.forward(vec![
                    clicks.shown.clone(),
                    clicks.at_rows(user.clone()),
                    clicks.at_rows(mean),
                ])
            }));
        }
        encoded
    }

    /// How large each interest's weight is on average, `interest.NAME`: an exponential that nothing bounds inflates.
    fn observe(&self, recorded: &BTreeMap<String, Recorded>) -> Vec<Observed> {
        let weights = INTERESTS
            .iter()
            .filter_map(|(name, _)| Some((name, recorded.get(&format!("{name}.weight"))?)));
        weights
            .map(|(name, weight)| Observed {
                name: format!("interest.{name}"),
                rows: weight.shape[0],
                count: weight.values.len(),
                sum: weight.values.iter().copied().map(f64::from).sum(),
            })
            .collect()
    }
}

/// The attention of one domain's items. No layer has a bias.
#[derive(Module, Debug)]
struct ItemAttention {
    /// V^T: of the event, of the target, of the user, of event and target, each `[d, 64]`.
    hidden: Param<Tensor<2>>,
    /// v `[64, 1]`.
    score: Param<Tensor<2>>,
    /// Ha `[d, 10]` and Hb `[10, d]`, for events of another space than the target's.
    transfer: Option<Transfer>,
}

#[derive(Module, Debug)]
struct Transfer {
    down: Param<Tensor<2>>,
    up: Param<Tensor<2>>,
}

impl ItemAttention {
    fn new(width: usize, transfer: bool, builder: &Builder) -> Self {
        let transfer = transfer.then(|| Transfer {
            down: builder.matrix(width, TRANSFER),
            up: builder.matrix(TRANSFER, width),
        });
        Self {
            hidden: builder.rectified(4 * width, HIDDEN, 1),
            score: builder.matrix(HIDDEN, 1),
            transfer,
        }
    }

    /// The interest `[n, d]` of every impression, with p_u `user` `[b, d]`; zero where the history is empty. Records the attention
    /// as `{name}.attention` `[b, c, l]`.
    ///
    /// V is taken apart, so that what depends on the event, the target or the user alone is computed once for each.
    fn forward(
        &self,
        inputs: &Inputs,
        user: &Tensor<2>,
        history: Option<&History>,
        name: &str,
        trace: &mut Trace,
    ) -> Tensor<2> {
        let target = &inputs.target;
        let Some(history) = history.filter(|history| history.rows.total() > 0) else {
            return target.zeros_like();
        };
        let ([n, d], device) = (target.dims(), target.device());
        let (rows, candidates) = (&history.rows, &inputs.candidates);
        let part = |i: usize| self.hidden.val().narrow(0, i * d, d);
        let items = history.items.clone();
        let of_item = items.clone().matmul(part(0)); //                                [m, 64]
        let of_target =
            target.clone().matmul(part(1)) + candidates.repeat(user.clone().matmul(part(2))); //                      [n, 64]
        let moved = match &self.transfer {
            Some(transfer) => items.clone().matmul(transfer.down.val()).matmul(transfer.up.val()),
            None => items.clone(),
        };

        let pairs = Pairs::new(candidates, rows);
        let (i, j) =
            (indices(pairs.impressions.clone(), &device), indices(pairs.events.clone(), &device));
        let product = target.clone().select(0, i.clone()) * moved.select(0, j.clone());
        let hidden = of_target.select(0, i) + of_item.select(0, j) + product.matmul(part(3));
        let scores = activation::relu(hidden).matmul(self.score.val()); //             [pairs, 1]
        let longest = rows.longest();
        let mask = candidates.repeat(rows.mask().float()).bool();
        let weights = ops::masked_softmax(pairs.rectangle(scores, n, longest), mask);
        let weights = candidates.pad(weights); //                                      [b, c, l]
        trace.record_over(&format!("{name}.attention"), &weights, rows);
        let [b, c, _] = weights.dims();
        candidates.pack(weights.matmul(rows.pad(items)).reshape([b, c, d]))
    }
}

/// The score of one interest.
#[derive(Module, Debug)]
struct InterestGate {
    /// D_x^T `[4 d, 64]`.
    hidden: Param<Tensor<2>>,
    /// h_x `[64, 1]`.
    score: Param<Tensor<2>>,
    /// b_x
    bias: Param<Tensor<1>>,
}

impl InterestGate {
    fn new(width: usize, start: f32, builder: &Builder) -> Self {
        Self {
            hidden: builder.rectified(4 * width, HIDDEN, 1),
            score: builder.matrix(HIDDEN, 1),
            bias: builder.constant(1, start),
        }
    }

    /// `[n, 4 d]` to `[n, 1]`.
    fn forward(&self, seen: Tensor<2>) -> Tensor<2> {
        let hidden = activation::relu(seen.matmul(self.hidden.val()));
        hidden.matmul(self.score.val()) + self.bias.val().unsqueeze_dim(0)
    }
}
