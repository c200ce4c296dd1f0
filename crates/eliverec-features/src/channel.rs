//! What is known of one channel: sliding windows, the goods bag, live or not, last exposure, popularity.
//!
//! | counted in windows of 1, 10 and 60 minutes | events |
//! | --- | --- |
//! | entries | `watch` |
//! | viewers | visits of which some part lies in the window: `leave`s in the window, and who is watching now |
//! | bag clicks, product clicks, orders | those in this channel |
//! | revenue | values of the orders, each rounded to a thousandth, so that sums do not depend on their order |
//!
//! **Watching** now are the `watch`es of the last 60 minutes less the visits that began in them and are known to have ended
//! (a `leave` says how long the stay was, hence when it began), at least 0. A running count of entries less leaves would
//! drift for ever with every lost or late leave; this one forgets within an hour, and with it who stays longer.
//! Distinct viewers would need every viewer's id, or a sketch per bucket.
//!
//! Impressions make the last exposure; a stay that is a watch counts for the popularity; `follow`, `like` and `comment`
//! change nothing here.

use eliverec_core::event::{CLOCK_TOLERANCE_MS, Event, EventKind};
use serde::{Deserialize, Serialize};

use crate::bag::Bag;
use crate::config::FeatureConfig;
use crate::history::watch_stay;
use crate::moment::{MAX_AGE_S, Moment, age_s};
use crate::popularity::Popularity;
use crate::registry::FeatureId as Id;
use crate::snapshot::Snapshot;
use crate::windows::{Counts, Windows};

/// Events of a channel in buckets of ten seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct ChannelCounts {
    entered: u32,
    /// Leaves, when they happened.
    left: u32,
    /// Leaves, when the visit had begun.
    ended: u32,
    bag_clicks: u32,
    product_clicks: u32,
    orders: u32,
    revenue_thousandths: u64,
}

impl Counts for ChannelCounts {
    const WIDTH_MS: i64 = 10_000;
    const LONGEST: i64 = WINDOWS[2];

    fn plus(self, other: Self) -> Self {
        Self {
            entered: self.entered.wrapping_add(other.entered),
            left: self.left.wrapping_add(other.left),
            ended: self.ended.wrapping_add(other.ended),
            bag_clicks: self.bag_clicks.wrapping_add(other.bag_clicks),
            product_clicks: self.product_clicks.wrapping_add(other.product_clicks),
            orders: self.orders.wrapping_add(other.orders),
            revenue_thousandths: self.revenue_thousandths.wrapping_add(other.revenue_thousandths),
        }
    }

    fn minus(self, other: Self) -> Self {
        Self {
            entered: self.entered.wrapping_sub(other.entered),
            left: self.left.wrapping_sub(other.left),
            ended: self.ended.wrapping_sub(other.ended),
            bag_clicks: self.bag_clicks.wrapping_sub(other.bag_clicks),
            product_clicks: self.product_clicks.wrapping_sub(other.product_clicks),
            orders: self.orders.wrapping_sub(other.orders),
            revenue_thousandths: self.revenue_thousandths.wrapping_sub(other.revenue_thousandths),
        }
    }
}

/// The windows of 1, 10 and 60 minutes, in buckets.
const WINDOWS: [i64; 3] = [6, 60, 360];

/// The features of each window: viewers, entries, bag clicks, product clicks, orders, revenue.
const WINDOW_FEATURES: [[Id; 6]; 3] = [
    [
        Id::Viewers1m,
        Id::Entries1m,
        Id::BagClicks1m,
        Id::ProductClicks1m,
        Id::Orders1m,
        Id::Revenue1m,
    ],
    [
        Id::Viewers10m,
        Id::Entries10m,
        Id::BagClicks10m,
        Id::ProductClicks10m,
        Id::Orders10m,
        Id::Revenue10m,
    ],
    [
        Id::Viewers60m,
        Id::Entries60m,
        Id::BagClicks60m,
        Id::ProductClicks60m,
        Id::Orders60m,
        Id::Revenue60m,
    ],
];

/// An order counts for at most this revenue, so that no wrong value can make a sum overflow.
pub const MOST_REVENUE: f64 = 1e9;

/// The state of one channel. Memory: at most [`FeatureConfig::channel_bytes`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ChannelState {
    windows: Windows<ChannelCounts>,
    bag: Bag,
    /// The last start (true) or end of a stream by event time.
    switched: Option<(Moment, bool)>,
    /// Event time of the last impression, of any user.
    exposed_ms: Option<i64>,
    popularity: Popularity,
}

impl ChannelState {
    /// Takes in an admitted event of this channel.
    pub fn apply(&mut self, event: &Event, config: &FeatureConfig) {
        let one = ChannelCounts::default();
        let counts = match event.kind {
            EventKind::Watch => ChannelCounts { entered: 1, ..one },
            EventKind::Leave => {
                let stay_ms = (event.value.unwrap_or(0.0) * 1000.0).round() as i64;
                let began_ms = event.ts_ms.saturating_sub(stay_ms);
                self.windows.add(event.ts_ms, ChannelCounts { left: 1, ..one });
                self.windows.add(began_ms, ChannelCounts { ended: 1, ..one });
                if watch_stay(event, config).is_some() {
                    self.popularity.add(event.ts_ms);
                }
                return;
            }
            EventKind::BagClick => ChannelCounts { bag_clicks: 1, ..one },
            EventKind::ProductClick => ChannelCounts { product_clicks: 1, ..one },
            EventKind::Order => {
                let revenue = event.value.unwrap_or(0.0).min(MOST_REVENUE);
                let revenue_thousandths = (revenue * 1000.0).round() as u64;
                ChannelCounts { orders: 1, revenue_thousandths, ..one }
            }
            EventKind::Impression => {
                self.exposed_ms = self.exposed_ms.max(Some(event.ts_ms));
                return;
            }
            EventKind::StreamStart | EventKind::StreamEnd => {
                let live = event.kind == EventKind::StreamStart;
                self.switched = self.switched.max(Some((Moment::of(event), live)));
                return;
            }
            EventKind::ProductOn | EventKind::ProductOff => {
                if let Some(product_id) = event.product_id {
                    let on = event.kind == EventKind::ProductOn;
                    self.bag.switch(Moment::of(event), product_id, on, config.bag_products);
                }
                return;
            }
            EventKind::Follow | EventKind::Like | EventKind::Comment => return,
        };
        self.windows.add(event.ts_ms, counts);
    }

    /// The goods bag.
    pub const fn bag(&self) -> &Bag {
        &self.bag
    }

    /// Event time of the start of the stream that is on; `None` while none is.
    pub fn live_since_ms(&self) -> Option<i64> {
        self.switched.filter(|(_, live)| *live).map(|(moment, _)| moment.ts_ms)
    }

    /// Writes the features of the channel at `at_ms`.
    pub fn snapshot(&self, at_ms: i64, into: &mut Snapshot) {
        let sums = self.windows.sums(at_ms, WINDOWS);
        // The difference of wrapping counts, read as a signed number.
        let watching = (sums[2].entered.wrapping_sub(sums[2].ended) as i32).max(0) as f32;
        for (sum, features) in sums.iter().zip(WINDOW_FEATURES) {
            let values = [
                sum.left as f32 + watching,
                sum.entered as f32,
                sum.bag_clicks as f32,
                sum.product_clicks as f32,
                sum.orders as f32,
                (sum.revenue_thousandths as f64 / 1000.0) as f32,
            ];
            features.into_iter().zip(values).for_each(|(feature, value)| into.set(feature, value));
        }
        let live_since_ms = self.live_since_ms();
        into.set(Id::Watching, watching);
        into.set(Id::ProductsOnSale, self.bag.len() as f32);
        into.set(Id::Live, f32::from(u8::from(live_since_ms.is_some())));
        into.set(Id::MinutesLive, live_since_ms.map_or(0.0, |since| age_s(since, at_ms) / 60.0));
        into.set_age(Id::ExposureAgeS, self.exposed_ms, at_ms);
        into.set(Id::ChannelPopularity, self.popularity.count(at_ms) as f32);
    }

    /// Whether from `at_ms` on a channel without any event has the same features, unless more events come, and the same if more
    /// come: not live, nothing on sale, no visit, click or order in the last hour, no watch in the last 24, not shown for
    /// [`MAX_AGE_S`], and no switch so young that an older one may still arrive.
    pub fn is_over(&self, at_ms: i64, config: &FeatureConfig) -> bool {
        let settled_ms =
            at_ms.saturating_sub(config.allowed_lateness_ms).saturating_sub(CLOCK_TOLERANCE_MS);
        let is_settled = |moment: Moment| moment.ts_ms < settled_ms;
        let oldest = ChannelCounts::bucket(settled_ms) - ChannelCounts::LONGEST;
        self.switched.is_none_or(|(moment, live)| !live && is_settled(moment))
            && self.bag.is_empty()
            && self.bag.newest().is_none_or(is_settled)
            && self.windows.newest().is_none_or(|newest| newest <= oldest)
            && self.popularity.is_over(at_ms)
            && self.exposed_ms.is_none_or(|exposed_ms| age_s(exposed_ms, at_ms) >= MAX_AGE_S)
    }

    /// Takes in the state built from other events of the same channel.
    pub fn merge(&mut self, other: Self, config: &FeatureConfig) {
        self.windows.merge(&other.windows);
        self.bag.merge(other.bag, config.bag_products);
        self.switched = self.switched.max(other.switched);
        self.exposed_ms = self.exposed_ms.max(other.exposed_ms);
        self.popularity.merge(&other.popularity);
    }

    /// Bytes on the heap.
    pub fn heap_bytes(&self) -> usize {
        self.windows.heap_bytes() + self.bag.heap_bytes() + self.popularity.heap_bytes()
    }
}

impl FeatureConfig {
    /// The most bytes that one channel's state takes, itself included.
    pub fn channel_bytes(&self) -> usize {
        size_of::<ChannelState>()
            + Windows::<ChannelCounts>::heap_bytes_bound()
            + Bag::heap_bytes_bound(self.bag_products)
            + Popularity::heap_bytes_bound()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two enter, one of them leaves: the other is watching, until an hour has passed.
    #[test]
    fn visits_are_counted_while_they_touch_a_window() {
        let config = FeatureConfig::default();
        let mut channel = ChannelState::default();
        let minute = 60_000;
        let leave = Event { value: Some(60.0), ..Event::new(3, 2 * minute, EventKind::Leave) };
        for event in [
            Event::new(1, minute, EventKind::Watch),
            Event::new(2, minute, EventKind::Watch),
            leave,
        ] {
            channel.apply(&event, &config);
        }
        let at = |at_ms: i64| {
            let mut snapshot = Snapshot::unknown();
            channel.snapshot(at_ms, &mut snapshot);
            [Id::Viewers1m, Id::Viewers10m, Id::Viewers60m, Id::Watching, Id::Entries10m]
                .map(|id| snapshot.get(id).unwrap())
        };
        assert_eq!(at(2 * minute + 1), [2.0, 2.0, 2.0, 1.0, 2.0]);
        assert_eq!(at(4 * minute), [1.0, 2.0, 2.0, 1.0, 2.0]);
        assert_eq!(at(60 * minute), [1.0, 1.0, 2.0, 1.0, 0.0]);
        assert_eq!(at(61 * minute), [0.0, 0.0, 1.0, 0.0, 0.0]);
    }

    #[test]
    fn a_wrong_stay_or_revenue_overflows_nothing() {
        let config = FeatureConfig::default();
        let mut channel = ChannelState::default();
        for kind in [EventKind::Leave, EventKind::Order] {
            channel.apply(&Event { value: Some(f64::MAX), ..Event::new(1, 0, kind) }, &config);
        }
        let mut snapshot = Snapshot::unknown();
        channel.snapshot(1, &mut snapshot);
        assert_eq!(snapshot.get(Id::Revenue1m), Some(1e9));
        assert_eq!(snapshot.get(Id::Viewers1m), Some(1.0));
    }
}
