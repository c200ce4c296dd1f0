//! `eliverec replay`: do training and serving see the same features, and are the labels what happened? A log through the online driver, against its feeds.

use std::fmt::Write as _;
use std::path::PathBuf;

use eliverec_samples::replay;
use serde_json::json;

use super::{reading, tell};

/// Replay a log event by event and compare every feature and label with its feeds
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Events go through the online driver in the order of their arrival, and what it knows at each request is compared, bit by bit,
with the feed that `eliverec samples` made; so are the labels, with what users did, and the days' files, with those that were written. Exit code 1 if a value or a day differs.

Example:
  eliverec replay --logs work/logs --feeds work/world")]
pub(crate) struct Arguments {
    /// Event log
    #[arg(long, value_name = "LOGS")]
    logs: PathBuf,
    /// Feeds that `eliverec samples` made of it
    #[arg(long, value_name = "DIR")]
    feeds: PathBuf,
    /// Pass over rows that are no events and count them, as `samples --lenient` does, instead of stopping at the first
    #[arg(long)]
    lenient: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<u8> {
    let found = replay(&arguments.logs, &arguments.feeds, arguments.lenient, |requests| {
        tell(&format!("{requests} requests"));
    })?;
    let fates = found.fates;
    let events = fates.admitted + fates.late + fates.duplicate;
    let result = json!({
        "events": {"used": fates.admitted, "late": fates.late, "duplicate": fates.duplicate},
        "requests": found.requests,
        "values": found.cells,
        "differing": found.differing,
        "first": found.first,
        "differing_days": found.differing_days,
    });
    reading::end(arguments.json, &found.checked, &result, || {
        let first = found.first.as_ref().map(|place| format!("\nthe first: {place}"));
        let days = found.differing_days.iter().fold(String::new(), |mut text, (day, why)| {
            // Writing to a string cannot fail.
            let _ = write!(text, "\n{day} differs: {why}");
            text
        });
        Ok(format!(
            "{events} events = {} used + {} late + {} duplicate\n{} requests, {} values compared, {} differ{}{days}",
            fates.admitted,
            fates.late,
            fates.duplicate,
            found.requests,
            found.cells,
            found.differing,
            first.unwrap_or_default()
        ))
    })?;
    Ok(if found.is_same() { crate::OK } else { crate::FAILED })
}
