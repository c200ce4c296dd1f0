//! `eliverec inspect`: Table I of any feed directory beside the paper's.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use comfy_table::{CellAlignment, Table};
use eliverec_core::TableOne;
use eliverec_tables::{FeedDirectory, Split, Statistics, statistics};
use serde::Serialize;

use super::{plain_table, print, print_json};

/// Check a feed directory and print its Table I beside the paper's
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Reads every feed, so it also finds every row that breaks the contract. The paper's column is its training set, and the
percentages say how far a split is from it.

Example:
  eliverec inspect work/ebnerd")]
pub(crate) struct Arguments {
    /// Feed directory
    path: PathBuf,
    /// Print one JSON object: a key per split, and `read`, what was read and passed over
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<u8> {
    let directory = FeedDirectory::open(&arguments.path)?;
    let statistics = statistics(&directory)?;
    if statistics.is_empty() {
        return Err(eliverec_run::Error::Run {
            path: arguments.path.clone(),
            reason: "no split holds a feed; `eliverec import` makes feed directories".into(),
        }
        .into());
    }
    let read = Read::of(&directory, &statistics)?;
    if arguments.json {
        let splits = statistics.iter().map(|(split, s)| (split.name(), s)).collect();
        print_json(&Json { splits, read })?;
    } else {
        print(&table(&statistics))?;
        print(&read.to_string())?;
    }
    Ok(crate::OK)
}

#[derive(Serialize)]
struct Json<'a> {
    #[serde(flatten)]
    splits: BTreeMap<&'static str, &'a Statistics>,
    read: Read,
}

/// What was read, and what was passed over by its name.
#[derive(Serialize)]
struct Read {
    files: u64,
    rows: u64,
    skipped: Vec<PathBuf>,
}

impl Read {
    fn of(directory: &FeedDirectory, statistics: &[(Split, Statistics)]) -> anyhow::Result<Self> {
        let rows = statistics.iter().map(|(_, s)| s.table.feeds).sum();
        let mut read = Self { files: 0, rows, skipped: Vec::new() };
        for split in Split::ALL {
            let listing = directory.listing(split)?;
            read.files += listing.read.len() as u64;
            read.skipped.extend(listing.skipped);
        }
        Ok(read)
    }
}

impl fmt::Display for Read {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { files, rows, skipped } = self;
        write!(f, "read {files} files, {rows} rows")?;
        if !skipped.is_empty() {
            let names: Vec<String> =
                skipped.iter().map(|path| path.display().to_string()).collect();
            let (count, names) = (names.len(), names.join(", "));
            write!(f, "; passed over {count} whose names begin with . or _: {names}")?;
        }
        Ok(())
    }
}

/// A count and what it is called.
type Named<T> = (&'static str, fn(&T) -> u64);

/// The statistics with a column per split, beside the paper's.
pub(crate) fn table(statistics: &[(Split, Statistics)]) -> String {
    let columns: Vec<(&str, &TableOne)> =
        statistics.iter().map(|(split, s)| (split.name(), &s.table)).collect();
    let mut table = table_one(&columns);
    let counts: [Named<Statistics>; 2] =
        [("users", |s| s.users), ("distinct candidates", |s| s.distinct_candidates)];
    for (name, count) in counts {
        let counts = statistics.iter().map(|(_, s)| count(s).to_string());
        table.add_row(std::iter::once(name.to_owned()).chain(counts));
    }
    table.trim_fmt()
}

/// Table I of each column with its relative difference from the paper's, which is the last column.
pub(crate) fn table_one(columns: &[(&str, &TableOne)]) -> Table {
    let mut table = plain_table();
    let names = columns.iter().map(|(name, _)| *name);
    table.set_header(std::iter::once("").chain(names).chain(["paper"]));
    let counts: [Named<TableOne>; 3] =
        [("feeds", |t| t.feeds), ("impressions", |t| t.impressions), ("watched", |t| t.watched)];
    for (name, count) in counts {
        let here = columns.iter().map(|(_, t)| count(t).to_string());
        let paper = format!("{:.2e}", count(&TableOne::PAPER) as f64);
        table.add_row(std::iter::once(name.to_owned()).chain(here).chain([paper]));
    }
    for (row, (name, _, paper)) in TableOne::PAPER.rows().into_iter().enumerate() {
        let here = columns.iter().map(|(_, t)| {
            let here = t.rows()[row].1;
            format!("{here:.2} ({:+.1} %)", (here / paper - 1.0) * 100.0)
        });
        table.add_row(std::iter::once(name.to_owned()).chain(here).chain([format!("{paper:.2}")]));
    }
    table.column_iter_mut().skip(1).for_each(|c| c.set_cell_alignment(CellAlignment::Right));
    table
}
