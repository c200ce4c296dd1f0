//! Samples by tasks: `--phase`, `--shard` and what goes with them.

use std::path::{Path, PathBuf};

use eliverec_core::checksum::Checksum;
use eliverec_core::regular;
use eliverec_samples::{
    Error, Job, MOST_SHARDS, Phase, SampleConfig, SampleProgress, Shard, Summary, Task,
};

use crate::commands::reading;

/// A job of many processes
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "A job of many processes (docs/scale.md)")]
pub(super) struct JobArguments {
    /// Do one part of a job: channels, then products if the schema asks for their popularity, then users, each for all shards, then feeds
    #[arg(long, value_name = "PHASE", value_enum, requires = "exchange")]
    phase: Option<Part>,
    /// Which of how many tasks of the phase this is, as 0/4 to 3/4
    #[arg(long, value_name = "I/N", conflicts_with = "shards")]
    shard: Option<Shard>,
    /// How many tasks each phase had; for the phase feeds
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=i64::from(MOST_SHARDS)))]
    shards: Option<u32>,
    /// Where the tasks of the job leave what they make for one another, a folder or an address; the same for all of them
    #[arg(long, value_name = "PLACE", requires = "phase")]
    exchange: Option<PathBuf>,
}

/// As on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Part {
    Channels,
    Products,
    Users,
    Feeds,
}

/// What the arguments ask for.
pub(super) enum Asked<'a> {
    /// All in one process.
    Whole,
    Task(Phase, Shard, &'a Path),
    Gather(u32, &'a Path),
}

impl JobArguments {
    /// Which of the ways is asked for; `out` the directory of feeds, if one is named.
    pub(super) fn asked(&self, out: Option<&Path>) -> Result<Asked<'_>, Error> {
        let wrong = |option, reason: &str| Err(Error::Config { option, reason: reason.into() });
        let (Some(part), Some(exchange)) = (self.phase, &self.exchange) else {
            return match (self.shard, self.shards) {
                (None, None) => Ok(Asked::Whole),
                _ => wrong("--shard", "and --shards go with --phase; leave them out or add it"),
            };
        };
        let phase = match part {
            Part::Channels => Phase::Channels,
            Part::Products => Phase::Products,
            Part::Users => Phase::Users,
            Part::Feeds => {
                return match self.shards {
                    Some(shards) => Ok(Asked::Gather(shards, exchange)),
                    None => wrong(
                        "--shards",
                        "is missing: the phase feeds needs to know how many tasks the others had",
                    ),
                };
            }
        };
        if out.is_some() {
            return wrong(
                "--out",
                "is for the phase feeds; the others write into --exchange alone",
            );
        }
        match self.shard {
            Some(shard) => Ok(Asked::Task(phase, shard, exchange)),
            None => wrong("--shard", "is missing: write which task this is, as 0/4"),
        }
    }
}

/// Does a task and tells what it did.
pub(super) fn task(
    (phase, shard, exchange): (Phase, Shard, &Path),
    logs: &Path,
    config: &SampleConfig,
    json: bool,
    progress: impl Fn(SampleProgress),
) -> anyhow::Result<()> {
    let program = program()?;
    let task = Task { logs, exchange, phase, shard, config, program: &program };
    let summary = task.run(progress)?;
    reading::end(json, &summary.checked, &summary, || Ok(summary.to_string()))
}

/// Makes the feeds of a job.
pub(super) fn gather(
    (shards, exchange): (u32, &Path),
    (logs, feeds): (&Path, &Path),
    config: &SampleConfig,
    progress: impl Fn(SampleProgress),
) -> anyhow::Result<Summary> {
    let program = program()?;
    Ok(Job { logs, exchange, shards, config, program: &program }.gather(feeds, progress)?)
}

/// This program: its version, and its own bytes, for a version may be built in many states.
fn program() -> anyhow::Result<String> {
    let (bytes, checksum) = Checksum::of(regular::open(&std::env::current_exe()?)?)?;
    Ok(format!(
        "eliverec {}, {bytes} bytes, content {:016x}",
        env!("CARGO_PKG_VERSION"),
        checksum.value()
    ))
}
