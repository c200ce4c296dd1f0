//! `eliverec check`: what would make training quietly worse, worst first.

use std::path::{Path, PathBuf};

use eliverec_features::FeatureConfig;
use eliverec_samples::missing_days;
use eliverec_tables::check::{Checked, Finding, Level, feeds};
use eliverec_tables::events::check::log;
use eliverec_tables::events::{EventLog, Store};
use eliverec_tables::{FeedDirectory, Split};

use super::{plain_table, print, print_json};
use crate::exit;

/// Look for what would make training quietly worse
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Reads everything once and tells what was read, what was found, worst first, and what to do. docs/checks.md lists the checks.
A row that breaks the contract of a feed is an error (exit code 2); rows of a log that are no events are counted.

Examples:
  eliverec check work/feeds
  eliverec check work/logs --strict --json")]
pub(crate) struct Arguments {
    /// Feed directory or event log
    path: PathBuf,
    /// Print one JSON object: read, covers, findings
    #[arg(long)]
    json: bool,
    /// End with exit code 1 if anything worse than a note was found
    #[arg(long)]
    strict: bool,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<u8> {
    let path = &arguments.path;
    let checked = if is_log(path) {
        let lateness_ms = FeatureConfig::default().allowed_lateness_ms;
        log(&EventLog::open(&Store::open(path)?)?, lateness_ms)?
    } else {
        let checked = feeds(&FeedDirectory::open(path)?)?;
        let findings = missing_days(path)?.into_iter().collect();
        checked.and(Checked { findings, ..Checked::default() })
    };
    if arguments.json {
        print_json(&checked)?;
    } else {
        print(&text(&checked))?;
    }
    let found = checked.worst() > Some(Level::Note);
    Ok(if arguments.strict && found { exit::FAILED } else { exit::OK })
}

/// Whether it is to be read as a log: an address, or a directory with events, or a table of users, and without splits.
fn is_log(path: &Path) -> bool {
    let is_address = path.to_str().is_some_and(|text| text.contains("://"));
    let has_splits = Split::ALL.iter().any(|split| path.join(split.name()).is_dir());
    let of_log = ["events", "users.parquet"];
    is_address
        || (of_log.iter().any(|name| path.join(name).symlink_metadata().is_ok()) && !has_splits)
}

fn text(checked: &Checked) -> String {
    let mut table = plain_table();
    table.set_header(["read", "files", "rows", "impressions"]);
    for part in &checked.read.parts {
        let counts = [part.files, part.rows, part.impressions.unwrap_or_default()];
        let counts = counts.map(|count| count.to_string());
        table.add_row(std::iter::once(part.name.clone()).chain(counts));
    }
    let mut lines = vec![table.trim_fmt(), checked.read.to_string()];
    lines.extend(checked.covers.iter().cloned());
    let alike = |a: &Finding, b: &Finding| (a.level, a.check) == (b.level, b.check);
    for findings in checked.findings.chunk_by(alike) {
        let Finding { check, level, advice, .. } = &findings[0];
        lines.push(format!("\n{level} {check}"));
        lines.extend(
            findings.iter().map(|Finding { place, says, .. }| format!("  {place}: {says}")),
        );
        lines.push(format!("  -> {advice}"));
    }
    let count = |level| checked.findings.iter().filter(|finding| finding.level == level).count();
    let [severe, warnings, notes] = [Level::Severe, Level::Warning, Level::Note].map(count);
    lines.push(format!("\n{severe} severe, {warnings} warnings, {notes} notes"));
    lines.join("\n")
}
