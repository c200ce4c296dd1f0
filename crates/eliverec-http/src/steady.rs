//! Whether a reading of the machine's clock can be: a clock that only goes on says so.
//!
//! Stamps of the log only grow and are kept. One reading of next year would make every event until then late, whatever the clock says
//! afterwards, so it is not believed. One of the past is no danger: time stands still until it is over.

use std::sync::atomic::{AtomicI64, Ordering};

use eliverec_core::event::CLOCK_TOLERANCE_MS;

/// The machine's clock may get ahead of the one that only goes on by so much between two readings, milliseconds.
pub const BOUND_MS: i64 = CLOCK_TOLERANCE_MS;

/// While readings are not believed, the log says it so often, milliseconds.
const TOLD_EVERY_MS: i64 = 60_000;

/// What was believed so far.
#[derive(Debug)]
#[expect(clippy::struct_field_names, reason = "the unit is part of each name")]
pub struct Steady {
    /// Machine's clock less the other one, of the newest reading that was believed; `i64::MIN` before the first.
    offset_ms: AtomicI64,
    /// The latest moment that was believed, milliseconds since 1970 UTC.
    newest_ms: AtomicI64,
    /// By how much the last reading was ahead of what was believed in its place; 0 if it was believed.
    ahead_ms: AtomicI64,
    /// When the log said so last, by the clock that only goes on.
    told_ms: AtomicI64,
}

impl Default for Steady {
    fn default() -> Self {
        Self {
            offset_ms: AtomicI64::new(i64::MIN),
            newest_ms: AtomicI64::new(i64::MIN),
            ahead_ms: AtomicI64::new(0),
            told_ms: AtomicI64::new(i64::MIN),
        }
    }
}

impl Steady {
    /// The moment that is believed, milliseconds since 1970 UTC, when the machine's clock says `machine_ms` and one that only goes on
    /// `steady_ms`, from any moment on; it does not go back. A reading that is more than [`BOUND_MS`] ahead of what the other clock
    /// lets expect is not believed: time goes on by the other one then.
    pub fn believed_ms(&self, machine_ms: i64, steady_ms: i64) -> i64 {
        let offset_ms = self.offset_ms.load(Ordering::Acquire);
        let expected_ms = match offset_ms {
            i64::MIN => machine_ms,
            offset_ms => offset_ms.saturating_add(steady_ms),
        };
        let ahead_ms = machine_ms.saturating_sub(expected_ms);
        let is_believed = ahead_ms <= BOUND_MS;
        self.ahead_ms.store(if is_believed { 0 } else { ahead_ms }, Ordering::Relaxed);
        let ms = if is_believed { machine_ms } else { expected_ms };
        let newest_ms = self.newest_ms.fetch_max(ms, Ordering::AcqRel).max(ms);
        // A clock that went back may come back to where it was.
        if is_believed && machine_ms == newest_ms {
            self.offset_ms.store(machine_ms.saturating_sub(steady_ms), Ordering::Release);
        }
        if !is_believed {
            self.tell(ahead_ms, steady_ms);
        }
        newest_ms
    }

    /// By how much the last reading was ahead of what was believed in its place, milliseconds; 0 if it was believed.
    pub fn ahead_ms(&self) -> i64 {
        self.ahead_ms.load(Ordering::Relaxed)
    }

    fn tell(&self, ahead_ms: i64, steady_ms: i64) {
        let told_ms = self.told_ms.load(Ordering::Relaxed);
        let is_due = told_ms == i64::MIN || steady_ms.saturating_sub(told_ms) >= TOLD_EVERY_MS;
        let told =
            |to| self.told_ms.compare_exchange(told_ms, to, Ordering::Relaxed, Ordering::Relaxed);
        if is_due && told(steady_ms).is_ok() {
            tracing::error!(
                ahead_s = ahead_ms / 1000,
                "the machine's clock jumped ahead and is not believed: stamps of the log cannot go back; set it right, or, if it is right now, start again"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEGIN_MS: i64 = 20_000 * 86_400_000;

    #[test]
    fn a_jump_ahead_is_not_believed_and_time_goes_on() {
        let steady = Steady::default();
        let year_ms = 365 * 86_400_000;
        assert_eq!(steady.believed_ms(BEGIN_MS, 7), BEGIN_MS);
        assert_eq!(steady.believed_ms(BEGIN_MS + 1_000, 1_007), BEGIN_MS + 1_000);
        // One reading, and more of them.
        assert_eq!(steady.believed_ms(BEGIN_MS + year_ms, 2_007), BEGIN_MS + 2_000);
        assert_eq!(steady.ahead_ms(), year_ms - 2_000);
        assert_eq!(steady.believed_ms(BEGIN_MS + year_ms + 9_000, 9_007), BEGIN_MS + 9_000);
        // It is right again.
        assert_eq!(steady.believed_ms(BEGIN_MS + 10_000, 10_007), BEGIN_MS + 10_000);
        assert_eq!(steady.ahead_ms(), 0);
    }

    #[test]
    fn small_steps_slow_drift_and_ways_back_are_believed() {
        let steady = Steady::default();
        let at = |machine_ms, steady_ms| steady.believed_ms(machine_ms, steady_ms);
        // A part in a thousand fast, for ten days: more than the bound in all.
        let fast_ms = |hour| BEGIN_MS + hour * 3_603_600;
        for hour in 0..240 {
            assert_eq!(at(fast_ms(hour), hour * 3_600_000), fast_ms(hour));
        }
        let (machine_ms, hour) = (fast_ms(239), 239 * 3_600_000);
        assert_eq!(at(machine_ms + BOUND_MS, hour), machine_ms + BOUND_MS);
        let newest_ms = machine_ms + BOUND_MS;
        // Time stands still while the clock is behind, and goes on when it is back.
        assert_eq!(at(machine_ms - 7_200_000, hour), newest_ms);
        assert_eq!(at(machine_ms - 3_600_000, hour + 3_600_000), newest_ms);
        let (back_ms, later) = (newest_ms + 3_700_000, hour + 3_700_000);
        assert_eq!(at(back_ms, later), back_ms);
    }

    #[test]
    fn it_is_told_once_a_minute() {
        let steady = Steady::default();
        steady.believed_ms(BEGIN_MS, 0);
        let told = |steady_ms| {
            steady.believed_ms(BEGIN_MS * 2, steady_ms);
            steady.told_ms.load(Ordering::Relaxed)
        };
        assert_eq!((told(5), told(60_004), told(60_005)), (5, 5, 60_005));
    }
}
