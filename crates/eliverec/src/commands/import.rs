//! `eliverec import`: a published data set becomes a feed directory or an event log.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use clap::builder::PossibleValuesParser;
use eliverec_tables::check::{Checked, promises};
use eliverec_tables::events::Store;
use eliverec_tables::import::{IMPORTERS, Imported, ImportedLog, Options, find};
use eliverec_tables::{FeedDirectory, Split};
use serde::Serialize;

use super::{inspect, reading};

/// Turn a published data set into feeds, or into an event log
#[derive(Debug, clap::Args)]
#[command(after_help = after_help())]
pub(crate) struct Arguments {
    /// Which data set
    #[arg(value_parser = PossibleValuesParser::new(IMPORTERS.iter().map(|i| i.name)))]
    name: String,
    /// Directory with the files of the set
    #[arg(long, value_name = "DIR")]
    from: PathBuf,
    /// Feed directory to make, or log; must not exist yet
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Make an event log, for `eliverec samples`
    #[arg(long)]
    log: bool,
    /// Seed of sampled candidates
    #[arg(long, default_value_t = Options::default().seed)]
    seed: u64,
    /// Events of each domain that a feed keeps, the newest; of a log, see `eliverec samples`
    #[arg(long, value_name = "N", default_value_t = Options::default().history, conflicts_with = "log")]
    history: usize,
    /// Print one JSON object: what was read, what became of the rows and, of feeds, what was found
    #[arg(long)]
    json: bool,
}

fn after_help() -> String {
    let width = IMPORTERS.iter().map(|importer| importer.name.len()).max().unwrap_or(0);
    let mut text = String::from("Data sets:\n");
    for importer in IMPORTERS {
        let _ = writeln!(text, "  {:width$}  {}", importer.name, importer.summary);
    }
    text + "\
\nA log's watches are the set's clicks, whatever the stay; docs/logs.md says how its samples differ from the importer's feeds.

Examples:
  eliverec import ebnerd --from ../shared/data/ebnerd-demo --out work/ebnerd
  eliverec import ebnerd --from ../shared/data/ebnerd-demo --out work/ebnerd-log --log
  eliverec samples --logs work/ebnerd-log --out work/ebnerd-samples --stay-threshold 0 --attribution-window 60"
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<u8> {
    let importer = find(&arguments.name).expect("clap accepts only names of importers");
    if arguments.log {
        let log = Store::open(&arguments.out)?;
        let imported = importer.run_log(&arguments.from, &log, arguments.seed)?;
        let checked = Checked { read: imported.read.clone(), ..Checked::default() };
        reading::end(arguments.json, &checked, &imported, || Ok(events(&imported)))?;
        return Ok(crate::OK);
    }
    let options = Options { seed: arguments.seed, history: arguments.history };
    let imported = importer.run(&arguments.from, &arguments.out, options)?;
    let directory = FeedDirectory::open(&arguments.out)?;
    // What was read is the set; what is found is of the feeds that were made.
    let read = imported.read.clone();
    let checked = Checked { read, ..promises(&directory, &Split::ALL, &[])? };
    let result = Made { out: &arguments.out, imported: &imported };
    reading::end(arguments.json, &checked, &result, || {
        let statistics = eliverec_tables::statistics(&directory)?;
        Ok(account(&imported) + &inspect::table(&statistics))
    })?;
    Ok(crate::OK)
}

/// What is printed as JSON.
#[derive(Serialize)]
struct Made<'a> {
    out: &'a Path,
    #[serde(flatten)]
    imported: &'a Imported,
}

/// What became of the rows: in = feeds + dropped, reason by reason.
fn account(imported: &Imported) -> String {
    let [train, validation, test] = imported.feeds;
    let mut text = format!(
        "{} rows in = {} feeds ({train} train, {validation} validation, {test} test) + {} dropped\n",
        imported.rows_in,
        imported.rows_out(),
        imported.rows_dropped()
    );
    for (reason, count) in &imported.dropped {
        let _ = writeln!(text, "  dropped {count}: {reason}");
    }
    for (reason, count) in &imported.unused {
        let _ = writeln!(text, "  not used {count}: {reason}");
    }
    for (remark, count) in &imported.remarks {
        let _ = writeln!(text, "  {count}: {remark}");
    }
    text
}

/// The events of a log by kind, and what became of rows that are not in it as they are.
fn events(imported: &ImportedLog) -> String {
    let total: u64 = imported.events.values().sum();
    let mut text = format!("{total} events\n");
    for (kind, count) in &imported.events {
        let _ = writeln!(text, "  {count} {kind}");
    }
    for (reason, count) in &imported.dropped {
        let _ = writeln!(text, "  dropped {count}: {reason}");
    }
    for (remark, count) in &imported.remarks {
        let _ = writeln!(text, "  {count}: {remark}");
    }
    text
}
