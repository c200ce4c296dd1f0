//! Requests as such: their candidates, and splits without any.

use eliverec_core::Feed;

use super::family::{Family, identity};
use super::finding::{Check, Findings, Level, percent};
use super::promised::Promised;
use crate::layout::Split;

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

/// The requests of every split.
#[derive(Debug, Default)]
pub(super) struct Requests {
    promised: Promised,
    splits: [Seen; Split::ALL.len()],
}

#[derive(Debug, Default)]
struct Seen {
    feeds: u64,
    candidate_twice: u64,
    channels: Vec<u64>,
}

impl Family for Requests {
    fn feed(&mut self, split: Split, feed: &Feed) {
        self.promised.add(split, 0, feed.request_id, feed.ts_ms);
        let seen = &mut self.splits[split as usize];
        seen.feeds += 1;
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
        self.promised.tell(&Split::ALL, findings);
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
        Some(self.promised.covers())
    }
}
