//! `eliverec samples`: an event log becomes point-in-time feeds.

use std::path::PathBuf;

use eliverec_features::FeatureConfig;
use eliverec_samples::{DaySummary, Error, SampleConfig, SampleProgress, samples};
use eliverec_tables::FeedDirectory;
use eliverec_tables::events::{Day, EventLog, Store};
use serde::Serialize;

use super::{inspect, reading, tell};

/// Make point-in-time feeds from an event log
#[derive(Debug, clap::Args)]
#[command(after_help = "\
One file per day of requests: the last day is the test split, the one before it validation, earlier ones train. A day
appears whole or not at all. A rerun makes the missing days, and those again for which files have come to the log since, or
changed: labels arrive until the end of the day that follows. It keeps the others.

Example:
  eliverec samples --logs work/logs --out work/world")]
pub(crate) struct Arguments {
    /// Event log, as `eliverec simulate` writes it
    #[arg(long, value_name = "DIR")]
    logs: PathBuf,
    /// Feed directory to make or to complete
    #[arg(long, value_name = "FEEDS")]
    out: PathBuf,
    /// First day of requests (UTC), as 2022-09-01; the log's first if omitted
    #[arg(long, value_name = "DATE")]
    from: Option<Day>,
    /// Last day of requests; the log's last if omitted
    #[arg(long, value_name = "DATE")]
    to: Option<Day>,
    /// Memory of sorts, MiB; what needs more goes to disk
    #[arg(long, value_name = "MIB", default_value_t = 1024)]
    memory: usize,
    /// Seconds from which a stay is a watch, in labels and histories
    #[arg(long, value_name = "SECONDS", default_value_t = FeatureConfig::default().stay_threshold_s)]
    stay_threshold: f64,
    /// Product clicks that a feed keeps, the newest
    #[arg(long, value_name = "N", default_value_t = FeatureConfig::default().product_history)]
    product_history: usize,
    /// Watches that a feed keeps, the newest
    #[arg(long, value_name = "N", default_value_t = FeatureConfig::default().channel_history)]
    channel_history: usize,
    /// Minutes after a request in which what a user began counts for it
    #[arg(long, value_name = "MINUTES", default_value_t = 30)]
    attribution_window: u32,
    /// Set rows that are no events aside and count them, instead of stopping at the first
    #[arg(long)]
    lenient: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// What is printed as JSON.
#[derive(Debug, Serialize)]
struct Made<'a> {
    /// Of the log.
    rows: u64,
    /// Events given to the features.
    events_used: u64,
    /// Of the log.
    impressions: u64,
    impressions_in_feeds: u64,
    days: &'a [DaySummary],
    notes: &'a [String],
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<u8> {
    let config = SampleConfig {
        from: arguments.from,
        to: arguments.to,
        memory_limit_bytes: arguments.memory.saturating_mul(1 << 20),
        attribution_window_ms: i64::from(arguments.attribution_window) * 60_000,
        lenient: arguments.lenient,
        features: FeatureConfig {
            stay_threshold_s: arguments.stay_threshold,
            product_history: arguments.product_history,
            channel_history: arguments.channel_history,
            ..FeatureConfig::default()
        },
        ..SampleConfig::default()
    };
    let days_told = std::sync::atomic::AtomicU64::new(0);
    let summary = samples(&arguments.logs, &arguments.out, &config, |progress: SampleProgress| {
        let SampleProgress { rows_read, days_read, days_to_read, feeds, .. } = progress;
        // A line when another day of the log has been read, by whichever plan.
        if days_told.fetch_max(days_read, std::sync::atomic::Ordering::Relaxed) < days_read {
            tell(&format!(
                "{days_read} of {days_to_read} days read, {rows_read} rows, {feeds} feeds"
            ));
        }
    });
    let summary = summary.map_err(|error| first_in_the_log(arguments, error))?;
    let result = Made {
        rows: summary.rows_in,
        events_used: summary.events_used,
        impressions: summary.impressions_in,
        impressions_in_feeds: summary.impressions(),
        days: &summary.days,
        notes: &summary.notes,
    };
    reading::end(arguments.json, &summary.checked, &result, || {
        let directory = FeedDirectory::open(&arguments.out)?;
        let table = inspect::table(&eliverec_tables::statistics(&directory)?);
        Ok(format!("{summary}\n{table}"))
    })?;
    Ok(crate::OK)
}

/// The error that is told of a run: several days are read at once, so of several bad rows and files any can be met first,
/// and the first in the order of the log is the one to mend first.
fn first_in_the_log(arguments: &Arguments, error: Error) -> anyhow::Error {
    // The engine hands some errors on as text; those of the log begin with one of its files.
    let text = match &error {
        Error::Engine(text) => text.clone(),
        other => other.to_string(),
    };
    let of_the_log = text.starts_with(&*arguments.logs.to_string_lossy());
    let first = || {
        let log = EventLog::open(&Store::open(&arguments.logs).ok()?).ok()?;
        // What happened on the last day may arrive on the next.
        match arguments.to.and_then(|to| to.plus(1)) {
            Some(last) => log.first_error(..=last, arguments.lenient),
            None => log.first_error(.., arguments.lenient),
        }
    };
    match of_the_log.then(first).flatten() {
        Some(first) => first.into(),
        None => error.into(),
    }
}
