//! Table I of the paper, computed from an event log in one pass: impressions and watches per feed, lengths of both
//! sequences at the request, distinct channels.

use std::collections::{HashMap, HashSet, VecDeque};

use eliverec_core::id::IdHash;
use eliverec_core::{Event, EventKind};
use serde::{Deserialize, Serialize};

use crate::config::parameter::WATCH_THRESHOLD_MS;

/// Both sequences are cut to this many events (Sec. V-A).
pub const LONGEST_SEQUENCE: usize = 50;

/// Table I, with the distinct channels of Sec. VI-B.5.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct TableOne {
    /// Requests with an impression.
    pub feeds: u64,
    /// Their impressions.
    pub impressions: u64,
    /// Impressions that became watches of at least the threshold.
    pub watched: u64,
    /// Impressions per feed.
    pub impressions_per_feed: f64,
    /// Watches per feed.
    pub watched_per_feed: f64,
    /// Clicked products before a request, at most 50.
    pub product_sequence_length: f64,
    /// Watched channels before a request, at most 50, repeats kept.
    pub channel_sequence_length: f64,
    /// Distinct ones among them.
    pub distinct_channels: f64,
}

impl TableOne {
    /// The paper's training set; the counts are in feeds, impressions and watches.
    pub const PAPER: Self = Self {
        feeds: 140_000_000,
        impressions: 1_080_000_000,
        watched: 127_000_000,
        impressions_per_feed: 7.71,
        watched_per_feed: 0.91,
        product_sequence_length: 47.47,
        channel_sequence_length: 41.29,
        distinct_channels: 27.78,
    };

    /// The rows that do not depend on the size of the set: name, value here, value in the paper.
    pub fn rows(&self) -> [(&'static str, f64, f64); 5] {
        let paper = Self::PAPER;
        [
            ("impressions_per_feed", self.impressions_per_feed, paper.impressions_per_feed),
            ("watched_per_feed", self.watched_per_feed, paper.watched_per_feed),
            (
                "product_sequence_length",
                self.product_sequence_length,
                paper.product_sequence_length,
            ),
            (
                "channel_sequence_length",
                self.channel_sequence_length,
                paper.channel_sequence_length,
            ),
            ("distinct_channels", self.distinct_channels, paper.distinct_channels),
        ]
    }

    /// The largest relative distance from the paper over [`TableOne::rows`].
    pub fn worst_deviation(&self) -> f64 {
        self.rows().iter().map(|(_, here, paper)| (here / paper - 1.0).abs()).fold(0.0, f64::max)
    }
}

/// Takes a log in the order of event time and ends in a [`TableOne`]. A quick check of a world: sample generation counts
/// again from what was available at each request. 0.8 KB per user and 16 bytes per request.
#[derive(Clone, Debug, Default)]
pub struct TableOneBuilder {
    from_ms: i64,
    users: HashMap<u64, Sequences, IdHash>,
    /// Requests of the period.
    requests: HashSet<u64, IdHash>,
    /// The last event ids, two generations of [`REMEMBERED`].
    seen: [HashSet<u64, IdHash>; 2],
    impressions: u64,
    watched: u64,
    products: u64,
    channels: u64,
    distinct: u64,
}

/// A second arrival stands at most this many users' events after the first.
const REMEMBERED: usize = 1 << 16;

#[derive(Clone, Debug, Default)]
struct Sequences {
    /// Clicks of the product domain, at most [`LONGEST_SEQUENCE`].
    products: usize,
    channels: VecDeque<u64>,
}

impl TableOneBuilder {
    /// Counts requests from this moment on; earlier events fill the sequences.
    pub fn from(from_ms: i64) -> Self {
        Self { from_ms, ..Self::default() }
    }

    /// The next event; a second arrival is dropped.
    pub fn add(&mut self, event: &Event) {
        let Some(user) = event.user_id else { return };
        if self.seen[1].contains(&event.event_id) || !self.seen[0].insert(event.event_id) {
            return;
        }
        if self.seen[0].len() == REMEMBERED {
            self.seen.swap(0, 1);
            self.seen[0].clear();
        }
        let sequences = self.users.entry(user).or_default();
        match (event.kind, event.channel_id, event.request_id) {
            (EventKind::ProductClick, None, _) => {
                sequences.products = (sequences.products + 1).min(LONGEST_SEQUENCE);
            }
            (EventKind::Leave, Some(channel), request)
                if event.value.is_some_and(|s| s * 1000.0 >= WATCH_THRESHOLD_MS as f64) =>
            {
                if sequences.channels.len() == LONGEST_SEQUENCE {
                    sequences.channels.pop_front();
                }
                sequences.channels.push_back(channel);
                let counts = request.is_some_and(|request| self.requests.contains(&request));
                self.watched += u64::from(counts);
            }
            (EventKind::Impression, _, Some(request)) if event.ts_ms >= self.from_ms => {
                self.impressions += 1;
                if self.requests.insert(request) {
                    let mut distinct: Vec<u64> = sequences.channels.iter().copied().collect();
                    distinct.sort_unstable();
                    distinct.dedup();
                    self.products += sequences.products as u64;
                    self.channels += sequences.channels.len() as u64;
                    self.distinct += distinct.len() as u64;
                }
            }
            _ => {}
        }
    }

    /// The table; means of an empty log are 0.
    pub fn finish(&self) -> TableOne {
        let feeds = self.requests.len() as u64;
        let mean = |sum: u64| sum as f64 / feeds.max(1) as f64;
        TableOne {
            feeds,
            impressions: self.impressions,
            watched: self.watched,
            impressions_per_feed: mean(self.impressions),
            watched_per_feed: mean(self.watched),
            product_sequence_length: mean(self.products),
            channel_sequence_length: mean(self.channels),
            distinct_channels: mean(self.distinct),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_log_by_hand() {
        let mut builder = TableOneBuilder::from(100);
        let event = |id, ts_ms, kind| Event { user_id: Some(1), ..Event::new(id, ts_ms, kind) };
        for id in 0..60 {
            builder.add(&event(id, 1, EventKind::ProductClick));
        }
        let in_channel = Event { channel_id: Some(9), ..event(60, 1, EventKind::ProductClick) };
        builder.add(&in_channel);
        for (id, (channel, stay_s)) in [(7, 3.0), (8, 2.9), (7, 50.0), (5, 4.0)].iter().enumerate()
        {
            builder.add(&Event {
                channel_id: Some(*channel),
                value: Some(*stay_s),
                ..event(100 + id as u64, 2, EventKind::Leave)
            });
        }
        let impression = |id, ts_ms, request| Event {
            channel_id: Some(7),
            request_id: Some(request),
            ..event(id, ts_ms, EventKind::Impression)
        };
        builder.add(&impression(200, 99, 1));
        builder.add(&impression(201, 100, 2));
        builder.add(&impression(202, 100, 2));
        builder.add(&impression(202, 100, 2));
        builder.add(&Event {
            channel_id: Some(7),
            request_id: Some(2),
            value: Some(3.0),
            ..event(203, 120, EventKind::Leave)
        });
        let table = builder.finish();
        assert_eq!((table.feeds, table.impressions, table.watched), (1, 2, 1));
        assert_eq!(table.product_sequence_length, 50.0);
        assert_eq!((table.channel_sequence_length, table.distinct_channels), (3.0, 2.0));
    }
}
