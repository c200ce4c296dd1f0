//! Stamps of the future: whether somebody's clock was wrong when the newest records were written.

use eliverec_core::event::CLOCK_TOLERANCE_MS;

use crate::error::Error;
use crate::state::State;

impl State {
    /// The earliest stamp that the next group can have, milliseconds since 1970 UTC; `None` where nothing has arrived and nobody has
    /// asked yet.
    pub fn earliest_stamp_ms(&self) -> Option<i64> {
        let earliest_ms = self.shared.contended.store.with_clock(|clock| clock.earliest_stamp_ms());
        (earliest_ms > i64::MIN).then_some(earliest_ms)
    }

    /// By how much the earliest stamp that the next group can have is ahead of `now_ms`, by the clock that will give its moments,
    /// milliseconds; 0 if it is not. Until then time stands still here.
    ///
    /// # Errors
    /// More than the 5 minutes by which clocks may differ ([`CLOCK_TOLERANCE_MS`]): events would be late when they come
    /// ([`Error::Ahead`]).
    pub fn ahead_ms(&self, now_ms: i64) -> Result<i64, Error> {
        let earliest_ms = self.earliest_stamp_ms().unwrap_or(now_ms);
        let ahead_ms = earliest_ms.saturating_sub(now_ms).max(0);
        if ahead_ms > CLOCK_TOLERANCE_MS {
            return Err(Error::Ahead {
                path: self.shared.directory.clone(),
                ahead_s: ahead_ms / 1000,
            });
        }
        Ok(ahead_ms)
    }
}

#[cfg(test)]
mod tests {
    use eliverec_core::{Dimensions, Event, EventKind, Schema};

    use super::*;
    use crate::config::StateConfig;

    #[test]
    fn stamps_of_the_future_are_told_and_refused() {
        let folder = tempfile::tempdir().unwrap();
        let schema = Schema::default();
        let dimensions = Dimensions::empty(&schema).unwrap();
        let open = || State::open(folder.path(), StateConfig::default(), &schema, &dimensions);
        let state = open().unwrap();
        let begin_ms = 20_000 * 86_400_000;
        assert_eq!(state.ahead_ms(begin_ms).unwrap(), 0);
        let start = Event::new(1, begin_ms, EventKind::StreamStart);
        state.ingest(vec![Event { channel_id: Some(1), ..start }], begin_ms).unwrap();
        drop(state);
        let state = open().unwrap();
        assert_eq!(state.ahead_ms(begin_ms + 1).unwrap(), 0);
        assert_eq!(state.ahead_ms(begin_ms - 999).unwrap(), 1_000);
        assert_eq!(state.ahead_ms(begin_ms + 1 - CLOCK_TOLERANCE_MS).unwrap(), CLOCK_TOLERANCE_MS);
        let told = state.ahead_ms(begin_ms - 3_599_999).unwrap_err().to_string();
        let place = folder.path().display();
        assert!(
            told.starts_with(&format!("{place}: the newest record is of 3600 s after")),
            "{told}"
        );
    }
}
