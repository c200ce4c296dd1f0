//! `eliverec bench`: how fast this machine trains, makes samples, scores requests, serves them and compares buckets.

mod ab;
mod log;
mod ranker;
mod samples;
mod serve;
mod train;

use std::path::Path;

use anyhow::Context;
use clap::Subcommand;

/// Measure speed
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  eliverec bench train
  eliverec bench train --json input.width=64 training.threads=1
  eliverec bench samples --work work/bench 200000 2000000 10000000
  eliverec bench ranker
  eliverec bench ranker --run work/run --feeds work/ebnerd --json
  eliverec bench serve --url http://127.0.0.1:8088 --feeds demo/feeds --rate 200
  eliverec bench ab --work work/bench 10000000")]
pub(crate) struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    Train(train::Arguments),
    Samples(samples::Arguments),
    Ranker(ranker::Arguments),
    Serve(serve::Arguments),
    Ab(ab::Arguments),
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<u8> {
    match &arguments.what {
        What::Train(arguments) => train::run(arguments),
        What::Samples(arguments) => samples::run(arguments),
        What::Ranker(arguments) => ranker::run(arguments),
        What::Serve(arguments) => serve::run(arguments),
        What::Ab(arguments) => ab::run(arguments),
    }
}

/// Removes what a benchmark wrote.
fn clear(path: &Path) -> anyhow::Result<()> {
    match fs_err::remove_dir_all(path) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(e).context("bench"),
        _ => Ok(()),
    }
}

/// From the system's own account, where there is one.
fn peak_memory_mib() -> Option<u64> {
    let status = fs_err::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    line.split_whitespace().nth(1)?.parse::<u64>().ok().map(|kib| kib >> 10)
}
