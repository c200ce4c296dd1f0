//! What a user did, newest last, as the model's two sequences: product clicks and watched channels, repeats kept.
//!
//! - A **product click** enters the history if it has no channel: the product domain's sequence is what was clicked in
//!   the product domain. Clicks inside a channel are the channel's ([`crate::channel`]).
//! - A **watch** is a `leave` whose stay reaches the threshold. It is known, and has its place, when the user leaves:
//!   before that nobody knows whether it will be a watch.
//!
//! The last n and l by event time are kept, so an event that arrives late lands in its place or is too old to matter.

use eliverec_core::event::{Event, EventKind};
use serde::{Deserialize, Serialize};

use crate::config::FeatureConfig;
use crate::moment::Moment;
use crate::recent::Recent;

/// An entry of the product history; its moment is the click's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProductClick {
    /// The product clicked.
    pub product_id: u64,
}

/// An entry of the channel history; its moment is that of leaving.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct ChannelWatch {
    /// The channel watched.
    pub channel_id: u64,
    /// Stay in seconds: the feature `stay`.
    pub stay_s: f32,
}

/// Both histories of one user.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct History {
    products: Recent<ProductClick>,
    channels: Recent<ChannelWatch>,
}

impl History {
    /// Takes in an event of this user.
    pub fn apply(&mut self, event: &Event, config: &FeatureConfig) {
        if let Some(product_id) = product_click(event) {
            let click = ProductClick { product_id };
            self.products.insert(Moment::of(event), click, config.product_history);
        } else if let (Some(stay_s), Some(channel_id)) =
            (watch_stay(event, config), event.channel_id)
        {
            let watch = ChannelWatch { channel_id, stay_s: stay_s as f32 };
            self.channels.insert(Moment::of(event), watch, config.channel_history);
        }
    }

    /// The last n product clicks, oldest first.
    pub const fn products(&self) -> &Recent<ProductClick> {
        &self.products
    }

    /// The last l watches, oldest first.
    pub const fn channels(&self) -> &Recent<ChannelWatch> {
        &self.channels
    }

    /// Takes in the history built from other events of the same user.
    pub fn merge(&mut self, other: Self, config: &FeatureConfig) {
        self.products.merge(other.products, config.product_history);
        self.channels.merge(other.channels, config.channel_history);
    }

    /// Bytes on the heap.
    pub const fn heap_bytes(&self) -> usize {
        self.products.heap_bytes() + self.channels.heap_bytes()
    }

    pub(crate) fn heap_bytes_bound(config: &FeatureConfig) -> usize {
        Recent::<ProductClick>::heap_bytes_bound(config.product_history)
            + Recent::<ChannelWatch>::heap_bytes_bound(config.channel_history)
    }
}

/// The product of a click in the product domain.
fn product_click(event: &Event) -> Option<u64> {
    let counts = event.kind == EventKind::ProductClick && event.channel_id.is_none();
    event.product_id.filter(|_| counts)
}

/// The stay in seconds if `event` is a watch: a leave at or above the threshold.
pub fn watch_stay(event: &Event, config: &FeatureConfig) -> Option<f64> {
    let stay = event.value.filter(|_| event.kind == EventKind::Leave)?;
    (stay >= config.stay_threshold_s).then_some(stay)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_watch_reaches_the_threshold_and_a_click_has_no_channel() {
        let config = FeatureConfig::default();
        let mut history = History::default();
        let leave = |id, stay| Event {
            channel_id: Some(4),
            value: Some(stay),
            ..Event::new(id, 1_000 * id as i64, EventKind::Leave)
        };
        let click = |id, channel_id| Event {
            channel_id,
            product_id: Some(8),
            ..Event::new(id, 1_000 * id as i64, EventKind::ProductClick)
        };
        for event in [leave(1, 2.99), leave(2, 3.0), click(3, Some(4)), click(4, None)] {
            history.apply(&event, &config);
        }
        let watches: Vec<u64> = history.channels().iter().map(|(m, _)| m.event_id).collect();
        let clicks: Vec<u64> = history.products().iter().map(|(m, _)| m.event_id).collect();
        assert_eq!((watches, clicks), (vec![2], vec![4]));
        assert_eq!(history.channels().newest().unwrap().1.stay_s, 3.0);
    }
}
