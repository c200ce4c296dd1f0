//! `eliverec ab`: online experiments on users.

mod off_policy;
pub(crate) mod report;
mod shares;
mod simulate;
mod splits;

use clap::Subcommand;

/// Experiments on users: shares, reports, simulated ones, another policy's rate
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  eliverec ab shares experiments.toml
  eliverec ab shares experiments.toml --set elive=0.2
  eliverec ab report --logs work/state/days
  eliverec ab report --logs work/state/days --layer ranking --control eta --pre 14 --html ab.html
  eliverec ab simulate --out work/ab --users 1000 --days 3
  eliverec ab splits --logs work/logs --splits 200
  eliverec ab off-policy --logged ../shared/data/open-bandit-sample/random/men --target ../shared/data/open-bandit-sample/bts/men")]
pub(crate) struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    Report(report::Arguments),
    OffPolicy(off_policy::Arguments),
    Shares(shares::Arguments),
    Simulate(simulate::Arguments),
    Splits(splits::Arguments),
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<u8> {
    match &arguments.what {
        What::Report(arguments) => report::run(arguments),
        What::OffPolicy(arguments) => off_policy::run(arguments),
        What::Shares(arguments) => shares::run(arguments),
        What::Simulate(arguments) => simulate::run(arguments),
        What::Splits(arguments) => splits::run(arguments),
    }
}
