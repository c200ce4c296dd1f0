//! Which fields of a schema say what a channel is, whose it is, and what it is about.

use eliverec_core::feed::Column;
use eliverec_core::schema::{Field, Group, Kind, Schema};

use crate::error::Error;

/// Places of fields within their groups.
#[derive(Clone, Debug)]
pub struct Fields {
    /// Of the channel group: the first categorical field.
    pub channel: usize,
    /// Of the channel group: `anchor_id`.
    pub anchor: Option<usize>,
    /// The first field of a channel, but its id, that draws on the vocabulary of a field of products: their common words.
    pub category: Option<Category>,
}

/// What channels and products have in common.
#[derive(Clone, Debug)]
pub struct Category {
    /// Of the channel group.
    pub channel: usize,
    /// Of the product group.
    pub product: usize,
    /// Of the target group: the first field of the same vocabulary, of what is on sale now.
    pub selling: Option<usize>,
    /// The names of the first two, by which a log's tables know them.
    pub names: [String; 2],
}

impl Fields {
    /// Of a schema.
    ///
    /// # Errors
    /// A schema whose channels have no id.
    pub fn of(schema: &Schema) -> Result<Self, Error> {
        let vocabulary = |field: &Field| match &field.kind {
            Kind::Categorical { vocabulary } => Some(vocabulary.clone()),
            Kind::Bucket { .. } | Kind::Dense { .. } | Kind::Multi { .. } => None,
        };
        let channels = schema.fields(Group::Channel);
        let channel = channels.iter().position(|field| vocabulary(field).is_some());
        let channel = channel.ok_or_else(|| eliverec_core::Error::SchemaField {
            field: "channel".into(),
            reason: "has no categorical field, and retrieval knows channels by their id".into(),
        })?;
        let anchor = |field: &Field| field.name == "anchor_id" && vocabulary(field).is_some();
        let products = schema.fields(Group::Product);
        let others = channels.iter().enumerate().filter(|(place, _)| *place != channel);
        let mut common = others.filter_map(|(place, field)| {
            let words = vocabulary(field)?;
            let same = |other: &Field| vocabulary(other).as_ref() == Some(&words);
            let product = products.iter().position(same)?;
            Some(Category {
                channel: place,
                product,
                selling: schema.fields(Group::Target).iter().position(same),
                names: [field.name.clone(), products[product].name.clone()],
            })
        });
        Ok(Self { channel, anchor: channels.iter().position(anchor), category: common.next() })
    }
}

/// The ids of a categorical field; none of any other.
pub fn ids(column: &Column) -> &[u64] {
    match column {
        Column::Ids(ids) => ids,
        Column::Numbers(_) | Column::Lists { .. } => &[],
    }
}
