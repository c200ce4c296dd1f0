//! Every feature by name, so that a field of a schema's `user`, `target`, `dynamic` or `channel_event` group is filled by
//! being called like a feature.

use eliverec_core::schema::Group;

use crate::error::Error;
use crate::moment::MAX_AGE_S;

/// A feature; its number is its place in [`FEATURES`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
#[expect(missing_docs, reason = "FEATURES says what each is")]
pub enum FeatureId {
    Viewers1m,
    Viewers10m,
    Viewers60m,
    Entries1m,
    Entries10m,
    Entries60m,
    BagClicks1m,
    BagClicks10m,
    BagClicks60m,
    ProductClicks1m,
    ProductClicks10m,
    ProductClicks60m,
    Orders1m,
    Orders10m,
    Orders60m,
    Revenue1m,
    Revenue10m,
    Revenue60m,
    Watching,
    ProductsOnSale,
    Live,
    MinutesLive,
    ExposureAgeS,
    ChannelPopularity,
    ProductPopularity,
    HistoryProducts,
    HistoryChannels,
    ProductClickAgeS,
    WatchAgeS,
    AnchorWatches,
    AnchorWatchAgeS,
    Stay,
}

/// The fold that gives a feature, hence what its value belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fold {
    /// [`crate::ChannelState`], by channel.
    Channel,
    /// [`crate::Popularity`], by product; for a candidate, by the product that it put on sale last.
    Product,
    /// [`crate::UserState`], by user.
    User,
    /// [`crate::affinity::Affinity`], by user and the candidate's anchor.
    Anchor,
    /// [`crate::history::ChannelWatch`], by entry of the channel history.
    Watch,
}

impl Fold {
    /// Whether a field of that group can be filled with features of this fold.
    pub const fn fits(self, group: Group) -> bool {
        match self {
            Self::Channel | Self::Product | Self::Anchor => {
                matches!(group, Group::Target | Group::Dynamic)
            }
            Self::User => matches!(group, Group::User | Group::Target | Group::Dynamic),
            Self::Watch => matches!(group, Group::ChannelEvent),
        }
    }
}

/// What is known of a feature without any event: name, unit, fold.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Feature {
    /// Its number, hence its place in [`FEATURES`] and in a [`Snapshot`](crate::Snapshot).
    pub id: FeatureId,
    /// Its name in a schema.
    pub name: &'static str,
    /// Unit of its values.
    pub unit: &'static str,
    /// The fold that counts it.
    pub fold: Fold,
    /// Its value where nothing is known.
    pub never: f32,
    /// What it counts, as help prints it.
    pub doc: &'static str,
}

const fn feature(
    id: FeatureId,
    name: &'static str,
    unit: &'static str,
    fold: Fold,
    doc: &'static str,
) -> Feature {
    Feature { id, name, unit, fold, never: 0.0, doc }
}

/// An age in seconds, at most [`MAX_AGE_S`].
const fn age(id: FeatureId, name: &'static str, fold: Fold, doc: &'static str) -> Feature {
    Feature { id, name, unit: "s", fold, never: MAX_AGE_S, doc }
}

use FeatureId as Id;

/// All features, in the order of [`FeatureId`].
#[rustfmt::skip]
pub const FEATURES: [Feature; 32] = [
    feature(Id::Viewers1m, "viewers_1m", "visits", Fold::Channel, "visits of which a part lies in the last minute"),
    feature(Id::Viewers10m, "viewers_10m", "visits", Fold::Channel, "visits of which a part lies in the last 10 minutes"),
    feature(Id::Viewers60m, "viewers_60m", "visits", Fold::Channel, "visits of which a part lies in the last 60 minutes"),
    feature(Id::Entries1m, "entries_1m", "events", Fold::Channel, "entries into the channel in the last minute"),
    feature(Id::Entries10m, "entries_10m", "events", Fold::Channel, "entries into the channel in the last 10 minutes"),
    feature(Id::Entries60m, "entries_60m", "events", Fold::Channel, "entries into the channel in the last 60 minutes"),
    feature(Id::BagClicks1m, "bag_clicks_1m", "events", Fold::Channel, "times the bag was opened in the last minute"),
    feature(Id::BagClicks10m, "bag_clicks_10m", "events", Fold::Channel, "times the bag was opened in the last 10 minutes"),
    feature(Id::BagClicks60m, "bag_clicks_60m", "events", Fold::Channel, "times the bag was opened in the last 60 minutes"),
    feature(Id::ProductClicks1m, "product_clicks_1m", "events", Fold::Channel, "product clicks in the channel in the last minute"),
    feature(Id::ProductClicks10m, "product_clicks_10m", "events", Fold::Channel, "product clicks in the channel in the last 10 minutes"),
    feature(Id::ProductClicks60m, "product_clicks_60m", "events", Fold::Channel, "product clicks in the channel in the last 60 minutes"),
    feature(Id::Orders1m, "orders_1m", "events", Fold::Channel, "orders in the channel in the last minute"),
    feature(Id::Orders10m, "orders_10m", "events", Fold::Channel, "orders in the channel in the last 10 minutes"),
    feature(Id::Orders60m, "orders_60m", "events", Fold::Channel, "orders in the channel in the last 60 minutes"),
    feature(Id::Revenue1m, "revenue_1m", "currency", Fold::Channel, "revenue of the channel in the last minute"),
    feature(Id::Revenue10m, "revenue_10m", "currency", Fold::Channel, "revenue of the channel in the last 10 minutes"),
    feature(Id::Revenue60m, "revenue_60m", "currency", Fold::Channel, "revenue of the channel in the last 60 minutes"),
    feature(Id::Watching, "watching", "visits", Fold::Channel, "visits that began in the last 60 minutes and are not known to have ended"),
    feature(Id::ProductsOnSale, "products_on_sale", "products", Fold::Channel, "products in the goods bag"),
    feature(Id::Live, "live", "0 or 1", Fold::Channel, "whether the channel is live"),
    feature(Id::MinutesLive, "minutes_live", "min", Fold::Channel, "minutes since the stream began; 0 while none is on"),
    age(Id::ExposureAgeS, "exposure_age_s", Fold::Channel, "since the channel was last shown to anybody"),
    feature(Id::ChannelPopularity, "channel_popularity", "events", Fold::Channel, "watches of the channel in the last 24 hours"),
    feature(Id::ProductPopularity, "product_popularity", "events", Fold::Product, "clicks of the product in both domains in the last 24 hours"),
    feature(Id::HistoryProducts, "history_products", "events", Fold::User, "length of the user's product history"),
    feature(Id::HistoryChannels, "history_channels", "events", Fold::User, "length of the user's channel history"),
    age(Id::ProductClickAgeS, "product_click_age_s", Fold::User, "since the user last clicked a product in the product domain"),
    age(Id::WatchAgeS, "watch_age_s", Fold::User, "since the user's last watch ended"),
    feature(Id::AnchorWatches, "anchor_watches", "events", Fold::Anchor, "watches of the anchor among the user's last watches"),
    age(Id::AnchorWatchAgeS, "anchor_watch_age_s", Fold::Anchor, "since the last of those ended"),
    feature(Id::Stay, "stay", "s", Fold::Watch, "how long the user stayed"),
];

impl FeatureId {
    /// Its line in [`FEATURES`].
    pub const fn feature(self) -> &'static Feature {
        &FEATURES[self as usize]
    }
}

/// How many names an error lists.
const NEAREST: usize = 3;

/// The feature of that name.
///
/// # Errors
/// [`Error::UnknownFeature`] lists the nearest names.
pub fn lookup(name: &str) -> Result<&'static Feature, Error> {
    if let Some(feature) = FEATURES.iter().find(|feature| feature.name == name) {
        return Ok(feature);
    }
    let mut names = FEATURES.map(|feature| feature.name);
    // Stable: names equally near keep the order of the list.
    names.sort_by_key(|known| strsim::damerau_levenshtein(name, known));
    Err(Error::UnknownFeature { name: name.into(), nearest: names[..NEAREST].join(", ") })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_places_and_names_are_unique() {
        for (place, feature) in FEATURES.iter().enumerate() {
            assert_eq!(feature.id as usize, place, "{}", feature.name);
            assert_eq!(lookup(feature.name).unwrap(), feature);
            assert_eq!(feature.id.feature(), feature);
        }
    }

    #[test]
    fn an_unknown_name_gets_the_nearest() {
        let message = lookup("viewer_10m").unwrap_err().to_string();
        assert_eq!(
            message,
            "no feature is called \"viewer_10m\"; the nearest names are viewers_10m, viewers_1m, viewers_60m"
        );
    }
}
