//! `eliverec bench serve`: how long a running service takes under a load that does not wait for it.

mod arguments;
mod calls;
mod client;
mod percentiles;
mod swaps;
mod tally;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::{Duration, Instant};

use anyhow::bail;
use comfy_table::CellAlignment;
use eliverec_serve::bench::product_rate;
use eliverec_tables::FeedDirectory;
use serde::Serialize;

use crate::commands::{plain_table, print, print_json};
pub(super) use arguments::Arguments;
use arguments::Call;
use calls::Calls;
use client::{Client, Pace};
use percentiles::{Histogram, Percentiles};
use tally::{Loads, Tally};

/// What was measured.
#[derive(Debug, Serialize)]
struct Measured {
    /// Calls a second that were answered when each waited for the one before; absent without `--load`.
    capacity_per_s: Option<f64>,
    /// Calls a second that were due; absent where each waited for the one before.
    rate: Option<f64>,
    /// What came of them.
    under_load: UnderLoad,
    /// Events a second that were acknowledged; absent for other calls.
    events_per_s: Option<f64>,
    /// One call that does nothing, one at a time, before the load: network, HTTP and this tool.
    calibration: Percentiles,
    /// A matrix product of 512 x 512 on one core, before and after the load, GFLOP/s.
    gemm: [f64; 2],
    /// 4 KiB written at the end of a file and flushed to the disk; absent without `--fsync`.
    fsync: Option<Percentiles>,
    /// The service's own times by stage, of answers with 200.
    stages: BTreeMap<String, Percentiles>,
    /// From when a call was due to its answer, without the stage `rank`: HTTP, features, retrieval, waiting.
    beyond_rank: Option<Percentiles>,
    /// Bundles put in service under the load.
    swaps: Option<swaps::Swapped>,
    /// Memory of the service before and after the load, MiB.
    resident_mib: [f64; 2],
    /// Time of the service's processor per call that was answered with 200, all its threads together, milliseconds; refused calls are
    /// in it. None if the service does not tell, or nothing was answered.
    processor_ms_per_call: Option<f64>,
    /// What filling the users with events has taken; absent without `--histories`.
    filled: Option<Filled>,
    /// Share of the users' encoded sides that were kept from a request before; none if the bundle changed meanwhile or keeps none.
    #[serde(skip_serializing_if = "Option::is_none")]
    encoded_kept: Option<f64>,
}

/// Users with events.
#[derive(Debug, Serialize)]
struct Filled {
    users: u64,
    /// Watches and clicks that each of them has at least.
    events_each: u64,
    /// Memory of the service before and after, MiB.
    resident_mib: [f64; 2],
}

/// What came of a load.
#[derive(Debug, Serialize)]
struct UnderLoad {
    seconds: f64,
    answered_per_s: f64,
    /// By status; 0 where there was no answer.
    statuses: BTreeMap<u16, u64>,
    /// Calls that were due and not made: those before them took longer than the load and 5 s.
    not_made: u64,
    /// Refusals (429, 503) that do not say when to come again.
    without_retry_after: u64,
    /// From when a call was due to its answer, of those answered with 200.
    latency: Percentiles,
}

impl UnderLoad {
    fn of(tally: &Tally, took: Duration) -> Self {
        let latency = tally.latency.percentiles();
        Self {
            seconds: took.as_secs_f64(),
            answered_per_s: latency.count as f64 / took.as_secs_f64(),
            statuses: tally.statuses.clone(),
            not_made: tally.not_made,
            without_retry_after: tally.without_retry_after,
            latency,
        }
    }
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<u8> {
    let Arguments { seconds, connections, .. } = *arguments;
    let given = [arguments.rate, arguments.load].into_iter().flatten();
    let positive = given.chain([seconds]).all(|x| x > 0.0 && x.is_finite());
    let counts = [connections, arguments.candidates, arguments.batch];
    if !positive || counts.contains(&0) {
        let reason =
            "rate, load, seconds, candidates, batch and connections must be above 0".into();
        return Err(eliverec_run::Error::Config { place: "bench".into(), reason }.into());
    }
    let feeds = FeedDirectory::open(&arguments.feeds)?;
    let calls = Calls::new(arguments, &feeds)?;
    let client = Client::new(arguments);
    let filled = arguments.histories.map(|each| fill(&client, &calls, each)).transpose()?;
    let calibration = client.calibrate()?;
    let fsync = arguments.fsync.as_deref().map(percentiles::fsync).transpose()?;
    let gemm_before = product_rate();
    let warm_up = Duration::from_secs_f64(seconds / 10.0);
    let none = Loads::default();
    let unhurried = Pace::AsAnswered { connections: connections.min(4) };
    let (capacity_per_s, pace) = match (arguments.rate, arguments.load) {
        (None, None) => (None, Pace::AsAnswered { connections }),
        (Some(rate), _) => (None, Pace::Due { rate, connections }),
        (None, Some(share)) => {
            client.load(&calls, unhurried, warm_up, &none)?;
            let begun = Instant::now();
            let tally = client.load(&calls, unhurried, 2 * warm_up, &none)?;
            let capacity = tally.latency.count() as f64 / begun.elapsed().as_secs_f64();
            if capacity == 0.0 {
                bail!("{}: no call was answered with 200", arguments.url);
            }
            (Some(capacity), Pace::Due { rate: share * capacity, connections })
        }
    };
    client.load(&calls, pace, warm_up, &none)?;

    let before = client.of_service()?;
    let events_before = calls.acknowledged();
    let begun = Instant::now();
    let (tally, swaps) = swaps::meanwhile(&client, arguments, |loads| {
        under_load(arguments, &client, &calls, pace, loads)
    })?;
    let took = begun.elapsed();
    let after = client.of_service()?;
    let (kept, encoded) = (after.kept - before.kept, after.encoded - before.encoded);
    // Another bundle begins to count from zero, and a model of the general path keeps none.
    let kept =
        (kept >= 0.0 && encoded >= 0.0 && kept + encoded > 0.0).then(|| kept / (kept + encoded));

    let processor_s = after.processor_s - before.processor_s;
    let answered = tally.latency.count() as f64;

    let stages = tally.stages.iter();
    let beyond_rank = Some(&tally.beyond_rank).filter(|times| times.count() > 0);
    let acknowledged = calls.acknowledged() - events_before;
    let measured = Measured {
        capacity_per_s,
        rate: pace.rate(),
        under_load: UnderLoad::of(&tally, took),
        events_per_s: (arguments.call == Call::Events)
            .then(|| acknowledged as f64 / took.as_secs_f64()),
        calibration,
        gemm: [gemm_before, product_rate()],
        fsync,
        stages: stages.map(|(stage, times)| (stage.to_string(), times.percentiles())).collect(),
        beyond_rank: beyond_rank.map(Histogram::percentiles),
        swaps,
        resident_mib: [before.resident_mib, after.resident_mib],
        processor_ms_per_call: (processor_s.is_finite() && answered > 0.0)
            .then(|| 1e3 * processor_s / answered),
        filled,
        encoded_kept: kept,
    };
    if arguments.json {
        print_json(&measured)?;
    } else {
        print(&text(&measured))?;
    }
    Ok(crate::OK)
}

/// The load itself, in parts of a minute that are told with `--soak`.
fn under_load(
    arguments: &Arguments,
    client: &Client,
    calls: &Calls,
    pace: Pace,
    loads: &Loads,
) -> anyhow::Result<Tally> {
    let whole = Duration::from_secs_f64(arguments.seconds);
    let part = if arguments.soak { Duration::from_mins(1) } else { whole };
    let (mut tally, mut past) = (Tally::default(), Duration::ZERO);
    while past < whole {
        let part = part.min(whole.saturating_sub(past));
        let begun = Instant::now();
        let of_part = client.load(calls, pace, part, loads)?;
        let under_load = UnderLoad::of(&of_part, begun.elapsed());
        past += part;
        tally.merge(&of_part);
        if !arguments.soak {
            continue;
        }
        let resident_mib = client.of_service()?.resident_mib;
        let past = past.as_secs_f64();
        if arguments.json {
            print(&serde_json::json!({"past_s": past, "resident_mib": resident_mib, "under_load": under_load}).to_string())?;
        } else {
            let UnderLoad { answered_per_s, statuses, latency, .. } = &under_load;
            print(&format!(
                "after {past:.0} s: {answered_per_s:.1} answered a second, statuses {statuses:?}, p50 {:.3} ms, p99 {:.3} ms, the service has {resident_mib:.0} MiB",
                latency.p50, latency.p99
            ))?;
        }
    }
    Ok(tally)
}

/// Begins all streams, and gives every user its events.
fn fill(client: &Client, calls: &Calls, histories: u64) -> anyhow::Result<Filled> {
    let before = client.of_service()?;
    for body in calls.streams() {
        let (status, text) = client.post("/v1/events", &body)?;
        if status != 200 {
            bail!("the service takes no events in: {status} {text}");
        }
    }
    let enough = calls.acknowledged() + 2 * histories * calls.users();
    let pace = Pace::AsAnswered { connections: 16 };
    while calls.acknowledged() < enough {
        let none = Loads::default();
        let tally = client.load(&calls.events(), pace, Duration::from_secs(1), &none)?;
        if let Some(status) = tally.statuses.keys().find(|of| !matches!(of, 200 | 429 | 503)) {
            bail!("the service takes no events in: {status}");
        }
    }
    let resident_mib = [before.resident_mib, client.of_service()?.resident_mib];
    Ok(Filled { users: calls.users(), events_each: 2 * histories, resident_mib })
}

fn text(measured: &Measured) -> String {
    let Measured { capacity_per_s, rate, under_load, .. } = measured;
    let mut text = String::new();
    // Writing to a string cannot fail.
    if let Some(capacity) = capacity_per_s {
        let _ = writeln!(text, "{capacity:.1} calls/s when each waits for the one before");
    }
    text += &rate.map_or("each call waits for the one before; ".into(), |rate| {
        format!("{rate:.1} calls/s due, ")
    });
    let UnderLoad { seconds, answered_per_s, statuses, not_made, without_retry_after, latency } =
        under_load;
    let _ = writeln!(
        text,
        "{answered_per_s:.1} answered over {seconds:.1} s; statuses {statuses:?}, {without_retry_after} refusals without Retry-After"
    );
    if *not_made > 0 {
        let _ = writeln!(
            text,
            "{not_made} calls were due and not made: there were too few --connections for answers that take so long"
        );
    }
    if let Some(events_per_s) = measured.events_per_s {
        let _ = writeln!(text, "{events_per_s:.0} events/s acknowledged");
    }
    let [before, after] = measured.gemm;
    let _ = writeln!(
        text,
        "matrix product of 512 x 512, one core: {before:.1} GFLOP/s before, {after:.1} after"
    );
    let [before, after] = measured.resident_mib;
    let _ = writeln!(text, "memory of the service: {before:.0} MiB before, {after:.0} MiB after");
    if let Some(ms) = measured.processor_ms_per_call {
        let _ = writeln!(text, "processor time of the service: {ms:.3} ms per call answered");
    }
    if let Some(Filled { users, events_each, resident_mib: [before, after] }) = &measured.filled {
        let _ = writeln!(
            text,
            "{users} users with {events_each} events each: {before:.0} MiB before, {after:.0} MiB after"
        );
    }
    if let Some(kept) = measured.encoded_kept {
        let percent = 100.0 * kept;
        let _ = writeln!(text, "{percent:.0} % of the users' encoded sides were kept from before");
    }
    let swaps = measured.swaps.as_ref();
    if let Some(swaps) = swaps {
        let _ = writeln!(
            text,
            "{} bundles put in service, {} refused, {:.2} s each; p99 meanwhile {:.2} times that without",
            swaps.done, swaps.refused, swaps.mean_s, swaps.ratio
        );
    }
    text += "milliseconds:\n\n";
    let mut table = plain_table();
    table.set_header(["", "count", "p50", "p90", "p99", "p99.9", "max"]);
    let mut rows = vec![("nothing (calibration)".to_owned(), measured.calibration)];
    rows.extend(measured.fsync.map(|of| ("fsync (calibration)".to_owned(), of)));
    rows.push(("a call".into(), *latency));
    rows.extend(measured.stages.iter().map(|(stage, of)| (format!("  {stage}"), *of)));
    rows.extend(measured.beyond_rank.map(|of| ("beyond rank".to_owned(), of)));
    rows.extend(swaps.map(|of| ("while a bundle is loaded".to_owned(), of.during)));
    rows.extend(swaps.map(|of| ("while none is".to_owned(), of.without)));
    for (name, of) in rows {
        let times = [of.p50, of.p90, of.p99, of.p999, of.max].map(|ms| format!("{ms:.3}"));
        table.add_row([name, of.count.to_string()].into_iter().chain(times));
    }
    table.column_iter_mut().skip(1).for_each(|c| c.set_cell_alignment(CellAlignment::Right));
    text + &table.trim_fmt()
}
