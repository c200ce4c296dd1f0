//! A platform known by its feeds alone: a channel that was shown lately is live, what was watched in it makes it popular.

use std::collections::{BTreeMap, VecDeque};

use eliverec_core::schema::Group;
use eliverec_retrieval::{LiveChannel, Popularity};
use eliverec_tables::{FeedDirectory, Split};

use crate::error::Error;
use eliverec_retrieval::fields::{Fields, ids};

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

#[cfg(test)]
mod tests {
    use eliverec_core::feed::{Column, Labels};
    use eliverec_core::toy;
    use eliverec_tables::FeedWriter;

    use super::*;

    /// Channel 1 is shown and watched at minute 10, channel 2 is shown at minutes 20 and 50, channel 3 at minute 51.
    #[test]
    fn shown_lately_is_live_and_a_request_changes_only_what_comes_after_it() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("feeds");
        let mut writer = FeedWriter::create(&path, &toy::schema()).unwrap();
        for (request_id, (minute, channel, watched)) in
            [(10, 1, true), (20, 2, false), (50, 2, false), (51, 3, true)].into_iter().enumerate()
        {
            let mut feed = toy::feeds(1, 4).remove(0);
            feed.request_id = request_id as u64;
            feed.ts_ms = minute * 60_000;
            let first = |columns: &mut Vec<Column>| {
                for column in columns {
                    let whole = column.clone();
                    column.clear();
                    column.extend(&whole, 0..1);
                }
            };
            let candidates = &mut feed.candidates;
            first(&mut candidates.channel);
            first(&mut candidates.target);
            first(&mut candidates.dynamic);
            candidates.channel[0] = Column::Ids(vec![channel]);
            candidates.position.truncate(1);
            let mut labels = Labels::empty(&toy::schema());
            labels.push(watched, [None; 3]);
            candidates.labels = Some(labels);
            writer.push(Split::Train, &feed).unwrap();
        }
        writer.finish().unwrap();
        let feeds = FeedDirectory::open(&path).unwrap();
        let fields = Fields::of(feeds.schema()).unwrap();
        let mut platform = FeedPlatform::read(&feeds, &fields, Split::Train, 30 * 60_000).unwrap();
        let mut at = |minute: i64| {
            platform.advance(minute * 60_000);
            let live = platform.live(minute * 60_000).into_iter();
            live.map(|channel| {
                let exposed = channel.exposed_ms.map(|ms| ms / 60_000);
                (channel.channel_id, exposed, channel.popularity.last_60m)
            })
            .collect::<Vec<_>>()
        };
        assert_eq!(at(9), []);
        // What a request shows is live in it, but not yet exposed or watched.
        assert_eq!(at(10), [(1, None, 0)]);
        assert_eq!(at(20), [(1, Some(10), 1), (2, None, 0)]);
        assert_eq!(at(40), [(1, Some(10), 1), (2, Some(20), 0)]);
        assert_eq!(at(50), [(2, Some(20), 0)]);
        assert_eq!(at(52), [(2, Some(50), 0), (3, Some(51), 1)]);
        assert_eq!(at(81), [(3, Some(51), 1)]);
    }
}
