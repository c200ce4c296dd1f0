//! What a trunk is built for: the schema, the width, the domains.

use eliverec_core::schema::{Group, Kind, Schema};

use crate::blocks::TowerConfig;
use crate::error::Error;
use crate::inputs::MEANS;

/// Everything that decides which parameters a trunk has, beside its own config.
#[derive(Clone, Copy, Debug)]
pub struct Site<'a> {
    /// Of the feeds.
    pub schema: &'a Schema,
    /// d
    pub width: usize,
    /// Whether there is a product side: asked for, and declared by the schema.
    pub products: bool,
    /// The common tower, for trunks that build nets of its shape for other rows.
    pub tower: &'a TowerConfig,
}

/// The field that says which product or which channel an entity is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Its place in the group.
    pub field: usize,
    /// Its vocabulary's place in the schema.
    pub vocabulary: usize,
}

impl Site<'_> {
    /// The identity of a group's entities: the first categorical field.
    pub fn identity(&self, group: Group) -> Option<Identity> {
        identity(self.schema, group)
    }

    /// Name and width of [`crate::inputs::Inputs::shared_fields`].
    pub fn shared_fields(&self) -> Vec<(&'static str, usize)> {
        let schema = self.schema;
        let context = !(schema.user.is_empty() && schema.context.is_empty());
        let dynamic = self.tower.intra_dynamic && !schema.dynamic.is_empty();
        let fields = [
            ("context", context),
            ("target", true),
            ("target_state", !(schema.target.is_empty() && schema.matches.is_empty())),
            ("dynamic", dynamic),
        ];
        let given = fields.into_iter().filter(|(_, given)| *given).map(|(name, _)| name);
        let domains = if self.products { 2 } else { 1 };
        let means = if self.tower.history_means { domains } else { 0 };
        given
            .chain(MEANS.into_iter().take(means).flatten())
            .map(|name| (name, self.width))
            .collect()
    }

    /// Refuses to go on without a product side, which a cross-domain model is made of.
    ///
    /// # Errors
    /// [`Error::Config`] says what to change.
    pub fn needs_products(&self) -> Result<(), Error> {
        if self.products {
            return Ok(());
        }
        let reason = "this model joins both domains: set input.domain = \"both\" and input.product_length above 0, on a schema with [[product]] fields";
        Err(Error::Config { key: "model.name", reason: reason.into() })
    }
}

/// See [`Site::identity`].
pub(crate) fn identity(schema: &Schema, group: Group) -> Option<Identity> {
    let mut fields = schema.fields(group).iter().enumerate();
    let (field, of) = fields.find(|(_, field)| matches!(field.kind, Kind::Categorical { .. }))?;
    Some(Identity { field, vocabulary: schema.vocabulary_of(of)? })
}
