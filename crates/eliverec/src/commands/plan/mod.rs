//! `eliverec plan`: what a platform of a given size takes, from what the benchmarks measured.

mod text;

use std::path::{Path, PathBuf};

use eliverec_plan::{Asked, Files, Measured, Plan};
use eliverec_run::Error;
use serde::Serialize;

use super::{print, print_json};

/// Compute what a platform takes, from what the benchmarks of this program measured
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Every line has its formula and the measured constants behind it. A constant that no file tells is refused with the command that
measures it; experiments/plan.sh runs all of them. docs/scale.md says what is reckoned with and what is not.

Example:
  eliverec plan --impressions-per-day 1e9 --users 3e8 --channels 1e6 --products 1e8 --requests-per-second 50000 \\
    --train work/train-32.json --train work/train-256.json --samples work/samples.json \\
    --serve work/serve.json --events work/events.json --network work/network.json")]
pub(crate) struct Arguments {
    /// Channels shown in a day
    #[arg(long, value_name = "N")]
    impressions_per_day: f64,
    /// Users with a row and a state
    #[arg(long, value_name = "N")]
    users: f64,
    /// Channels with a row
    #[arg(long, value_name = "N")]
    channels: f64,
    /// Products with a row
    #[arg(long, value_name = "N")]
    products: f64,
    /// Requests a second at the busiest moment
    #[arg(long, value_name = "N")]
    requests_per_second: f64,
    /// Days of impressions that become feeds and are trained on at a time
    #[arg(long, value_name = "N", default_value_t = 1.0)]
    days: f64,
    /// Channels shown for a request; the paper's Table I
    #[arg(long, value_name = "N", default_value_t = 7.71)]
    impressions_per_request: f64,
    /// Impressions of an update; the paper's Sec. V-D
    #[arg(long, value_name = "N", default_value_t = 2048.0)]
    batch: f64,
    /// Passes of training over the impressions
    #[arg(long, value_name = "N", default_value_t = 1.0)]
    epochs: f64,
    /// Hours in which samples have to be made
    #[arg(long, value_name = "HOURS", default_value_t = 4.0)]
    sample_hours: f64,
    /// Hours in which training has to be done
    #[arg(long, value_name = "HOURS", default_value_t = 12.0)]
    train_hours: f64,
    /// Share of what can be done that is planned to be used
    #[arg(long, value_name = "SHARE", default_value_t = 0.6)]
    utilisation: f64,
    /// Cores of a serving process
    #[arg(long, value_name = "N", default_value_t = 16.0)]
    cores_per_process: f64,
    /// Memory that rows may take on a rank of training, GiB; the paper's Sec. V-D
    #[arg(long, value_name = "GIB", default_value_t = 10.0)]
    rank_memory: f64,
    /// Memory that the folds of users may take at a Redis server, GiB
    #[arg(long, value_name = "GIB", default_value_t = 64.0)]
    redis_memory: f64,
    /// Bytes of a number in the rows of a bundle: 4 (float32), 2 (float16) or 1 (int8)
    #[arg(long, value_name = "BYTES", default_value_t = 2.0)]
    bytes_per_number: f64,
    /// What `eliverec bench train --json` printed; twice or more, with different --feeds
    #[arg(long, value_name = "FILE")]
    train: Vec<PathBuf>,
    /// What `eliverec bench samples --shards 2 --json` printed
    #[arg(long, value_name = "FILE")]
    samples: Option<PathBuf>,
    /// What `eliverec bench serve --call recommend --histories 50 --load 0.5 --json` printed
    #[arg(long, value_name = "FILE")]
    serve: Option<PathBuf>,
    /// What `eliverec bench serve --call events --json` printed
    #[arg(long, value_name = "FILE")]
    events: Option<PathBuf>,
    /// What `eliverec bench network --json` printed
    #[arg(long, value_name = "FILE")]
    network: Option<PathBuf>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// What is printed as JSON.
#[derive(Debug, Serialize)]
struct Printed<'a> {
    #[serde(flatten)]
    plan: &'a Plan,
    /// The files that were read.
    read: Vec<&'a Path>,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<u8> {
    let asked = Asked {
        impressions_per_day: arguments.impressions_per_day,
        days: arguments.days,
        users: arguments.users,
        channels: arguments.channels,
        products: arguments.products,
        requests_per_second: arguments.requests_per_second,
        impressions_per_request: arguments.impressions_per_request,
        batch: arguments.batch,
        epochs: arguments.epochs,
        sample_hours: arguments.sample_hours,
        train_hours: arguments.train_hours,
        utilisation: arguments.utilisation,
        cores_per_process: arguments.cores_per_process,
        rank_memory_gib: arguments.rank_memory,
        redis_memory_gib: arguments.redis_memory,
        bytes_per_number: arguments.bytes_per_number,
    };
    asked.check()?;
    let read = |path: &PathBuf| match fs_err::read_to_string(path) {
        Ok(text) => Ok((path.clone(), text)),
        Err(e) => Err(Error::Config {
            place: path.display().to_string(),
            reason: format!(
                "cannot be read ({}); give what a benchmark printed with --json",
                e.kind()
            ),
        }),
    };
    let one = |path: &Option<PathBuf>| path.as_ref().map(read).transpose();
    let files = Files {
        train: arguments.train.iter().map(read).collect::<Result<_, _>>()?,
        samples: one(&arguments.samples)?,
        serve: one(&arguments.serve)?,
        events: one(&arguments.events)?,
        network: one(&arguments.network)?,
    };
    let plan = Plan::new(asked, &Measured::new(&files)?)?;
    if arguments.json {
        let others = [&files.samples, &files.serve, &files.events, &files.network];
        let read = files.train.iter().chain(others.into_iter().flatten());
        print_json(&Printed { plan: &plan, read: read.map(|(path, _)| path.as_path()).collect() })?;
    } else {
        print(&text::of(&plan))?;
    }
    Ok(crate::OK)
}
