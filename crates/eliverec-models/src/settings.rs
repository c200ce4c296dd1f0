//! The `[model]`, `[input]` and `[tower]` tables of an experiment file: axes that are the same for every model, beside the
//! model's own keys.

use eliverec_core::table::Key;
use eliverec_core::{Lengths, Schema, TableSpec};
use serde::{Deserialize, Serialize};

pub use crate::blocks::TowerConfig;
use crate::error::Error;
use crate::heads::HeadsConfig;
pub use crate::input_config::{Domain, Init, InputConfig, Maps, Query};
pub use crate::next_event_terms::NextEventConfig;
use crate::registry::ModelConfig;
use crate::site::Site;

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
    /// `[training.next_event]`; `None` for none.
    pub next_event: Option<NextEventConfig>,
}

impl ModelSettings {
    /// Every embedding table: those of the schema's vocabularies, in its order, then the trunk's own.
    pub fn tables(&self, schema: &Schema) -> Vec<TableSpec> {
        let vocabularies = schema.vocabulary.iter().enumerate().map(|(v, vocabulary)| {
            let width = schema.width(v, self.input.width);
            TableSpec::of_vocabulary(v, &vocabulary.name, width, vocabulary.min_count)
        });
        let own = self.model.tables(&self.site(schema)).into_iter().map(|table| TableSpec {
            name: format!("{}.{}", self.model.name(), table.name),
            width: table.width,
            min_count: match table.key {
                Key::Vocabulary(v) => schema.vocabulary[v].min_count,
                Key::User => 1,
            },
            key: table.key,
            law: table.law,
        });
        vocabularies.chain(own).collect()
    }

    /// How much of each history a batch keeps; no products for the live domain alone.
    pub fn lengths(&self) -> Lengths {
        self.input.lengths()
    }

    /// Whether the model has a product side: asked for, and declared by the schema.
    pub fn has_products(&self, schema: &Schema) -> bool {
        self.input.has_products(schema)
    }

    /// What the trunk is built for.
    pub(crate) fn site<'a>(&'a self, schema: &'a Schema) -> Site<'a> {
        let (width, products) = (self.input.width, self.has_products(schema));
        Site { schema, width, products, tower: &self.tower }
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
        if let Some(next_event) = &self.next_event {
            next_event.check()?;
        }
        self.model.check(self.input.width)
    }
}
