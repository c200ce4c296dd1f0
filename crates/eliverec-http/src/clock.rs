//! What time it is: the machine's, or that of the callers, who then act out another time, a simulation or a log played again.

use std::sync::atomic::{AtomicI64, Ordering};

use eliverec_core::Day;

use crate::problem::Problem;

/// Where the moments of requests and arrivals come from.
#[derive(Debug)]
pub enum Clock {
    /// The machine's clock; it does not go back within the life of a service.
    Machine {
        /// What the machine says, milliseconds since 1970 UTC.
        read_ms: fn() -> i64,
        /// The latest that it said.
        newest: AtomicI64,
    },
    /// `at` of requests and `available_at` of events; the newest is now.
    Callers(AtomicI64),
}

impl Clock {
    /// The machine's, which `read_ms` reads.
    pub const fn machine(read_ms: fn() -> i64) -> Self {
        Self::Machine { read_ms, newest: AtomicI64::new(0) }
    }

    /// That of the callers; nobody has told a time yet.
    pub const fn callers() -> Self {
        Self::Callers(AtomicI64::new(i64::MIN))
    }

    /// Milliseconds since 1970 UTC of a request that says `at`.
    ///
    /// # Errors
    /// A moment given where the machine's clock counts, none where the callers' does, and one before the newest.
    pub fn request_ms(&self, at: Option<i64>) -> Result<i64, Problem> {
        self.moment("at", at)
    }

    /// The same of an event that says `available_at`.
    ///
    /// # Errors
    /// As [`Clock::request_ms`].
    pub fn arrival_ms(&self, available_at: Option<i64>) -> Result<i64, Problem> {
        self.moment("available_at", available_at)
    }

    /// The newest moment that the clock has shown; the machine's is read.
    pub fn now_ms(&self) -> i64 {
        match self {
            Self::Machine { read_ms, newest } => {
                let now = read_ms();
                newest.fetch_max(now, Ordering::AcqRel).max(now)
            }
            Self::Callers(newest) => newest.load(Ordering::Acquire),
        }
    }

    fn moment(&self, field: &'static str, given: Option<i64>) -> Result<i64, Problem> {
        match (self, given) {
            (Self::Machine { .. }, None) => Ok(self.now_ms()),
            (Self::Machine { .. }, Some(_)) => Err(Problem::invalid(
                field,
                "this service goes by its own clock; leave it out, or start with --clock callers",
            )),
            (Self::Callers(_), Some(moment)) if Day::of(moment).is_none() => {
                Err(Problem::invalid(field, format!("{moment} ms is no day of the calendar")))
            }
            (Self::Callers(newest), Some(moment)) => {
                let before = newest.fetch_max(moment, Ordering::AcqRel);
                if moment < before {
                    let detail = format!("{moment} is before {before}, which was told already");
                    return Err(Problem::invalid(field, detail));
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
        assert_eq!(callers.now_ms(), 10);
    }
}
