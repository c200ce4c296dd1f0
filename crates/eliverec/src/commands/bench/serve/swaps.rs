//! Bundles put in service while calls are answered.

use std::time::{Duration, Instant};

use anyhow::anyhow;
use serde::Serialize;
use serde_json::json;

use super::arguments::Arguments;
use super::client::Client;
use super::percentiles::{Histogram, Percentiles};
use super::tally::{Loads, Tally};

/// What swaps cost those who asked meanwhile.
#[derive(Debug, Serialize)]
pub(super) struct Swapped {
    pub(super) done: usize,
    pub(super) refused: usize,
    /// Seconds from the call to the new bundle's being in service.
    pub(super) mean_s: f64,
    /// Latency of calls that were due or answered while a bundle was loaded, and of the others.
    pub(super) during: Percentiles,
    pub(super) without: Percentiles,
    /// Their p99, the first over the second.
    pub(super) ratio: f64,
}

/// Does `work` from now on, with bundles put in service evenly over its time where any are given.
pub(super) fn meanwhile(
    client: &Client,
    arguments: &Arguments,
    work: impl FnOnce(&Loads) -> anyhow::Result<Tally>,
) -> anyhow::Result<(Tally, Option<Swapped>)> {
    let Arguments { swap, swaps, seconds, .. } = arguments;
    if swap.is_empty() {
        return Ok((work(&Loads::default())?, None));
    }
    let (begun, loads) = (Instant::now(), Loads::default());
    let every = Duration::from_secs_f64(seconds / *swaps as f64);
    let swapping = || {
        let (mut seconds, mut refused) = (0.0, 0);
        for (i, bundle) in swap.iter().cycle().take(*swaps).enumerate() {
            let due = begun + every.mul_f64(i as f64 + 0.25);
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
            let path = std::path::absolute(bundle)?;
            let from = Instant::now();
            loads.begin(from);
            let body = serde_json::to_vec(&json!({"path": path}))?;
            let (status, _) = client.post("/v1/admin/bundles", &body)?;
            loads.end(Instant::now());
            seconds += from.elapsed().as_secs_f64();
            refused += usize::from(status != 200);
        }
        anyhow::Ok((seconds, refused))
    };
    let (tally, swapped) = std::thread::scope(|scope| {
        let swapping = scope.spawn(swapping);
        let tally = work(&loads);
        (tally, swapping.join())
    });
    let tally = tally?;
    let (seconds, refused) = swapped.map_err(|_| anyhow!("a thread has ended"))??;
    let [during, without] = tally.loading.each_ref().map(Histogram::percentiles);
    let swapped = Swapped {
        done: swaps - refused,
        refused,
        mean_s: seconds / *swaps as f64,
        ratio: during.p99 / without.p99,
        during,
        without,
    };
    Ok((tally, Some(swapped)))
}
