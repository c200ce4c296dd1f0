//! `eliverec ab`: experiments on users.

mod shares;

use clap::Subcommand;

/// Experiments on users: who is in which bucket
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  eliverec ab shares experiments.toml
  eliverec ab shares experiments.toml --set elive=0.2")]
pub(crate) struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    Shares(shares::Arguments),
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<u8> {
    match &arguments.what {
        What::Shares(arguments) => shares::run(arguments),
    }
}
