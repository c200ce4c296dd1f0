//! What a schema says of a match feature; [`crate::matching`] counts it.

use serde::{Deserialize, Serialize};

use crate::group::Group;

/// One match feature. For the model it is a dense number of the target: ln(1 + count), standardised.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Match {
    /// Unique among the fields of a candidate.
    pub name: String,
    /// A field of the candidate, of `channel` or `target`.
    pub of: String,
    /// Whose events are counted.
    pub history: History,
    /// A field of those events, their entity's or their own, of the vocabulary of `of`.
    pub field: String,
    /// Only the newest events count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<usize>,
    /// An event of this age in seconds counts half, one twice as old a quarter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub half_life_s: Option<f32>,
}

/// A history of the user.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum History {
    /// Product clicks.
    Products,
    /// Watches.
    Channels,
}

impl History {
    /// The groups of its fields: of the entities, of the events.
    pub const fn groups(self) -> [Group; 2] {
        match self {
            Self::Products => [Group::Product, Group::ProductEvent],
            Self::Channels => [Group::Channel, Group::ChannelEvent],
        }
    }
}
