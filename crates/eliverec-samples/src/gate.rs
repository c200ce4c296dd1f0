//! Which events of a key reach its folds: [`Freshness`], as the online driver has it, one key at a time.
//!
//! Copies of an event have the same id and moment, user, channel and product, so all of them meet under each of its
//! keys, in the order of arrival. [`Freshness`] forgets an id by the arrival of the event that it is asked about, the
//! newest so far in a log read in that order, whether the events between them were of this key or not. Hence an event
//! meets the same fate under each of its keys as in the whole log, and no plan that removes duplicates by id has to
//! come before the folds.

use std::collections::HashSet;

use datafusion_common::{DataFusionError, Result};
use eliverec_core::Event;
use eliverec_core::id::IdHash;
use eliverec_features::freshness::{Fates, is_late};
use eliverec_features::{Admission, FeatureConfig, Freshness};

/// Events of one moment that the set of them keeps room for.
const MOMENT_EVENTS: usize = 64;

#[derive(Debug)]
pub(crate) struct Gate {
    freshness: Freshness,
    counted: Fates,
    allowed_lateness_ms: i64,
    /// Events at one moment that no fold takes in, and that moment.
    copies: HashSet<u64, IdHash>,
    at_ms: i64,
}

impl Gate {
    pub(crate) fn new(config: FeatureConfig) -> Self {
        Self {
            freshness: Freshness::new(&config),
            counted: Fates::default(),
            allowed_lateness_ms: config.allowed_lateness_ms,
            copies: HashSet::default(),
            at_ms: i64::MIN,
        }
    }

    /// Whether the folds take the event. `counts` is true under one of an event's keys.
    pub(crate) fn admit(&mut self, event: &Event, counts: bool) -> Result<bool> {
        let admission = self.freshness.admit(event);
        let once = u64::from(counts);
        match admission {
            Admission::Admitted => {
                self.counted.admitted += once;
                return Ok(true);
            }
            Admission::Late => self.counted.late += once,
            Admission::Duplicate => self.counted.duplicate += once,
            Admission::Invalid(error) => {
                return Err(DataFusionError::Internal(format!("passed the reader: {error}")));
            }
        }
        Ok(false)
    }

    /// Counts an event that no fold takes in. Events come in the order of when they happened, so copies of one, which share
    /// that moment, come together.
    pub(crate) fn count(&mut self, event: &Event) {
        if std::mem::replace(&mut self.at_ms, event.ts_ms) != event.ts_ms {
            self.copies.clear();
            // Clearing costs what the set once held.
            self.copies.shrink_to(MOMENT_EVENTS);
        }
        if is_late(event, self.allowed_lateness_ms) {
            self.counted.late += 1;
        } else if self.copies.insert(event.event_id) {
            self.counted.admitted += 1;
        } else {
            self.counted.duplicate += 1;
        }
    }

    /// Forgets the ids of a key whose rows have all been seen: the next key's are others.
    pub(crate) fn end_key(&mut self) {
        self.freshness.forget();
        self.at_ms = i64::MIN;
    }

    /// What became of the events counted.
    pub(crate) const fn counted(&self) -> Fates {
        self.counted
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use eliverec_core::EventKind;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        /// Copies, late ones too, and ids that come again days later as other events.
        #[test]
        fn fates_under_a_key_are_those_of_the_log(
            drawn in prop::collection::vec((0_u64..40, 0_i64..200, 0_i64..40, 0_u64..3), 1..300),
        ) {
            let minute = 60_000;
            let event = |(id, ts, delay, round): &(u64, i64, i64, u64)| {
                // Copies share the moment and the channel; a later round is another event under the same id.
                let ts_ms = (*id as i64 * 7 % 200 + *round as i64 * 3_000 + ts / 199) * minute;
                Event {
                    available_at_ms: ts_ms + (delay - 4) * minute / 2,
                    channel_id: Some(id % 5),
                    ..Event::new(*id, ts_ms, EventKind::StreamStart)
                }
            };
            let mut events: Vec<Event> = drawn.iter().map(event).collect();
            events.sort_by_key(|event| (event.available_at_ms, event.event_id));
            let config = FeatureConfig::default();
            let mut whole = Freshness::new(&config);
            let expected: Vec<bool> = events
                .iter()
                .map(|event| matches!(whole.admit(event), Admission::Admitted))
                .collect();
            let mut by_key: BTreeMap<_, Vec<usize>> = BTreeMap::new();
            for (i, event) in events.iter().enumerate() {
                by_key.entry(event.channel_id).or_default().push(i);
            }
            let mut gate = Gate::new(config);
            for places in by_key.values() {
                for i in places {
                    prop_assert_eq!(gate.admit(&events[*i], true).unwrap(), expected[*i]);
                }
                gate.end_key();
            }
            prop_assert_eq!(gate.counted(), whole.fates());
        }
    }
}
