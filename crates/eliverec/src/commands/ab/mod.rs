//! `eliverec ab`: online experiments from a log.

mod off_policy;
pub(crate) mod report;

use clap::Subcommand;

/// Compare the buckets of an online experiment, or estimate a policy from another's log
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  eliverec ab report --logs work/state/days
  eliverec ab report --logs work/state/days --layer ranking --control eta --pre 14 --html ab.html
  eliverec ab off-policy --logged ../shared/data/open-bandit-sample/random/men --target ../shared/data/open-bandit-sample/bts/men")]
pub(crate) struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    Report(report::Arguments),
    OffPolicy(off_policy::Arguments),
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<u8> {
    match &arguments.what {
        What::Report(arguments) => report::run(arguments),
        What::OffPolicy(arguments) => off_policy::run(arguments),
    }
}
