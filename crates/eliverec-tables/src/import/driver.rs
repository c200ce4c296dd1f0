//! DRIVER: entries into the rooms of a live-streaming platform, the live domain alone.
//!
//! An entry is a watch; there is no stay time and nothing else to label. The log has no impressions, so candidates are
//! sampled among the rooms that were known to be live: entered by anyone in the 30 minutes before. An entry into a room
//! that was not known to be live becomes no feed, because its counts of zero would give the positive away: every
//! sampled room has at least one entry. It stays in the histories and counts. Times are seconds since the first entry.
//! The source's split by time is the test split; the two days before it are the validation split.

use std::collections::btree_map::Entry as Slot;
use std::collections::{BTreeMap, BTreeSet};

use eliverec_core::event::{Event, EventKind, Scalar};
use eliverec_core::schema::Group;

use super::candidates::Sampler;
use super::log::LogOutput;
use super::record::{FeedInProgress, Label, Value};
use super::source::{Folder, REPEATED, Table};
use super::timeline::Timeline;
use super::{Options, Output, calendar};
use crate::{Error, Split};
use eliverec_core::{Dimension, Dimensions};

const MINUTE_MS: i64 = 60_000;
const VALIDATION_MS: i64 = 2 * 24 * 60 * MINUTE_MS;

/// A room is live as long as no two entries in a row lie further apart.
const RUN_GAP_MS: i64 = 30 * MINUTE_MS;

const OF_BOTH_SPLITS: &str = "an earlier row in the other split, where it stays";

struct Entry {
    row: u64,
    user: u64,
    room: u64,
    ts_ms: i64,
    held_out: bool,
}

pub(super) fn read(from: &Folder, options: Options, out: &mut Output<'_>) -> Result<(), Error> {
    let (entries, repeats) = read_entries(from)?;
    repeats.into_iter().for_each(|reason| out.dropped(reason));
    let histories = Timeline::new(entries.iter().map(|e| (e.user, e.ts_ms, e.room)));
    let rooms = Rooms::new(&entries);
    let test_from = entries.iter().filter(|e| e.held_out).map(|e| e.ts_ms).min();
    let sampler = Sampler::new(options.seed);

    for entry in &entries {
        let ts_ms = entry.ts_ms;
        let shown = match rooms.shown(entry, sampler) {
            Ok(shown) => shown,
            Err(reason) => {
                out.dropped(reason);
                continue;
            }
        };
        let mut feed = FeedInProgress::new(&out.schema, entry.row, entry.user, ts_ms);
        feed.user(&[("user_id", Value::Id(entry.user))]);
        feed.context(&[
            ("hour", Value::Id(calendar::hour(ts_ms))),
            ("weekday", Value::Id(calendar::weekday(ts_ms))),
        ]);
        for (at, room) in histories.newest(entry.user, ts_ms, options.history) {
            feed.channel(*at, &[("room_id", Value::Id(*room))], &[]);
        }
        for room in shown {
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

/// The set as a log. A request, the entry and the end of the visit fall on one moment: the set has no other. The stay is
/// not known, so the leave says that it was at least 0 s; samples with a threshold of 0 s take every entry for a watch.
/// A stream begins with the first entry of a run and ends half an hour after the last.
pub(super) fn log(from: &Folder, seed: u64, out: &mut LogOutput) -> Result<Dimensions, Error> {
    let (entries, repeats) = read_entries(from)?;
    repeats.into_iter().for_each(|reason| out.dropped(reason));
    let rooms = Rooms::new(&entries);
    let sampler = Sampler::new(seed);
    let mut last = BTreeMap::new();
    for entry in &entries {
        let (room, ts_ms) = (entry.room, entry.ts_ms);
        let of_room = |kind, ts_ms| Event { channel_id: Some(room), ..Event::new(0, ts_ms, kind) };
        let ended_ms = last.insert(room, ts_ms).map(|last| last + RUN_GAP_MS);
        if let Some(ended_ms) = ended_ms.filter(|ended_ms| *ended_ms < ts_ms) {
            out.event(of_room(EventKind::StreamEnd, ended_ms))?;
        }
        if ended_ms.is_none_or(|ended_ms| ended_ms < ts_ms) {
            out.event(of_room(EventKind::StreamStart, ts_ms))?;
        }
        let shown = rooms.shown(entry, sampler);
        let request_id = shown.is_ok().then_some(entry.row);
        let of_user = |kind, room| Event {
            user_id: Some(entry.user),
            channel_id: Some(room),
            request_id,
            ..Event::new(0, ts_ms, kind)
        };
        for room in shown.unwrap_or_else(|reason| {
            out.remark(reason);
            Vec::new()
        }) {
            let context =
                vec![Scalar::Id(calendar::hour(ts_ms)), Scalar::Id(calendar::weekday(ts_ms))];
            out.event(Event { context, ..of_user(EventKind::Impression, room) })?;
        }
        out.event(of_user(EventKind::Watch, room))?;
        out.event(Event { value: Some(0.0), ..of_user(EventKind::Leave, room) })?;
    }
    for (room, ts_ms) in last {
        let end = Event::new(0, ts_ms + RUN_GAP_MS, EventKind::StreamEnd);
        out.event(Event { channel_id: Some(room), ..end })?;
    }
    let users: BTreeSet<u64> = entries.iter().map(|entry| entry.user).collect();
    let users = users.into_iter().map(|user| (user, []));
    let channels = rooms.ids.iter().map(|room| (*room, [Scalar::Id(*room)]));
    Ok(Dimensions {
        users: Dimension::from_rows(&out.schema, Group::User, users)?,
        products: Dimension::from_rows::<0>(&out.schema, Group::Product, [])?,
        channels: Dimension::from_rows(&out.schema, Group::Channel, channels)?,
    })
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

    /// The rooms that a request at the moment of an entry shows, or why there is no such request.
    fn shown(&self, entry: &Entry, sampler: Sampler) -> Result<Vec<u64>, &'static str> {
        let live = self.live(entry.ts_ms);
        if !live.contains(&entry.room) {
            return Err("entries into a room that nobody had entered in the 30 minutes before");
        }
        if live.len() == 1 {
            return Err("entries while no other room was live");
        }
        Ok(sampler.list(entry.row, entry.room, &live, |_| true))
    }

    /// When the run that was on just before `ts_ms` began, if one was.
    fn run_start(&self, room: u64, ts_ms: i64) -> Option<i64> {
        let (last, start) = self.entries.before(room, ts_ms).last()?;
        (ts_ms - last <= RUN_GAP_MS).then_some(*start)
    }
}

/// The entries in order of time, and how many rows repeat an earlier one.
fn read_entries(from: &Folder) -> Result<(Vec<Entry>, Vec<&'static str>), Error> {
    let (mut table, [user, room, ts, split]) =
        Table::open(from, "events.csv.gz", ["user_id", "room_id", "ts_s", "split"])?;
    let (mut entries, mut known, mut repeats) = (Vec::new(), BTreeMap::new(), Vec::new());
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
        match known.entry((entry.ts_ms, entry.user, entry.room)) {
            Slot::Vacant(slot) => {
                slot.insert(entry.held_out);
                entries.push(entry);
            }
            Slot::Occupied(before) if *before.get() == entry.held_out => repeats.push(REPEATED),
            Slot::Occupied(_) => repeats.push(OF_BOTH_SPLITS),
        }
    }
    entries.sort_by_key(|entry| (entry.ts_ms, entry.row));
    Ok((entries, repeats))
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
