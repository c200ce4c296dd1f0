//! Terms of the loss beside that of watching, and which of them an update asks for.

use burn::tensor::Tensor;

use crate::draws::Draws;

/// One term of the loss beside that of watching: a mean over its own real rows, 0 without any.
#[derive(Debug)]
pub struct Term {
    /// As logged.
    pub name: &'static str,
    /// What it is for.
    pub kind: TermKind,
    /// Its lambda.
    pub weight: f32,
    /// `[1]`, before the weight.
    pub value: Tensor<1>,
}

/// Terms and figures of a whole batch.
#[derive(Debug, Default)]
pub struct JointTerms {
    /// Of the loss.
    pub terms: Vec<Term>,
    /// For the log by name.
    pub figures: Vec<(&'static str, f32)>,
}

/// What a term is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TermKind {
    /// A wish about vectors or weights: part of L_reg.
    Regulariser,
    /// Another prediction, from labels that the histories give.
    Auxiliary,
}

impl TermKind {
    /// As logged.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Regulariser => "regulariser",
            Self::Auxiliary => "auxiliary",
        }
    }
}

/// What one update asks of a trunk beside its fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Training {
    /// Its random numbers.
    pub draws: Draws,
    /// Which terms of the loss have their turn.
    pub terms: Turn,
    /// Where the feeds are a shard of an update's batch, how many feeds the shards before it have; `None` for a whole batch.
    pub shard_begins: Option<usize>,
}

/// Which terms of a trunk's loss an update computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// All.
    All,
    /// Those of one kind.
    Only(TermKind),
    /// None.
    Rest,
}

impl Training {
    /// Of a whole batch.
    pub const fn whole(draws: Draws, terms: Turn) -> Self {
        Self { draws, terms, shard_begins: None }
    }

    /// Whether terms of `kind` have their turn.
    pub fn asks(&self, kind: TermKind) -> bool {
        match self.terms {
            Turn::All => true,
            Turn::Only(only) => only == kind,
            Turn::Rest => false,
        }
    }
}
