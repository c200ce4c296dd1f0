//! `eliverec bench ab`: how fast the buckets of a large log are compared.

use std::path::{Path, PathBuf};
use std::time::Instant;

use eliverec_core::EventKind;
use eliverec_core::id::mix;
use eliverec_run::durable;
use eliverec_tables::events::layout::EXPERIMENTS_FILE;
use eliverec_tables::events::{AnswerRow, AnswersWriter, EventLog, Store};
use serde_json::json;

use super::footprint::{clear, peak_memory_mib};
use super::log;
use crate::commands::ab::report;
use crate::commands::{print, print_json, tell};

/// Time `ab report` on a synthetic log of two buckets
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Size of the log
    #[arg(value_name = "IMPRESSIONS", default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1..))]
    impressions: u64,
    /// Where the log is written, and removed again
    #[arg(long, value_name = "DIR")]
    work: PathBuf,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

const EXPERIMENTS: &str = r#"{"at": 0, "experiments": {"layers": [{"name": "ranking", "salt": "bench", "buckets": [{"name": "a", "share": 0.5}, {"name": "b", "share": 0.5}]}]}}
"#;

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<u8> {
    let logs = arguments.work.join(format!("logs-{}", arguments.impressions));
    clear(&logs)?;
    tell(&format!("writing a log of {} impressions", arguments.impressions));
    let store = Store::local(&logs)?;
    let written = log::write(&store, arguments.impressions, 0.0)?;
    answer(&logs, &store)?;
    let words = ["--logs".into(), logs.clone().into_os_string(), "--pre".into(), "1".into()];
    let from = EventLog::open(&store)?.days().nth(1).map(|day| day.to_string().into());
    let words = words.into_iter().chain(from.into_iter().flat_map(|day| ["--from".into(), day]));
    let asked = report::Arguments::of(words)?;
    let before_mib = peak_memory_mib();
    let begun = Instant::now();
    let (report, read) = report::compare(&asked)?;
    let seconds = begun.elapsed().as_secs_f64();
    clear(&logs)?;
    let peak_mib = peak_memory_mib();
    let users: u64 = report.population.in_bucket.iter().sum();
    if arguments.json {
        print_json(&json!({
            "impressions": written.impressions, "events": written.events, "rows": read.rows, "users": users,
            "report_s": seconds, "peak_memory_mib": peak_mib, "peak_memory_before_mib": before_mib,
        }))?;
    } else {
        let mib = |mib: Option<u64>| mib.map_or("-".into(), |mib| mib.to_string());
        print(&format!(
            "{} impressions, {} events, {users} users: report in {seconds:.1} s, {:.0} impressions/s, peak memory {} MiB ({} MiB before it)",
            written.impressions,
            written.events,
            written.impressions as f64 / seconds,
            mib(peak_mib),
            mib(before_mib)
        ))?;
    }
    Ok(crate::OK)
}

/// Writes who answered each request of a log: half of the users each bucket, by their hash.
fn answer(logs: &Path, store: &Store) -> anyhow::Result<()> {
    durable::write(&logs.join(EXPERIMENTS_FILE), EXPERIMENTS.as_bytes())?;
    let log = EventLog::open(store)?;
    for day in log.days() {
        let mut answers = AnswersWriter::new(&logs.join(format!("events/date={day}")));
        for event in log.read(day..=day)?.without_context().strict() {
            let event = event?;
            let is_first = event.kind == EventKind::Impression && event.position == Some(0);
            let ids = event.request_id.zip(event.user_id).filter(|_| is_first);
            if let Some((request_id, user_id)) = ids {
                let bucket = if mix(user_id) & 1 == 0 { "a" } else { "b" };
                answers.push(AnswerRow {
                    request_id,
                    user_id,
                    at_ms: event.ts_ms,
                    bucket: Some(("ranking", bucket)),
                    bundle: "bench",
                    drawn: &[],
                })?;
            }
        }
        answers.finish()?;
    }
    Ok(())
}
