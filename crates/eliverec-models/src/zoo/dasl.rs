//! DASL: recurrences over both histories, each with the user's vector of the domain that is asked, and one attention over both.
//!
//! P. Li et al., "Dual Attentive Sequential Learning for Cross-Domain Click-Through Rate Prediction", KDD 2021. Row "DASL" of the
//! eLiveRec paper's Table II. Reference code: github.com/lpworld/DASL.
//!
//! With the user's vector in either domain, `u_V = e_c W_V` and `u_S = e_c W_S`, and a recurrence R_K per domain ([`Gru`]):
//!
//! - asked for channels: `H_own = R_V([E_V; u_V])`, `H_cross = R_S([E_S; u_V])`; each state's weight is the softmax of
//!   `v . tanh(h W + b)` over the states of *both*; the tower sees u_V and the weighted sums of either beside the fields that all
//!   models share. No target is in it, so all of it is computed once per feed;
//! - asked for products: the same with the domains the other way round, u_S, an attention of its own and the clicks before; a
//!   net of the tower's shape over `[e_p, u_S, sums]`, `product_weight` times its loss ([`NextClicks`]);
//! - dual embedding: `dual_weight` times `|X X^T - I|^2 / d` and times the mean of `1 - cos(u_S X, u_V)`; X starts at I.
//!
//! Differences from the paper: no biases of users and items; no vectors of user ids, which say nothing of new users. From the
//! reference code: the softmax runs over real events only; the rotation is trained with the rest in every update, where
//! there its penalty reaches no loss and the cosine runs once per epoch; both domains are trained at once, not one after the
//! other. The code keeps the own domain's sum alone, so that the other acts only by its share of the softmax: `attention = "own"`.

use burn::module::{Module, Param};
use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use crate::blocks::{Dense, Gru, NextClicks, Rotation, Tower};
use crate::builder::Builder;
use crate::error::{Error, not_negative};
use crate::inputs::{History, Inputs};
use crate::ops;
use crate::rows::Rows;
use crate::site::Site;
use crate::term::{Term, TermKind};
use crate::trace::Trace;
use crate::trunk::{Encoded, Trunk, TrunkConfig};

/// Start of the bias of the recurrences' updates: states are kept at first, as in the reference code.
const UPDATE: f32 = -1.0;

/// `[model] name = "dasl"` of an experiment file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DaslConfig {
    /// Which of the two weighted sums are used.
    pub attention: DualAttention,
    /// Weight of both terms of the dual embedding; 0 for none. They belong to the product side's task.
    pub dual_weight: f32,
    /// Weight of the product side's task; 0 for none.
    pub product_weight: f32,
}

/// See [`DaslConfig::attention`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DualAttention {
    /// Both (the paper).
    #[default]
    Both,
    /// That of the domain that is asked (the reference code).
    Own,
}

impl Default for DaslConfig {
    fn default() -> Self {
        Self { attention: DualAttention::default(), dual_weight: 0.01, product_weight: 1.0 }
    }
}

impl TrunkConfig for DaslConfig {
    type Trunk = Dasl;

    fn joins_domains(&self) -> bool {
        true
    }

    fn check(&self, _: usize) -> Result<(), Error> {
        not_negative("model.dual_weight", self.dual_weight)?;
        not_negative("model.product_weight", self.product_weight)
    }

    fn init(&self, site: &Site<'_>, builder: &Builder) -> Result<Dasl, Error> {
        let d = site.width;
        let sums = match self.attention {
            DualAttention::Both => 2,
            DualAttention::Own => 1,
        };
        let clicks = || Clicks {
            user: builder.matrix(d, d),
            rotation: (self.dual_weight > 0.0).then(|| Rotation::new(d, builder)),
            attention: StateAttention::new(d, builder),
            net: Tower::new(site.tower, &vec![d; 2 + sums], builder),
        };
        Ok(Dasl {
            user: builder.matrix(d, d),
            live: Recurrence::new(d, builder),
            product: Recurrence::new(d, builder),
            attention: StateAttention::new(d, builder),
            clicks: (self.product_weight > 0.0).then(clicks),
            config: self.clone(),
        })
    }
}

/// See the module's page.
#[derive(Module, Debug)]
pub struct Dasl {
    /// W_V `[d, d]`.
    user: Param<Tensor<2>>,
    live: Recurrence,
    product: Recurrence,
    /// Of who is asked for channels.
    attention: StateAttention,
    clicks: Option<Clicks>,
    #[module(skip)]
    config: DaslConfig,
}

/// What the product side's task has for itself.
#[derive(Module, Debug)]
struct Clicks {
    /// W_S `[d, d]`.
    user: Param<Tensor<2>>,
    /// X
    rotation: Option<Rotation>,
    attention: StateAttention,
    net: Tower,
}

const USER: &str = "user";

/// Names of the weighted sums.
const SUMS: [&str; 2] = ["live", "product"];

impl Trunk for Dasl {
    /// Fields: those that all models share, u_V, the weighted sum of the live states, and, unless the own domain's is all, that
    /// of the products', each `[n, d]`.
    fn shape(&self, site: &Site<'_>) -> Vec<(&'static str, usize)> {
        let sums = SUMS.into_iter().take(self.sums());
        let own = [USER].into_iter().chain(sums).map(|name| (name, site.width));
        site.shared_fields().into_iter().chain(own).collect()
    }

    fn encode(&self, inputs: &Inputs, _: &Tower, trace: &mut Trace) -> Encoded {
        let context = inputs.context_or_zero();
        let user = context.clone().matmul(self.user.val()); //                         u_V [b, d]
        let states = self.states(inputs, &user);
        let sums = self.attention.sums(states, SUMS, trace);
        let mut fields = inputs.shared_fields();
        let repeat = |of_feed: Tensor<2>| inputs.candidates.repeat(of_feed);
        fields.push((USER, repeat(user.clone())));
        fields.extend(SUMS.into_iter().zip(sums.map(repeat)).take(self.sums()));
        let mut encoded = Encoded::of(fields);
        let Some(clicks) = &self.clicks else { return encoded };

        let user_of_products = context.matmul(clicks.user.val()); //                   u_S [b, d]
        let predict = |rows: &NextClicks| {
            let mut states = self.states(&rows.before, &user_of_products);
            states.reverse();
            let [live, product] = SUMS;
            let sums = clicks.attention.sums(states, [product, live], &mut Trace::off());
            let of_feeds =
                [user_of_products.clone()].into_iter().chain(sums.into_iter().take(self.sums()));
            let of_rows = of_feeds.map(|of_feed| rows.at_rows(of_feed));
            clicks.net.forward([rows.shown.clone()].into_iter().chain(of_rows).collect())
        };
        encoded.terms.extend(NextClicks::term(inputs, self.config.product_weight, predict));
        if let (Some(rotation), Some(_)) = (&clicks.rotation, inputs.asked(TermKind::Regulariser)) {
            let turned = ops::unit(rotation.forward(user_of_products));
            let cosine = (turned * ops::unit(user)).sum_dim(1).mean();
            let (weight, kind) = (self.config.dual_weight, TermKind::Regulariser);
            let term = |name, value| Term { name, kind, weight, value };
            encoded.terms.push(term("orthogonality", rotation.penalty()));
            encoded.terms.push(term("closeness", cosine.neg() + 1.0));
        }
        encoded
    }
}

impl Dasl {
    /// How many of the two weighted sums are used.
    fn sums(&self) -> usize {
        match self.config.attention {
            DualAttention::Both => 2,
            DualAttention::Own => 1,
        }
    }

    /// Live and products' states of the users' vectors `[b, d]`.
    fn states(&self, inputs: &Inputs, user: &Tensor<2>) -> [States; 2] {
        let live = self.live.forward(&inputs.live, user);
        let product = inputs.product.as_ref();
        let product = product.map(|history| self.product.forward(history, user));
        // Without a product side there is no such model.
        let product = product.unwrap_or_else(|| live.clone());
        [live, product]
    }
}

/// The states after every event of a domain.
#[derive(Clone, Debug)]
struct States {
    /// `[m, d]`
    vectors: Tensor<2>,
    rows: Rows,
}

/// R_K over `[e_i; u]`; what u gives to the gates is computed once per feed.
#[derive(Module, Debug)]
struct Recurrence {
    gru: Gru,
    /// `[d, 3 d]`
    user: Param<Tensor<2>>,
}

impl Recurrence {
    fn new(width: usize, builder: &Builder) -> Self {
        let user = builder.matrices(width, 3 * width, 3);
        Self { gru: Gru::new(width, UPDATE, builder), user }
    }

    fn forward(&self, history: &History, user: &Tensor<2>) -> States {
        let (items, rows) = (history.items.clone(), history.rows.clone());
        if rows.total() == 0 {
            return States { vectors: items, rows };
        }
        let of_user = rows.repeat(user.clone().matmul(self.user.val()));
        States { vectors: self.gru.shifted(items, of_user, &rows), rows }
    }
}

/// `v . tanh(h W + b)` of every state, and its softmax over two sequences together.
#[derive(Module, Debug)]
struct StateAttention {
    hidden: Dense,
    /// v `[d, 1]`.
    score: Param<Tensor<2>>,
}

impl StateAttention {
    fn new(width: usize, builder: &Builder) -> Self {
        Self { hidden: Dense::new(width, width, builder), score: builder.matrix(width, 1) }
    }

    /// The weighted sum of each of two sequences `[b, d]`, zero where it is empty. Records its weights as `{name}.attention`
    /// `[b, l]`.
    fn sums(&self, states: [States; 2], names: [&str; 2], trace: &mut Trace) -> [Tensor<2>; 2] {
        let scores = states.iter().map(|states| self.scores(states)).collect();
        let masks = states.iter().map(|states| states.rows.mask()).collect();
        let weights = ops::masked_softmax(Tensor::cat(scores, 1), Tensor::cat(masks, 1));
        let mut start = 0;
        let mut name = names.into_iter();
        states.map(|States { vectors, rows }| {
            let longest = rows.longest();
            let own = weights.clone().narrow(1, start, longest); //                    [b, l]
            start += longest;
            if let Some(name) = name.next() {
                trace.record_over(&format!("{name}.attention"), &own, &rows);
            }
            own.unsqueeze_dim::<3>(1).matmul(rows.pad(vectors)).squeeze_dim(1)
        })
    }

    /// `[b, l]`, of no meaning beyond the history's end.
    fn scores(&self, states: &States) -> Tensor<2> {
        let (rows, vectors) = (&states.rows, states.vectors.clone());
        if rows.total() == 0 {
            return Tensor::zeros([rows.feeds(), rows.longest()], &vectors.device());
        }
        rows.pad(self.hidden.forward(vectors).tanh().matmul(self.score.val())).squeeze_dim(2)
    }
}
