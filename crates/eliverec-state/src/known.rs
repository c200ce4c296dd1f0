//! Which events are copies: what [`Freshness`] knows, and the ids of late events, which it does not keep. Also which requests were
//! answered lately, where answers are logged as impressions.
//!
//! # What is promised
//! A copy is known as such if it arrives within `CLOCK_TOLERANCE_MS` (5 minutes) of the first, whatever it is; usually for the
//! allowed lateness longer. A copy that comes later than that is late, so no fold takes it in; it stands in the log once more, and
//! labels do not change by it. So a caller that does not know whether a batch was taken sends it again, with the same ids, within
//! five minutes. A request that was answered is known for five minutes and the allowed lateness.
//!
//! # Memory
//! At most as many ids as the settings allow, those of requests included, about 40 bytes each; an event beyond is refused rather than an id forgotten, for
//! a copy taken in twice would make features that no samples have. What a snapshot takes of them shares their memory ([`SavedKnown`]).

use std::collections::{BTreeMap, HashSet};

use eliverec_core::event::{CLOCK_TOLERANCE_MS, Event};
use eliverec_core::id::IdHash;
use eliverec_features::minutes::MINUTE_MS;
use eliverec_features::{Admission, FeatureConfig, Freshness, Minutes, SavedFreshness};
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

/// The ids that may come again.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Known {
    freshness: Freshness,
    kept_ms: i64,
    /// Of late events.
    late: Recent,
    /// Of requests whose answers are in the log.
    answered: Recent,
}

/// What of [`Known`] is saved, in the same bytes: copied in no time, however many ids there are, for the log waits meanwhile.
#[derive(Debug, Serialize)]
pub(crate) struct SavedKnown {
    freshness: SavedFreshness,
    kept_ms: i64,
    late: Minutes,
    answered: Minutes,
}

/// Ids that arrived lately.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(from = "Minutes", into = "Minutes")]
struct Recent {
    ids: HashSet<u64, IdHash>,
    /// By minute of arrival.
    minutes: Minutes,
}

impl From<Recent> for Minutes {
    fn from(recent: Recent) -> Self {
        recent.minutes
    }
}

impl From<Minutes> for Recent {
    fn from(minutes: Minutes) -> Self {
        Self { ids: minutes.iter().map(|(_, id)| id).collect(), minutes }
    }
}

/// The arrival after which what arrived in a minute is forgotten.
const fn forgotten_ms(minute: i64, kept_ms: i64) -> i64 {
    minute.saturating_add(1).saturating_mul(MINUTE_MS).saturating_add(kept_ms)
}

impl Recent {
    /// Remembers an id; whether it was not there.
    fn insert(&mut self, id: u64, arrival_ms: i64) -> bool {
        let is_new = self.ids.insert(id);
        if is_new {
            self.minutes.push(arrival_ms.div_euclid(MINUTE_MS), id);
        }
        is_new
    }

    /// Forgets what arrived more than `kept_ms` before `arrival_ms`.
    fn advance(&mut self, arrival_ms: i64, kept_ms: i64) {
        while let Some(oldest) = self.minutes.oldest()
            && arrival_ms > forgotten_ms(oldest, kept_ms)
        {
            let ids = &mut self.ids;
            self.minutes.forget_oldest(|id| _ = ids.remove(&id));
        }
    }
}

impl Known {
    pub(crate) fn new(config: &FeatureConfig) -> Self {
        Self {
            freshness: Freshness::new(config),
            kept_ms: config.allowed_lateness_ms.saturating_add(CLOCK_TOLERANCE_MS),
            late: Recent::default(),
            answered: Recent::default(),
        }
    }

    /// Nothing arrives before `arrival_ms` any more: forgets the ids that are too old to come twice.
    pub(crate) fn advance(&mut self, arrival_ms: i64) {
        self.freshness.advance(arrival_ms);
        self.late.advance(arrival_ms, self.kept_ms);
        self.answered.advance(arrival_ms, self.kept_ms);
    }

    /// The answer of a request goes to the log; `false` if one is there already.
    pub(crate) fn answer(&mut self, request_id: u64, arrival_ms: i64) -> bool {
        self.answered.insert(request_id, arrival_ms)
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
                let is_new = !self.freshness.remembers(event.event_id)
                    && self.late.insert(event.event_id, event.available_at_ms);
                Ok(if is_new { Fate::Late } else { Fate::Duplicate })
            }
        }
    }

    /// Number of ids remembered.
    pub(crate) fn len(&self) -> usize {
        self.freshness.remembered() + self.late.ids.len() + self.answered.ids.len()
    }

    /// The first arrival, milliseconds since 1970 UTC, at which so many ids less are remembered if none comes; `None` if there are
    /// not as many.
    pub(crate) fn room_ms(&self, ids: usize) -> Option<i64> {
        let mut leaving: BTreeMap<i64, usize> = BTreeMap::new();
        let events = self.freshness.minutes().counts();
        let events = events.map(|(minute, count)| (self.freshness.forgotten_ms(minute), count));
        let recent = self.late.minutes.counts().chain(self.answered.minutes.counts());
        let recent = recent.map(|(minute, count)| (forgotten_ms(minute, self.kept_ms), count));
        for (at_ms, count) in events.chain(recent) {
            *leaving.entry(at_ms.saturating_add(1)).or_default() += count;
        }
        let mut left = 0;
        let enough = leaving.into_iter().find(|(_, count)| {
            left += count;
            left >= ids
        });
        enough.map(|(at_ms, _)| at_ms)
    }

    /// What is saved of it.
    pub(crate) fn saved(&self) -> SavedKnown {
        SavedKnown {
            freshness: self.freshness.saved(),
            kept_ms: self.kept_ms,
            late: self.late.minutes.clone(),
            answered: self.answered.minutes.clone(),
        }
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
        assert!(known.answer(7, 60 * minute) && !known.answer(7, 61 * minute));
        let bytes = postcard::to_stdvec(&known).unwrap();
        assert_eq!(bytes, postcard::to_stdvec(&known.saved()).unwrap());
        let mut back: Known = postcard::from_bytes(&bytes).unwrap();
        assert_eq!(back.offer(&event(2, 12 * minute, 61 * minute)).unwrap(), Fate::Duplicate);
        assert!(!back.answer(7, 62 * minute));
        back.advance(77 * minute);
        assert!(back.answer(7, 77 * minute), "it is too long ago");
    }

    #[test]
    fn room_is_there_when_it_is_said() {
        let config = FeatureConfig::default();
        let mut known = Known::new(&config);
        let mut id = 0;
        for (ts, at, count) in [(0, 0, 3), (1, 1, 2), (0, 11, 4)] {
            for _ in 0..count {
                id += 1;
                known.offer(&event(id, ts * MINUTE_MS, at * MINUTE_MS)).unwrap();
            }
        }
        assert!(known.answer(1, 11 * MINUTE_MS));
        assert_eq!((known.len(), known.room_ms(0).is_some(), known.room_ms(11)), (10, true, None));
        for (ids, left) in [(1, 7), (3, 7), (4, 5), (5, 5), (6, 0), (10, 0)] {
            let at_ms = known.room_ms(ids).unwrap();
            let mut later = known.clone();
            later.advance(at_ms - 1);
            assert!(later.len() > 10 - ids, "{ids} ids earlier");
            later.advance(at_ms);
            assert_eq!(later.len(), left, "{ids} ids");
        }
    }
}
