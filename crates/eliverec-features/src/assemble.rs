//! From the states of the folds to the values of a request: the last step that both drivers share before the feed.

use crate::channel::ChannelState;
use crate::config::FeatureConfig;
use crate::popularity::Popularity;
use crate::registry::FeatureId;
use crate::request::{CandidateFeatures, Click, RequestFeatures, Watch};
use crate::snapshot::Snapshot;
use crate::user::UserState;
use crate::wanted::{OnSale, Wanted};

/// What is known of a candidate, but for the user: `None` of what never occurred.
#[derive(Clone, Copy, Debug, Default)]
pub struct Known<'a> {
    /// The channel.
    pub channel: Option<&'a ChannelState>,
    /// Its anchor.
    pub anchor: Option<u64>,
    /// Clicks of the product that it put on sale last.
    pub product: Option<&'a Popularity>,
}

/// All features of a candidate for a user at `at_ms`.
pub fn snapshot(
    config: &FeatureConfig,
    user: Option<&UserState>,
    of: Known<'_>,
    at_ms: i64,
) -> Snapshot {
    let mut snapshot = Snapshot::unknown();
    if let Some(user) = user {
        user.snapshot(at_ms, config, &mut snapshot);
        if let Some(anchor) = of.anchor {
            user.snapshot_anchor(anchor, at_ms, config, &mut snapshot);
        }
    }
    if let Some(channel) = of.channel {
        channel.snapshot(at_ms, &mut snapshot);
    }
    if let Some(product) = of.product {
        snapshot.set(FeatureId::ProductPopularity, product.count(at_ms) as f32);
    }
    snapshot
}

/// The features of a request of a user at `at_ms`.
pub fn request<'a>(
    config: &FeatureConfig,
    wanted: &Wanted,
    user: Option<&UserState>,
    candidates: impl IntoIterator<Item = Known<'a>>,
    at_ms: i64,
) -> RequestFeatures {
    let mut features = history(config, user, at_ms);
    // The features of the user depend on no channel.
    features.user = values(&snapshot(config, user, Known::default(), at_ms), &wanted.user);
    let candidate = |of: Known<'a>| {
        let snapshot = snapshot(config, user, of, at_ms);
        let popularity = snapshot.get(FeatureId::ProductPopularity);
        CandidateFeatures {
            channel: values(&snapshot, &wanted.channel),
            anchor: values(&snapshot, &wanted.anchor),
            popularity: popularity.filter(|_| wanted.popularity).unwrap_or(0.0),
            on_sale: on_sale(of.channel, wanted.on_sale),
        }
    };
    features.candidates = candidates.into_iter().map(candidate).collect();
    features
}

/// Both histories as of `at_ms`.
pub fn history(config: &FeatureConfig, user: Option<&UserState>, at_ms: i64) -> RequestFeatures {
    let Some(history) = user.map(UserState::history) else { return RequestFeatures::default() };
    let oldest_ms = config.oldest_ms(at_ms);
    let products = history.products().since(oldest_ms).iter();
    let channels = history.channels().since(oldest_ms).iter();
    RequestFeatures {
        products: products
            .map(|(moment, click)| Click {
                product_id: click.product_id,
                age_s: moment.age_s(at_ms),
            })
            .collect(),
        channels: channels
            .map(|(moment, watch)| Watch {
                channel_id: watch.channel_id,
                stay_s: watch.stay_s,
                age_s: moment.age_s(at_ms),
            })
            .collect(),
        ..RequestFeatures::default()
    }
}

/// The values of some features.
pub fn values(snapshot: &Snapshot, wanted: &[FeatureId]) -> Vec<f32> {
    wanted.iter().map(|id| snapshot.get(*id).unwrap_or(id.feature().never)).collect()
}

/// As much of the bag as is wanted, the product put on sale last at the end.
pub fn on_sale(channel: Option<&ChannelState>, wanted: OnSale) -> Vec<u64> {
    let Some(bag) = channel.map(ChannelState::bag) else { return Vec::new() };
    match wanted {
        OnSale::None => Vec::new(),
        OnSale::Current => bag.current().into_iter().collect(),
        OnSale::All => bag.on_sale().collect(),
    }
}
