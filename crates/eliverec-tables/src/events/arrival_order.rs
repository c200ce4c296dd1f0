//! The events of a log one by one in the order of their arrival, as a service would have met them.
//!
//! # Memory
//! The events of one day of arrival.

use std::collections::VecDeque;

use eliverec_core::Event;

use super::day::Day;
use super::{EventLog, Row};
use crate::error::Error;

/// Goes through a log.
#[derive(Debug)]
pub struct ArrivalOrder<'a> {
    log: &'a EventLog,
    days: VecDeque<Day>,
    waiting: VecDeque<Event>,
}

impl<'a> ArrivalOrder<'a> {
    /// From a day on; from the first if `None`. Rows that are no events are passed over: whoever made feeds of the log set them
    /// aside, or there would be none.
    pub fn new(log: &'a EventLog, first: Option<Day>) -> Self {
        let days = log.days().filter(|day| first.is_none_or(|first| *day >= first));
        Self { log, days: days.collect(), waiting: VecDeque::new() }
    }

    /// The next event, if it arrived before that moment.
    ///
    /// # Errors
    /// A log that cannot be read.
    pub fn before(&mut self, ts_ms: i64) -> Result<Option<Event>, Error> {
        while self.waiting.is_empty() {
            match self.days.front() {
                Some(day) if day.start_ms() < ts_ms => {
                    let mut events = Vec::new();
                    for row in self.log.read(*day..=*day)? {
                        if let Row::Event(event) = row? {
                            events.push(event);
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
}
