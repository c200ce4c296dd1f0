//! DDTCDR+: a net for each domain, and a rotation that takes a user into the other's.
//!
//! P. Li and A. Tuzhilin, "DDTCDR: Deep Dual Transfer Cross Domain Recommendation", WSDM 2020. Row "DDTCDR+" of the eLiveRec
//! paper's Table II, which adds sequences "as user's general feature". Reference code: github.com/lpworld/DDTCDR.
//!
//! With the user's vector of each domain K, `u_K = [e_c, enc_K(E_K)] W_K + b_K` ([`SequenceEncoder`]), the common tower
//! f_V, which sees u_V beside the fields that all models share, and a net f_S of its shape:
//!
//! - `s_V = (1 - alpha) f_V(u_V, e_vt) + alpha f_S(u_V X, e_vt P)`, the logit of being watched;
//! - `s_S = (1 - alpha) f_S(u_S, e_p) + alpha f_V(u_S X^T, e_p P')`, `product_weight` times whose loss is added
//!   ([`NextClicks`]), with u_S of the clicks before;
//! - `orthogonality` times `|X X^T - I|^2 / d`; X starts at I.
//!
//! As published the live score never reads the other domain's history, which `features = "own"` is; `"both"` gives
//! both sequences to either user vector. Differences from the paper: logits are mixed, not ratings; P and P', since channels
//! and products lie in spaces of their own. From the reference code: it mixes the losses where the paper mixes predictions, gives
//! the dual loss no gradient, and scores without X; it trains the domains one after the other, this model trains both at once.

use burn::module::{Module, Param};
use burn::tensor::{Tensor, activation};
use serde::{Deserialize, Serialize};

use crate::blocks::{Dense, NextClicks, Rotation, SequenceEncoder, Tower, check_heads};
use crate::builder::Builder;
use crate::error::{Error, not_negative};
use crate::inputs::Inputs;
use crate::site::Site;
use crate::term::{Term, TermKind};
use crate::trace::Trace;
use crate::trunk::{Encoded, Logit, Trunk, TrunkConfig};

/// The largest share of the other domain's net.
const LARGEST: f32 = 0.5;

/// `[model] name = "ddtcdr"` of an experiment file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DdtcdrConfig {
    /// Attention heads of the sequence encoders; must divide the embedding width.
    pub heads: usize,
    /// Which sequences a user's vector is made of.
    pub features: Features,
    /// Share of the other domain's net in a score.
    pub alpha: f32,
    /// Whether alpha is learned, from there on and below 1/2.
    pub learn_alpha: bool,
    /// Weight of the rotation's penalty; 0 for none.
    pub orthogonality: f32,
    /// Weight of the product side's task; 0 for none.
    pub product_weight: f32,
}

/// See [`DdtcdrConfig::features`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Features {
    /// Its own domain's (as published).
    #[default]
    Own,
    /// Both domains'.
    Both,
}

impl Default for DdtcdrConfig {
    fn default() -> Self {
        Self {
            heads: 8,
            features: Features::default(),
            alpha: 0.03,
            learn_alpha: false,
            orthogonality: 0.01,
            product_weight: 1.0,
        }
    }
}

impl TrunkConfig for DdtcdrConfig {
    type Trunk = Ddtcdr;

    fn joins_domains(&self) -> bool {
        true
    }

    fn check(&self, width: usize) -> Result<(), Error> {
        check_heads(self.heads, width)?;
        let learned = !self.learn_alpha || self.alpha > 0.0 && self.alpha < LARGEST;
        if !(0.0..=LARGEST).contains(&self.alpha) || !learned {
            let reason = "must be from 0 to 0.5, and inside these bounds where it is learned";
            return Err(Error::Config { key: "model.alpha", reason: reason.into() });
        }
        not_negative("model.orthogonality", self.orthogonality)?;
        not_negative("model.product_weight", self.product_weight)?;
        if self.features == Features::Own && self.product_weight == 0.0 {
            let reason = "own leaves the products unread without their task: choose both, or a model.product_weight above 0";
            return Err(Error::Config { key: "model.features", reason: reason.into() });
        }
        Ok(())
    }

    fn init(&self, site: &Site<'_>, builder: &Builder) -> Result<Ddtcdr, Error> {
        let d = site.width;
        let task = self.product_weight > 0.0;
        let encoder = || SequenceEncoder::new(d, self.heads, builder);
        let sequences = match self.features {
            Features::Own => 1,
            Features::Both => 2,
        };
        let user = || Dense::new((1 + sequences) * d, d, builder);
        // alpha = sigmoid(a) / 2
        let share = self.alpha / LARGEST;
        let start = || builder.constant(1, (share / (1.0 - share)).ln());
        Ok(Ddtcdr {
            live: encoder(),
            product: (task || self.features == Features::Both).then(encoder),
            live_user: user(),
            product_user: task.then(user),
            rotation: Rotation::new(d, builder),
            to_product: builder.matrix(d, d),
            to_live: task.then(|| builder.matrix(d, d)),
            net: Tower::new(site.tower, &[d, d], builder),
            share: self.learn_alpha.then(start),
            config: self.clone(),
        })
    }
}

/// See the module's page.
#[derive(Module, Debug)]
pub struct Ddtcdr {
    live: SequenceEncoder,
    product: Option<SequenceEncoder>,
    live_user: Dense,
    product_user: Option<Dense>,
    /// X
    rotation: Rotation,
    /// P `[d, d]`.
    to_product: Param<Tensor<2>>,
    /// P' `[d, d]`.
    to_live: Option<Param<Tensor<2>>>,
    /// f_S
    net: Tower,
    /// a of `alpha = sigmoid(a) / 2`, where alpha is learned.
    share: Option<Param<Tensor<1>>>,
    #[module(skip)]
    config: DdtcdrConfig,
}

const USER: &str = "user";

impl Trunk for Ddtcdr {
    /// Fields: those that all models share, and u_V `[n, d]`.
    fn shape(&self, site: &Site<'_>) -> Vec<(&'static str, usize)> {
        site.shared_fields().into_iter().chain([(USER, site.width)]).collect()
    }

    fn encode(&self, inputs: &Inputs, tower: &Tower, trace: &mut Trace) -> Encoded {
        let alpha = self.alpha(inputs); //                                             [1]
        let live = self.live.forward(&inputs.live, "live", trace); //                  [b, d]
        let both = self.config.features == Features::Both;
        let product = both.then(|| self.products(inputs, trace));
        let sequences = [Some(live.clone()), product].into_iter().flatten();
        let user = user_of(inputs, sequences, &self.live_user); //                     u_V [b, d]

        let turned = inputs.candidates.repeat(self.rotation.forward(user.clone()));
        let moved = inputs.target.clone().matmul(self.to_product.val());
        let other = self.net.forward(vec![turned, moved]); //                          [n]
        let mut fields = inputs.shared_fields();
        fields.push((USER, inputs.candidates.repeat(user)));
        let scale = alpha.clone().neg() + 1.0;
        let mut encoded = Encoded::of(fields);
        encoded.logit = Logit::Blended { scale, addend: other * alpha.clone() };
        if let (Some(map), Some(to_live)) = (&self.product_user, &self.to_live) {
            encoded.terms.extend(NextClicks::term(inputs, self.config.product_weight, |clicks| {
                let before = &clicks.before;
                let product = self.products(before, &mut Trace::off());
                let sequences = both.then_some(live).into_iter().chain([product]);
                let user = clicks.at_rows(user_of(before, sequences, map)); //         u_S [r, d]
                let own = self.net.forward(vec![user.clone(), clicks.shown.clone()]);
                let moved = clicks.shown.clone().matmul(to_live.val());
                let fields = before.shared_fields_of(&clicks.feeds, moved).into_iter();
                let fields = fields.map(|(_, field)| field);
                let other = tower.forward(fields.chain([self.rotation.back(user)]).collect());
                own * (alpha.clone().neg() + 1.0) + other * alpha
            }));
        }
        if self.config.orthogonality > 0.0 && inputs.asked(TermKind::Regulariser).is_some() {
            let (weight, value) = (self.config.orthogonality, self.rotation.penalty());
            let kind = TermKind::Regulariser;
            encoded.terms.push(Term { name: "orthogonality", kind, weight, value });
        }
        encoded
    }
}

impl Ddtcdr {
    /// enc_S(E_S) `[b, d]`, zero for a model or a batch without.
    fn products(&self, inputs: &Inputs, trace: &mut Trace) -> Tensor<2> {
        match (&self.product, &inputs.product) {
            (Some(encoder), Some(history)) => encoder.forward(history, "product", trace),
            _ => inputs.context_or_zero().zeros_like(),
        }
    }

    fn alpha(&self, inputs: &Inputs) -> Tensor<1> {
        match &self.share {
            Some(share) => activation::sigmoid(share.val()) * LARGEST,
            None => Tensor::full([1], self.config.alpha, &inputs.target.device()),
        }
    }
}

/// u_K `[b, d]` of the sequences that it is made of.
fn user_of(inputs: &Inputs, sequences: impl Iterator<Item = Tensor<2>>, map: &Dense) -> Tensor<2> {
    let parts = [inputs.context_or_zero()].into_iter().chain(sequences);
    map.forward(Tensor::cat(parts.collect(), 1))
}
