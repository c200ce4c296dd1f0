//! The `[model]`, `[input]` and `[tower]` tables of an experiment file: axes that are the same for every model, beside the
//! model's own keys.

use eliverec_core::schema::Group;
use eliverec_core::{Lengths, Schema};
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::heads::HeadsConfig;
use crate::registry::ModelConfig;

/// Everything that decides which function is trained.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ModelSettings {
    /// `[model]`: which model, and its own keys.
    pub model: ModelConfig,
    /// `[input]`
    pub input: InputConfig,
    /// `[tower]`
    pub tower: TowerConfig,
    /// `[heads]`; `None` builds none, where there are no inter-channel tasks.
    pub heads: Option<HeadsConfig>,
}

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

/// The prediction layers that every model shares (Eq. 11).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TowerConfig {
    /// Units of the hidden layers; a last layer gives the logit.
    pub widths: Vec<usize>,
    /// What happens to each field of F before they are concatenated.
    pub field_norm: FieldNorm,
    /// Whether the tower sees e_d as well; literal Eq. 11 does not.
    pub intra_dynamic: bool,
}

impl Default for TowerConfig {
    fn default() -> Self {
        Self { widths: vec![200, 80], field_norm: FieldNorm::None, intra_dynamic: false }
    }
}

/// See [`TowerConfig::field_norm`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FieldNorm {
    /// Nothing (literal).
    #[default]
    None,
    /// Layer norm with its own scale and shift.
    Layer,
}

impl ModelSettings {
    /// Name, row width and admission count of every vocabulary, in schema order.
    pub fn vocabularies(&self, schema: &Schema) -> Vec<(String, usize, u32)> {
        let width = |v| schema.width(v, self.input.width);
        let all = schema.vocabulary.iter().enumerate();
        all.map(|(v, vocabulary)| (vocabulary.name.clone(), width(v), vocabulary.min_count))
            .collect()
    }

    /// How much of each history a batch keeps; no products for the live domain alone.
    pub fn lengths(&self) -> Lengths {
        let products = match self.input.domain {
            Domain::Live => 0,
            Domain::Both => self.input.product_length,
        };
        Lengths { products, channels: self.input.channel_length }
    }

    /// Whether the model has a product side: asked for, and declared by the schema.
    pub fn has_products(&self, schema: &Schema) -> bool {
        self.lengths().products > 0 && !schema.fields(Group::Product).is_empty()
    }

    /// Checks sizes that must be positive or divide one another.
    ///
    /// # Errors
    /// Names the key.
    pub fn check(&self) -> Result<(), Error> {
        let wrong = |key, reason: String| Err(Error::Config { key, reason });
        if self.input.width == 0 {
            return wrong("input.width", "must be positive".into());
        }
        if self.input.channel_length == 0 {
            return wrong(
                "input.channel_length",
                "must be positive; every model reads the channels".into(),
            );
        }
        if self.input.query == Query::Moment && self.input.maps != Maps::Vocabulary {
            return wrong("input.query", "moment needs input.maps = \"vocabulary\"".into());
        }
        if self.tower.widths.contains(&0) {
            return wrong("tower.widths", "every layer needs at least one unit".into());
        }
        if let Some(heads) = &self.heads {
            heads.check()?;
        }
        self.model.check(self.input.width)
    }
}
