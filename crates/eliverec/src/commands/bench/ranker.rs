//! `eliverec bench ranker`: how fast one request is scored, in processor time of one thread.

use std::fmt::Write as _;
use std::path::PathBuf;

use anyhow::ensure;
use eliverec_core::{Batch, Feed, Schema};
use eliverec_run::{Config, Error, Scoring};
use eliverec_serve::bench::{self, Sizes, Timing};
use eliverec_serve::drawn_model::drawn_model;
use eliverec_tables::{FeedDirectory, Split};

use crate::commands::{open_run, plain_table, print, print_json, read_config};

/// Time requests, one user against its candidates, by the fast path and by the general one, and compare their scores
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Experiment file; elive with d=128, 2 blocks and 8 heads if omitted, in either case untrained, on the schema of `simulate`
    #[arg(long, value_name = "FILE", conflicts_with = "run")]
    config: Option<PathBuf>,
    /// A trained run, in place of a config
    #[arg(long, value_name = "RUN", requires = "feeds")]
    run: Option<PathBuf>,
    /// Feed directory whose feeds are the requests; drawn ones if omitted
    #[arg(long, value_name = "DIR", conflicts_with_all = ["candidates", "length", "ids"])]
    feeds: Option<PathBuf>,
    /// train, validation or test
    #[arg(long, default_value = "test", requires = "feeds")]
    split: Split,
    /// Candidates of a request
    #[arg(long, default_value_t = Sizes::default().candidates)]
    candidates: usize,
    /// Events in each history
    #[arg(long, default_value_t = Sizes::default().length)]
    length: usize,
    /// Different ids of every vocabulary
    #[arg(long, default_value_t = Sizes::default().ids)]
    ids: usize,
    /// Requests; of feeds, the first
    #[arg(long, default_value_t = Sizes::default().requests)]
    requests: usize,
    /// Fail if the products of all that is asked run at a lower share of the timed product's rate
    #[arg(long, value_name = "PERCENT")]
    at_least: Option<f64>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    /// Replaces a key of the config
    #[arg(value_name = "KEY=VALUE", conflicts_with = "run")]
    overrides: Vec<String>,
}

/// Like the paper's, with the tasks inside the channel.
const CONFIG: &str = "[model]\nname = \"elive\"\n[tasks]\nmode = \"vanilla\"\n";

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<u8> {
    let Arguments { candidates, ids, requests, .. } = *arguments;
    if [candidates, ids, requests].contains(&0) {
        let reason = "candidates, ids and requests must be at least 1".into();
        return Err(Error::Config { place: "bench".into(), reason }.into());
    }
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build()?;
    let timing = pool.install(|| {
        let feeds = arguments.feeds.as_ref().map(FeedDirectory::open).transpose()?;
        if let Some(run) = &arguments.run {
            let (scorer, _) = open_run(run)?;
            return time(arguments, &scorer.scoring(), feeds.as_ref());
        }
        let config = match &arguments.config {
            Some(path) => read_config(path, &arguments.overrides)?,
            None => Config::parse(CONFIG, "bench", &arguments.overrides)?,
        };
        let schema = match &feeds {
            Some(feeds) => feeds.schema().clone(),
            None => Schema::parse(eliverec_sim::SCHEMA)?,
        };
        // A request of as many different ids as there are would find every row in the cache.
        let model = drawn_model(&config, &schema, ids)?;
        time(arguments, &model.scoring(), feeds.as_ref())
    })?;
    if arguments.json {
        print_json(&timing)?;
    } else {
        print(&text(&timing))?;
    }
    if let Some(floor) = arguments.at_least {
        // The last way of all that starts afresh: every task where there are any.
        let fresh = timing.ways.iter().rfind(|way| !way.name.ends_with(bench::KEPT));
        let share = fresh.and_then(|way| way.share).map_or(0.0, |share| 100.0 * share);
        ensure!(share >= floor, "{share:.1} % of the product's rate, and {floor} % were asked for");
    }
    Ok(crate::OK)
}

/// Times the requests of a feed directory, or drawn ones without one.
fn time(
    arguments: &Arguments,
    scoring: &Scoring<'_>,
    feeds: Option<&FeedDirectory>,
) -> anyhow::Result<Timing> {
    let Arguments { candidates, length, ids, requests, split, .. } = *arguments;
    let wrong = |reason: String| Error::Config { place: "feeds".into(), reason }.into();
    let requests: Vec<Batch> = match feeds {
        None => bench::draw(scoring, Sizes { candidates, length, ids, requests })?,
        Some(feeds) => {
            if feeds.schema() != &**scoring.schema {
                let names = scoring.schema.differences(feeds.schema()).join(", ");
                return Err(wrong(format!("have another schema than the run: {names}")));
            }
            let feeds: Vec<Feed> = feeds.read(split)?.take(requests).collect::<Result<_, _>>()?;
            bench::batches(scoring, &feeds)?
        }
    };
    if requests.is_empty() {
        return Err(wrong(format!("have none in the {split} split")));
    }
    Ok(bench::ranker(scoring, &requests))
}

fn text(timing: &Timing) -> String {
    let Timing { model, width, requests, candidates, events, gemm, .. } = timing;
    let mut text = format!(
        "{model}, d={width}, {requests} requests of {:.0} candidates and {:.0} events on average, one thread\n\
         matrix product of 512 x 512 meanwhile: {gemm:.1} GFLOP/s\n",
        *candidates as f64 / *requests as f64,
        *events as f64 / *requests as f64,
    );
    if let Some(reason) = &timing.general {
        let _ = writeln!(text, "no fast path: {reason}");
    }
    let mut table = plain_table();
    table.set_header([
        "processor time, ms",
        "p50",
        "p90",
        "p99",
        "encode",
        "project",
        "candidates",
        "MFLOP",
        "share of the product's rate",
    ]);
    for way in &timing.ways {
        let stage = |name: &str| {
            let found = way.stages_ms.iter().find(|(stage, _)| *stage == name);
            found.map_or(String::new(), |(_, ms)| format!("{ms:.3}"))
        };
        table.add_row([
            way.name.to_owned(),
            format!("{:.3}", way.p50_ms),
            format!("{:.3}", way.p90_ms),
            format!("{:.3}", way.p99_ms),
            stage("encode"),
            stage("project"),
            stage("candidates"),
            way.mflop.map_or(String::new(), |mflop| format!("{mflop:.1}")),
            way.share.map_or(String::new(), |share| format!("{:.1} %", 100.0 * share)),
        ]);
    }
    let _ = writeln!(text, "{table}");
    if let Some(difference) = &timing.difference {
        let _ = writeln!(
            text,
            "greatest difference of the fast path from the general one over {candidates} candidates: {:.1e} of a probability, {:.1e} of a duration (relative)",
            difference.probability, difference.duration
        );
    }
    text
}
