//! Work that is tried again later and later while it fails.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

/// After the first failure it is tried again so much later, after each more twice as much.
const FIRST: Duration = Duration::from_secs(1);

/// At most so much later: a disk that has room again, or a folder that was moved away, waits no longer.
const LONGEST: Duration = Duration::from_mins(5);

/// How one kind of work went lately.
#[derive(Debug, Default)]
pub(super) struct Attempts {
    failures: u32,
    /// When it is tried again; at once if it did not fail.
    again: Option<Instant>,
}

/// How it went.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Attempted {
    /// As it should, after so many failures.
    Well(u32),
    /// It failed, and is tried again so much later.
    Failed {
        reason: String,
        /// In a row.
        failures: u32,
        again: Duration,
    },
}

impl Attempts {
    /// Does `work` unless it failed a short while before `now`. A panic is a failure like another: what it left half done is thrown
    /// away by the next attempt, as after a kill.
    pub(super) fn attempt(
        &mut self,
        now: Instant,
        work: impl FnOnce() -> Result<(), String>,
    ) -> Option<Attempted> {
        if self.again.is_some_and(|again| now < again) {
            return None;
        }
        let worked = catch_unwind(AssertUnwindSafe(work));
        let worked = worked.unwrap_or_else(|panic| Err(format!("a panic: {}", message(&*panic))));
        let Err(reason) = worked else {
            let before = std::mem::take(self).failures;
            return Some(Attempted::Well(before));
        };
        let again = FIRST.saturating_mul(1 << self.failures.min(30)).min(LONGEST);
        self.failures = self.failures.saturating_add(1);
        self.again = Some(now + again);
        Some(Attempted::Failed { reason, failures: self.failures, again })
    }
}

/// What a panic says.
fn message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("without a message")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fails_is_tried_later_and_later_and_a_panic_is_a_failure() {
        let (begun, mut attempts) = (Instant::now(), Attempts::default());
        let mut now = begun;
        let pauses = [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300];
        for (failures, pause) in (1..).zip(pauses) {
            let again = Duration::from_secs(pause);
            let reason = if failures == 4 { "a panic: no 4" } else { "no" };
            let attempted = attempts.attempt(now, || {
                assert!(failures != 4, "no {failures}");
                Err("no".into())
            });
            let expected = Attempted::Failed { reason: reason.into(), failures, again };
            assert_eq!(attempted, Some(expected));
            let early = now + again.checked_sub(Duration::from_millis(1)).unwrap();
            assert_eq!(attempts.attempt(early, || Ok(())), None);
            now += again;
        }
        assert_eq!(attempts.attempt(now, || Ok(())), Some(Attempted::Well(11)));
        assert_eq!(attempts.attempt(now, || Ok(())), Some(Attempted::Well(0)));
    }
}
