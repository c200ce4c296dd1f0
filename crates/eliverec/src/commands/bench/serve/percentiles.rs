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

impl Percentiles {
    pub(super) fn of(mut times: Vec<Duration>) -> Self {
        times.sort_unstable();
        let at = |share: f64| {
            let place = (share * times.len() as f64).ceil() as usize;
            times.get(place.max(1) - 1).map_or(0.0, |time| time.as_secs_f64() * 1e3)
        };
        let [p50, p90, p99, p999, max] = [0.5, 0.9, 0.99, 0.999, 1.0].map(at);
        Self { count: times.len() as u64, p50, p90, p99, p999, max }
    }
}

/// What it takes to have 4 KiB on the disk of a directory, at the end of a file.
pub(super) fn fsync(directory: &Path) -> anyhow::Result<Percentiles> {
    let mut file = tempfile::tempfile_in(directory)?;
    let mut times = Vec::new();
    for _ in 0..500 {
        let begun = Instant::now();
        file.write_all(&[7; 4096])?;
        file.sync_data()?;
        times.push(begun.elapsed());
    }
    Ok(Percentiles::of(times))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_times_that_occurred() {
        let of = Percentiles::of((1..=100).map(Duration::from_millis).collect());
        assert_eq!((of.count, of.p50, of.p99, of.max), (100, 50.0, 99.0, 100.0));
        assert_eq!(Percentiles::of(Vec::new()).p50, 0.0);
    }
}
