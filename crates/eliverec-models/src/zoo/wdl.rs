//! WDL+: a wide part that remembers single ids, and a deep part that sees the histories.
//!
//! H.-T. Cheng et al., "Wide & Deep Learning for Recommender Systems", DLRS 2016. Row "WDL+" of the eLiveRec paper's Table II, which
//! adds "sequential information" to it and says no more.
//!
//! `logit = tower(F) + wide`. F has per domain the mean of the basic sequence encoder's H (Eq. 3-4, one block). The wide part is
//! a bias, a number for every id of the user, the moment and the candidate, per domain the mean of a number over the ids of the
//! events, and `sum_f v_f * (share of the events that are as the candidate in field f)`.
//!
//! Our choices: true numbers per id, not a linear map of embeddings as in public versions; means over events, since a sum moves a logit
//! by as many rates at once as a history has events; crosses with histories in place of the paper's crosses of apps; all numbers start
//! at 0; one optimiser for both parts. `sequence = "mean"` leaves the encoder out, as the baseline "WDL (+Seq)" of the BST paper does:
//! which is better depends on the set. No history: what comes of it is zero.

use burn::module::{Module, Param};
use burn::tensor::{Tensor, TensorData};
use eliverec_core::schema::{Group, Kind};
use eliverec_core::table::{Key, RowLaw};
use serde::{Deserialize, Serialize};

use crate::blocks::{SequenceEncoder, Tower, check_heads};
use crate::builder::Builder;
use crate::error::Error;
use crate::inputs::{History, Inputs};
use crate::ops;
use crate::own::OwnTable;
use crate::site::Site;
use crate::trace::Trace;
use crate::trunk::{Encoded, Logit, Trunk, TrunkConfig};

/// What becomes of a history before its mean is taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sequence {
    /// The basic sequence encoder.
    #[default]
    Encoder,
    /// Nothing.
    Mean,
}

/// `[model] name = "wdl"` of an experiment file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct WdlConfig {
    /// What becomes of a history before its mean is taken.
    pub sequence: Sequence,
    /// Attention heads of the encoder; must divide the embedding width. The paper uses 8.
    pub heads: usize,
}

impl Default for WdlConfig {
    fn default() -> Self {
        Self { sequence: Sequence::default(), heads: 8 }
    }
}

/// A field with ids, and the name of its table.
type Wide = (Group, usize, String);

/// A field of the candidate and one of a domain's events that have ids of one vocabulary.
#[derive(Clone, Debug)]
struct Cross {
    candidate: usize,
    group: Group,
    event: usize,
}

/// Groups whose entities are the domains' events.
fn events(site: &Site<'_>) -> impl Iterator<Item = Group> {
    [Group::Channel].into_iter().chain(site.products.then_some(Group::Product))
}

/// Every field with ids of the wide part, with its vocabulary and the name of its table.
fn wide(site: &Site<'_>) -> Vec<(usize, Wide)> {
    let of_group = |group: Group| {
        let fields = site.schema.fields(group).iter().enumerate();
        fields.filter_map(move |(i, field)| {
            let vocabulary = site.schema.vocabulary_of(field)?;
            Some((vocabulary, (group, i, format!("{}.{}", group.name(), field.name))))
        })
    };
    let groups = [Group::User, Group::Context, Group::Candidate, Group::Target];
    groups.into_iter().chain(events(site)).flat_map(of_group).collect()
}

/// An event of a channel is compared field by field; one of a product wherever it draws on a vocabulary of the candidate's.
fn crosses(site: &Site<'_>) -> Vec<Cross> {
    let single = |group: Group| {
        let fields = site.schema.fields(group).iter().enumerate();
        let single = fields.filter(|(_, field)| !matches!(field.kind, Kind::Multi { .. }));
        single.filter_map(|(i, field)| Some((i, site.schema.vocabulary_of(field)?)))
    };
    let mut crosses = Vec::new();
    for group in events(site) {
        for (event, of_event) in single(group) {
            let alike = |(i, v): &(usize, usize)| {
                *v == of_event && (group == Group::Product || *i == event)
            };
            let alike = single(Group::Candidate).filter(alike);
            crosses.extend(alike.map(|(candidate, _)| Cross { candidate, group, event }));
        }
    }
    crosses
}

impl TrunkConfig for WdlConfig {
    type Trunk = Wdl;

    fn check(&self, width: usize) -> Result<(), Error> {
        match self.sequence {
            Sequence::Encoder => check_heads(self.heads, width),
            Sequence::Mean => Ok(()),
        }
    }

    fn tables(&self, site: &Site<'_>) -> Vec<OwnTable> {
        let table = |(vocabulary, (_, _, name))| OwnTable {
            name,
            key: Key::Vocabulary(vocabulary),
            width: 1,
            law: RowLaw::Zero,
        };
        wide(site).into_iter().map(table).collect()
    }

    fn init(&self, site: &Site<'_>, builder: &Builder) -> Result<Wdl, Error> {
        let encoder = |used: bool| {
            (used && self.sequence == Sequence::Encoder)
                .then(|| SequenceEncoder::new(site.width, self.heads, builder))
        };
        let crosses = crosses(site);
        let weights = (!crosses.is_empty()).then(|| builder.constant(crosses.len(), 0.0));
        Ok(Wdl {
            live: encoder(true),
            product: encoder(site.products),
            bias: builder.constant(1, 0.0),
            cross: weights,
            wide: wide(site).into_iter().map(|(_, wide)| wide).collect(),
            crosses,
        })
    }
}

/// An encoder per domain, and what of the wide part is no id's.
#[derive(Module, Debug)]
pub struct Wdl {
    live: Option<SequenceEncoder>,
    product: Option<SequenceEncoder>,
    bias: Param<Tensor<1>>,
    /// v, one for each of `crosses`; `None` without any.
    cross: Option<Param<Tensor<1>>>,
    #[module(skip)]
    wide: Vec<Wide>,
    #[module(skip)]
    crosses: Vec<Cross>,
}

impl Trunk for Wdl {
    /// Fields: those that all models share, and one vector per domain in use, each `[n, d]`.
    fn shape(&self, site: &Site<'_>) -> Vec<(&'static str, usize)> {
        let mut fields = site.shared_fields();
        fields.push(("live", site.width));
        fields.extend(site.products.then_some(("product", site.width)));
        fields
    }

    fn encode(&self, inputs: &Inputs, _: &Tower, trace: &mut Trace) -> Encoded {
        let mut fields = inputs.shared_fields();
        let mut push = |name, encoder: &Option<SequenceEncoder>, history: &History| {
            let pooled = match encoder {
                Some(encoder) => encoder.forward(history, name, trace),
                None => ops::masked_mean(history.items.clone(), &history.rows),
            }; //                                                                       [b, d]
            fields.push((name, inputs.candidates.repeat(pooled)));
        };
        push("live", &self.live, &inputs.live);
        if let Some(history) = &inputs.product {
            push("product", &self.product, history);
        }
        let addend = self.wide(inputs);
        let scale = Tensor::ones([1], &addend.device());
        Encoded { logit: Logit::Blended { scale, addend }, ..Encoded::of(fields) }
    }
}

impl Wdl {
    /// The wide part `[n]`.
    fn wide(&self, inputs: &Inputs) -> Tensor<1> {
        let mut sum = self.bias.val().expand([inputs.candidates.total()]);
        for (group, field, table) in &self.wide {
            let history = history(inputs, *group);
            if history.is_some_and(|history| history.rows.total() == 0) {
                continue;
            }
            let mut part = inputs.own.at(table, *group, *field); //                     [entities, 1]
            if let Some(history) = history {
                part = ops::masked_mean(part, &history.rows);
            }
            let part = match group {
                Group::Candidate | Group::Target => part,
                _ => inputs.candidates.repeat(part),
            };
            sum = sum + part.squeeze_dim(1);
        }
        let Some(weights) = &self.cross else { return sum };
        let shares = self.shares(inputs); //                                            [n, crosses]
        sum + shares.matmul(weights.val().unsqueeze_dim(1)).squeeze_dim(1)
    }

    /// Of each cross, the share of a feed's events that are as the candidate; 0 without events.
    fn shares(&self, inputs: &Inputs) -> Tensor<2> {
        let (n, count) = (inputs.candidates.total(), self.crosses.len());
        let mut shares = vec![0.0_f32; n * count];
        for (i, cross) in self.crosses.iter().enumerate() {
            let Some(history) = history(inputs, cross.group) else { continue };
            let own = &inputs.own;
            let candidates = own.places(Group::Candidate, cross.candidate).unwrap_or_default();
            let unknown = own.unknown(Group::Candidate, cross.candidate);
            let events = own.places(cross.group, cross.event).unwrap_or_default();
            let ranges = inputs.candidates.offsets.ranges().zip(history.rows.offsets.ranges());
            for (shown, past) in ranges {
                let past = &events[past];
                for candidate in shown {
                    if Some(candidates[candidate]) == unknown {
                        continue;
                    }
                    let same = past.iter().filter(|event| **event == candidates[candidate]).count();
                    shares[candidate * count + i] = same as f32 / past.len().max(1) as f32;
                }
            }
        }
        Tensor::from_data(TensorData::new(shares, [n, count]), &inputs.target.device())
    }
}

/// The history whose entities a group is.
fn history(inputs: &Inputs, group: Group) -> Option<&History> {
    match group {
        Group::Channel => Some(&inputs.live),
        Group::Product => inputs.product.as_ref(),
        _ => None,
    }
}
