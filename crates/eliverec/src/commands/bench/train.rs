//! `eliverec bench train`: how fast this machine trains, as a share of what its matrix product allows.

use std::fmt::Write as _;
use std::path::PathBuf;

use eliverec_run::{Config, Error};
use eliverec_train::bench::{self, Share, Sizes, Timing};

use crate::commands::{print, print_json, read_config, tell};

/// Time whole updates on a synthetic batch: rows, forward, backward, optimiser
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Experiment file; elive with d=128, 2 blocks and 8 heads if omitted
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Feeds in a batch
    #[arg(long, default_value_t = Sizes::default().feeds)]
    feeds: usize,
    /// Candidates per feed
    #[arg(long, default_value_t = Sizes::default().candidates)]
    candidates: usize,
    /// Events in each history
    #[arg(long, default_value_t = Sizes::default().length)]
    length: usize,
    /// Different ids of either domain
    #[arg(long, default_value_t = Sizes::default().ids)]
    ids: usize,
    /// Updates timed together
    #[arg(long, default_value_t = Sizes::default().steps)]
    steps: u64,
    /// Repeats
    #[arg(long, default_value_t = Sizes::default().repeats)]
    repeats: usize,
    /// Tell where the time goes, by kind of work
    #[arg(long)]
    profile: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    /// Replaces a key of the config
    #[arg(value_name = "KEY=VALUE")]
    overrides: Vec<String>,
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<u8> {
    let config = match &arguments.config {
        Some(path) => read_config(path, &arguments.overrides)?,
        None => Config::parse("[model]\nname = \"elive\"\n", "bench", &arguments.overrides)?,
    };
    let sizes = Sizes {
        feeds: arguments.feeds,
        candidates: arguments.candidates,
        length: arguments.length,
        ids: arguments.ids,
        steps: arguments.steps,
        repeats: arguments.repeats,
    };
    let Sizes { feeds, candidates, length, ids, steps, repeats } = sizes;
    if [feeds, candidates, length, ids, steps as usize, repeats].contains(&0) {
        let reason = "every size must be at least 1".into();
        return Err(Error::Config { place: "bench".into(), reason }.into());
    }
    let pool = rayon::ThreadPoolBuilder::new().num_threads(config.training.threads.unwrap_or(0));
    let timing = pool.build()?.install(|| {
        bench::train(&config, sizes, arguments.profile, |repeat, rate| {
            tell(&format!("repeat {repeat}/{repeats}: {rate:.0} impressions/s"));
        })
    })?;
    if arguments.json {
        print_json(&timing)?;
    } else {
        print(&text(&timing))?;
    }
    Ok(crate::OK)
}

fn text(timing: &Timing) -> String {
    let Timing { model, width, threads, sizes, median, min, max, .. } = timing;
    let mut text = format!(
        "{model}, d={width}, length {}, {} feeds of {} candidates, {threads} threads\n\
         training: {median:.0} impressions/s (median of {}, {min:.0} to {max:.0})\n\
         matrix product of 1024 x 1024: {:.0} GFLOP/s before, {:.0} after",
        sizes.length,
        sizes.feeds,
        sizes.candidates,
        sizes.repeats,
        timing.gemm_before,
        timing.gemm_after,
    );
    if let (Some(ceiling), Some(share)) = (timing.ceiling, timing.share) {
        let _ = write!(
            text,
            "\nceiling, if only the model's products took time at that speed: {ceiling:.0} impressions/s\nshare of the ceiling: {:.1} %",
            100.0 * share
        );
    }
    if let Some(profile) = &timing.profile {
        let _ = write!(
            text,
            "\nof the time that {threads} threads had in {} updates:",
            profile.updates
        );
        for Share { work, share } in &profile.shares {
            let _ = write!(text, "\n  {work:10} {:5.1} %", 100.0 * share);
        }
    }
    text
}
