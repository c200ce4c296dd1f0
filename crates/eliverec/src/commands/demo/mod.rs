//! `eliverec demo`: the whole way in one command, from a made-up platform's log to an explained request and a bundle, and on demand to
//! a service of it with simulated users.

mod served;
mod step;
mod users;

use std::collections::HashSet;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use eliverec_core::Feed;
use eliverec_metrics::report::metric;
use eliverec_metrics::table::{Format, Layout, TableRow, render};
use eliverec_metrics::{Metric, Report};
use eliverec_run::durable;
use eliverec_sim::{Ceiling, Truth, WorldConfig, read_truth};
use eliverec_tables::{FeedDirectory, Split};
use eliverec_train::evaluate;
use eliverec_train::ranks::Alone;

use super::{first_settings, open_run, print, tell};
use served::Serving;
use step::{Runner, step};

/// Simulate a platform, train two models on it, compare them and explain a request
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Runs the commands that it prints, on a small world: simulate, samples, train (eLiveRec and ETA, both domains), evaluate,
explain, export. Everything stays under DIR. Stopped at any moment, the same command goes on where it was.

--serve ends at a page: it exports a bundle of each model and opens a service with both, half of the users to each, on this machine alone. Simulated users
are at work there, in the world's time, until Ctrl-C or SIGTERM ends both. What the service knows begins anew with each start.

Examples:
  eliverec demo
  eliverec demo --serve
  eliverec demo --out work/demo --users 5000 --serve --listen 127.0.0.1:9000 --pace 5")]
pub(crate) struct Arguments {
    /// Where everything is left
    #[arg(long, value_name = "DIR", default_value = "demo")]
    out: PathBuf,
    /// Accounts of the world
    #[arg(long, default_value_t = 2_000)]
    users: u32,
    /// Days of its log
    #[arg(long, default_value_t = 10)]
    days: u32,
    /// Of the world and of training
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Open a service of the bundles with simulated users at work, until it is ended
    #[arg(long)]
    serve: bool,
    /// Where it listens: an address of this machine alone; port 0 takes one that is free
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8088", requires = "serve")]
    listen: SocketAddr,
    /// Requests of its users a second
    #[arg(long, value_name = "REQUESTS", default_value_t = 20.0, value_parser = pace, requires = "serve")]
    pace: f64,
}

fn pace(text: &str) -> Result<f64, String> {
    let pace = text.parse().ok().filter(|pace| (0.01..=10_000.0).contains(pace));
    pace.ok_or_else(|| "write a number from 0.01 to 10000".into())
}

/// Experiment files by the name of their run.
pub(super) const MODELS: [(&str, &str); 2] = [
    ("elive", include_str!("../../../../../experiments/quick/world-elive.toml")),
    ("eta", include_str!("../../../../../experiments/quick/world-eta-both.toml")),
];

/// What the results table shows.
const SHOWN: [&str; 6] =
    ["auc", "gauc_user", "gauc_feed", "ndcg_at_10", "paper_prec_at_10", "logloss"];

/// Fields that tell a person most about an event or a candidate of the simulated world.
const FIELDS: &str = "channel_id,product_id,category_id,current_category,stay,viewers_1m";

pub(crate) fn run(arguments: &Arguments, runner: Runner) -> anyhow::Result<u8> {
    let Arguments { out, users: count, days: logged, seed, .. } = arguments;
    fs_err::create_dir_all(out)?;
    let settings = format!("users = {count}\ndays = {logged}\nseed = {seed}\n");
    first_settings::check(out, "demo.toml", &settings)?;
    let (logs, feeds) = (out.join("logs"), out.join("feeds"));
    let (users, days) = (count.to_string(), logged.to_string());

    // A log appears whole or not at all.
    if !logs.exists() {
        let size = ["--users", &users, "--days", &days, "--seed", &seed.to_string()];
        step(runner, "simulate", &[("--out", &logs)], &size)?;
    }
    step(runner, "samples", &[("--logs", &logs), ("--out", &feeds)], &[])?;

    let directory = FeedDirectory::open(&feeds)?;
    let mut rows = Vec::new();
    for (name, experiment) in MODELS {
        let (config, run) = (out.join(name).with_extension("toml"), out.join(name));
        durable::write(&config, experiment.as_bytes())?;
        let paths = [("--config", &*config), ("--feeds", &feeds), ("--out", &run)];
        let code = step(runner, "train", &paths, &["--resume", &format!("seed={seed}")])?;
        if code != crate::OK {
            return Ok(code);
        }
        let report = evaluate(&open_run(&run)?.0, &run, &directory, Split::Test, &Alone)?.report;
        rows.push(TableRow { name: name.into(), reports: vec![report] });
    }
    let test = TestSplit::read(&directory)?;
    let truth = test.by_the_truth(&logs.join(eliverec_tables::events::layout::TRUTH_FILE))?;
    rows.push(TableRow { name: "the world's own".into(), reports: vec![truth] });
    let metrics: Vec<&Metric> = SHOWN.into_iter().filter_map(metric).collect();
    let table = render(&rows, metrics, Layout::NamesDown, Format::Text);
    print(&format!(
        "\nTest split: {} feeds, one seed\n\n{table}the world's own: its probabilities, which {}.",
        test.requests.len(),
        eliverec_sim::CEILING
    ))?;

    let run = out.join(MODELS[0].0);
    let request = test.explained.to_string();
    let short = ["--request", &request, "--top", "5", "--events", "8", "--fields", FIELDS];
    step(runner, "explain", &[("--run", &run), ("--feeds", &feeds)], &short)?;
    let bundle = out.join("bundle");
    let paths = [("--run", &*run), ("--feeds", &feeds), ("--logs", &logs), ("--out", &bundle)];
    step(runner, "export", &paths, &["--force"])?;
    if arguments.serve {
        let config =
            WorldConfig { users: *count, days: *logged, seed: *seed, ..WorldConfig::default() };
        let serving = Serving { listen: arguments.listen, pace: arguments.pace, config };
        return served::serve(out, MODELS.map(|(name, _)| name), serving, runner);
    }
    tell(&format!(
        "\n{} holds the log, the feeds, the runs and a bundle; `eliverec --help` says what else there is",
        out.display()
    ));
    Ok(crate::OK)
}

/// What the test split holds, and the request to tell about.
struct TestSplit {
    requests: HashSet<u64>,
    explained: u64,
}

impl TestSplit {
    fn read(feeds: &FeedDirectory) -> anyhow::Result<Self> {
        let mut requests = HashSet::new();
        let mut best = (0, 0);
        for feed in feeds.read(Split::Test)? {
            let feed = feed?;
            requests.insert(feed.request_id);
            best = best.max((telling(&feed), feed.request_id));
        }
        Ok(Self { requests, explained: best.1 })
    }

    /// The metrics of the true probabilities of these requests.
    fn by_the_truth(&self, truth: &Path) -> anyhow::Result<Report> {
        let mut ceiling = Ceiling::new();
        for record in read_truth(truth)? {
            let record = record?;
            if matches!(&record, Truth::Impression { request_id, .. } if self.requests.contains(request_id))
            {
                ceiling.add(&record)?;
            }
        }
        Ok(ceiling.finish()?)
    }
}

/// How much there is to see in a feed: candidates up to ten, events of the shorter history up to ten, a watch.
fn telling(feed: &Feed) -> usize {
    let labels = feed.candidates.labels.as_ref();
    let watched = labels.is_some_and(|labels| labels.watched.contains(&true));
    let events = feed.channels.age_s.len().min(feed.products.age_s.len());
    usize::from(watched) * (feed.impressions().min(10) + events.min(10))
}
