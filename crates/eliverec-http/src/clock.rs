//! What time it is: the machine's, or that of the callers, who then act out another time, a simulation or a log played again.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Instant;

use eliverec_core::Day;

use crate::problem::Problem;
use crate::steady::Steady;

/// Where the moments of requests and arrivals come from.
#[derive(Debug)]
pub enum Clock {
    /// The machine's clock; it does not go back within the life of a service, and is not believed when it jumps ahead.
    Machine {
        /// What the machine says, milliseconds since 1970 UTC.
        read_ms: fn() -> i64,
        /// When the service began, by a clock that only goes on.
        begun: Instant,
        /// What was believed.
        steady: Steady,
    },
    /// `at` of requests and `available_at` of events; the newest is now.
    Callers(AtomicI64),
}

impl Clock {
    /// The machine's, which `read_ms` reads.
    pub fn machine(read_ms: fn() -> i64) -> Self {
        Self::Machine { read_ms, begun: Instant::now(), steady: Steady::default() }
    }

    /// That of the callers; nobody has told a time yet.
    pub const fn callers() -> Self {
        Self::Callers(AtomicI64::new(i64::MIN))
    }

    /// Milliseconds since 1970 UTC of a request that says `at` and is right otherwise: it is now then.
    ///
    /// # Errors
    /// A moment given where the machine's clock counts, none where the callers' does, one before the newest, and one on the last day of
    /// the calendar, behind which nothing could arrive.
    pub fn request_ms(&self, at: Option<i64>) -> Result<i64, Problem> {
        let moment = self.moment("at", at)?;
        self.go_on("at", moment, moment)?;
        Ok(moment)
    }

    /// The same of an event that says `available_at`; it is not now then before [`Clock::arrived`], for the event may be refused.
    ///
    /// # Errors
    /// As [`Clock::request_ms`].
    pub fn arrival_ms(&self, available_at: Option<i64>) -> Result<i64, Problem> {
        self.moment("available_at", available_at)
    }

    /// A batch that is right arrives, whose moments are from `first` to `last`.
    ///
    /// # Errors
    /// Another caller told a later moment meanwhile.
    pub fn arrived(&self, first: i64, last: i64) -> Result<(), Problem> {
        self.go_on("available_at", first, last)
    }

    fn go_on(&self, field: &'static str, first: i64, last: i64) -> Result<(), Problem> {
        let Self::Callers(newest) = self else { return Ok(()) };
        let moved = newest.fetch_update(Ordering::AcqRel, Ordering::Acquire, |newest| {
            (newest <= first).then_some(last)
        });
        moved.map(|_| ()).map_err(|newest| before(field, first, newest))
    }

    /// The newest moment that the clock has shown; the machine's is read.
    pub fn now_ms(&self) -> i64 {
        match self {
            Self::Machine { read_ms, begun, steady } => {
                let since = i64::try_from(begun.elapsed().as_millis()).unwrap_or(i64::MAX);
                steady.believed_ms(read_ms(), since)
            }
            Self::Callers(newest) => newest.load(Ordering::Acquire),
        }
    }

    /// By how much the machine's clock is ahead of what is believed, milliseconds; 0 while it is believed, and always of callers.
    pub fn ahead_ms(&self) -> i64 {
        match self {
            Self::Machine { steady, .. } => steady.ahead_ms(),
            Self::Callers(_) => 0,
        }
    }

    fn moment(&self, field: &'static str, given: Option<i64>) -> Result<i64, Problem> {
        match (self, given) {
            (Self::Machine { .. }, None) => Ok(self.now_ms()),
            (Self::Machine { .. }, Some(_)) => Err(Problem::invalid(
                field,
                "this service goes by its own clock; leave it out, or start with --clock callers",
            )),
            (Self::Callers(_), Some(moment))
                if Day::of(moment).and_then(|day| day.plus(1)).is_none() =>
            {
                let detail = format!("{moment} ms is no moment from 0000-01-01 to 9999-12-30");
                Err(Problem::invalid(field, detail))
            }
            (Self::Callers(newest), Some(moment)) => {
                let newest = newest.load(Ordering::Acquire);
                if moment < newest {
                    return Err(before(field, moment, newest));
                }
                Ok(moment)
            }
            (Self::Callers(_), None) => Err(Problem::invalid(
                field,
                "is missing; this service goes by the callers' clock (--clock callers)",
            )),
        }
    }
}

pub(crate) fn before(field: &'static str, moment: i64, newest: i64) -> Problem {
    Problem::invalid(field, format!("{moment} is before {newest}, which was told already"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_clock_refuses_the_other_ones_moments() {
        let machine = Clock::machine(|| 5);
        assert!(machine.request_ms(Some(1)).is_err());
        let first = machine.request_ms(None).unwrap();
        assert!(machine.arrival_ms(None).unwrap() >= first);
        let callers = Clock::callers();
        assert!(callers.request_ms(None).is_err());
        assert_eq!(callers.request_ms(Some(10)).unwrap(), 10);
        assert_eq!(callers.arrival_ms(Some(10)).unwrap(), 10);
        assert!(callers.arrival_ms(Some(9)).is_err());
        // An event may be refused still.
        assert_eq!(callers.arrival_ms(Some(20)).unwrap(), 20);
        assert_eq!(callers.now_ms(), 10);
        callers.arrived(12, 20).unwrap();
        assert_eq!(callers.now_ms(), 20);
        let told = callers.arrived(15, 30).unwrap_err();
        assert_eq!((told.field.as_deref(), callers.now_ms()), (Some("available_at"), 20));
        // The last day of the calendar has no room behind it.
        for last in [253_402_300_799_999, 253_402_214_400_000, i64::MAX, i64::MIN] {
            assert!(
                callers.arrival_ms(Some(last)).is_err() && callers.request_ms(Some(last)).is_err()
            );
        }
        assert!(callers.arrival_ms(Some(253_402_214_399_999)).is_ok());
        assert_eq!(callers.now_ms(), 20);
    }
}
