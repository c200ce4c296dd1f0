//! What a schema asks of the folds.

use crate::registry::FeatureId;

/// How much of a channel's goods bag the schema asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum OnSale {
    /// Nothing.
    #[default]
    None,
    /// The product put on sale last.
    Current,
    /// All of it.
    All,
}

/// The features that a schema asks for, each list in the order of [`FeatureId`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Of the channel.
    pub channel: Vec<FeatureId>,
    /// Of the user.
    pub user: Vec<FeatureId>,
    /// Of the user and the candidate's anchor.
    pub anchor: Vec<FeatureId>,
    /// Of the product put on sale last.
    pub popularity: bool,
    /// The goods bag.
    pub on_sale: OnSale,
}
