//! Rows, days and clocks: what did not arrive, arrived late, twice or too early, or is no event.

use std::collections::BTreeMap;

use eliverec_core::Event;

use super::family::Family;
use crate::check::finding::{Check, Findings, Level, level_of, percent, share};
use crate::check::sample::SampledIds;
use crate::events::{Day, Fault, Reason, Rejected};

/// Rows that are no events.
pub(super) const ROWS_REJECTED: Check = Check {
    name: "rows_rejected",
    finds: "rows that are no events, by column and reason: an impression without a request_id, an unknown kind, a leave without its stay, the wrong day's folder",
    advice: "mend the rows; `eliverec samples` stops at the first, or sets them aside with --lenient",
};

/// Days without files between days with files.
pub(super) const DAYS_MISSING: Check = Check {
    name: "days_missing",
    finds: "days between the first and the last that have no events: histories and counters have a hole there",
    advice: "deliver the missing days, or begin the log after the gap",
};

/// Events that features leave out.
pub(super) const EVENTS_LATE: Check = Check {
    name: "events_late",
    finds: "events that arrived later than the allowed lateness (10 minutes) after they happened, which features leave out (a warning: more than a tenth)",
    advice: "write into available_at when the event reached the system, not when it was processed or loaded; leave it null if nobody knows",
};

/// Events that are known before they happen.
pub(super) const ARRIVES_BEFORE: Check = Check {
    name: "arrives_before",
    finds: "events with available_at before ts, within the 5 minutes that clocks may differ by (a warning: more than a hundredth)",
    advice: "compare the clocks of what writes ts and of what writes available_at",
};

/// Events that stand twice.
pub(super) const EVENT_TWICE: Check = Check {
    name: "event_twice",
    finds: "an event_id that several rows have: second arrivals, which are dropped (a warning: more than a hundredth)",
    advice: "nothing if they are retries; if different events share ids, number them anew, for all but one are lost",
};

/// Times in another unit.
pub(super) const EVENT_TIME_UNIT: Check = Check {
    name: "event_time_unit",
    finds: "events from outside the years 1990 to 2100, which seconds or microseconds taken for milliseconds give (a note for a clock that starts at 0)",
    advice: "write ts and available_at as timestamps of the unit that they have",
};

/// Ids of events remembered.
const MOST_EVENTS: usize = 1 << 20;
/// 1990-01-01 and 2100-01-01.
const YEARS_MS: std::ops::Range<i64> = 631_152_000_000..4_102_444_800_000;
/// A clock that starts at 0 has its first event on its first day.
const DAY_MS: i64 = 86_400_000;

/// The rows of a log.
#[derive(Debug)]
pub(super) struct Arrivals {
    days: Vec<Day>,
    allowed_lateness_ms: i64,
    events: u64,
    late: u64,
    before: u64,
    strange_time: u64,
    first_ms: Option<i64>,
    /// Rows of each id.
    ids: SampledIds<u32>,
    /// Rows by column and reason, and the first fault of each.
    rejected: BTreeMap<(String, Reason), (u64, String)>,
}

impl Arrivals {
    pub(super) fn new(days: impl Iterator<Item = Day>, allowed_lateness_ms: i64) -> Self {
        Self {
            days: days.collect(),
            allowed_lateness_ms,
            events: 0,
            late: 0,
            before: 0,
            strange_time: 0,
            first_ms: None,
            ids: SampledIds::new(MOST_EVENTS),
            rejected: BTreeMap::new(),
        }
    }

    /// Takes in a row that is no event.
    pub(super) fn rejected(&mut self, row: Rejected) {
        let Rejected { file, row, fault: Fault { column, reason, detail }, .. } = row;
        let first = || (0, format!("the first in {}, row {row}: {detail}", file.display()));
        self.rejected.entry((column, reason)).or_insert_with(first).0 += 1;
    }

    fn tell_of_rows(&self, findings: &mut Findings) {
        let rows = self.events + self.rejected.values().map(|(count, _)| count).sum::<u64>();
        for ((column, reason), (count, first)) in &self.rejected {
            let says = format!("{count} of {rows} rows are no events ({reason}); {first}");
            let place = format!("events: {column}");
            findings.add(&ROWS_REJECTED, Level::Severe, place, (*count, rows), says);
        }
        let gaps = self.days.windows(2).filter(|pair| pair[0].plus(1) != Some(pair[1]));
        let gaps: Vec<String> = gaps.map(|pair| format!("{} and {}", pair[0], pair[1])).collect();
        if let (Some(first), Some(last), false) =
            (self.days.first(), self.days.last(), gaps.is_empty())
        {
            let all = ((last.start_ms() - first.start_ms()) / DAY_MS + 1) as u64;
            let missing = all - self.days.len() as u64;
            let says =
                format!("{missing} of {all} days are missing, between {}", gaps.join(", between "));
            findings.add(&DAYS_MISSING, Level::Warning, "events", (missing, all), says);
        }
    }
}

impl Family for Arrivals {
    fn event(&mut self, event: &Event) {
        self.events += 1;
        let delay_ms = event.available_at_ms.saturating_sub(event.ts_ms);
        self.late += u64::from(delay_ms > self.allowed_lateness_ms);
        self.before += u64::from(delay_ms < 0);
        self.strange_time += u64::from(!YEARS_MS.contains(&event.ts_ms));
        self.first_ms = Some(self.first_ms.map_or(event.ts_ms, |first| first.min(event.ts_ms)));
        if let Some(rows) = self.ids.entry(event.event_id) {
            *rows = rows.saturating_add(1);
        }
    }

    fn tell(&self, findings: &mut Findings) {
        self.tell_of_rows(findings);
        let mut add = |check, count: u64, warning: f64, says: &str| {
            let level = level_of(share(count, self.events), 0.0, warning, f64::INFINITY);
            if let Some(level) = level {
                let part = percent(count, self.events);
                let says = format!("{count} of {} events ({part}) {says}", self.events);
                findings.add(check, level, "events", (count, self.events), says);
            }
        };
        let minutes = self.allowed_lateness_ms / 60_000;
        let says = format!("arrived more than {minutes} minutes late");
        add(&EVENTS_LATE, self.late, 0.1, &says);
        add(&ARRIVES_BEFORE, self.before, 0.01, "arrived before they happened");
        let again = self.ids.values().map(|rows| u64::from(rows.saturating_sub(1)));
        let again = again.sum::<u64>() * self.ids.one_in();
        add(&EVENT_TWICE, again, 0.01, "have the event_id of another");
        if self.strange_time > 0 {
            let starts_at_0 = self.first_ms.is_some_and(|first| (0..DAY_MS).contains(&first));
            let level = if starts_at_0 { Level::Note } else { Level::Warning };
            let says = format!(
                "{} of {} events are outside the years 1990 to 2100; the first is {} ms from 1970",
                self.strange_time,
                self.events,
                self.first_ms.unwrap_or_default()
            );
            let counts = (self.strange_time, self.events);
            findings.add(&EVENT_TIME_UNIT, level, "events: ts", counts, says);
        }
    }

    fn covers(&self) -> Option<String> {
        Some(format!("uniqueness of event_id: {}", self.ids.part("events")))
    }
}
