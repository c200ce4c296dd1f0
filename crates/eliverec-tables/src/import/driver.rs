//! DRIVER: entries into the rooms of a live-streaming platform, the live domain alone.
//!
//! An entry is a watch; there is no stay time and nothing else to label. The log has no impressions, so candidates are
//! sampled among the rooms that were known to be live: entered by anyone in the 30 minutes before. An entry into a room
//! that was not known to be live becomes no feed, because its counts of zero would give the positive away: every
//! sampled room has at least one entry. It stays in the histories and counts. Times are seconds since the first entry.
//! The source's split by time is the test split; the two days before it are the validation split.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::candidates::Sampler;
use super::record::{FeedBuilder, Label, Value};
use super::source::Table;
use super::timeline::Timeline;
use super::{Output, calendar};
use crate::{Error, Split};

const MINUTE_MS: i64 = 60_000;
const VALIDATION_MS: i64 = 2 * 24 * 60 * MINUTE_MS;

/// A room is live as long as no two entries in a row lie further apart.
const RUN_GAP_MS: i64 = 30 * MINUTE_MS;

struct Entry {
    row: u64,
    user: u64,
    room: u64,
    ts_ms: i64,
    held_out: bool,
}

pub(super) fn read(from: &Path, seed: u64, out: &mut Output<'_>) -> Result<(), Error> {
    let mut entries = read_entries(from, out)?;
    entries.sort_by_key(|entry| (entry.ts_ms, entry.row));
    let histories = Timeline::new(entries.iter().map(|e| (e.user, e.ts_ms, e.room)));
    let rooms = Rooms::new(&entries);
    let test_from = entries.iter().filter(|e| e.held_out).map(|e| e.ts_ms).min();
    let sampler = Sampler::new(seed);

    for entry in &entries {
        let ts_ms = entry.ts_ms;
        let live = rooms.live(ts_ms);
        if !live.contains(&entry.room) {
            out.dropped("nobody had entered the room in the 30 minutes before");
            continue;
        }
        if live.len() == 1 {
            out.dropped("no other room was live");
            continue;
        }
        let mut feed = FeedBuilder::new(&out.schema, entry.row, entry.user, ts_ms);
        feed.user(&[("user_id", Value::Id(entry.user))]);
        feed.context(&[
            ("hour", Value::Id(calendar::hour(ts_ms))),
            ("weekday", Value::Id(calendar::weekday(ts_ms))),
        ]);
        for (at, room) in histories.history(entry.user, ts_ms) {
            feed.channel(*at, &[("room_id", Value::Id(*room))], &[]);
        }
        for room in sampler.list(entry.row, entry.room, &live, |_| true) {
            let entries = |minutes: i64| {
                Value::Number(rooms.entries.within(room, ts_ms, minutes * MINUTE_MS) as f32)
            };
            let run_ms = rooms.run_start(room, ts_ms).map_or(0, |start| ts_ms - start);
            let target = [
                ("minutes_live", Value::Number(run_ms as f32 / MINUTE_MS as f32)),
                ("entries_5m", entries(5)),
                ("entries_30m", entries(30)),
                ("entries_60m", entries(60)),
            ];
            let label = Label { watched: room == entry.room, ..Label::default() };
            feed.candidate(&[("room_id", Value::Id(room))], &target, None, label);
        }
        let split = match test_from {
            _ if entry.held_out => Split::Test,
            Some(from) if ts_ms >= from - VALIDATION_MS => Split::Validation,
            _ => Split::Train,
        };
        out.feed(split, &feed.finish())?;
    }
    Ok(())
}

/// What anyone could know of the rooms at a moment.
struct Rooms {
    /// By room: when someone entered, and the start of the run that the entry belongs to.
    entries: Timeline<i64>,
    ids: BTreeSet<u64>,
}

impl Rooms {
    /// `entries` must be in order of time.
    fn new(entries: &[Entry]) -> Self {
        let mut runs: BTreeMap<u64, (i64, i64)> = BTreeMap::new();
        let with_runs = entries.iter().map(|entry| {
            let run = runs.entry(entry.room).or_insert((entry.ts_ms, entry.ts_ms));
            let start = if entry.ts_ms - run.1 > RUN_GAP_MS { entry.ts_ms } else { run.0 };
            *run = (start, entry.ts_ms);
            (entry.room, entry.ts_ms, start)
        });
        let entries = Timeline::new(with_runs);
        Self { entries, ids: runs.into_keys().collect() }
    }

    /// The rooms that were live just before `ts_ms`, in ascending order.
    fn live(&self, ts_ms: i64) -> Vec<u64> {
        self.ids.iter().copied().filter(|room| self.run_start(*room, ts_ms).is_some()).collect()
    }

    /// When the run that was on just before `ts_ms` began, if one was.
    fn run_start(&self, room: u64, ts_ms: i64) -> Option<i64> {
        let (last, start) = self.entries.before(room, ts_ms).last()?;
        (ts_ms - last <= RUN_GAP_MS).then_some(*start)
    }
}

fn read_entries(from: &Path, out: &mut Output<'_>) -> Result<Vec<Entry>, Error> {
    let (mut table, [user, room, ts, split]) =
        Table::open(from, "events.csv.gz", ["user_id", "room_id", "ts_s", "split"])?;
    let (mut entries, mut known) = (Vec::new(), BTreeSet::new());
    for row in 0.. {
        if !table.advance()? {
            break;
        }
        let entry = Entry {
            row,
            user: table.number(user)?,
            room: table.number(room)?,
            ts_ms: table.seconds(ts)?,
            held_out: table.choice(split, ["train", "test"])? == 1,
        };
        if known.insert((entry.ts_ms, entry.user, entry.room)) {
            entries.push(entry);
        } else {
            out.dropped("exact duplicate of an earlier row");
        }
    }
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_end_after_half_an_hour_without_an_entry() {
        let entry = |minute: i64| Entry {
            row: minute as u64,
            user: 1,
            room: 7,
            ts_ms: minute * MINUTE_MS,
            held_out: false,
        };
        let rooms = Rooms::new(&[0, 20, 50, 81, 90].map(entry));
        let start = |minute: i64| rooms.run_start(7, minute * MINUTE_MS).map(|at| at / MINUTE_MS);
        assert_eq!(start(0), None, "its own entry comes later than anything known");
        assert_eq!(start(1), Some(0));
        assert_eq!(start(80), Some(0));
        assert_eq!(start(81), None, "31 minutes without an entry");
        assert_eq!(start(90), Some(81));
        assert_eq!(start(121), None);
        assert_eq!(rooms.live(60 * MINUTE_MS), [7]);
    }
}
