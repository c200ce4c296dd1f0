//! From what happened to what the log holds: some events arrive late, some twice, some stand out of order.
//!
//! Pipelines must cope with all three, so a world has a few of each unless its config says otherwise.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use eliverec_core::Event;
use eliverec_core::seed::{Random, stream};

use crate::config::WorldConfig;
use crate::log::Log;

/// Delays of late and very late arrivals, milliseconds: shortest and longest, short ones more often.
const LATE_MS: (f64, f64) = (2_000.0, 480_000.0);
const VERY_LATE_MS: (f64, f64) = (660_000.0, 3_600_000.0);
/// A displaced event stands at most this many events after its place.
const DISPLACED_BY: usize = 500;

#[derive(Clone, Debug)]
pub(crate) struct Arrival {
    random: Random,
    /// Running sums of the shares of late, very late, duplicated, displaced.
    shares: [f64; 4],
    delivered: u64,
    /// Events held back, by the count at which they are delivered; [`Reverse`] so that the last is the next.
    held: BTreeMap<Reverse<(u64, u64)>, Event>,
    holds: u64,
}

impl Arrival {
    pub(crate) fn new(config: &WorldConfig) -> Self {
        let mut sum = 0.0;
        let shares = [
            config.late_share,
            config.very_late_share,
            config.duplicate_share,
            config.displaced_share,
        ]
        .map(|share| {
            sum += share;
            sum
        });
        let random = Random::new(stream(config.seed, "sim/arrival"));
        Self { random, shares, delivered: 0, held: BTreeMap::new(), holds: 0 }
    }

    pub(crate) fn delivered(&self) -> u64 {
        self.delivered
    }

    /// Delivers an event, now or later, once or twice.
    pub(crate) fn deliver<L: Log>(
        &mut self,
        event: &mut Event,
        log: &mut L,
    ) -> Result<(), L::Error> {
        let fate = self.random.uniform();
        match self.shares.iter().position(|sum| fate < *sum) {
            Some(0) => event.available_at_ms += self.delay(LATE_MS),
            Some(1) => event.available_at_ms += self.delay(VERY_LATE_MS),
            Some(2) => {
                let available_at_ms = event.available_at_ms + self.delay(LATE_MS);
                self.hold(Event { available_at_ms, ..event.clone() });
            }
            Some(_) => {
                self.hold(event.clone());
                return Ok(());
            }
            None => {}
        }
        self.delivered += 1;
        log.event(event)?;
        while let Some(due) = self.held.last_entry()
            && due.key().0.0 <= self.delivered
        {
            self.delivered += 1;
            log.event(&due.remove())?;
        }
        Ok(())
    }

    /// Delivers everything that is still held back.
    pub(crate) fn flush<L: Log>(&mut self, log: &mut L) -> Result<(), L::Error> {
        while let Some((_, event)) = self.held.pop_last() {
            self.delivered += 1;
            log.event(&event)?;
        }
        Ok(())
    }

    fn hold(&mut self, event: Event) {
        let due = self.delivered + 1 + self.random.below(DISPLACED_BY) as u64;
        self.holds += 1;
        self.held.insert(Reverse((due, self.holds)), event);
    }

    fn delay(&mut self, (shortest, longest): (f64, f64)) -> i64 {
        (shortest * (longest / shortest).powf(self.random.uniform())) as i64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::Collected;
    use eliverec_core::EventKind;

    fn delivered(config: &WorldConfig, events: u64) -> Vec<Event> {
        let (mut arrival, mut log) = (Arrival::new(config), Collected::default());
        for id in 0..events {
            let mut event = Event::new(id, id as i64, EventKind::StreamStart);
            let Ok(()) = arrival.deliver(&mut event, &mut log);
        }
        let Ok(()) = arrival.flush(&mut log);
        assert_eq!(arrival.delivered(), log.events.len() as u64);
        log.events
    }

    #[test]
    fn every_fate_has_its_share_and_nothing_is_lost() {
        let config = WorldConfig {
            late_share: 0.1,
            very_late_share: 0.05,
            duplicate_share: 0.2,
            displaced_share: 0.1,
            ..WorldConfig::default()
        };
        let events = delivered(&config, 20_000);
        let mut ids: Vec<u64> = events.iter().map(|event| event.event_id).collect();
        let displaced = ids.windows(2).filter(|pair| pair[1] < pair[0]).count();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), 20_000);
        assert!((3_600..4_400).contains(&(events.len() - ids.len())));
        assert!(displaced > 4_000);
        let late = |from_s, to_s| {
            let delays = events.iter().map(|e| (e.available_at_ms - e.ts_ms) / 1000);
            delays.filter(|delay| (from_s..to_s).contains(delay)).count()
        };
        assert!((5_600..6_400).contains(&late(1, 600)), "late ones and second arrivals");
        assert!((850..1_150).contains(&late(600, 3_601)));
        assert_eq!(late(3_601, i64::MAX), 0);
    }

    #[test]
    fn without_shares_the_log_is_in_order() {
        let config = WorldConfig {
            late_share: 0.0,
            very_late_share: 0.0,
            duplicate_share: 0.0,
            displaced_share: 0.0,
            ..WorldConfig::default()
        };
        let events = delivered(&config, 1_000);
        assert!(events.iter().enumerate().all(|(i, e)| e.event_id == i as u64));
        assert!(events.iter().all(|event| event.available_at_ms == event.ts_ms));
    }
}
