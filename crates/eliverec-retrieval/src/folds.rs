//! What sources ask of channels and users, from the states of the folds and the tables.

use std::collections::BTreeMap;

use eliverec_core::feed::Column;
use eliverec_core::{Dimension, Dimensions};
use eliverec_features::{ChannelState, FeatureId, MAX_AGE_S, Snapshot, UserState};

use crate::fields::Category;
use crate::state::{LiveChannel, Popularity, User};

impl LiveChannel {
    /// A channel with that state, as known before `at_ms`.
    pub fn of(
        channel_id: u64,
        state: &ChannelState,
        dimensions: &Dimensions,
        category: Option<&Category>,
        at_ms: i64,
    ) -> Self {
        let mut snapshot = Snapshot::unknown();
        state.snapshot(at_ms, &mut snapshot);
        let number = |feature| snapshot.get(feature).unwrap_or(0.0);
        let exposure_age_s = number(FeatureId::ExposureAgeS);
        let names = category.map(|category| &category.names);
        let Dimensions { channels, products, .. } = dimensions;
        let selling = state.bag().current();
        Self {
            channel_id,
            anchor_id: dimensions.anchor_of(channel_id, at_ms),
            category_id: names.and_then(|[name, _]| of_row(channels, name, channel_id, at_ms)),
            selling_category_id: names
                .zip(selling)
                .and_then(|([_, name], product)| of_row(products, name, product, at_ms)),
            popularity: Popularity {
                last_10m: number(FeatureId::Entries10m) as u32,
                last_60m: number(FeatureId::Entries60m) as u32,
                last_24h: number(FeatureId::ChannelPopularity) as u32,
            },
            exposed_ms: (exposure_age_s < MAX_AGE_S)
                .then(|| at_ms - (f64::from(exposure_age_s) * 1_000.0) as i64),
        }
    }
}

impl User {
    /// A user with that state; of entries older than `oldest_ms` nothing is said.
    pub fn of(
        state: &UserState,
        dimensions: &Dimensions,
        category: Option<&Category>,
        oldest_ms: i64,
        at_ms: i64,
    ) -> Self {
        let watches = state.history().channels().since(oldest_ms);
        let clicks = state.history().products().since(oldest_ms);
        let mut anchors: BTreeMap<u64, u32> = BTreeMap::new();
        for anchor in state.affinity().anchors(oldest_ms) {
            *anchors.entry(anchor).or_default() += 1;
        }
        let categories = category.map_or_else(Vec::new, |Category { names: [_, name], .. }| {
            let of = |product: u64| of_row(&dimensions.products, name, product, at_ms);
            clicks.iter().filter_map(|(_, click)| of(click.product_id)).collect()
        });
        Self {
            watches: watches.iter().map(|(_, watch)| watch.channel_id).collect(),
            categories,
            anchors: anchors.into_iter().collect(),
            followed: state.follows().anchors().collect(),
        }
    }
}

/// The value of a categorical column of a table.
fn of_row(table: &Dimension, name: &str, id: u64, at_ms: i64) -> Option<u64> {
    let Column::Ids(values) = table.column(name)? else { return None };
    table.row_at(id, at_ms).map(|row| values[row])
}
