//! `eliverec bench`: how fast this machine trains, makes samples, scores requests, serves them, compares buckets and sends messages.

mod ab;
mod footprint;
mod log;
mod network;
mod ranker;
mod samples;
mod serve;
mod train;

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
  eliverec bench ab --work work/bench 10000000
  eliverec bench network")]
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
    Network(network::Arguments),
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<u8> {
    match &arguments.what {
        What::Train(arguments) => train::run(arguments),
        What::Samples(arguments) => samples::run(arguments),
        What::Ranker(arguments) => ranker::run(arguments),
        What::Serve(arguments) => serve::run(arguments),
        What::Ab(arguments) => ab::run(arguments),
        What::Network(arguments) => network::run(arguments),
    }
}
