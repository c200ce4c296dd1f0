//! Percentiles of times, and of the disk's.

use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use serde::Serialize;

/// Milliseconds.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(super) struct Percentiles {
    pub(super) count: u64,
    pub(super) p50: f64,
    pub(super) p90: f64,
    pub(super) p99: f64,
    pub(super) p999: f64,
    pub(super) max: f64,
}

/// Times by how long they are, in as much memory for an hour's as for a second's: a percentile is above the time that it stands for by
/// less than a part in 128, the largest is exact.
#[derive(Clone, Debug, Default)]
pub(super) struct Histogram {
    /// Counts of nanoseconds: one by one up to 256, then 128 intervals to each doubling.
    counts: Vec<u64>,
    count: u64,
    max: Duration,
}

/// Intervals of a doubling, and the bits of that number.
const INTERVALS: u64 = 1 << BITS;
const BITS: u32 = 7;

/// The interval that a time falls in.
fn interval(time: Duration) -> usize {
    let ns = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
    let doublings = ns.checked_ilog2().unwrap_or(0).saturating_sub(BITS);
    (u64::from(doublings) * INTERVALS + (ns >> doublings)) as usize
}

/// The longest time of an interval.
fn longest(interval: usize) -> Duration {
    let interval = interval as u64;
    let doublings = (interval / INTERVALS).saturating_sub(1);
    let top = u128::from(interval - doublings * INTERVALS) + 1;
    Duration::from_nanos(u64::try_from((top << doublings) - 1).unwrap_or(u64::MAX))
}

impl Histogram {
    pub(super) fn add(&mut self, time: Duration) {
        let interval = interval(time);
        if self.counts.len() <= interval {
            self.counts.resize(interval + 1, 0);
        }
        self.counts[interval] += 1;
        self.count += 1;
        self.max = self.max.max(time);
    }

    /// Takes the times of another in.
    pub(super) fn merge(&mut self, other: &Self) {
        self.counts.resize(self.counts.len().max(other.counts.len()), 0);
        self.counts.iter_mut().zip(&other.counts).for_each(|(here, there)| *here += there);
        self.count += other.count;
        self.max = self.max.max(other.max);
    }

    pub(super) const fn count(&self) -> u64 {
        self.count
    }

    fn at(&self, share: f64) -> Duration {
        let place = ((share * self.count as f64).ceil() as u64).max(1);
        let mut past = 0;
        let reaches = |count: &u64| {
            past += count;
            past >= place
        };
        let found = self.counts.iter().position(reaches);
        found.map_or(Duration::ZERO, |interval| longest(interval).min(self.max))
    }

    pub(super) fn percentiles(&self) -> Percentiles {
        let at = |share: f64| self.at(share).as_secs_f64() * 1e3;
        let [p50, p90, p99, p999, max] = [0.5, 0.9, 0.99, 0.999, 1.0].map(at);
        Percentiles { count: self.count, p50, p90, p99, p999, max }
    }
}

/// What it takes to have 4 KiB on the disk of a directory, at the end of a file.
pub(super) fn fsync(directory: &Path) -> anyhow::Result<Percentiles> {
    let mut file = tempfile::tempfile_in(directory)?;
    let mut times = Histogram::default();
    for _ in 0..500 {
        let begun = Instant::now();
        file.write_all(&[7; 4096])?;
        file.sync_data()?;
        times.add(begun.elapsed());
    }
    Ok(times.percentiles())
}

#[cfg(test)]
mod tests {
    use eliverec_core::seed::Random;

    use super::*;

    #[test]
    fn a_percentile_is_above_its_time_by_less_than_a_part_in_128() {
        let mut random = Random::new(3);
        let times: Vec<Duration> = (0..5_000)
            .map(|_| Duration::from_nanos((random.uniform() * 40.0).exp2() as u64))
            .collect();
        let mut sorted = times.clone();
        sorted.sort_unstable();
        let [mut all, mut other] = [Histogram::default(), Histogram::default()];
        for (i, time) in times.iter().enumerate() {
            if i % 3 == 0 { &mut all } else { &mut other }.add(*time);
        }
        all.merge(&other);
        assert_eq!(all.count(), 5_000);
        for share in [0.0, 0.1, 0.5, 0.9, 0.99, 0.999, 1.0] {
            let place = ((share * 5_000.0_f64).ceil() as usize).max(1) - 1;
            let (exact, found) = (sorted[place], all.at(share));
            assert!(
                exact <= found && found <= exact.mul_f64(129.0 / 128.0),
                "{share}: {exact:?} {found:?}"
            );
        }
        assert_eq!(all.at(1.0), sorted[4_999]);
        assert_eq!(Histogram::default().percentiles().p50, 0.0);
    }

    #[test]
    fn intervals_follow_on_each_other() {
        let ends = [0, 1, 127, 128, 255, 256, 257, 511, 512, 1 << 40, u64::MAX];
        for ns in ends {
            let of = interval(Duration::from_nanos(ns));
            assert!(longest(of) >= Duration::from_nanos(ns), "{ns}");
            assert!(of == 0 || longest(of - 1) < Duration::from_nanos(ns), "{ns}");
        }
    }
}
