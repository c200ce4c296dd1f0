//! `eliverec samples`: an event log becomes point-in-time feeds.

mod job;

use std::path::PathBuf;

use eliverec_features::FeatureConfig;
use eliverec_samples::{BelowThreshold, DaySummary, Error, SampleConfig, SampleProgress, samples};
use eliverec_tables::FeedDirectory;
use eliverec_tables::events::Day;
use serde::Serialize;

use super::{inspect, reading, tell};
use job::{Asked, JobArguments};

/// Make point-in-time feeds from an event log
#[derive(Debug, clap::Args)]
#[command(after_help = "\
One file per day of requests: the last day is the test split, the one before it validation, earlier ones train. A day
appears whole or not at all. A rerun makes the missing days, and those again for which files have come to the log since, or
changed: labels arrive until the end of the day that follows. It keeps the others.

FEEDS/samples.toml keeps the settings that the feeds depend on, all of which docs/logs.md lists; `eliverec replay` goes by
them, and a rerun with others is refused.

With --phase it is one task of a job of many processes, which give the same feeds; docs/scale.md has how to run them.

Examples:
  eliverec samples --logs work/logs --out work/world
  eliverec samples --logs work/logs --exchange work/job --phase channels --shard 0/4
  eliverec samples --logs work/logs --exchange work/job --phase users --shard 0/4
  eliverec samples --logs work/logs --exchange work/job --phase feeds --shards 4 --out work/world")]
pub(crate) struct Arguments {
    /// Event log, as `eliverec simulate` writes it
    #[arg(long, value_name = "DIR")]
    logs: PathBuf,
    /// Feed directory to make or to complete
    #[arg(long, value_name = "FEEDS", required_unless_present = "phase")]
    out: Option<PathBuf>,
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
    /// Days for which clicks and watches count; all of them if it is not given
    #[arg(long, value_name = "DAYS")]
    history_age: Option<u32>,
    /// Minutes after which an event that arrives is too late for features; labels and feeds take it still
    #[arg(long, value_name = "MINUTES", default_value_t = (FeatureConfig::default().allowed_lateness_ms / MINUTE_MS) as u32)]
    allowed_lateness: u32,
    /// Watches of a user among which the affinity to an anchor counts, the newest
    #[arg(long, value_name = "N", default_value_t = FeatureConfig::default().affinity_watches)]
    affinity_watches: usize,
    /// Products of a channel whose last switch, on sale or off, is known
    #[arg(long, value_name = "N", default_value_t = FeatureConfig::default().bag_products)]
    bag_products: usize,
    /// Days of the log before --from that features may draw on; all there are if omitted
    #[arg(long, value_name = "N", requires = "from")]
    history_days: Option<u32>,
    /// Minutes after a request in which what a user began counts for it
    #[arg(long, value_name = "MINUTES", default_value_t = 30)]
    attribution_window: u32,
    /// What becomes of a candidate that the user entered and left before the threshold
    #[arg(long, value_name = "WHAT", value_enum, default_value = "drop")]
    below_threshold: Below,
    /// Set rows that are no events aside and count them, instead of stopping at the first
    #[arg(long)]
    lenient: bool,
    /// Threads; all cores if omitted
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    job: JobArguments,
}

/// As on the command line.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Below {
    /// It is in no feed, as in the paper
    Drop,
    /// It was not watched
    Negative,
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

const MINUTE_MS: i64 = 60_000;

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<u8> {
    let config = SampleConfig {
        from: arguments.from,
        to: arguments.to,
        history_days: arguments.history_days,
        memory_limit_bytes: arguments.memory.saturating_mul(1 << 20),
        attribution_window_ms: i64::from(arguments.attribution_window) * MINUTE_MS,
        below_threshold: match arguments.below_threshold {
            Below::Drop => BelowThreshold::Drop,
            Below::Negative => BelowThreshold::Negative,
        },
        lenient: arguments.lenient,
        features: FeatureConfig {
            stay_threshold_s: arguments.stay_threshold,
            product_history: arguments.product_history,
            channel_history: arguments.channel_history,
            allowed_lateness_ms: i64::from(arguments.allowed_lateness) * MINUTE_MS,
            affinity_watches: arguments.affinity_watches,
            bag_products: arguments.bag_products,
            history_age_days: arguments.history_age,
        },
        threads: arguments.threads.unwrap_or(SampleConfig::default().threads),
    };
    let days_told = std::sync::atomic::AtomicU64::new(0);
    let progress = |progress: SampleProgress| {
        let SampleProgress { rows_read, days_read, days_to_read, feeds, .. } = progress;
        // A line when another day of the log has been read, by whichever plan.
        if days_told.fetch_max(days_read, std::sync::atomic::Ordering::Relaxed) < days_read {
            tell(&format!(
                "{days_read} of {days_to_read} days read, {rows_read} rows, {feeds} feeds"
            ));
        }
    };
    let logs = &arguments.logs;
    let asked = arguments.job.asked(arguments.out.as_deref())?;
    if let Asked::Task(phase, shard, exchange) = asked {
        job::task((phase, shard, exchange), logs, &config, arguments.json, progress)?;
        return Ok(crate::OK);
    }
    let Some(out) = &arguments.out else {
        let reason = "is missing: name the directory of feeds".into();
        return Err(Error::Config { option: "--out", reason }.into());
    };
    let summary = match asked {
        Asked::Gather(shards, exchange) => {
            job::gather((shards, exchange), (logs, out), &config, progress)?
        }
        _ => samples(logs, out, &config, progress)?,
    };
    let result = Made {
        rows: summary.rows_in,
        events_used: summary.events_used,
        impressions: summary.impressions_in,
        impressions_in_feeds: summary.impressions(),
        days: &summary.days,
        notes: &summary.notes,
    };
    reading::end(arguments.json, &summary.checked, &result, || {
        let directory = FeedDirectory::open(out)?;
        let table = inspect::table(&eliverec_tables::statistics(&directory)?);
        Ok(format!("{summary}\n{table}"))
    })?;
    Ok(crate::OK)
}
