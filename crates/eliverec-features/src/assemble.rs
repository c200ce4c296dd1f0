//! From the states of the folds to the values of a request: the last step that both drivers share before the feed.

use crate::channel::ChannelState;
use crate::registry::FeatureId;
use crate::request::{Click, RequestFeatures, Watch};
use crate::snapshot::Snapshot;
use crate::user::UserState;
use crate::wanted::OnSale;

/// Both histories as of `at_ms`.
pub fn history(user: Option<&UserState>, at_ms: i64) -> RequestFeatures {
    let Some(history) = user.map(UserState::history) else { return RequestFeatures::default() };
    let products = history.products().iter();
    let channels = history.channels().iter();
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
