//! The `[input]` table of an experiment file: what every model sees.

use eliverec_core::schema::Group;
use eliverec_core::{Lengths, Schema};
use serde::{Deserialize, Serialize};

pub use crate::builder::Init;

/// What every model sees.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct InputConfig {
    /// Width d of every entity embedding; 128 in the paper.
    pub width: usize,
    /// Which histories are used.
    pub domain: Domain,
    /// Newest product clicks kept, n.
    pub product_length: usize,
    /// Newest watches kept, l.
    pub channel_length: usize,
    /// How the dense matrices start.
    #[serde(skip_serializing_if = "is_default")]
    pub init: Init,
    /// Whether the candidate shows what it has in common with the histories ([`Schema::matches`]); the paper's models do not.
    #[serde(skip_serializing_if = "is_default_matches")]
    pub matches: bool,
    /// Whose linear maps lead from the fields to d.
    #[serde(skip_serializing_if = "is_default")]
    pub maps: Maps,
    /// What the target asks the histories with.
    #[serde(skip_serializing_if = "is_default")]
    pub query: Query,
}

impl Default for InputConfig {
    fn default() -> Self {
        Self {
            width: 128,
            domain: Domain::Both,
            product_length: 50,
            channel_length: 50,
            init: Init::default(),
            matches: true,
            maps: Maps::Entity,
            query: Query::Channel,
        }
    }
}

/// See [`InputConfig::maps`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Maps {
    /// One of each kind of entity: of its fields side by side.
    #[default]
    Entity,
    /// One of each vocabulary, added up over an entity's fields: a category is the same direction in a product, in a channel and
    /// in the target's own fields.
    Vocabulary,
}

/// See [`InputConfig::query`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Query {
    /// e_vt is the channel, in the space of the watched channels.
    #[default]
    Channel,
    /// To e_vt is added what the target's fields of the moment say in the histories' own words: those with a vocabulary that
    /// histories draw on, such as the category on sale right now. Needs [`Maps::Vocabulary`], without which words have no
    /// common meaning.
    Moment,
}

/// Values that are left out of a written config, so that those from before they were there stay what they are.
fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_default_matches(matches: &bool) -> bool {
    *matches
}

/// "Single" and "dual" of Table II.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Domain {
    /// The channel sequence only.
    Live,
    /// The channel and the product sequence.
    #[default]
    Both,
}

impl InputConfig {
    /// How much of each history a batch keeps; no products for the live domain alone.
    pub fn lengths(&self) -> Lengths {
        let products = match self.domain {
            Domain::Live => 0,
            Domain::Both => self.product_length,
        };
        Lengths { products, channels: self.channel_length }
    }

    /// The schema as the model sees it, of feeds of `schema`.
    pub fn seen(&self, schema: &Schema) -> Schema {
        if self.matches { schema.clone() } else { schema.without_matches() }
    }

    /// Whether the model has a product side: asked for, and declared by the schema.
    pub fn has_products(&self, schema: &Schema) -> bool {
        self.lengths().products > 0 && !schema.fields(Group::Product).is_empty()
    }
}
