//! A model of no paper that asks for everything a trunk may ask for, so that the tests over all models try every part of the
//! interface. No experiment file can name it.
//!
//! Fields of two widths; a logit that is the common tower's with a learned scale and an addend of its own; tables of its own, one
//! keyed by the user and one by the channel; negatives of its own for an auxiliary loss, for which the common tower runs on
//! other rows; a regulariser on rows that it draws.

use burn::module::{Module, Param};
use burn::tensor::{Tensor, TensorData};
use eliverec_core::schema::Group;
use eliverec_core::table::{Key, RowLaw};

use crate::blocks::{Dense, Hidden, NextEvents, Sharing, Tower};
use crate::builder::Builder;
use crate::draws::Draws;
use crate::error::Error;
use crate::inputs::{History, Inputs};
use crate::ops;
use crate::own::OwnTable;
use crate::rows::indices;
use crate::site::Site;
use crate::term::{Term, TermKind};
use crate::trace::Trace;
use crate::trunk::{Encoded, Logit, Trunk, TrunkConfig};

/// Width of a user's row.
const TASTE: usize = 5;

/// Negatives of each positive.
const NEGATIVES: usize = 3;

/// Weights of the terms.
const AUXILIARY: f32 = 0.3;
const REGULARISER: f32 = 0.01;

/// What a test may ask for.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ProbeConfig {
    /// Whether it refuses to do without products, as cross-domain models do.
    pub cross_domain: bool,
    /// Whether its logit is that of a net of its own, and the common tower is none.
    pub own_logit: bool,
}

impl TrunkConfig for ProbeConfig {
    type Trunk = Probe;

    fn joins_domains(&self) -> bool {
        self.cross_domain
    }

    fn tables(&self, site: &Site<'_>) -> Vec<OwnTable> {
        let law = RowLaw::Normal(vec![(TASTE - 2, 0.3), (2, 0.1)]);
        let taste = OwnTable { name: "taste".into(), key: Key::User, width: TASTE, law };
        let bias = site.identity(Group::Candidate).map(|identity| OwnTable {
            name: "bias".into(),
            key: Key::Vocabulary(identity.vocabulary),
            width: 1,
            law: RowLaw::Zero,
        });
        [taste].into_iter().chain(bias).collect()
    }

    fn init(&self, site: &Site<'_>, builder: &Builder) -> Result<Probe, Error> {
        let widths: Vec<usize> = shape(site).iter().map(|(_, width)| *width).collect();
        Ok(Probe {
            net: self.own_logit.then(|| Tower::new(site.tower, &widths, builder)),
            turn: builder.identity(site.width),
            pool: Dense::new(site.width, site.width, builder),
            scale: builder.constant(1, 1.0),
            channel: site.identity(Group::Candidate).map(|identity| identity.field),
        })
    }
}

/// See the module's page.
#[derive(Module, Debug)]
pub struct Probe {
    /// In place of the common tower.
    net: Option<Tower>,
    /// Turns the user's share of e_c.
    turn: Param<Tensor<2>>,
    pool: Dense,
    scale: Param<Tensor<1>>,
    /// Which field of a channel says which it is.
    #[module(skip)]
    channel: Option<usize>,
}

/// Fields: those that all models share, the user's share of e_c with the mean of the watched channels `[n, d]`, and the user's
/// own row `[n, 5]`.
fn shape(site: &Site<'_>) -> Vec<(&'static str, usize)> {
    let own = [("live", site.width), ("taste", TASTE)];
    site.shared_fields().into_iter().chain(own).collect()
}

impl Trunk for Probe {
    fn shape(&self, site: &Site<'_>) -> Vec<(&'static str, usize)> {
        shape(site)
    }

    fn uses_tower(&self) -> bool {
        self.net.is_none()
    }

    fn encode(&self, inputs: &Inputs, tower: &Tower, _: &mut Trace) -> Encoded {
        let taste = inputs.own.users("taste"); //                                      [b, 5]
        let mut fields = inputs.shared_fields();
        let user = inputs.user_or_zero().matmul(self.turn.val());
        let live = self.pooled(&inputs.live.items, &inputs.live) + user.clone(); //    [b, d]
        fields.push(("live", inputs.candidates.repeat(live.clone())));
        fields.push(("taste", inputs.candidates.repeat(taste.clone())));
        let mut encoded = Encoded::of(fields);
        if let Some(field) = self.channel {
            let addend = inputs.own.at("bias", Group::Candidate, field).squeeze_dim(1);
            encoded.logit = Logit::Blended { scale: self.scale.val(), addend };
        }
        if let (Some(net), Logit::Blended { scale, addend }) = (&self.net, &encoded.logit) {
            let fields = encoded.fields.iter().map(|(_, field)| field.clone()).collect();
            encoded.logit = Logit::Own(net.forward(fields) * scale.clone() + addend.clone());
        }
        if let Some(draws) = inputs.asked(TermKind::Auxiliary) {
            let tower = self.net.as_ref().unwrap_or(tower);
            let (value, rows) = self.next_event(inputs, [taste, user], tower, draws);
            let (name, kind) = ("next_event", TermKind::Auxiliary);
            encoded.terms.push(Term { name, kind, weight: AUXILIARY, value });
            encoded.figures.push(("next_event_rows", rows as f32));
        }
        if let Some(draws) = inputs.asked(TermKind::Regulariser) {
            let feed = draws.stream("probe rows").below(inputs.candidates.feeds());
            let value = live.narrow(0, feed, 1).square().mean();
            let kind = TermKind::Regulariser;
            encoded.terms.push(Term { name: "size", kind, weight: REGULARISER, value });
            let turn = self.turn.val(); // |X X^T - I|^2 / d
            let [d, _] = turn.dims();
            let off = turn.clone().matmul(turn.transpose()) - Tensor::eye(d, &self.turn.device());
            let value = off.square().sum() / d as f32;
            encoded.terms.push(Term { name: "turn", kind, weight: REGULARISER, value });
        }
        encoded
    }
}

impl Probe {
    /// The mean of a history's `vectors` `[m, d]`, mapped, `[b, d]`.
    fn pooled(&self, vectors: &Tensor<2>, history: &History) -> Tensor<2> {
        self.pool.forward(ops::masked_mean(vectors.clone(), &history.rows))
    }

    /// Whether the newest event comes next, or one that did not: a mean over both, and how many there were.
    fn next_event(
        &self,
        inputs: &Inputs,
        [taste, user]: [Tensor<2>; 2],
        tower: &Tower,
        draws: Draws,
    ) -> (Tensor<1>, usize) {
        let history = inputs.product.as_ref().unwrap_or(&inputs.live);
        let device = history.items.device();
        let pairs = NextEvents::newest(&history.rows.offsets);
        if pairs.next.is_empty() {
            return (Tensor::zeros([1], &device), 0);
        }
        let mut random = draws.stream("probe negatives");
        let negatives =
            pairs.negatives(history, NEGATIVES, Sharing::Pair, Hidden::History, &mut random);
        let (of, drawn) = negatives.counting();

        // The positives, then the negatives: which pair, and which event is shown in the target's place.
        let positives = pairs.next.len();
        let of: Vec<u32> = (0..positives as u32).chain(of).collect();
        let shown: Vec<u32> = pairs.next.iter().copied().chain(drawn).collect();
        let labels: Vec<f32> =
            (0..of.len()).map(|row| f32::from(u8::from(row < positives))).collect();

        let feeds: Vec<u32> = of.iter().map(|pair| pairs.feeds[*pair as usize]).collect();
        let prefix = pairs.prefixes(history);
        let users = user.select(0, indices(pairs.feeds.clone(), &device));
        let live = self.pooled(&prefix.bare, &prefix) + users; //                      [pairs, d]
        let shown = history.bare.clone().select(0, indices(shown, &device));
        let mut fields = inputs.shared_fields_of(&feeds, shown);
        fields.push(("live", live.select(0, indices(of, &device))));
        fields.push(("taste", taste.select(0, indices(feeds, &device))));
        let logits = tower.forward(fields.into_iter().map(|(_, field)| field).collect());
        let rows = labels.len();
        let labels = Tensor::from_data(TensorData::new(labels, [rows]), &device);
        (ops::binary_cross_entropy(logits, labels), rows)
    }
}
