//! One file per command: its arguments, what it does, what it prints.

pub(crate) mod ab;
pub(crate) mod bench;
pub(crate) mod bundle;
pub(crate) mod case_study;
pub(crate) mod check;
pub(crate) mod completions;
pub(crate) mod demo;
pub(crate) mod disentangling;
pub(crate) mod evaluate;
pub(crate) mod experiment;
pub(crate) mod explain;
pub(crate) mod export;
pub(crate) mod import;
pub(crate) mod inspect;
mod kept_feeds;
pub(crate) mod plan;
pub(crate) mod replay;
pub(crate) mod report;
pub(crate) mod retrieval;
pub(crate) mod samples;
pub(crate) mod score;
pub(crate) mod serve;
pub(crate) mod simulate;
pub(crate) mod train;
pub(crate) mod tune;

mod causes;
mod fingerprint;
mod first_settings;
mod queue;
mod ranks;
mod reading;

use std::io::Write;
use std::path::Path;

use anyhow::Context;
use comfy_table::{Table, TableStyle};
use eliverec_core::error::printable;
use eliverec_run::checkpoint::Commit;
use eliverec_run::{Config, Error, RunDirectory, Scorer};
use eliverec_tables::check::Checked;
use serde::Serialize;

/// Prints text that ends a command to standard output.
fn print(text: &str) -> anyhow::Result<()> {
    writeln!(std::io::stdout(), "{}", printable(text.trim_end())).context("standard output")
}

/// Prints one JSON object.
fn print_json(value: &impl Serialize) -> anyhow::Result<()> {
    print(&serde_json::to_string_pretty(value)?)
}

/// Tells a sentence on standard error, beside the result on standard output.
fn tell(sentence: &str) {
    // A closed standard error must not stop the work.
    let _ = writeln!(std::io::stderr(), "{}", printable(sentence));
}

/// Opens a run's best checkpoint, and tells what of it cannot be checked.
fn open_run(path: &Path) -> Result<(Scorer, Commit), Error> {
    let (scorer, commit) = Scorer::open(path)?;
    tell_unchecked(path, &commit);
    Ok((scorer, commit))
}

/// Tells if nothing says whether a run's files are whole.
fn tell_unchecked(path: &Path, commit: &Commit) {
    unchecked(path, commit).covers.iter().for_each(|line| tell(line));
}

/// The same for the result of a command.
fn unchecked(path: &Path, commit: &Commit) -> Checked {
    let run = RunDirectory::at(path);
    let covers = commit.unchecked(&run).into_iter().chain(run.unknown_feeds()).collect();
    Checked { covers, ..Checked::default() }
}

/// A table without lines, for a terminal.
fn plain_table() -> Table {
    let mut table = Table::new();
    table.load_style(TableStyle::new());
    table
}

/// Reads the text of a TOML file that somebody named.
fn read_text(path: &Path) -> Result<String, Error> {
    fs_err::read_to_string(path).map_err(|e| Error::Config {
        place: path.display().to_string(),
        reason: format!("cannot be read ({}); give a TOML file, see experiments/", e.kind()),
    })
}

/// Reads a config file and applies overrides.
fn parse_config(path: &Path, overrides: &[String]) -> Result<Config, Error> {
    Config::parse(&read_text(path)?, &path.display().to_string(), overrides)
}

/// The same; each override is told.
fn read_config(path: &Path, overrides: &[String]) -> Result<Config, Error> {
    let config = parse_config(path, overrides)?;
    overrides.iter().for_each(|assignment| tell(&format!("override {assignment}")));
    Ok(config)
}

/// Milliseconds since 1970 UTC.
#[expect(clippy::disallowed_methods, reason = "only the binary reads the clock")]
fn now_ms() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |since| i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}
