//! Which events are copies: what [`Freshness`] knows, and the ids of late events, which it does not keep.
//!
//! # What is promised
//! A copy is known as such if it arrives within `CLOCK_TOLERANCE_MS` (5 minutes) of the first, whatever it is; usually for the
//! allowed lateness longer. A copy that comes later than that is late, so no fold takes it in; it stands in the log once more, and
//! labels do not change by it. So a caller that does not know whether a batch was taken sends it again, with the same ids, within
//! five minutes.
//!
//! # Memory
//! At most as many ids as the settings allow, about 40 bytes each; an event beyond is refused rather than an id forgotten, for
//! a copy taken in twice would make features that no samples have.

use std::collections::{BTreeMap, HashSet};

use eliverec_core::event::{CLOCK_TOLERANCE_MS, Event};
use eliverec_core::id::IdHash;
use eliverec_features::{Admission, FeatureConfig, Freshness};
use serde::{Deserialize, Serialize};

/// What becomes of an event that keeps the contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It goes to the log and to the folds.
    Applied,
    /// It goes to the log, where labels may need it, and not to the folds.
    Late,
    /// It is there already.
    Duplicate,
}

const MINUTE_MS: i64 = 60_000;

/// The ids that may come again.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(from = "Saved", into = "Saved")]
pub(crate) struct Known {
    freshness: Freshness,
    kept_ms: i64,
    late: HashSet<u64, IdHash>,
    /// Ids of late events by minute of arrival.
    minutes: BTreeMap<i64, Vec<u64>>,
}

#[derive(Serialize, Deserialize)]
struct Saved {
    freshness: Freshness,
    kept_ms: i64,
    minutes: BTreeMap<i64, Vec<u64>>,
}

impl From<Known> for Saved {
    fn from(known: Known) -> Self {
        let Known { freshness, kept_ms, minutes, .. } = known;
        Self { freshness, kept_ms, minutes }
    }
}

impl From<Saved> for Known {
    fn from(saved: Saved) -> Self {
        let Saved { freshness, kept_ms, minutes } = saved;
        let late = minutes.values().flatten().copied().collect();
        Self { freshness, kept_ms, late, minutes }
    }
}

impl Known {
    pub(crate) fn new(config: &FeatureConfig) -> Self {
        Self {
            freshness: Freshness::new(config),
            kept_ms: config.allowed_lateness_ms.saturating_add(CLOCK_TOLERANCE_MS),
            late: HashSet::default(),
            minutes: BTreeMap::new(),
        }
    }

    /// Nothing arrives before `arrival_ms` any more: forgets the ids that are too old to come twice.
    pub(crate) fn advance(&mut self, arrival_ms: i64) {
        self.freshness.advance(arrival_ms);
        while let Some(oldest) = self.minutes.first_entry() {
            let end_ms = (oldest.key() + 1).saturating_mul(MINUTE_MS);
            if arrival_ms <= end_ms.saturating_add(self.kept_ms) {
                break;
            }
            for id in oldest.remove() {
                self.late.remove(&id);
            }
        }
    }

    /// Decides about the next event to arrive.
    ///
    /// # Errors
    /// An event that contradicts the contract.
    pub(crate) fn offer(&mut self, event: &Event) -> Result<Fate, eliverec_core::Error> {
        self.advance(event.available_at_ms);
        match self.freshness.admit(event) {
            Admission::Admitted => Ok(Fate::Applied),
            Admission::Duplicate => Ok(Fate::Duplicate),
            Admission::Invalid(error) => Err(error),
            Admission::Late => {
                if self.freshness.remembers(event.event_id) || !self.late.insert(event.event_id) {
                    return Ok(Fate::Duplicate);
                }
                let minute = event.available_at_ms.div_euclid(MINUTE_MS);
                self.minutes.entry(minute).or_default().push(event.event_id);
                Ok(Fate::Late)
            }
        }
    }

    /// Number of ids remembered.
    pub(crate) fn len(&self) -> usize {
        self.freshness.remembered() + self.late.len()
    }
}

#[cfg(test)]
mod tests {
    use eliverec_core::event::EventKind;

    use super::*;

    fn event(event_id: u64, ts_ms: i64, available_at_ms: i64) -> Event {
        let channel_id = Some(1);
        Event { available_at_ms, channel_id, ..Event::new(event_id, ts_ms, EventKind::StreamStart) }
    }

    #[test]
    fn copies_of_late_events_and_late_copies_are_known() {
        let config = FeatureConfig::default();
        let minute = MINUTE_MS;
        let mut known = Known::new(&config);
        let mut fate = |id, ts, at| known.offer(&event(id, ts * minute, at * minute)).unwrap();
        assert_eq!(fate(1, 0, 11), Fate::Late);
        assert_eq!(fate(1, 0, 12), Fate::Duplicate);
        assert_eq!(fate(2, 12, 12), Fate::Applied);
        assert_eq!(fate(2, 12, 22), Fate::Duplicate);
        // Late itself, and yet a copy.
        assert_eq!(fate(2, 12, 27), Fate::Duplicate);
        // Too old to be known: late, so that no fold takes it in.
        assert_eq!(fate(1, 0, 28), Fate::Late);
        assert_eq!(fate(2, 12, 60), Fate::Late);
        assert_eq!(known.len(), 1);
        let bytes = postcard::to_stdvec(&known).unwrap();
        let mut back: Known = postcard::from_bytes(&bytes).unwrap();
        assert_eq!(back.offer(&event(2, 12 * minute, 61 * minute)).unwrap(), Fate::Duplicate);
    }
}
