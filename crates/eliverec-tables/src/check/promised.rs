//! What is promised of requests and can be told from their ids and times alone: each once, in one split, training before what it is
//! judged on.

use super::below_zero::LOG_BELOW_ZERO;
use super::finding::{Check, Findings, Level, percent};
use super::histories::NOT_OLDEST_FIRST;
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

/// The checks that every command makes of the feeds that it reads ([`super::promises()`]).
pub const PROMISED: &[&Check] = &[
    &SPLITS_SHARE_REQUESTS,
    &REQUEST_TWICE,
    &SPLITS_OUT_OF_ORDER,
    &TIME_UNIT,
    &NOT_OLDEST_FIRST,
    &LOG_BELOW_ZERO,
];

/// Requests remembered.
pub(super) const MOST_REQUESTS: usize = 1 << 20;
/// 1990-01-01 and 2100-01-01.
const YEARS_MS: std::ops::Range<i64> = 631_152_000_000..4_102_444_800_000;
/// A clock that starts at 0 has its first request on its first day.
const DAY_MS: i64 = 86_400_000;

/// The ids and times of the requests of every split.
#[derive(Debug)]
pub(super) struct Promised {
    ids: SampledIds<Seen>,
    splits: [OfSplit; Split::ALL.len()],
}

/// Of a request.
#[derive(Debug, Default)]
struct Seen {
    /// How often, in each split.
    times: [u32; Split::ALL.len()],
    /// The file in which it stood first, of the last split that has it.
    file: u32,
}

/// Of a split.
#[derive(Debug, Default)]
struct OfSplit {
    feeds: u64,
    first_ms: Option<i64>,
    last_ms: Option<i64>,
    /// Of requests before the end of the splits before.
    early: u64,
    strange_time: u64,
    /// The first of these times.
    first_strange_ms: Option<i64>,
    /// The first request that stands twice, and where.
    first_repeat: Option<String>,
}

impl Default for Promised {
    fn default() -> Self {
        Self::remembering(MOST_REQUESTS)
    }
}

impl Promised {
    /// Remembers at most so many requests.
    pub(super) fn remembering(most: usize) -> Self {
        Self { ids: SampledIds::new(most), splits: Default::default() }
    }

    /// Takes in a request of a file, by its number in the split; those of earlier splits come first. Gives the file in which the
    /// request stood before, if it is one that is remembered.
    pub(super) fn add(
        &mut self,
        split: Split,
        file: u32,
        request_id: u64,
        ts_ms: i64,
    ) -> Option<u32> {
        let end_ms = self.splits[..split as usize].iter().filter_map(|seen| seen.last_ms).max();
        let of = &mut self.splits[split as usize];
        of.feeds += 1;
        of.first_ms = Some(of.first_ms.map_or(ts_ms, |first| first.min(ts_ms)));
        of.last_ms = of.last_ms.max(Some(ts_ms));
        of.early += u64::from(end_ms.is_some_and(|end| ts_ms < end));
        if !YEARS_MS.contains(&ts_ms) {
            of.strange_time += 1;
            of.first_strange_ms.get_or_insert(ts_ms);
        }
        let seen = self.ids.entry(request_id)?;
        let times = &mut seen.times[split as usize];
        *times = times.saturating_add(1);
        if *times == 1 {
            seen.file = file;
            return None;
        }
        Some(seen.file)
    }

    /// Tells what concerns the splits that are `read`.
    pub(super) fn tell(&self, read: &[Split], findings: &mut Findings) {
        self.tell_of_ids(read, findings);
        self.tell_of_times(read, findings);
    }

    /// The first request of a split that stands twice, and where, in words.
    pub(super) fn first_repeat(&mut self, split: Split) -> &mut Option<String> {
        &mut self.splits[split as usize].first_repeat
    }

    pub(super) fn covers(&self) -> String {
        format!("uniqueness of request_id: {}", self.ids.part("requests"))
    }

    fn tell_of_ids(&self, read: &[Split], findings: &mut Findings) {
        let one_in = self.ids.one_in();
        for &split in read {
            let times = self.ids.values().map(|seen| u64::from(seen.times[split as usize]));
            let more = times.map(|times| times.saturating_sub(1)).sum::<u64>() * one_in;
            if more > 0 {
                let of = self.splits[split as usize].feeds;
                let mut says = format!("{more} of {of} feeds repeat the request_id of another");
                if let Some(first) = &self.splits[split as usize].first_repeat {
                    says = format!("{says}, the first: {first}");
                }
                findings.add(&REQUEST_TWICE, Level::Warning, split.name(), (more, of), says);
            }
        }
        for (i, split) in Split::ALL.into_iter().enumerate() {
            for other in Split::ALL.into_iter().skip(i + 1) {
                let is_in = |seen: &Seen, split: Split| seen.times[split as usize] > 0;
                let both = self.ids.values().filter(|s| is_in(s, split) && is_in(s, other));
                let both = both.count() as u64 * one_in;
                if both > 0 && (read.contains(&split) || read.contains(&other)) {
                    let of = self.splits[other as usize].feeds;
                    let says = format!("{both} of {of} requests of {other} stand in {split}, too");
                    let place = format!("{split}, {other}");
                    let counts = (both, of);
                    findings.add(&SPLITS_SHARE_REQUESTS, Level::Severe, place, counts, says);
                }
            }
        }
    }

    fn tell_of_times(&self, read: &[Split], findings: &mut Findings) {
        // Of all splits: what a clock starts with stands in the first.
        let first_ms = self.splits.iter().filter_map(|seen| seen.first_ms).min();
        let starts_at_0 = first_ms.is_some_and(|first| (0..DAY_MS).contains(&first));
        for split in Split::ALL {
            let seen = &self.splits[split as usize];
            // The order is of all splits, whichever are read.
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
            if seen.strange_time > 0 && read.contains(&split) {
                let level = if starts_at_0 { Level::Note } else { Level::Warning };
                let says = format!(
                    "{} of {} requests are outside the years 1990 to 2100; the first is {} ms from 1970",
                    seen.strange_time,
                    seen.feeds,
                    seen.first_strange_ms.unwrap_or_default()
                );
                let counts = (seen.strange_time, seen.feeds);
                findings.add(&TIME_UNIT, level, format!("{split}: ts"), counts, says);
            }
        }
    }
}
