//! The events of a log one by one in the order of their arrival, as a service would have met them.
//!
//! # Memory
//! The events of one day of arrival.

use std::collections::VecDeque;
use std::sync::Arc;

use eliverec_core::{Dimensions, Event};

use super::check::{WithoutRow, read_of};
use super::{EventLog, Row};
use crate::check::{Checked, Part};
use crate::error::Error;
use eliverec_core::Day;

/// Goes through a log, and counts what it reads.
#[derive(Debug)]
pub struct ArrivalOrder<'a> {
    log: &'a EventLog,
    days: VecDeque<Day>,
    waiting: VecDeque<Event>,
    dimensions: Arc<Dimensions>,
    lenient: bool,
    files: u64,
    rows: u64,
    rejected: u64,
    without_row: WithoutRow,
}

impl<'a> ArrivalOrder<'a> {
    /// From a day on; from the first if `None`. `dimensions` are the log's tables; a `lenient` one counts rows that are no events
    /// and goes on.
    pub fn new(
        log: &'a EventLog,
        dimensions: &Arc<Dimensions>,
        first: Option<Day>,
        lenient: bool,
    ) -> Self {
        let days = log.days().filter(|day| first.is_none_or(|first| *day >= first));
        Self {
            log,
            days: days.collect(),
            waiting: VecDeque::new(),
            dimensions: Arc::clone(dimensions),
            lenient,
            files: 0,
            rows: 0,
            rejected: 0,
            without_row: WithoutRow::default(),
        }
    }

    /// The next event, if it arrived before that moment.
    ///
    /// # Errors
    /// A log that cannot be read, and a row that is no event, unless this is lenient.
    pub fn before(&mut self, ts_ms: i64) -> Result<Option<Event>, Error> {
        while self.waiting.is_empty() {
            match self.days.front() {
                Some(day) if day.start_ms() < ts_ms => {
                    let mut events = Vec::new();
                    self.files += self.log.files(*day).len() as u64;
                    for row in self.log.read(*day..=*day)? {
                        self.rows += 1;
                        match row? {
                            Row::Event(event) => {
                                self.without_row.add(&self.dimensions, &event);
                                events.push(event);
                            }
                            Row::Rejected(row) if !self.lenient => return Err(row.into_error()),
                            Row::Rejected(_) => self.rejected += 1,
                        }
                    }
                    events.sort_by_key(|event| (event.available_at_ms, event.event_id));
                    self.waiting = events.into();
                    self.days.pop_front();
                }
                _ => return Ok(None),
            }
        }
        let due = self.waiting.front().is_some_and(|event| event.available_at_ms < ts_ms);
        Ok(if due { self.waiting.pop_front() } else { None })
    }

    /// What was read so far, and what of it was left out: rows that are no events, and those that `left_out` counts by their reasons.
    pub fn checked(&self, left_out: &[(&str, u64)]) -> Checked {
        let events =
            Part { name: "events".into(), files: self.files, rows: self.rows, impressions: None };
        let mut checked = Checked {
            read: read_of(self.log, events, &self.dimensions),
            findings: self.without_row.findings(),
            ..Checked::default()
        };
        let all = left_out.iter().copied().chain([("no events", self.rejected)]);
        let some = all.filter(|(_, rows)| *rows > 0);
        checked.read.left_out = some.map(|(reason, rows)| (reason.to_owned(), rows)).collect();
        checked
    }
}
