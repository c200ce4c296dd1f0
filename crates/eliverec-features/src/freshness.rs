//! Which events count: valid, in time, and not seen before. One type for both drivers, so that they agree.
//!
//! Checked in this order: invalid ([`Event::check`]), late (a function of the event alone), duplicate.
//!
//! # Memory
//! An id has to be remembered only while another copy would not be late anyway. Copies have the event's `ts_ms`, so the
//! ids of a minute of event time are forgotten once the newest arrival is later than its end plus the allowed lateness
//! plus `CLOCK_TOLERANCE_MS`, by which arrivals themselves may be out of order. Remembered are at most the events that
//! happened within the allowed lateness, twice the tolerance and one minute, 21 minutes by default, at about 40 bytes each.
//! Copies of an id that disagree on the time are duplicates while the first is remembered. Copies that also disagree on
//! what happened must not arrive in the same millisecond: which is the first is then the driver's choice.

use std::collections::HashSet;

use eliverec_core::event::{CLOCK_TOLERANCE_MS, Event};
use eliverec_core::id::IdHash;
use serde::{Deserialize, Serialize};

use crate::config::FeatureConfig;
use crate::error::Error;
use crate::minutes::{MINUTE_MS, Minutes};

/// What becomes of an event.
#[derive(Debug)]
pub enum Admission {
    /// It goes to the folds.
    Admitted,
    /// It arrived too long after it happened.
    Late,
    /// Its id was admitted before.
    Duplicate,
    /// It contradicts the contract.
    Invalid(eliverec_core::error::Error),
}

/// How many events met each fate; their sum is the number of events offered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fates {
    /// Given to the folds.
    pub admitted: u64,
    /// Left out as late.
    pub late: u64,
    /// Left out as second arrivals.
    pub duplicate: u64,
    /// Left out as invalid.
    pub invalid: u64,
}

/// The ids that may come again, and the count of what happened. Save it with the folds, as [`crate::Versioned`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(from = "SavedFreshness", into = "SavedFreshness")]
pub struct Freshness {
    allowed_lateness_ms: i64,
    newest_arrival_ms: Option<i64>,
    fates: Fates,
    remembered: HashSet<u64, IdHash>,
    /// Ids by minute of event time, by which they are forgotten.
    minutes: Minutes,
}

/// What of a [`Freshness`] is saved. It shares the memory of the ids.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SavedFreshness {
    allowed_lateness_ms: i64,
    newest_arrival_ms: Option<i64>,
    fates: Fates,
    minutes: Minutes,
}

impl Freshness {
    /// Nothing seen.
    pub fn new(config: &FeatureConfig) -> Self {
        Self {
            allowed_lateness_ms: config.allowed_lateness_ms,
            newest_arrival_ms: None,
            fates: Fates::default(),
            remembered: HashSet::default(),
            minutes: Minutes::default(),
        }
    }

    /// Nothing seen, again; keeps the memory.
    pub fn forget(&mut self) {
        self.newest_arrival_ms = None;
        self.fates = Fates::default();
        self.remembered.clear();
        self.minutes.clear();
    }

    /// Decides about the next event to arrive.
    pub fn admit(&mut self, event: &Event) -> Admission {
        if let Err(error) = event.check() {
            self.fates.invalid += 1;
            return Admission::Invalid(error);
        }
        self.advance(event.available_at_ms);
        if is_late(event, self.allowed_lateness_ms) {
            self.fates.late += 1;
            return Admission::Late;
        }
        if self.remembered.contains(&event.event_id) {
            self.fates.duplicate += 1;
            return Admission::Duplicate;
        }
        self.fates.admitted += 1;
        self.remember(event.ts_ms.div_euclid(MINUTE_MS), event.event_id);
        Admission::Admitted
    }

    /// How many events met each fate.
    pub const fn fates(&self) -> Fates {
        self.fates
    }

    /// Whether that id was admitted and is still remembered: a copy that is late by now can be told from a late event.
    pub fn remembers(&self, event_id: u64) -> bool {
        self.remembered.contains(&event_id)
    }

    /// Number of ids remembered.
    pub fn remembered(&self) -> usize {
        self.remembered.len()
    }

    /// Ids by minute of event time: a minute's are forgotten after [`Freshness::forgotten_ms`].
    pub const fn minutes(&self) -> &Minutes {
        &self.minutes
    }

    /// The arrival after which the ids of a minute of event time are forgotten, milliseconds since 1970 UTC: every copy would be late
    /// by then, out-of-order arrivals included.
    pub const fn forgotten_ms(&self, minute: i64) -> i64 {
        let end_ms = minute.saturating_add(1).saturating_mul(MINUTE_MS);
        end_ms.saturating_add(self.allowed_lateness_ms.saturating_add(CLOCK_TOLERANCE_MS))
    }

    /// What is saved of it, which is copied in no time.
    pub fn saved(&self) -> SavedFreshness {
        SavedFreshness {
            allowed_lateness_ms: self.allowed_lateness_ms,
            newest_arrival_ms: self.newest_arrival_ms,
            fates: self.fates,
            minutes: self.minutes.clone(),
        }
    }

    /// Takes in what was seen of other events: the log's events divided by id, each part in the order of arrival.
    ///
    /// # Errors
    /// [`Error::SettingsDiffer`] if the allowed lateness differs; nothing is changed.
    pub fn merge(&mut self, other: Self) -> Result<(), Error> {
        let (ours, theirs) = (self.allowed_lateness_ms, other.allowed_lateness_ms);
        if ours != theirs {
            let differences = format!("allowed_lateness_ms is {ours} and {theirs}");
            return Err(Error::SettingsDiffer { differences });
        }
        other.minutes.iter().for_each(|(minute, id)| self.remember(minute, id));
        if let Some(newest) = other.newest_arrival_ms {
            self.advance(newest);
        }
        self.fates.admitted += other.fates.admitted;
        self.fates.late += other.fates.late;
        self.fates.duplicate += other.fates.duplicate;
        self.fates.invalid += other.fates.invalid;
        Ok(())
    }

    fn remember(&mut self, minute: i64, id: u64) {
        if !self.is_over(minute) && self.remembered.insert(id) {
            self.minutes.push(minute, id);
        }
    }

    /// Nothing arrives before `arrival_ms` any more, but for the tolerance: forgets the ids that cannot come again.
    pub fn advance(&mut self, arrival_ms: i64) {
        if self.newest_arrival_ms.is_some_and(|newest| newest >= arrival_ms) {
            return;
        }
        self.newest_arrival_ms = Some(arrival_ms);
        while let Some(oldest) = self.minutes.oldest()
            && self.is_over(oldest)
        {
            let remembered = &mut self.remembered;
            self.minutes.forget_oldest(|id| _ = remembered.remove(&id));
        }
    }

    fn is_over(&self, minute: i64) -> bool {
        self.newest_arrival_ms.is_some_and(|newest| newest > self.forgotten_ms(minute))
    }
}

/// Whether an event arrived more than the allowed lateness after it happened.
pub const fn is_late(event: &Event, allowed_lateness_ms: i64) -> bool {
    event.available_at_ms.saturating_sub(event.ts_ms) > allowed_lateness_ms
}

impl From<Freshness> for SavedFreshness {
    fn from(freshness: Freshness) -> Self {
        freshness.saved()
    }
}

impl From<SavedFreshness> for Freshness {
    fn from(saved: SavedFreshness) -> Self {
        let SavedFreshness { allowed_lateness_ms, newest_arrival_ms, fates, minutes } = saved;
        let remembered = minutes.iter().map(|(_, id)| id).collect();
        Self { allowed_lateness_ms, newest_arrival_ms, fates, remembered, minutes }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use eliverec_core::event::EventKind;

    fn event(event_id: u64, ts_ms: i64, delay_ms: i64) -> Event {
        Event {
            channel_id: Some(1),
            available_at_ms: ts_ms + delay_ms,
            ..Event::new(event_id, ts_ms, EventKind::StreamStart)
        }
    }

    fn freshness() -> Freshness {
        Freshness::new(&FeatureConfig::default())
    }

    #[test]
    fn each_fate_is_counted() {
        let mut freshness = freshness();
        let lateness = FeatureConfig::default().allowed_lateness_ms;
        assert!(matches!(freshness.admit(&event(1, 0, 0)), Admission::Admitted));
        assert!(matches!(freshness.admit(&event(1, 0, 500)), Admission::Duplicate));
        assert!(matches!(freshness.admit(&event(2, 0, lateness)), Admission::Admitted));
        assert!(matches!(freshness.admit(&event(3, 0, lateness + 1)), Admission::Late));
        let wrong = Event { channel_id: None, ..event(4, 0, 0) };
        let Admission::Invalid(error) = freshness.admit(&wrong) else { panic!("{wrong:?}") };
        assert_eq!(error.to_string(), "channel_id: null, but stream_start needs it");
        let fates = Fates { admitted: 2, late: 1, duplicate: 1, invalid: 1 };
        assert_eq!(freshness.fates(), fates);
    }

    /// A copy is a duplicate as long as it is not late, whatever happened between.
    #[test]
    fn no_copy_in_time_is_forgotten() {
        let config = FeatureConfig::default();
        for gap in (0..=config.allowed_lateness_ms).step_by(7_919) {
            let mut freshness = freshness();
            freshness.admit(&event(1, 59_999, -CLOCK_TOLERANCE_MS));
            freshness.admit(&event(2, 59_999 + gap, 0));
            // Another stream of arrivals is ahead by the tolerance.
            freshness.admit(&event(3, 59_999 + gap + CLOCK_TOLERANCE_MS, 0));
            let copy = event(1, 59_999, gap);
            assert!(matches!(freshness.admit(&copy), Admission::Duplicate), "gap {gap}");
        }
    }

    #[test]
    fn memory_is_bounded() {
        let mut freshness = freshness();
        let mut most = 0;
        for id in 0..1_000_000_u64 {
            let delay = (id % 11) as i64 * 60_000 - CLOCK_TOLERANCE_MS;
            freshness.admit(&event(id, id as i64 * 100 - delay, delay));
            most = most.max(freshness.remembered());
        }
        // 21 minutes at ten events a second.
        assert!(most <= 21 * 60 * 10 && most > 9_000, "{most}");
        assert_eq!(freshness.minutes.iter().count(), freshness.remembered());
    }

    #[test]
    fn saved_and_merged_it_goes_on() {
        let copies = |freshness: &mut Freshness| {
            for id in 0..200 {
                freshness.admit(&event(id, id as i64 * 10_000, 1_000));
            }
        };
        let (mut even, mut odd, mut whole) = (freshness(), freshness(), freshness());
        for id in 0..200_u64 {
            let event = event(id, id as i64 * 10_000, 0);
            whole.admit(&event);
            if id % 2 == 0 { &mut even } else { &mut odd }.admit(&event);
        }
        even.merge(odd).unwrap();
        let saved = serde_json::to_string(&even).unwrap();
        assert_eq!(saved, serde_json::to_string(&whole).unwrap());
        let mut back: Freshness = serde_json::from_str(&saved).unwrap();
        copies(&mut back);
        copies(&mut whole);
        assert_eq!(back.fates(), whole.fates());
        assert!(whole.fates().duplicate > 0);
        let strict = FeatureConfig { allowed_lateness_ms: 5, ..FeatureConfig::default() };
        assert!(whole.merge(Freshness::new(&strict)).is_err());
    }
}
