//! Every feature by its definition, from the list of all events that are admitted and available before the moment.

use eliverec_core::event::{Event, EventKind};
use eliverec_features::{FeatureId, MAX_AGE_S};

use crate::log::{anchor_of, config};

/// What was known at a moment.
pub(crate) struct Known<'a> {
    at_ms: i64,
    /// In the order of event time, then id.
    events: Vec<&'a Event>,
}

fn is_watch(event: &Event) -> bool {
    event.kind == EventKind::Leave && event.value.unwrap() >= config().stay_threshold_s
}

fn last<T>(mut all: Vec<T>, count: usize) -> Vec<T> {
    all.split_off(all.len().saturating_sub(count))
}

impl<'a> Known<'a> {
    /// `log` may hold late events, but no id twice.
    pub(crate) fn at(log: &'a [Event], at_ms: i64) -> Self {
        let counts = |event: &&Event| {
            event.available_at_ms < at_ms
                && event.available_at_ms - event.ts_ms <= config().allowed_lateness_ms
        };
        let mut events: Vec<&Event> = log.iter().filter(counts).collect();
        events.sort_by_key(|event| (event.ts_ms, event.event_id));
        Self { at_ms, events }
    }

    fn select(&self, wanted: impl Fn(&Event) -> bool) -> Vec<&'a Event> {
        self.events.iter().filter(|event| wanted(event)).copied().collect()
    }

    fn age(&self, event: Option<&&Event>) -> f32 {
        event.map_or(f32::INFINITY, |event| {
            ((self.at_ms - event.ts_ms).max(0) as f64 / 1000.0) as f32
        })
    }

    pub(crate) fn product_history(&self, user: u64) -> Vec<&'a Event> {
        let clicks = self.select(|event| {
            event.kind == EventKind::ProductClick
                && event.user_id == Some(user)
                && event.channel_id.is_none()
        });
        last(clicks, config().product_history)
    }

    fn watches(&self, user: u64) -> Vec<&'a Event> {
        self.select(|event| is_watch(event) && event.user_id == Some(user))
    }

    pub(crate) fn channel_history(&self, user: u64) -> Vec<&'a Event> {
        last(self.watches(user), config().channel_history)
    }

    /// The products on sale, the one put on sale last at the end.
    pub(crate) fn on_sale(&self, channel: u64) -> Vec<u64> {
        let is_switch =
            |event: &Event| matches!(event.kind, EventKind::ProductOn | EventKind::ProductOff);
        let switches = self.select(|event| is_switch(event) && event.channel_id == Some(channel));
        let is_last = |place: usize| {
            switches[place + 1..].iter().all(|later| later.product_id != switches[place].product_id)
        };
        let lasts: Vec<&Event> =
            (0..switches.len()).filter(|i| is_last(*i)).map(|i| switches[i]).collect();
        let kept = last(lasts, config().bag_products).into_iter();
        kept.filter(|e| e.kind == EventKind::ProductOn).map(|e| e.product_id.unwrap()).collect()
    }

    /// Whether `ts_ms` lies in the window of so many buckets of that width.
    fn within(&self, ts_ms: i64, width_ms: i64, buckets: i64) -> bool {
        let end = (self.at_ms.div_euclid(width_ms) + 1) * width_ms;
        end - buckets * width_ms <= ts_ms && ts_ms < end
    }

    fn windowed(&self, channel: u64, minutes: i64, kind: EventKind) -> Vec<&'a Event> {
        self.select(|event| {
            event.kind == kind
                && event.channel_id == Some(channel)
                && self.within(event.ts_ms, 10_000, 6 * minutes)
        })
    }

    fn watching(&self, channel: u64) -> f32 {
        let entered = self.windowed(channel, 60, EventKind::Watch).len();
        let ended = self.select(|event| {
            event.kind == EventKind::Leave
                && event.channel_id == Some(channel)
                && self.within(
                    event.ts_ms - (event.value.unwrap() * 1000.0).round() as i64,
                    10_000,
                    360,
                )
        });
        entered.saturating_sub(ended.len()) as f32
    }

    /// The value of `feature` for a user and a candidate channel.
    pub(crate) fn value(&self, feature: FeatureId, user: u64, channel: u64) -> f32 {
        use FeatureId as Id;
        let windowed = |minutes, kind| self.windowed(channel, minutes, kind).len() as f32;
        let viewers = |minutes| windowed(minutes, EventKind::Leave) + self.watching(channel);
        let revenue = |minutes| {
            let orders = self.windowed(channel, minutes, EventKind::Order);
            let thousandths: f64 =
                orders.iter().map(|order| (order.value.unwrap_or(0.0) * 1000.0).round()).sum();
            (thousandths / 1000.0) as f32
        };
        let start = || {
            let is_switch =
                |e: &Event| matches!(e.kind, EventKind::StreamStart | EventKind::StreamEnd);
            let switches = self.select(|e| is_switch(e) && e.channel_id == Some(channel));
            switches.last().copied().filter(|event| event.kind == EventKind::StreamStart)
        };
        let of_anchor = || -> Vec<&Event> {
            let Some(anchor) = anchor_of(channel) else { return Vec::new() };
            let known =
                self.watches(user).into_iter().map(|e| (anchor_of(e.channel_id.unwrap()), e));
            let known = known.filter(|(anchor, _)| anchor.is_some()).collect();
            let watches = last(known, config().affinity_watches).into_iter();
            watches.filter(|(of, _)| *of == Some(anchor)).map(|(_, event)| event).collect()
        };
        let capped = |event: Option<&&Event>| self.age(event).min(MAX_AGE_S);
        let of_the_day = |event: &Event| self.within(event.ts_ms, 3_600_000, 24);
        match feature {
            Id::Viewers1m => viewers(1),
            Id::Viewers10m => viewers(10),
            Id::Viewers60m => viewers(60),
            Id::Entries1m => windowed(1, EventKind::Watch),
            Id::Entries10m => windowed(10, EventKind::Watch),
            Id::Entries60m => windowed(60, EventKind::Watch),
            Id::BagClicks1m => windowed(1, EventKind::BagClick),
            Id::BagClicks10m => windowed(10, EventKind::BagClick),
            Id::BagClicks60m => windowed(60, EventKind::BagClick),
            Id::ProductClicks1m => windowed(1, EventKind::ProductClick),
            Id::ProductClicks10m => windowed(10, EventKind::ProductClick),
            Id::ProductClicks60m => windowed(60, EventKind::ProductClick),
            Id::Orders1m => windowed(1, EventKind::Order),
            Id::Orders10m => windowed(10, EventKind::Order),
            Id::Orders60m => windowed(60, EventKind::Order),
            Id::Revenue1m => revenue(1),
            Id::Revenue10m => revenue(10),
            Id::Revenue60m => revenue(60),
            Id::Watching => self.watching(channel),
            Id::ProductsOnSale => self.on_sale(channel).len() as f32,
            Id::Live => f32::from(u8::from(start().is_some())),
            Id::MinutesLive => start().map_or(0.0, |event| self.age(Some(&event)) / 60.0),
            Id::ExposureAgeS => capped(
                self.select(|e| e.kind == EventKind::Impression && e.channel_id == Some(channel))
                    .last(),
            ),
            Id::ChannelPopularity => {
                let counts =
                    |e: &Event| is_watch(e) && e.channel_id == Some(channel) && of_the_day(e);
                self.select(counts).len() as f32
            }
            Id::ProductPopularity => {
                let Some(product) = self.on_sale(channel).pop() else { return 0.0 };
                let is_click =
                    |e: &Event| e.kind == EventKind::ProductClick && e.product_id == Some(product);
                self.select(|e| is_click(e) && of_the_day(e)).len() as f32
            }
            Id::HistoryProducts => self.product_history(user).len() as f32,
            Id::HistoryChannels => self.channel_history(user).len() as f32,
            Id::ProductClickAgeS => capped(self.product_history(user).last()),
            Id::WatchAgeS => capped(self.channel_history(user).last()),
            Id::AnchorWatches => of_anchor().len() as f32,
            Id::AnchorWatchAgeS => capped(of_anchor().last()),
            Id::Stay => unreachable!("of a history's entries"),
        }
    }
}
