//! A platform known by its feeds alone: a channel that was shown lately is live, what was watched in it makes it popular.

use std::collections::{BTreeMap, VecDeque};

use eliverec_core::schema::Group;
use eliverec_retrieval::{LiveChannel, Popularity};
use eliverec_tables::{FeedDirectory, Split};

use super::fields::{Fields, ids};
use crate::error::Error;

/// A channel that was shown in a request, or several shown with it.
#[derive(Clone, Copy, Debug)]
struct Shown {
    ts_ms: i64,
    channel_id: u64,
    selling: Option<u64>,
    watched: bool,
}

/// Holds every impression of the splits up to the measured one, some 48 bytes each.
#[derive(Debug)]
pub(crate) struct FeedPlatform {
    window_ms: i64,
    /// In the order of time.
    shown: Vec<Shown>,
    /// Of them, those that lie before the moment, and those that do not lie after it.
    before: usize,
    until: usize,
    channels: BTreeMap<u64, Channel>,
}

#[derive(Debug, Default)]
struct Channel {
    anchor_id: Option<u64>,
    category_id: Option<u64>,
    selling: Option<u64>,
    /// Last shown, the moment itself included.
    seen_ms: Option<i64>,
    /// Last shown before the moment.
    exposed_ms: Option<i64>,
    /// Requests of the last day in which it was watched.
    watched_ms: VecDeque<i64>,
}

const DAY_MS: i64 = 24 * 3_600_000;

impl FeedPlatform {
    /// Of all splits up to `last`; a channel is live for `window_ms` after it was shown.
    pub(crate) fn read(
        feeds: &FeedDirectory,
        fields: &Fields,
        last: Split,
        window_ms: i64,
    ) -> Result<Self, Error> {
        let mut shown = Vec::new();
        let mut channels: BTreeMap<u64, Channel> = BTreeMap::new();
        for split in Split::ALL.into_iter().filter(|split| *split <= last) {
            if feeds.feeds(split)? == 0 {
                continue;
            }
            for feed in feeds.read(split)? {
                let feed = feed?;
                let of = |group, field: usize| ids(&feed.columns(group)[field]);
                let column = |field: Option<usize>| {
                    field.map_or_else(Default::default, |field| of(Group::Candidate, field))
                };
                let anchors = column(fields.anchor);
                let categories = column(fields.category.as_ref().map(|category| category.channel));
                let selling = fields.category.as_ref().and_then(|category| category.selling);
                let selling = selling.map_or_else(Default::default, |f| of(Group::Target, f));
                let labels = feed.candidates.labels.as_ref();
                for (i, channel_id) in of(Group::Candidate, fields.channel).iter().enumerate() {
                    let channel = channels.entry(*channel_id).or_default();
                    channel.anchor_id = anchors.get(i).copied();
                    channel.category_id = categories.get(i).copied();
                    shown.push(Shown {
                        ts_ms: feed.ts_ms,
                        channel_id: *channel_id,
                        selling: selling.get(i).copied(),
                        watched: labels.is_some_and(|labels| labels.watched[i]),
                    });
                }
            }
        }
        shown.sort_by_key(|shown| (shown.ts_ms, shown.channel_id));
        Ok(Self { window_ms, shown, before: 0, until: 0, channels })
    }

    /// Takes in what was shown before `at_ms`, and that what is shown at that very moment is live.
    pub(crate) fn advance(&mut self, at_ms: i64) {
        while let Some(shown) = self.shown.get(self.until).filter(|shown| shown.ts_ms <= at_ms) {
            let channel = self.channels.entry(shown.channel_id).or_default();
            channel.seen_ms = Some(shown.ts_ms);
            channel.selling = shown.selling;
            self.until += 1;
        }
        while let Some(shown) = self.shown.get(self.before).filter(|shown| shown.ts_ms < at_ms) {
            let channel = self.channels.entry(shown.channel_id).or_default();
            channel.exposed_ms = Some(shown.ts_ms);
            if shown.watched {
                channel.watched_ms.push_back(shown.ts_ms);
            }
            while channel.watched_ms.front().is_some_and(|ms| *ms < shown.ts_ms - DAY_MS) {
                channel.watched_ms.pop_front();
            }
            self.before += 1;
        }
    }

    pub(crate) fn live(&self, at_ms: i64) -> Vec<LiveChannel> {
        let live = self.channels.iter().filter(|(_, channel)| {
            channel.seen_ms.is_some_and(|seen_ms| seen_ms >= at_ms - self.window_ms)
        });
        live.map(|(channel_id, channel)| {
            let watched = &channel.watched_ms;
            let within = |ms: i64| {
                (watched.len() - watched.partition_point(|watched| *watched < at_ms - ms)) as u32
            };
            let popularity = Popularity {
                last_10m: within(10 * 60_000),
                last_60m: within(60 * 60_000),
                last_24h: within(DAY_MS),
            };
            LiveChannel {
                channel_id: *channel_id,
                anchor_id: channel.anchor_id,
                category_id: channel.category_id,
                selling_category_id: channel.selling,
                popularity,
                exposed_ms: channel.exposed_ms,
            }
        })
        .collect()
    }
}
