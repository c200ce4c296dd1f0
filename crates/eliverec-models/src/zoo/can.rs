//! CAN: the target's own little net reads each event, so that pairs of ids meet beside the embeddings.
//!
//! W. Bian et al., "CAN: Feature Co-Action for Click-Through Rate Prediction", WSDM 2022 (arXiv:2011.05625). Row "CAN" of the eLiveRec
//! paper's Table II, which says that it stands on DIEN, as in the reference code: github.com/CAN-Paper/Co-Action-Network.
//!
//! DIEN, and per domain and field the target's row of 160 numbers as a net of two layers, W_1 `[16, 8]` and W_2 `[8, 4]`, for rows p
//! of 16 numbers that the events' ids have for it alone: for the orders c = 1, 2, 3
//! `h_1 = mean over events of tanh(tanh(p)^c W_1)`, `h_2 = h_1 W_2`, joined to 36 numbers.
//!
//! Channels are read field by field, an event's by the same field of the target. Products have a net of their own, keyed by the
//! target's identity, one for all their fields. Differences from the reference code: rows of a size at which powers count (at the
//! scale of the tables the third order is 1e-4 of the first and nothing is learned), nets by fan-in; tanh before the powers, which are
//! unbounded otherwise; a mean for the sum over events; pooled before the second layer, which is the same. Fields with several
//! values are left out. No history: zero.

use burn::module::Module;
use burn::tensor::Tensor;
use eliverec_core::schema::{Group, Kind};
use eliverec_core::table::{Key, RowLaw};
use serde::{Deserialize, Serialize};

use super::dien::{Dien, DienConfig};
use crate::blocks::{EvolutionAttention, Tower, check_auxiliary_weight};
use crate::builder::Builder;
use crate::error::Error;
use crate::inputs::{History, Inputs};
use crate::own::OwnTable;
use crate::site::Site;
use crate::trace::Trace;
use crate::trunk::{Encoded, Trunk, TrunkConfig};

/// Units of the target's net, its input first.
const NET: [usize; 3] = [16, 8, 4];

/// Powers of an event's row.
const ORDERS: usize = 3;

/// Numbers of the net's first and second layer.
const LAYERS: [usize; 2] = [NET[0] * NET[1], NET[1] * NET[2]];

/// Numbers that a field gives.
const OUTPUT: usize = ORDERS * (NET[1] + NET[2]);

/// Standard deviation of the layers at the start, 1 / sqrt(rows), and of events' rows.
const LAYER_STD: [f32; 2] = [0.25, 0.353_553_4];
const FEED_STD: f32 = 0.5;

/// Which fields meet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CoactionFields {
    /// Every field with one id: item and category in the paper.
    #[default]
    All,
    /// The field alone that says which channel or product it is.
    Identity,
}

/// `[model] name = "can"` of an experiment file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CanConfig {
    /// Which fields meet.
    pub fields: CoactionFields,
    /// DIEN's: how an interest is weighed by the target.
    pub attention: EvolutionAttention,
    /// DIEN's: weight of each domain's auxiliary loss; 0 leaves it out.
    pub auxiliary_weight: f32,
}

impl Default for CanConfig {
    fn default() -> Self {
        let DienConfig { attention, auxiliary_weight } = DienConfig::default();
        Self { fields: CoactionFields::default(), attention, auxiliary_weight }
    }
}

/// A field of the target, whose net reads a field of the events.
#[derive(Clone, Debug)]
struct Pair {
    /// Name of the nets' table, the target's field, and its vocabulary.
    net: (String, usize, usize),
    /// Name of the events' table, their field, and its vocabulary.
    feed: (String, usize, usize),
}

impl CanConfig {
    /// The fields of a group that meet others, each with its vocabulary.
    fn fields(&self, site: &Site<'_>, group: Group) -> Vec<(usize, usize)> {
        let identity = site.identity(group).map(|identity| (identity.field, identity.vocabulary));
        if self.fields == CoactionFields::Identity {
            return identity.into_iter().collect();
        }
        let fields = site.schema.fields(group).iter().enumerate();
        let single = fields.filter(|(_, field)| !matches!(field.kind, Kind::Multi { .. }));
        single.filter_map(|(i, field)| Some((i, site.schema.vocabulary_of(field)?))).collect()
    }

    fn live(&self, site: &Site<'_>) -> Vec<Pair> {
        let pair = |(field, vocabulary): (usize, usize)| {
            let name = &site.schema.channel[field].name;
            let place = |kind: &str| (format!("live.{name}.{kind}"), field, vocabulary);
            Pair { net: place("net"), feed: place("feed") }
        };
        self.fields(site, Group::Channel).into_iter().map(pair).collect()
    }

    /// Empty without a product side, or where a target has no identity.
    fn product(&self, site: &Site<'_>) -> Vec<Pair> {
        let Some(target) = site.identity(Group::Candidate).filter(|_| site.products) else {
            return Vec::new();
        };
        let pair = |(field, vocabulary): (usize, usize)| {
            let name = &site.schema.product[field].name;
            Pair {
                net: ("product.net".into(), target.field, target.vocabulary),
                feed: (format!("product.{name}.feed"), field, vocabulary),
            }
        };
        self.fields(site, Group::Product).into_iter().map(pair).collect()
    }
}

impl TrunkConfig for CanConfig {
    type Trunk = Can;

    fn check(&self, _: usize) -> Result<(), Error> {
        check_auxiliary_weight(self.auxiliary_weight)
    }

    fn tables(&self, site: &Site<'_>) -> Vec<OwnTable> {
        let mut tables: Vec<OwnTable> = Vec::new();
        let mut push = |(name, _, vocabulary): (String, usize, usize), parts: Vec<(usize, f32)>| {
            if tables.iter().all(|table| table.name != name) {
                let width = parts.iter().map(|(length, _)| length).sum();
                let (key, law) = (Key::Vocabulary(vocabulary), RowLaw::Normal(parts));
                tables.push(OwnTable { name, key, width, law });
            }
        };
        for Pair { net, feed } in self.live(site).into_iter().chain(self.product(site)) {
            push(net, LAYERS.into_iter().zip(LAYER_STD).collect());
            push(feed, vec![(NET[0], FEED_STD)]);
        }
        tables
    }

    fn init(&self, site: &Site<'_>, builder: &Builder) -> Result<Can, Error> {
        if site.identity(Group::Candidate).is_none() {
            let reason = "can needs a [[channel]] field of kind categorical: its target is an id";
            return Err(Error::Config { key: "model.name", reason: reason.into() });
        }
        let dien =
            DienConfig { attention: self.attention, auxiliary_weight: self.auxiliary_weight };
        let dien = Dien::new(&dien, site, builder);
        Ok(Can { dien, live: self.live(site), product: self.product(site) })
    }
}

/// Names of the domains' fields.
const LIVE: &str = "live_coaction";
const PRODUCT: &str = "product_coaction";

/// DIEN, and which fields meet; nets and rows are in the trunk's tables.
#[derive(Module, Debug)]
pub struct Can {
    dien: Dien,
    #[module(skip)]
    live: Vec<Pair>,
    #[module(skip)]
    product: Vec<Pair>,
}

impl Trunk for Can {
    /// Fields: DIEN's, and per domain in use the co-action `[n, 36 * fields]`.
    fn shape(&self, site: &Site<'_>) -> Vec<(&'static str, usize)> {
        let mut fields = self.dien.shape(site);
        fields.push((LIVE, OUTPUT * self.live.len()));
        let product = (PRODUCT, OUTPUT * self.product.len());
        fields.extend((!self.product.is_empty()).then_some(product));
        fields
    }

    fn encode(&self, inputs: &Inputs, tower: &Tower, trace: &mut Trace) -> Encoded {
        let mut encoded = self.dien.encode(inputs, tower, trace);
        let live = coaction(&self.live, inputs, &inputs.live, Group::Channel);
        encoded.fields.push((LIVE, live));
        if let Some(history) = inputs.product.as_ref().filter(|_| !self.product.is_empty()) {
            let product = coaction(&self.product, inputs, history, Group::Product);
            encoded.fields.push((PRODUCT, product));
        }
        encoded
    }
}

/// What the targets' nets make of the events of `group`, field by field, side by side.
fn coaction(pairs: &[Pair], inputs: &Inputs, history: &History, group: Group) -> Tensor<2> {
    let (candidates, rows) = (&inputs.candidates, &history.rows);
    let n = candidates.total();
    if rows.total() == 0 {
        return Tensor::zeros([n, OUTPUT * pairs.len()], &inputs.target.device());
    }
    let (b, l) = (rows.feeds(), rows.longest());
    let lengths = rows.lengths().clamp_min(1.0).reshape([b, 1, 1, 1]);
    let [first, second] = LAYERS;
    let [input, hidden, output] = NET;
    let of_pair = |Pair { net: (net, target, _), feed: (feed, event, _) }: &Pair| {
        let net = inputs.own.at(net, Group::Candidate, *target); //                     [n, 160]
        let feed = inputs.own.at(feed, group, *event).tanh(); //                        [m, 16]

        // All orders of a feed's events with the nets of all its targets; beyond a history's end tanh(0) = 0.
        let x = rows.pad(feed); //                                                      [b, l, 16]
        let squares = x.clone() * x.clone();
        let powers = Tensor::cat(vec![x.clone(), squares.clone(), squares * x], 1);
        let nets = candidates.pad(net.clone().narrow(1, 0, first)); //                  [b, c, 128]
        let [_, c, _] = nets.dims();
        let nets = nets.reshape([b, c, input, hidden]).swap_dims(1, 2);
        let nets = nets.reshape([b, input, c * hidden]);
        let h1 = powers.matmul(nets).tanh(); //                                         [b, 3 l, 8 c]
        let h1 = h1.reshape([b, ORDERS, l, c * hidden]).sum_dim(2) / lengths.clone();
        let h1 = h1.reshape([b, ORDERS, c, hidden]).swap_dims(1, 2);
        let h1 = candidates.pack(h1.reshape([b, c, ORDERS * hidden]));
        let h1 = h1.reshape([n, ORDERS, hidden]);
        let net = net.narrow(1, first, second).reshape([n, hidden, output]);
        let h2 = h1.clone().matmul(net); //                                             [n, 3, 4]
        Tensor::cat(vec![h1, h2], 2).reshape([n, OUTPUT])
    };
    Tensor::cat(pairs.iter().map(of_pair).collect(), 1)
}
