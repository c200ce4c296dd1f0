//! Requests and splits: each once, in time, training before what it is judged on.

use eliverec_core::Feed;

use super::family::{Family, identity};
use super::finding::{Check, Findings, Level, percent};
use super::sample::SampledIds;
use crate::layout::Split;

/// A request that stands twice.
pub(super) const REQUEST_TWICE: Check = Check {
    name: "request_twice",
    finds: "a `request_id` that several feeds of one split have: it is trained on or counted as often",
    advice: "write each request once; look for a file that was copied or written again beside the old one",
};

/// A request in two splits.
pub(super) const SPLITS_SHARE_REQUESTS: Check = Check {
    name: "splits_share_requests",
    finds: "a `request_id` that feeds of two splits have: what is judged was trained on",
    advice: "put each request into one split, by its time",
};

/// Splits that are not one after the other.
pub(super) const SPLITS_OUT_OF_ORDER: Check = Check {
    name: "splits_out_of_order",
    finds: "a split with requests from before the end of the split that it follows (severe: most of it, unless the clock starts at 0 and so may count each user's own steps): features and labels of the future are trained on",
    advice: "cut by time: training first, then validation, then test",
};

/// Times in another unit.
pub(super) const TIME_UNIT: Check = Check {
    name: "time_unit",
    finds: "requests from outside the years 1990 to 2100, which seconds or microseconds taken for milliseconds give (a note for a clock that starts at 0)",
    advice: "write ts as a timestamp of the unit that it has",
};

/// A candidate that stands twice.
pub(super) const CANDIDATE_TWICE: Check = Check {
    name: "candidate_twice",
    finds: "requests that show a channel more than once (a warning: more than a twentieth)",
    advice: "keep one candidate per channel and request, with what the user did at any of its places",
};

/// A split without feeds.
pub(super) const SPLIT_EMPTY: Check = Check {
    name: "split_empty",
    finds: "no feeds in training, validation or test",
    advice: "cut the last part of the time off for validation, and the part after it for test",
};

/// Requests remembered.
const MOST_REQUESTS: usize = 1 << 20;
/// 1990-01-01 and 2100-01-01.
const YEARS_MS: std::ops::Range<i64> = 631_152_000_000..4_102_444_800_000;
/// A clock that starts at 0 has its first request on its first day.
const DAY_MS: i64 = 86_400_000;

/// The requests of every split.
#[derive(Debug)]
pub(super) struct Requests {
    /// Times in each split.
    ids: SampledIds<[u8; Split::ALL.len()]>,
    splits: [Seen; Split::ALL.len()],
}

#[derive(Debug, Default)]
struct Seen {
    feeds: u64,
    first_ms: Option<i64>,
    last_ms: Option<i64>,
    /// Of requests before the end of the splits before.
    early: u64,
    strange_time: u64,
    candidate_twice: u64,
    channels: Vec<u64>,
}

impl Default for Requests {
    fn default() -> Self {
        Self { ids: SampledIds::new(MOST_REQUESTS), splits: Default::default() }
    }
}

impl Requests {
    fn tell_of_ids(&self, findings: &mut Findings) {
        let one_in = self.ids.one_in();
        for split in Split::ALL {
            let times = self.ids.values().map(|times| u64::from(times[split as usize]));
            let more = times.map(|times| times.saturating_sub(1)).sum::<u64>() * one_in;
            if more > 0 {
                let of = self.splits[split as usize].feeds;
                let says = format!("{more} of {of} feeds repeat the request_id of another");
                findings.add(&REQUEST_TWICE, Level::Warning, split.name(), (more, of), says);
            }
        }
        for (i, split) in Split::ALL.into_iter().enumerate() {
            for other in Split::ALL.into_iter().skip(i + 1) {
                let is_in = |times: &[u8; 3], split: Split| times[split as usize] > 0;
                let both = self.ids.values().filter(|t| is_in(t, split) && is_in(t, other));
                let both = both.count() as u64 * one_in;
                if both > 0 {
                    let of = self.splits[other as usize].feeds;
                    let says = format!("{both} of {of} requests of {other} stand in {split}, too");
                    let place = format!("{split}, {other}");
                    let counts = (both, of);
                    findings.add(&SPLITS_SHARE_REQUESTS, Level::Severe, place, counts, says);
                }
            }
        }
    }

    fn tell_of_times(&self, findings: &mut Findings) {
        // Of all splits: what a clock starts with stands in the first.
        let first_ms = self.splits.iter().filter_map(|seen| seen.first_ms).min();
        let starts_at_0 = first_ms.is_some_and(|first| (0..DAY_MS).contains(&first));
        for split in Split::ALL {
            let seen = &self.splits[split as usize];
            if seen.early > 0 {
                let level = if seen.early * 2 > seen.feeds && !starts_at_0 {
                    Level::Severe
                } else {
                    Level::Warning
                };
                let says = format!(
                    "{} of {} requests ({}) are from before the end of the split before",
                    seen.early,
                    seen.feeds,
                    percent(seen.early, seen.feeds)
                );
                let counts = (seen.early, seen.feeds);
                findings.add(&SPLITS_OUT_OF_ORDER, level, split.name(), counts, says);
            }
            if seen.strange_time > 0 {
                let level = if starts_at_0 { Level::Note } else { Level::Warning };
                let says = format!(
                    "{} of {} requests are outside the years 1990 to 2100; the first is {} ms from 1970",
                    seen.strange_time,
                    seen.feeds,
                    seen.first_ms.unwrap_or_default()
                );
                let counts = (seen.strange_time, seen.feeds);
                findings.add(&TIME_UNIT, level, format!("{split}: ts"), counts, says);
            }
        }
    }
}

impl Family for Requests {
    fn feed(&mut self, split: Split, feed: &Feed) {
        if let Some(times) = self.ids.entry(feed.request_id) {
            times[split as usize] = times[split as usize].saturating_add(1);
        }
        let end_ms = self.splits[..split as usize].iter().filter_map(|seen| seen.last_ms).max();
        let seen = &mut self.splits[split as usize];
        seen.feeds += 1;
        seen.first_ms = Some(seen.first_ms.map_or(feed.ts_ms, |first| first.min(feed.ts_ms)));
        seen.last_ms = seen.last_ms.max(Some(feed.ts_ms));
        seen.early += u64::from(end_ms.is_some_and(|end| feed.ts_ms < end));
        seen.strange_time += u64::from(!YEARS_MS.contains(&feed.ts_ms));
        // The first field tells channels apart, as in Table I.
        if let Some(first) = feed.candidates.channel.first() {
            seen.channels.clear();
            seen.channels.extend((0..first.len()).filter_map(|i| identity(first, i)));
            seen.channels.sort_unstable();
            let twice = seen.channels.windows(2).any(|pair| pair[0] == pair[1]);
            seen.candidate_twice += u64::from(twice);
        }
    }

    fn tell(&self, findings: &mut Findings) {
        self.tell_of_ids(findings);
        self.tell_of_times(findings);
        for split in Split::ALL {
            let seen = &self.splits[split as usize];
            if seen.candidate_twice > 0 {
                let (twice, feeds) = (seen.candidate_twice, seen.feeds);
                let level = if twice * 20 > feeds { Level::Warning } else { Level::Note };
                let says = format!(
                    "{twice} of {feeds} requests ({}) show a channel more than once",
                    percent(twice, feeds)
                );
                let place = format!("{split}: candidates");
                findings.add(&CANDIDATE_TWICE, level, place, (twice, feeds), says);
            }
            if seen.feeds == 0 {
                let says = "has no feeds".to_owned();
                findings.add(&SPLIT_EMPTY, Level::Note, split.name(), (0, 0), says);
            }
        }
    }

    fn covers(&self) -> Option<String> {
        Some(format!("uniqueness of request_id: {}", self.ids.part("requests")))
    }
}
