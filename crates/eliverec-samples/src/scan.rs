//! What the leaves of the plans read of the log: rows, checked, each sent to the keys that it concerns.
//!
//! One reader decodes and checks rows for the whole system (`eliverec_tables::events`), so the plans read through it
//! and not through the engine's own Parquet source: a bad row is named by file, row group and row either way. Each
//! plan reads the log again, which costs less than keeping the events between plans would. That of channels also counts the
//! rows and sets rejected ones aside.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, Mutex};

use arrow::array::RecordBatch;
use datafusion_common::DataFusionError;
use eliverec_core::{Dimensions, Event, EventKind};
use eliverec_features::routing::{product_of, user_of};
use eliverec_tables::events::check::WithoutRow;
use eliverec_tables::events::read::Row as LogRow;
use eliverec_tables::events::{Day, EventLog, ReadCounts, Rejected, RejectedWriter};

use crate::bytes::Writer;
use crate::counters::{Counters, lock};
use crate::error::Error;
use crate::leaf::Pieces;
use crate::rows::{EVENT, PROBE, Row, RowsBuilder};
use crate::shard::Shard;
use crate::summary::Refusal;
use crate::wire::{Shown, write_context, write_event};

/// What a plan's rows are keyed by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Route {
    /// Channels: what changes their state, and the impressions at which it is asked for.
    Channels,
    /// Products: their clicks, in both domains.
    Products,
    /// Users: what changes their state, and what they did with what they were shown.
    Users,
}

/// Which requests become feeds.
#[derive(Clone, Debug, Default)]
pub(crate) struct Requests {
    /// Of this day (UTC) and later; any if `None`.
    pub(crate) from: Option<Day>,
    /// Of this day (UTC) and earlier; any if `None`.
    pub(crate) to: Option<Day>,
    /// Days whose feeds an earlier run has written.
    pub(crate) kept: BTreeSet<Day>,
}

impl Requests {
    /// Why an impression is in no feed, as far as it alone can tell.
    fn refuse(&self, impression: &Event) -> Option<Refusal> {
        let Some(day) = Day::of(impression.ts_ms) else { return Some(Refusal::OtherDay) };
        if self.from.is_some_and(|from| day < from) || self.to.is_some_and(|to| day > to) {
            Some(Refusal::OtherDay)
        } else if !arrived_in_time(day, impression.available_at_ms) {
            Some(Refusal::TooLate)
        } else if self.kept.contains(&day) {
            Some(Refusal::DayKept)
        } else {
            None
        }
    }
}

/// Whether what arrived then can count for a request of `day`: until the end of the next day, so that the feeds of a day
/// never change once the log of the day after is complete.
pub(crate) fn arrived_in_time(day: Day, available_at_ms: i64) -> bool {
    Day::of(available_at_ms).is_some_and(|arrival| day.plus(1).is_none_or(|next| arrival <= next))
}

/// Rejected rows on their way to a file, in the order of the log.
#[derive(Debug)]
pub(crate) struct RejectedRows {
    /// `None` if the first one ends the run.
    writer: Option<RejectedWriter>,
    /// Days whose rows are not written yet, in order; `None` until the day has been read.
    days: BTreeMap<Day, Option<Vec<Rejected>>>,
}

impl RejectedRows {
    pub(crate) fn new(writer: Option<RejectedWriter>, days: &[Day]) -> Self {
        Self { writer, days: days.iter().map(|day| (*day, None)).collect() }
    }

    pub(crate) fn day_is_read(&mut self, day: Day, rows: Vec<Rejected>) -> Result<(), Error> {
        self.days.insert(day, Some(rows));
        while let Some(first) = self.days.first_entry()
            && first.get().is_some()
        {
            for row in first.remove().into_iter().flatten() {
                if let Some(writer) = &mut self.writer {
                    writer.push(&row)?;
                }
            }
        }
        Ok(())
    }

    pub(crate) fn finish(self) -> Result<(), Error> {
        if let Some(writer) = self.writer {
            writer.finish()?;
        }
        Ok(())
    }
}

/// What all leaves of a run share.
#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) log: EventLog,
    pub(crate) dimensions: Arc<Dimensions>,
    pub(crate) days: Vec<Day>,
    pub(crate) requests: Requests,
    pub(crate) lenient: bool,
    /// Whether a channel's state takes impressions in; otherwise those of feeds are probes only.
    pub(crate) exposures: bool,
    /// The keys of a task; all of them if `None`.
    pub(crate) shard: Option<Shard>,
    pub(crate) rejected: Mutex<RejectedRows>,
    pub(crate) counters: Counters,
}

impl Source {
    /// Reads a day and hands its rows on; gives up quietly if nobody takes them.
    fn read_day(
        &self,
        day: Day,
        route: Route,
        send: &mut dyn FnMut(&mut RowsBuilder) -> bool,
    ) -> Result<(), Error> {
        let (mut rows, mut payload) = (RowsBuilder::default(), Vec::new());
        let (mut counts, mut rejected) = (ReadCounts::default(), Vec::new());
        let (mut read, mut without_row) = (0, WithoutRow::default());
        let mut log = self.log.read(day..=day)?;
        if route != Route::Channels {
            log = log.without(EventKind::Impression);
        }
        for row in log {
            read += 1;
            if read % PROGRESS_ROWS == 0 {
                Counters::add(&self.counters.rows_read, PROGRESS_ROWS);
            }
            match row? {
                LogRow::Event(event) => {
                    counts.events += 1;
                    if route == Route::Channels {
                        without_row.add(&self.dimensions, &event);
                    }
                    if !self.has(&event, route) {
                        continue;
                    }
                    self.send_event(&event, route, &mut payload, &mut rows)?;
                    if !send(&mut rows) {
                        return Ok(());
                    }
                }
                // The pass that takes in every row speaks of it.
                LogRow::Rejected(_) if route != Route::Channels => {}
                LogRow::Rejected(row) if !self.lenient => return Err(row.into_error().into()),
                LogRow::Rejected(row) => {
                    let key = (row.fault.column.clone(), row.fault.reason);
                    *counts.rejected.entry(key).or_default() += 1;
                    rejected.push(row);
                }
            }
        }
        rows.end_batch()?;
        send(&mut rows);
        Counters::add(&self.counters.rows_read, read % PROGRESS_ROWS);
        Counters::add(&self.counters.days_read, 1);
        if route == Route::Channels {
            self.counters.add_read(counts);
            self.counters.add_without_row(&without_row);
            lock(&self.rejected).day_is_read(day, rejected)?;
        }
        Ok(())
    }

    /// Whether the event concerns a key of the task.
    fn has(&self, event: &Event, route: Route) -> bool {
        let key = match route {
            Route::Channels => event.channel_id,
            Route::Products => product_of(event),
            Route::Users => event.user_id,
        };
        self.shard.is_none_or(|shard| shard.has(key.unwrap_or_default()))
    }

    fn send_event(
        &self,
        event: &Event,
        route: Route,
        payload: &mut Vec<u8>,
        rows: &mut RowsBuilder,
    ) -> Result<(), DataFusionError> {
        let arrival = event.available_at_ms;
        payload.clear();
        let key = match route {
            Route::Channels => event.channel_id,
            Route::Products => product_of(event),
            Route::Users => return send_to_user(event, payload, rows),
        };
        let shown = event.kind == EventKind::Impression
            && route == Route::Channels
            && self.send_impression(event, payload, rows)?;
        if let Some(key) = key.filter(|_| !shown || self.exposures) {
            payload.clear();
            write_event(event, payload);
            rows.push(Row::new(key, arrival, EVENT, payload))?;
        }
        Ok(())
    }

    /// Whether the impression is one of a request that becomes a feed.
    fn send_impression(
        &self,
        event: &Event,
        payload: &mut Vec<u8>,
        rows: &mut RowsBuilder,
    ) -> Result<bool, DataFusionError> {
        let refusal = self.requests.refuse(event);
        self.counters.add_impressions(1);
        if let Some(refusal) = refusal {
            self.counters.refuse(refusal, 1);
        }
        let ids = (event.user_id, event.channel_id, event.request_id);
        let (None, (Some(user), Some(channel_id), Some(request_id))) = (refusal, ids) else {
            return Ok(false);
        };
        let mut context = Vec::new();
        write_context(&event.context, &mut context);
        payload.clear();
        Writer(payload).u64(user);
        let shown = Shown {
            event_id: event.event_id,
            request_id,
            channel_id,
            available_at_ms: event.available_at_ms,
            position: event.position,
            context: &context,
            features: &[],
        };
        shown.write(payload);
        rows.push(Row::new(channel_id, event.ts_ms, PROBE, payload))?;
        Ok(true)
    }
}

/// What a user did stands where it arrived, and, if that is before it happened, once more where it happened: a request
/// looks for its outcomes among the rows behind it.
fn send_to_user(
    event: &Event,
    payload: &mut Vec<u8>,
    rows: &mut RowsBuilder,
) -> Result<(), DataFusionError> {
    let Some(user) = event.user_id else { return Ok(()) };
    // Events without a channel are counted here, where no channel counts them.
    let folds = user_of(event).is_some() || event.channel_id.is_none();
    let outcome = is_outcome(event);
    let (arrival, happened) = (event.available_at_ms, event.ts_ms);
    let mut send = |at, use_: Use| {
        payload.clear();
        payload.push(use_ as u8);
        write_event(event, payload);
        rows.push(Row::new(user, at, EVENT, payload))
    };
    match (folds, outcome) {
        (true, true) if arrival >= happened => send(arrival, Use::Both),
        (true, true) => {
            send(arrival, Use::Folds)?;
            send(happened, Use::Outcome)
        }
        (true, false) => send(arrival, Use::Folds),
        (false, true) => send(arrival.max(happened), Use::Outcome),
        (false, false) => Ok(()),
    }
}

/// What a row of a user's event is for: the first byte of its payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Use {
    /// It changes the user's state.
    Folds,
    /// It is a label of an impression, and changes no state.
    Outcome,
    /// It changes the state and is a label.
    Both,
}

impl Use {
    /// Of a byte, if it is one of these.
    pub(crate) fn of(byte: u8) -> Option<Self> {
        [Self::Folds, Self::Outcome, Self::Both].into_iter().find(|one| *one as u8 == byte)
    }
}

/// Rows between two reports of progress.
const PROGRESS_ROWS: u64 = 4_096;

/// What a label is made of.
pub(crate) fn is_outcome(event: &Event) -> bool {
    use EventKind::{BagClick, Leave, ProductClick, Watch};
    event.channel_id.is_some()
        && event.request_id.is_some()
        && matches!(event.kind, Watch | Leave | BagClick | ProductClick)
}

/// The days of the log that are read, with what they are keyed by.
#[derive(Debug)]
pub(crate) struct LogDays {
    source: Arc<Source>,
    route: Route,
}

impl LogDays {
    /// Counted as days to read.
    pub(crate) fn new(source: &Arc<Source>, route: Route) -> Self {
        Counters::add(&source.counters.days_to_read, source.days.len() as u64);
        Self { source: Arc::clone(source), route }
    }
}

impl fmt::Display for LogDays {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}, {} days", self.route, self.source.days.len())
    }
}

impl Pieces for LogDays {
    fn count(&self) -> usize {
        self.source.days.len()
    }

    fn read(&self, i: usize, send: &mut dyn FnMut(RecordBatch) -> bool) -> Result<(), Error> {
        let mut full = |rows: &mut RowsBuilder| {
            while let Some(batch) = rows.next_full() {
                if !send(batch) {
                    return false;
                }
            }
            true
        };
        self.source.read_day(self.source.days[i], self.route, &mut full)
    }
}
