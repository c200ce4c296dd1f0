//! `eliverec inspect`: Table I of any feed directory beside the paper's.

use std::collections::BTreeMap;
use std::path::PathBuf;

use comfy_table::{CellAlignment, Table};
use eliverec_core::TableOne;
use eliverec_tables::check::promises;
use eliverec_tables::{FeedDirectory, Split, Statistics, statistics};

use super::{plain_table, reading};

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
    /// Print one JSON object: a key per split, and what was read and found
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
    let checked = promises(&directory, &Split::ALL, &[])?;
    let splits: BTreeMap<&str, &Statistics> =
        statistics.iter().map(|(split, s)| (split.name(), s)).collect();
    reading::end(arguments.json, &checked, &splits, || Ok(table(&statistics)))?;
    Ok(crate::OK)
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
