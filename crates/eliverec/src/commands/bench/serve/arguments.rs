//! What the command is told.

use std::path::PathBuf;

use eliverec_tables::Split;

/// Ask a running service at a given rate, however long it takes, and tell the times from when each request was due
#[derive(Debug, clap::Args)]
#[command(after_help = "\
The service goes by its own clock. Pin it and this tool to a core each (taskset), or they compete.

Examples:
  eliverec bench serve --url http://127.0.0.1:8088 --feeds demo/feeds --histories 50              all that it can answer
  eliverec bench serve --url http://127.0.0.1:8088 --feeds demo/feeds --load 0.5                  half of that
  eliverec bench serve --url http://127.0.0.1:8088 --feeds demo/feeds --load 0.5 --swap A --swap B
  eliverec bench serve --url http://127.0.0.1:8088 --feeds demo/feeds --call events --connections 16 --fsync work")]
pub(in crate::commands::bench) struct Arguments {
    /// Address of the service, such as http://127.0.0.1:8088
    #[arg(long, value_name = "URL")]
    pub(super) url: String,
    /// Feed directory of the service's schema, whose requests are sent: user, context, candidates
    #[arg(long, value_name = "DIR")]
    pub(super) feeds: PathBuf,
    /// train, validation or test
    #[arg(long, default_value = "test")]
    pub(super) split: Split,
    /// What is asked: rank the feeds' candidates, filled up to --candidates with those of others; recommend; or take events in
    #[arg(long, value_enum, default_value = "rank")]
    pub(super) call: Call,
    /// Calls a second; if neither this nor --load is given, the next one when the one before is answered
    #[arg(long, conflicts_with = "load")]
    pub(super) rate: Option<f64>,
    /// Calls a second as a share of what the service answers when the next waits for the one before, measured first
    #[arg(long, value_name = "SHARE")]
    pub(super) load: Option<f64>,
    /// Seconds of load; after a tenth of that as warm-up
    #[arg(long, default_value_t = 20.0)]
    pub(super) seconds: f64,
    /// Tell every minute how it goes
    #[arg(long)]
    pub(super) soak: bool,
    /// Candidates of a request to rank
    #[arg(long, default_value_t = 100)]
    pub(super) candidates: usize,
    /// Ask for p(watch) without the tasks
    #[arg(long)]
    pub(super) watch_only: bool,
    /// Give every user so many watches and clicks first, and begin the streams of all channels
    #[arg(long, value_name = "EVENTS")]
    pub(super) histories: Option<u64>,
    /// Users numbered from 1 in place of those of the feeds
    #[arg(long)]
    pub(super) users: Option<u64>,
    /// Events of one call
    #[arg(long, default_value_t = 50)]
    pub(super) batch: usize,
    /// Connections
    #[arg(long, default_value_t = 32)]
    pub(super) connections: usize,
    /// Bundle to put in service under the load, one after the other again and again; latencies meanwhile are told apart
    #[arg(long, value_name = "BUNDLE")]
    pub(super) swap: Vec<PathBuf>,
    /// How often
    #[arg(long, default_value_t = 100, requires = "swap")]
    pub(super) swaps: usize,
    /// Time fsync in this directory, too: that of the service's state, or one on the same disk
    #[arg(long, value_name = "DIR")]
    pub(super) fsync: Option<PathBuf>,
    /// Token with the scopes read, ingest and admin, if the service has tokens
    #[arg(long, env = "ELIVEREC_TOKEN")]
    pub(super) token: Option<String>,
    /// Print one JSON object; with --soak one before it for every minute
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Call {
    Rank,
    Recommend,
    Events,
}
