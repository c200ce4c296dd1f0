//! Events on their way to a server: kept from their emission to their arrival, for those of phones in a tunnel arrive later.

use std::collections::BTreeMap;
use std::convert::Infallible;

use eliverec_core::Event;

use crate::log::Log;

/// Events that have not arrived yet, by their arrival; of one moment in the order of emission.
#[derive(Clone, Debug, Default)]
pub struct Outbox {
    waiting: BTreeMap<(i64, u64), Event>,
    emitted: u64,
}

impl Outbox {
    /// How many events wait.
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Takes the events that have arrived at `at_ms`, milliseconds since 1970 UTC, in the order of arrival.
    pub fn arrived(&mut self, at_ms: i64) -> Vec<Event> {
        let mut arrived = Vec::new();
        while let Some(next) = self.waiting.first_entry()
            && next.key().0 <= at_ms
        {
            arrived.push(next.remove());
        }
        arrived
    }
}

impl Log for Outbox {
    type Error = Infallible;

    fn event(&mut self, event: &Event) -> Result<(), Infallible> {
        self.waiting.insert((event.available_at_ms, self.emitted), event.clone());
        self.emitted += 1;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use eliverec_core::EventKind;

    #[test]
    fn events_come_out_as_they_arrive() {
        let mut outbox = Outbox::default();
        for (id, available_at_ms) in [(1, 30), (2, 10), (3, 20), (4, 10)] {
            let event = Event { available_at_ms, ..Event::new(id, 5, EventKind::Like) };
            let Ok(()) = outbox.event(&event);
        }
        let mut ids =
            |at_ms| outbox.arrived(at_ms).iter().map(|event| event.event_id).collect::<Vec<_>>();
        assert_eq!(ids(9), [0_u64; 0]);
        assert_eq!(ids(20), [2, 4, 3]);
        assert_eq!(ids(30), [1]);
        assert!(outbox.is_empty());
    }
}
