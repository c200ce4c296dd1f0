//! `eliverec inspect`: the paper's Table I for any feed directory.

use std::collections::BTreeMap;
use std::path::PathBuf;

use comfy_table::CellAlignment;
use eliverec_tables::{FeedDirectory, Split, Statistics, statistics};

use super::{plain_table, print, print_json};

/// Check a feed directory and print its Table I
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Reads every feed, so it also finds every row that breaks the contract.\n\nExample:\n  eliverec inspect work/ebnerd"
)]
pub(crate) struct Arguments {
    /// Feed directory
    path: PathBuf,
    /// Print one JSON object, a key per split
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<u8> {
    let statistics = statistics(&FeedDirectory::open(&arguments.path)?)?;
    if statistics.is_empty() {
        return Err(eliverec_train::Error::Run {
            path: arguments.path.clone(),
            reason: "no split holds a feed; `eliverec import` makes feed directories".into(),
        }
        .into());
    }
    if arguments.json {
        let splits: BTreeMap<&str, &Statistics> =
            statistics.iter().map(|(split, s)| (split.name(), s)).collect();
        print_json(&splits)?;
    } else {
        print(&table(&statistics))?;
    }
    Ok(crate::OK)
}

/// The statistics with a column per split.
pub(crate) fn table(statistics: &[(Split, Statistics)]) -> String {
    type Value = fn(&Statistics) -> String;
    let rows: [(&str, Value); 10] = [
        ("feeds", |s| s.feeds.to_string()),
        ("impressions", |s| s.impressions.to_string()),
        ("watched", |s| s.watched.to_string()),
        ("impressions per feed", |s| format!("{:.2}", s.impressions_per_feed)),
        ("watched per feed", |s| format!("{:.2}", s.watched_per_feed)),
        ("product sequence length", |s| format!("{:.2}", s.product_sequence_length)),
        ("channel sequence length", |s| format!("{:.2}", s.channel_sequence_length)),
        ("distinct channels in it", |s| format!("{:.2}", s.distinct_channels)),
        ("users", |s| s.users.to_string()),
        ("distinct candidates", |s| s.distinct_candidates.to_string()),
    ];
    let mut table = plain_table();
    let splits = statistics.iter().map(|(split, _)| split.name());
    table.set_header(std::iter::once("").chain(splits));
    for (name, value) in rows {
        let values = statistics.iter().map(|(_, s)| value(s));
        table.add_row(std::iter::once(name.to_string()).chain(values));
    }
    table.column_iter_mut().skip(1).for_each(|c| c.set_cell_alignment(CellAlignment::Right));
    table.trim_fmt()
}
