//! How the work beside requests goes, as whoever does it tells: for Prometheus.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};

use crate::clock::Clock;

/// A kind of work beside requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Duty {
    /// Snapshots of the state.
    Snapshots,
    /// Days that are over become folders.
    Days,
    /// Looks for another bundle.
    Bundles,
}

impl Duty {
    /// Its name in metrics and in the log.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Snapshots => "snapshots",
            Self::Days => "days",
            Self::Bundles => "bundles",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct DutyLabel {
    duty: &'static str,
}

type Seconds = Gauge<f64, AtomicU64>;

/// What was told.
#[derive(Debug)]
pub struct Upkeep {
    begun: Instant,
    /// From the beginning to when a snapshot last had everything, milliseconds.
    snapshot_ms: AtomicU64,
    /// The end of the oldest day that waits, milliseconds since 1970 UTC; `i64::MAX` if none does.
    day_ms: AtomicI64,
    snapshot_age: Seconds,
    day_age: Seconds,
    clock_ahead: Seconds,
    failures: Family<DutyLabel, Gauge>,
}

impl Upkeep {
    /// Nothing was done yet; its metrics are in the registry.
    pub(crate) fn new(registry: &mut Registry) -> Self {
        let mut seconds = |name: &str, help: &str| {
            let gauge = Seconds::default();
            registry.register_with_unit(name, help, Unit::Seconds, gauge.clone());
            gauge
        };
        let snapshot_age =
            seconds("snapshot_age", "Since all that was known stood in a snapshot, or the start");
        let help =
            "Since the end of the oldest day that is over and no folder yet, 0 if there is none";
        let day_age = seconds("oldest_waiting_day_age", help);
        let help = "How far the machine's clock is ahead of the time that is believed, 0 while it is believed";
        let clock_ahead = seconds("clock_ahead", help);
        let failures = Family::<DutyLabel, Gauge>::default();
        for duty in [Duty::Snapshots, Duty::Days, Duty::Bundles] {
            // A line that appears with the first failure alone is easily missed.
            failures.get_or_create(&DutyLabel { duty: duty.name() }).set(0);
        }
        let help = "How often work beside requests failed since it went well";
        registry.register("upkeep_failures", help, failures.clone());
        Self {
            begun: Instant::now(),
            snapshot_ms: AtomicU64::new(0),
            day_ms: AtomicI64::new(i64::MAX),
            snapshot_age,
            day_age,
            clock_ahead,
            failures,
        }
    }

    /// Everything that was known at that moment stands in a snapshot.
    pub fn saved(&self, at: Instant) {
        let since = at.saturating_duration_since(self.begun);
        self.snapshot_ms.store(since.as_millis() as u64, Ordering::Relaxed);
    }

    /// The oldest day that is over and no folder yet ended then, milliseconds since 1970 UTC; `None` if there is no such day.
    pub fn waiting_day(&self, end_ms: Option<i64>) {
        self.day_ms.store(end_ms.unwrap_or(i64::MAX), Ordering::Relaxed);
    }

    /// So often that work failed since it went well.
    pub fn failures(&self, duty: Duty, count: u32) {
        self.failures.get_or_create(&DutyLabel { duty: duty.name() }).set(i64::from(count));
    }

    /// Ages are as of now.
    pub(crate) fn read(&self, clock: &Clock) {
        let saved = Duration::from_millis(self.snapshot_ms.load(Ordering::Relaxed));
        self.snapshot_age.set(self.begun.elapsed().saturating_sub(saved).as_secs_f64());
        let seconds = |ms: i64| ms.max(0) as f64 / 1000.0;
        let day_ms = self.day_ms.load(Ordering::Relaxed);
        self.day_age.set(seconds(clock.now_ms().saturating_sub(day_ms)));
        self.clock_ahead.set(seconds(clock.ahead_ms()));
    }
}

#[cfg(test)]
mod tests {
    use prometheus_client::encoding::text::encode;

    use super::*;

    #[test]
    fn what_was_told_is_in_the_text() {
        let mut registry = Registry::default();
        let upkeep = Upkeep::new(&mut registry);
        let text = |upkeep: &Upkeep| {
            upkeep.read(&Clock::machine(|| 90_000));
            let mut text = String::new();
            encode(&mut text, &registry).unwrap();
            text
        };
        assert!(text(&upkeep).contains("oldest_waiting_day_age_seconds 0.0"));
        upkeep.waiting_day(Some(30_000));
        upkeep.saved(Instant::now() + Duration::from_mins(1));
        upkeep.failures(Duty::Days, 3);
        let text = text(&upkeep);
        for line in [
            "oldest_waiting_day_age_seconds 60.0",
            "snapshot_age_seconds 0.0",
            "clock_ahead_seconds 0.0",
            "upkeep_failures{duty=\"snapshots\"} 0",
            "upkeep_failures{duty=\"days\"} 3",
        ] {
            assert!(text.contains(line), "{line} is not in\n{text}");
        }
    }
}
