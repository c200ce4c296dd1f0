//! Bundles put in service while calls are answered.

use std::time::{Duration, Instant};

use anyhow::anyhow;
use serde::Serialize;
use serde_json::json;

use super::arguments::Arguments;
use super::client::{Answered, Client, good};
use super::percentiles::Percentiles;

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

/// Does `work`, whose answers are due since `begun`, with bundles put in service evenly over its time where any are given.
pub(super) fn meanwhile(
    client: &Client,
    arguments: &Arguments,
    begun: Instant,
    work: impl FnOnce() -> anyhow::Result<Vec<Answered>>,
) -> anyhow::Result<(Vec<Answered>, Option<Swapped>)> {
    let Arguments { swap, swaps, seconds, .. } = arguments;
    if swap.is_empty() {
        return Ok((work()?, None));
    }
    let every = Duration::from_secs_f64(seconds / *swaps as f64);
    let swapping = || {
        let mut spans = Vec::new();
        for (i, bundle) in swap.iter().cycle().take(*swaps).enumerate() {
            let due = begun + every.mul_f64(i as f64 + 0.25);
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
            let path = std::path::absolute(bundle)?;
            let from = begun.elapsed();
            let body = serde_json::to_vec(&json!({"path": path}))?;
            let (status, _) = client.post("/v1/admin/bundles", &body)?;
            spans.push((from, begun.elapsed(), status));
        }
        anyhow::Ok(spans)
    };
    let (answers, spans) = std::thread::scope(|scope| {
        let swapping = scope.spawn(swapping);
        let answers = work();
        (answers, swapping.join())
    });
    let (answers, spans) = (answers?, spans.map_err(|_| anyhow!("a thread has ended"))??);
    let overlaps =
        |of: &Answered| spans.iter().any(|(from, to, _)| of.due < *to && *from < of.due + of.took);
    let (during, without): (Vec<&Answered>, Vec<&Answered>) =
        good(&answers).partition(|of| overlaps(of));
    let latency = |of: Vec<&Answered>| Percentiles::of(of.iter().map(|of| of.took).collect());
    let (during, without) = (latency(during), latency(without));
    let seconds: f64 =
        spans.iter().map(|(from, to, _)| to.saturating_sub(*from).as_secs_f64()).sum();
    let refused = spans.iter().filter(|(.., status)| *status != 200).count();
    let swapped = Swapped {
        done: spans.len() - refused,
        refused,
        mean_s: seconds / spans.len() as f64,
        ratio: during.p99 / without.p99,
        during,
        without,
    };
    Ok((answers, Some(swapped)))
}
