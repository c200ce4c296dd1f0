//! `eliverec bench`: how fast this machine trains and makes samples.

mod log;
mod samples;
mod train;

use clap::Subcommand;

/// Measure speed
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  eliverec bench train
  eliverec bench train --json input.width=64 training.threads=1
  eliverec bench samples --work work/bench 200000 2000000 10000000")]
pub(crate) struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    Train(train::Arguments),
    Samples(samples::Arguments),
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<u8> {
    match &arguments.what {
        What::Train(arguments) => train::run(arguments),
        What::Samples(arguments) => samples::run(arguments),
    }
}
