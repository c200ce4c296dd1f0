//! Who decides what is shown: [`Policy`], and the simple recommender that made the log.
//!
//! A policy knows what a platform knows: ids, public statistics, and the events as they happen. Any ranking can be shown to
//! the same users, so a trained model can play against another.

use std::collections::HashMap;

use eliverec_core::event::Scalar;
use eliverec_core::id::IdHash;
use eliverec_core::seed::{Random, stream};
use eliverec_core::{Event, EventKind};

use crate::config::DAY_MS;
use crate::config::parameter::WATCH_THRESHOLD_MS;

/// A user asks for a feed: what a [`Policy`] knows when it ranks. Its impressions and what comes of them follow as events.
#[derive(Clone, Debug, PartialEq)]
pub struct PolicyRequest {
    /// Under which the log has its impressions.
    pub request_id: u64,
    /// Who asks, from 1.
    pub user_id: u64,
    /// When, milliseconds since 1970 UTC.
    pub at_ms: i64,
    /// 0 home page, 1 live tab.
    pub scene: u64,
    /// Where the user is now, as `context` in [`SCHEMA`](crate::SCHEMA) has it.
    pub city: u64,
    /// So many channels are enough, however far the user scrolls.
    pub wanted: usize,
}

impl PolicyRequest {
    /// The context fields in the order of [`SCHEMA`](crate::SCHEMA): hour, weekday (Monday 0), scene, city.
    pub fn context(&self) -> [Scalar; 4] {
        let hour = self.at_ms.rem_euclid(DAY_MS) / 3_600_000;
        let weekday = (self.at_ms.div_euclid(DAY_MS) + 3).rem_euclid(7);
        [hour as u64, weekday as u64, self.scene, self.city].map(Scalar::Id)
    }
}

/// A channel that is live, as everyone can see it.
#[derive(Clone, Debug, PartialEq)]
pub struct LiveChannel {
    /// The channel: an anchor's room, the same from stream to stream.
    pub channel_id: u64,
    /// Who streams in it.
    pub anchor_id: u64,
    /// The goods category that the anchor sells most of.
    pub category_id: u64,
    /// Start of the stream, milliseconds since 1970 UTC.
    pub since_ms: i64,
    /// Users inside now.
    pub viewers: u32,
    /// Entries since the start of the stream.
    pub entries: u32,
}

/// Ranks the live channels for a request.
pub trait Policy {
    /// Puts channel ids into `ranking`, which comes empty, best first. `live` is sorted by channel id. The world shows as
    /// many as the user scrolls through and leaves out repeated ids and channels that are not live.
    fn rank(&mut self, request: &PolicyRequest, live: &[LiveChannel], ranking: &mut Vec<u64>);

    /// Hears of every event when it happens, those of the history days included.
    fn observe(&mut self, event: &Event) {
        let _ = event;
    }
}

/// The recommender that made the log: each place goes to a channel that the user watched before, to a popular one, or to
/// chance. Exploration keeps every channel in the log.
#[derive(Clone, Debug)]
pub struct LoggingPolicy {
    random: Random,
    /// Live channels by entries, as of the last refresh.
    popular: Vec<u64>,
    refreshed_ms: i64,
    /// Watches per user and channel, looked up only.
    watched: HashMap<u64, Vec<(u64, u16)>, IdHash>,
}

/// Shares of places for channels watched before and for popular ones; the rest is exploration. Together they set the share
/// of repeats of Table I: 27.78 distinct channels of 41.29.
const FAMILIAR: f64 = 0.18;
const POPULAR: f64 = 0.38;
/// The next popular channel is taken with this probability, else the one after it, and so on.
const NEXT_POPULAR: f64 = 0.12;
/// Channels remembered per user.
const REMEMBERED: usize = 32;
/// The popularity list is rebuilt this often.
const REFRESH_MS: i64 = 60_000;

impl LoggingPolicy {
    /// A policy whose exploration follows from `seed`.
    pub fn new(seed: u64) -> Self {
        Self {
            random: Random::new(stream(seed, "sim/logging-policy")),
            popular: Vec::new(),
            refreshed_ms: i64::MIN,
            watched: HashMap::default(),
        }
    }

    fn refresh(&mut self, at_ms: i64, live: &[LiveChannel]) {
        if at_ms < self.refreshed_ms.saturating_add(REFRESH_MS) && !self.popular.is_empty() {
            return;
        }
        let mut order: Vec<&LiveChannel> = live.iter().collect();
        // Entries per hour of the stream, so that a channel is not popular for having begun early.
        let rate = |channel: &LiveChannel| {
            let hours = (at_ms - channel.since_ms) as f64 / 3_600_000.0;
            f64::from(channel.entries) / (0.5 + hours)
        };
        order.sort_by(|a, b| rate(b).total_cmp(&rate(a)).then(a.channel_id.cmp(&b.channel_id)));
        self.popular.clear();
        self.popular.extend(order.into_iter().map(|channel| channel.channel_id));
        self.refreshed_ms = at_ms;
    }

    fn remember(&mut self, user: u64, channel: u64) {
        let watched = self.watched.entry(user).or_default();
        if let Some(at) = watched.iter().position(|entry| entry.0 == channel) {
            watched[at].1 = watched[at].1.saturating_add(1);
            // Most watched first.
            let to = watched[..at].partition_point(|entry| entry.1 >= watched[at].1);
            watched[to..=at].rotate_right(1);
        } else {
            watched.truncate(REMEMBERED - 1);
            watched.push((channel, 1));
        }
    }
}

fn is_live(live: &[LiveChannel], channel: u64) -> bool {
    live.binary_search_by_key(&channel, |channel| channel.channel_id).is_ok()
}

impl Policy for LoggingPolicy {
    fn rank(&mut self, request: &PolicyRequest, live: &[LiveChannel], ranking: &mut Vec<u64>) {
        self.refresh(request.at_ms, live);
        let familiar = self.watched.get(&request.user_id).map_or(&[][..], Vec::as_slice);
        let mut familiar = familiar.iter().map(|entry| entry.0).filter(|id| is_live(live, *id));
        let mut popular = self.popular.iter().copied().filter(|id| is_live(live, *id));
        let wanted = request.wanted.min(live.len());
        // Chance finds the last free channels of a small offer only slowly.
        for _ in 0..wanted * 20 {
            if ranking.len() == wanted {
                return;
            }
            let source = self.random.uniform();
            let channel = if source < FAMILIAR {
                familiar.next()
            } else if source < FAMILIAR + POPULAR {
                popular.by_ref().find(|_| self.random.uniform() < NEXT_POPULAR)
            } else {
                None
            };
            let channel = channel.unwrap_or_else(|| live[self.random.below(live.len())].channel_id);
            if !ranking.contains(&channel) {
                ranking.push(channel);
            }
        }
    }

    fn observe(&mut self, event: &Event) {
        if let (EventKind::Leave, Some(user), Some(channel), Some(stay_s)) =
            (event.kind, event.user_id, event.channel_id, event.value)
            && stay_s * 1000.0 >= WATCH_THRESHOLD_MS as f64
        {
            self.remember(user, channel);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn live(channels: u64) -> Vec<LiveChannel> {
        let channel = |id| LiveChannel {
            channel_id: id,
            anchor_id: id,
            category_id: 0,
            since_ms: 0,
            viewers: 0,
            entries: id as u32,
        };
        (1..=channels).map(channel).collect()
    }

    fn request() -> PolicyRequest {
        PolicyRequest { request_id: 1, user_id: 5, at_ms: 1_000, scene: 0, city: 0, wanted: 20 }
    }

    #[test]
    fn rankings_are_of_distinct_live_channels_and_prefer_what_was_watched() {
        let mut policy = LoggingPolicy::new(1);
        for _ in 0..3 {
            policy.observe(&Event {
                user_id: Some(5),
                channel_id: Some(17),
                value: Some(60.0),
                ..Event::new(1, 0, EventKind::Leave)
            });
        }
        let live = live(60);
        let (mut first, mut ranking) = (0_u32, Vec::new());
        for _ in 0..1_000 {
            ranking.clear();
            policy.rank(&request(), &live, &mut ranking);
            assert_eq!(ranking.len(), 20);
            assert!(ranking.iter().all(|id| is_live(&live, *id)));
            first += u32::from(ranking[..3].contains(&17));
            ranking.sort_unstable();
            ranking.dedup();
            assert_eq!(ranking.len(), 20);
        }
        // By chance it would be 50; three places are familiar with probability 1 - (1 - FAMILIAR)^3.
        let familiar = 1_000.0 * (1.0 - (1.0 - FAMILIAR).powi(3));
        assert!(f64::from(first) > 0.9 * familiar, "{first}");
    }

    #[test]
    fn few_live_channels_or_none_are_no_problem() {
        let mut policy = LoggingPolicy::new(1);
        for channels in 0..5 {
            let mut ranking = Vec::new();
            policy.rank(&request(), &live(channels), &mut ranking);
            assert!(ranking.len() <= channels as usize);
        }
    }
}
