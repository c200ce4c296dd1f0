//! `eliverec score`: what a run says of every candidate of a split, into a Parquet file.

use std::path::PathBuf;

use eliverec_tables::check::promises;
use eliverec_tables::{FeedDirectory, Split};
use eliverec_train::score::score;
use indicatif::ProgressBar;
use serde_json::json;

use super::{open_run, reading, unchecked};

/// Write a run's scores of every candidate of a split
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  eliverec score --run work/run --feeds work/ebnerd --out work/scores.parquet\n  eliverec evaluate --scores work/scores.parquet --feeds work/ebnerd"
)]
pub(crate) struct Arguments {
    /// Run directory
    #[arg(long, value_name = "RUN")]
    run: PathBuf,
    /// Feed directory with the run's schema; its feeds need no labels
    #[arg(long, value_name = "DIR")]
    feeds: PathBuf,
    /// train, validation or test
    #[arg(long, default_value = "test")]
    split: Split,
    /// The Parquet file, one row per candidate; it takes the place of one that is there
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Add the consistent intent's share of each event of the histories (eLiveRec)
    #[arg(long)]
    intents: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<u8> {
    let Arguments { run, feeds, split, out, intents, json } = arguments;
    let feeds = FeedDirectory::open(feeds)?;
    let (scorer, commit) = open_run(run)?;
    let checked = promises(&feeds, &[*split], &[*split])?.and(unchecked(run, &commit));
    let bar = ProgressBar::new(feeds.feeds(*split)?);
    let scored =
        score(&scorer, run, &feeds, *split, out, *intents, |so_far| bar.set_position(so_far.feeds));
    bar.finish_and_clear();
    let scored = scored?;
    let result = json!({
        "out": out, "split": split, "feeds": scored.feeds, "impressions": scored.impressions,
        "model": scorer.config.model.name(), "checkpoint": commit.best,
    });
    reading::end(*json, &checked, &result, || {
        Ok(format!(
            "{} candidates of {} feeds of the {split} split scored by {} ({}): {}",
            scored.impressions,
            scored.feeds,
            scorer.config.model.name(),
            commit.best,
            out.display()
        ))
    })?;
    Ok(crate::OK)
}
