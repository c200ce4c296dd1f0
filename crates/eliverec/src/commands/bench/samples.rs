//! `eliverec bench samples`: how fast logs become feeds, and how that grows with the log.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Instant;

use eliverec_samples::{
    Job, MOST_SHARDS, Phase, SampleConfig, SampleProgress, Shard, Task, samples,
};
use eliverec_tables::events::{EventLog, Store};
use serde::Serialize;

use super::footprint::{bytes_below, clear, peak_memory_mib};
use super::log;
use crate::commands::{print, print_json, tell};

/// Time the way from synthetic logs to feeds: 50-event histories, channel windows, one hot channel
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Sizes of the logs
    #[arg(value_name = "IMPRESSIONS", default_values_t = [200_000_u64, 2_000_000], value_parser = clap::value_parser!(u64).range(1..))]
    impressions: Vec<u64>,
    /// Where logs and feeds are written, and removed again
    #[arg(long, value_name = "DIR")]
    work: PathBuf,
    /// Share of all events on one channel
    #[arg(long, default_value_t = 0.2)]
    hot_share: f64,
    /// Memory of sorts, MiB
    #[arg(long, value_name = "MIB", default_value_t = 1024)]
    memory: usize,
    /// Threads; all cores if omitted
    #[arg(long)]
    threads: Option<usize>,
    /// Also do it as a job of so many tasks in each phase, one after the other in this process
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=i64::from(MOST_SHARDS)))]
    shards: Option<u32>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// One log.
#[derive(Debug, Serialize)]
struct Timing {
    impressions: u64,
    events: u64,
    /// Share of the events that are one channel's, counted.
    hot_share: f64,
    /// One pass over the files, warm.
    read_s: f64,
    /// The whole pipeline on the same warm files.
    samples_s: f64,
    impressions_per_s: f64,
    events_per_s: f64,
    /// Bytes of the log's files.
    log_bytes: u64,
    /// Bytes of the directory of feeds.
    feeds_bytes: u64,
    /// Most that sorts had on disk at a time.
    spilled_mib: u64,
    /// Of the process so far.
    peak_memory_mib: Option<u64>,
    /// The same as a job of tasks, with `--shards`.
    job: Option<JobTiming>,
}

/// A job of tasks, each with all threads.
#[derive(Debug, Serialize)]
struct JobTiming {
    shards: u32,
    /// Of the tasks by channel together.
    channels_s: f64,
    /// Of the tasks by user together.
    users_s: f64,
    /// From the requests of all tasks to the feeds.
    feeds_s: f64,
    /// Bytes that the tasks by channel hand to those by user.
    impressions_bytes: u64,
    /// Bytes that the tasks by user hand on.
    requests_bytes: u64,
}

#[derive(Debug, Serialize)]
struct Report {
    threads: usize,
    memory_mib: usize,
    timings: Vec<Timing>,
    /// From one size to the next: ln(time ratio) / ln(size ratio); 1 is linear.
    exponents: Vec<f64>,
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<u8> {
    let config = SampleConfig {
        memory_limit_bytes: arguments.memory.saturating_mul(1 << 20),
        threads: arguments.threads.unwrap_or(SampleConfig::default().threads),
        ..SampleConfig::default()
    };
    config.check()?;
    let mut timings: Vec<Timing> = Vec::new();
    for impressions in &arguments.impressions {
        timings.push(time(*impressions, arguments, &config)?);
    }
    let grown = timings.windows(2).filter(|pair| pair[0].impressions != pair[1].impressions);
    let exponents = grown.map(|pair| {
        let ratio = |of: fn(&Timing) -> f64| (of(&pair[1]) / of(&pair[0])).ln();
        ratio(|timing| timing.samples_s) / ratio(|timing| timing.impressions as f64)
    });
    let report = Report {
        threads: config.threads,
        memory_mib: arguments.memory,
        exponents: exponents.collect(),
        timings,
    };
    if arguments.json {
        print_json(&report)?;
    } else {
        print(&text(&report))?;
    }
    Ok(crate::OK)
}

fn time(impressions: u64, arguments: &Arguments, config: &SampleConfig) -> anyhow::Result<Timing> {
    let logs = arguments.work.join(format!("logs-{impressions}"));
    let feeds = arguments.work.join(format!("feeds-{impressions}"));
    for path in [&logs, &feeds] {
        clear(path)?;
    }
    tell(&format!("writing a log of {impressions} impressions"));
    let written = log::write(&Store::local(&logs)?, impressions, arguments.hot_share)?;
    let log = EventLog::open(&Store::local(&logs)?)?;
    let pass = || -> anyhow::Result<f64> {
        let begun = Instant::now();
        for event in log.read(..)?.strict() {
            event?;
        }
        Ok(begun.elapsed().as_secs_f64())
    };
    // The first pass brings the files into memory and is not counted.
    pass()?;
    let read_s = pass()?;
    tell("making samples");
    let spilled = std::cell::Cell::new(0);
    let begun = Instant::now();
    let summary = samples(&logs, &feeds, config, |progress: SampleProgress| {
        spilled.set(spilled.get().max(progress.spilled_bytes));
    })?;
    let samples_s = begun.elapsed().as_secs_f64();
    anyhow::ensure!(summary.adds_up(), "not every row is accounted for: {summary}");
    let job = arguments.shards.map(|shards| time_job(shards, arguments, &logs, config));
    let job = job.transpose()?;
    let (log_bytes, feeds_bytes) = (bytes_below(&logs)?, bytes_below(&feeds)?);
    for path in [&logs, &feeds] {
        clear(path)?;
    }
    Ok(Timing {
        impressions: written.impressions,
        events: written.events,
        hot_share: written.hot_share,
        read_s,
        samples_s,
        impressions_per_s: written.impressions as f64 / samples_s,
        events_per_s: written.events as f64 / samples_s,
        log_bytes,
        feeds_bytes,
        spilled_mib: spilled.get() >> 20,
        peak_memory_mib: peak_memory_mib(),
        job,
    })
}

/// Times the tasks of a job and what makes feeds of them.
fn time_job(
    shards: u32,
    arguments: &Arguments,
    logs: &Path,
    config: &SampleConfig,
) -> anyhow::Result<JobTiming> {
    let (exchange, feeds) = (arguments.work.join("exchange"), arguments.work.join("feeds-of-job"));
    for path in [&exchange, &feeds] {
        clear(path)?;
    }
    let program = env!("CARGO_PKG_VERSION");
    let time = |phase: Phase| -> anyhow::Result<(f64, u64)> {
        let (begun, mut bytes) = (Instant::now(), 0);
        for shard in Shard::all(shards) {
            tell(&format!("task {phase} {shard}"));
            let task = Task { logs, exchange: &exchange, phase, shard, config, program };
            bytes += task.run(|_| ())?.bytes_out;
        }
        Ok((begun.elapsed().as_secs_f64(), bytes))
    };
    // The synthetic schema asks for no popularity of products, so there is no phase for it.
    let (channels_s, impressions_bytes) = time(Phase::Channels)?;
    let (users_s, requests_bytes) = time(Phase::Users)?;
    let begun = Instant::now();
    Job { logs, exchange: &exchange, shards, config, program }.gather(&feeds, |_| ())?;
    let feeds_s = begun.elapsed().as_secs_f64();
    for path in [&exchange, &feeds] {
        clear(path)?;
    }
    Ok(JobTiming { shards, channels_s, users_s, feeds_s, impressions_bytes, requests_bytes })
}

fn text(report: &Report) -> String {
    let mut text = format!(
        "samples, {} threads, {} MiB for sorts, files warm\n\
         impressions    events  hot %  read s  samples s  impressions/s   events/s  spilled MiB  peak MiB",
        report.threads, report.memory_mib,
    );
    for timing in &report.timings {
        let _ = write!(
            text,
            "\n{:>11} {:>9} {:>6.1} {:>7.1} {:>10.1} {:>14.0} {:>10.0} {:>12} {:>9}",
            timing.impressions,
            timing.events,
            100.0 * timing.hot_share,
            timing.read_s,
            timing.samples_s,
            timing.impressions_per_s,
            timing.events_per_s,
            timing.spilled_mib,
            timing.peak_memory_mib.map_or("-".into(), |mib| mib.to_string())
        );
    }
    for timing in &report.timings {
        if let Some(job) = &timing.job {
            let _ = write!(
                text,
                "\n{} impressions by {} tasks a phase, one after the other: {:.1} s by channel, {:.1} s by user, {:.1} s to feeds; {} and {} MiB handed on",
                timing.impressions,
                job.shards,
                job.channels_s,
                job.users_s,
                job.feeds_s,
                job.impressions_bytes >> 20,
                job.requests_bytes >> 20
            );
        }
    }
    if !report.exponents.is_empty() {
        let all: Vec<String> = report.exponents.iter().map(|e| format!("{e:.2}")).collect();
        let _ = write!(text, "\ntime grows with size to the power of {}", all.join(", "));
    }
    text
}
