//! The order of events inside a state, and ages.

use eliverec_core::event::Event;
use serde::{Deserialize, Serialize};

/// Event time and, for events of the same millisecond, the event id: a total order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Moment {
    /// Event time, milliseconds since 1970 UTC.
    pub ts_ms: i64,
    /// The event's id.
    pub event_id: u64,
}

impl Moment {
    /// When `event` happened.
    pub const fn of(event: &Event) -> Self {
        Self { ts_ms: event.ts_ms, event_id: event.event_id }
    }

    /// Seconds from it to `at_ms`; 0 where its clock was ahead.
    pub fn age_s(self, at_ms: i64) -> f32 {
        age_s(self.ts_ms, at_ms)
    }
}

/// The largest age that an age feature takes, seconds: 30 days, and the value of "never".
pub const MAX_AGE_S: f32 = 30.0 * 86_400.0;

/// Seconds from `ts_ms` to `at_ms`; 0 where `ts_ms` is later.
pub fn age_s(ts_ms: i64, at_ms: i64) -> f32 {
    (at_ms.saturating_sub(ts_ms).max(0) as f64 / 1000.0) as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_not_negative() {
        assert_eq!(age_s(1_000, 3_500), 2.5);
        assert_eq!(age_s(3_500, 1_000), 0.0);
        assert!(age_s(i64::MIN, i64::MAX).is_finite());
    }
}
