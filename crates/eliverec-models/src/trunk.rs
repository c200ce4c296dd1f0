//! What a model of the zoo is: the set F of Eq. 12, what its logit is, what it adds to the loss. Tower, heads, gate and task
//! weighting attach to it, whatever the model.

use std::collections::BTreeMap;

use burn::tensor::Tensor;
use eliverec_core::Batch;

use crate::blocks::Tower;
use crate::builder::Builder;
use crate::error::Error;
use crate::inputs::Inputs;
use crate::own::OwnTable;
use crate::site::Site;
use crate::term::{JointTerms, Term};
use crate::trace::{Recorded, Trace};

/// A model's keys in an experiment file, from which its trunk is built.
pub trait TrunkConfig {
    /// What is built.
    type Trunk: Trunk;

    /// Checks sizes against the width d.
    ///
    /// # Errors
    /// [`Error::Config`] names the key.
    fn check(&self, _width: usize) -> Result<(), Error> {
        Ok(())
    }

    /// Whether users have intents before any candidate is known: p_c of Eq. 5 for every event of a history, whatever the candidate
    /// ([`crate::intents`]). Such a trunk records it as `DOMAIN.intention`.
    fn has_intents(&self) -> bool {
        false
    }

    /// Whether the model joins both domains and refuses to do without products.
    fn joins_domains(&self) -> bool {
        false
    }

    /// The trunk's own embedding tables.
    fn tables(&self, _site: &Site<'_>) -> Vec<OwnTable> {
        Vec::new()
    }

    /// Builds the trunk.
    ///
    /// # Errors
    /// [`Error::Config`] where the model cannot do with this schema or these domains.
    fn init(&self, site: &Site<'_>, builder: &Builder) -> Result<Self::Trunk, Error>;
}

/// A model without the common tower.
pub trait Trunk {
    /// Name and width of every field that [`Trunk::encode`] gives, in its order.
    fn shape(&self, site: &Site<'_>) -> Vec<(&'static str, usize)>;

    /// Whether the logit is, or is made of, the common tower's.
    fn uses_tower(&self) -> bool {
        true
    }

    /// The fields of every impression, the logit, and in training the terms that have their turn ([`Inputs::asked`]). `tower` is
    /// the common tower, for trunks that run it on other rows as well.
    fn encode(&self, inputs: &Inputs, tower: &Tower, trace: &mut Trace) -> Encoded;

    /// Where a batch is trained in shards, the terms that are no sums over its feeds: from [`Encoded::joint`] `[b, w]` of all shards, a
    /// row for each feed of `batch`. They depend on these rows alone, and equal the terms that [`Trunk::encode`] gives for the batch in
    /// one piece.
    fn joint(&self, _rows: Tensor<2>, _batch: &Batch) -> JointTerms {
        JointTerms::default()
    }

    /// Figures for the log from what one pass recorded, taken at evaluations.
    fn observe(&self, _recorded: &BTreeMap<String, Recorded>) -> Vec<Observed> {
        Vec::new()
    }
}

/// What a trunk makes of a batch.
#[derive(Debug)]
pub struct Encoded {
    /// F: name and vectors `[n, w]` of each field, in the order in which they are concatenated.
    pub fields: Vec<(&'static str, Tensor<2>)>,
    /// Of being watched.
    pub logit: Logit,
    /// Terms of the loss beside that of watching, none outside training. Where the batch is a shard, they are those of its own
    /// feeds.
    pub terms: Vec<Term>,
    /// Figures for the log by name, none outside training.
    pub figures: Vec<(&'static str, f32)>,
    /// `[b, w]`, a row per feed: what [`Trunk::joint`] makes its terms of, where the batch is a shard and has some.
    pub joint: Option<Tensor<2>>,
}

impl Encoded {
    /// Fields alone: the logit is the common tower's.
    pub fn of(fields: Vec<(&'static str, Tensor<2>)>) -> Self {
        let (terms, figures) = (Vec::new(), Vec::new());
        Self { fields, logit: Logit::Tower, terms, figures, joint: None }
    }
}

/// What the logit of being watched is.
#[derive(Clone, Debug)]
#[expect(clippy::large_enum_variant, reason = "there is one per batch")]
pub enum Logit {
    /// The common tower's, of F.
    Tower,
    /// `scale * tower(F) + addend`
    Blended {
        /// `[1]`
        scale: Tensor<1>,
        /// `[n]`
        addend: Tensor<1>,
    },
    /// The trunk's own `[n]`. Watching then sends nothing back to F, so gradients of tasks can be compared with its own at the
    /// parameters only (`tasks.gradient_scope = "parameters"`).
    Own(Tensor<1>),
}

impl Logit {
    /// What it is made of beside the tower's: to whoever cuts the graph at F, these are leaves like F.
    pub fn parts(&self) -> Vec<Tensor<1>> {
        match self {
            Self::Tower => Vec::new(),
            Self::Blended { scale, addend } => vec![scale.clone(), addend.clone()],
            Self::Own(logit) => vec![logit.clone()],
        }
    }

    /// The same of other parts, in the order of [`Logit::parts`].
    ///
    /// # Panics
    /// If they are fewer or more.
    #[must_use]
    pub fn with_parts(&self, parts: Vec<Tensor<1>>) -> Self {
        let wrong = "a logit gets as many parts as it has";
        match self {
            Self::Tower => Self::Tower,
            Self::Blended { .. } => {
                let [scale, addend] = parts.try_into().expect(wrong);
                Self::Blended { scale, addend }
            }
            Self::Own(_) => {
                let [logit] = parts.try_into().expect(wrong);
                Self::Own(logit)
            }
        }
    }
}

/// A figure over the entries of one pass, to be averaged over several.
#[derive(Clone, Debug, PartialEq)]
pub struct Observed {
    /// As logged.
    pub name: String,
    /// Events or impressions that it was taken over.
    pub rows: usize,
    /// Numbers that it is the mean of.
    pub count: usize,
    /// Their sum.
    pub sum: f64,
}
