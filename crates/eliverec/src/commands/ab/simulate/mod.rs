//! `eliverec ab simulate`: the users of the simulated world play against a running service, two models in two buckets; what is seen is
//! compared with what is true, which the world alone knows.
//!
//! [`before`] makes the platform as it was before the experiment, [`arm`] lets users live on against a service, [`night`] trains and
//! exports, [`outcome`] compares. [`folder`] says where everything lies.

mod arm;
mod before;
mod client;
mod folder;
mod night;
mod outcome;
mod platform;
mod served;
mod settings;
mod steps;

use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Instant;

use anyhow::Context;
use eliverec_ab::truth::{TrueDifference, coverage};
use eliverec_metrics::table::Format;
use eliverec_report::online;
use eliverec_run::durable;
use eliverec_sim::WorldConfig;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::commands::{first_settings, print, print_json, queue, tell};
use arm::Arm;
use folder::Folder;
use night::joined;
use outcome::Outcome;
use settings::Settings;

/// Let simulated users play against a running service, and tell what is seen from what is true
#[derive(Debug, clap::Args)]
#[command(after_help = "\
ETA with both sequences answers half of the users and eLiveRec the others, over HTTP and in the world's time. Every night both are
trained on, from the log that the service wrote, and swapped in. The same users live the same days once more for each model, all of
them answered by it: that is the truth. Everything stays under OUT; stopped at any moment, the same command goes on with the day that
it was at. docs/ab-simulate.md has every definition.

Examples:
  eliverec ab simulate --out work/ab
  eliverec ab simulate --out work/ab-small --users 600 --days 3 --before 7 training.epochs=2
  eliverec ab simulate --out work/ab-seeds --users 400 --days 2 --before 5 --seeds 20 --markdown coverage.md")]
pub(super) struct Arguments {
    /// Directory of everything that is made
    #[arg(long, value_name = "OUT")]
    out: PathBuf,
    /// Accounts at the end of the last day
    #[arg(long, default_value_t = 5_000, value_parser = clap::value_parser!(u32).range(20..))]
    users: u32,
    /// Days of the experiment
    #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..=60))]
    days: u32,
    /// Days before it, in which a simple recommender of the platform ranks: what the models begin with, and what is known of users and
    /// of channels without exposure
    #[arg(long, value_name = "DAYS", default_value_t = 30, value_parser = clap::value_parser!(u32).range(3..=90))]
    before: u32,
    /// Days before these, of which the platform knows what users clicked and watched
    #[arg(long, value_name = "DAYS", default_value_t = WorldConfig::default().history_days, value_parser = clap::value_parser!(u32).range(1..=90))]
    history: u32,
    /// Of the world, the models and the assignment to buckets
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// So many experiments, with seeds from --seed on; of each its truth stays, and then how often it lay within the intervals
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    seeds: u32,
    /// Probability with which the effect that was seen should be found
    #[arg(long, value_name = "SHARE", default_value_t = 0.8)]
    power: f64,
    /// Write what is printed as Markdown
    #[arg(long, value_name = "FILE")]
    markdown: Option<PathBuf>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    /// Replaces a key of both models' configs, for example training.epochs=2
    #[arg(value_name = "KEY=VALUE")]
    overrides: Vec<String>,
}

/// What stays of one of several experiments.
#[derive(Debug, Serialize, Deserialize)]
struct Kept {
    settings: Settings,
    /// Why nothing is compared.
    refused: Option<String>,
    truth: Vec<TrueDifference>,
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<u8> {
    let goal = eliverec_ab::power::Goal { power: arguments.power, ..Default::default() };
    goal.check()?;
    fs_err::create_dir_all(&arguments.out)?;
    let _lock = queue::lock(&arguments.out)?;
    let warnings = arguments.out.join("warnings.txt");
    let mut file = fs_err::OpenOptions::new();
    let file = file.create(true).append(true).open(&warnings)?.into_parts().0;
    tracing_subscriber::fmt()
        .with_max_level(tracing::Level::WARN)
        .with_writer(Mutex::new(file))
        .init();
    let code = if arguments.seeds == 1 {
        let outcome = experiment(arguments, &arguments.out, arguments.seed)?;
        write_markdown(arguments, || outcome.text(arguments.power, Format::Markdown))?;
        outcome.end(arguments.power, arguments.json)?
    } else {
        several(arguments)?
    };
    if fs_err::metadata(&warnings)?.len() > 0 {
        tell(&format!("{} has what the services warned of", warnings.display()));
    }
    Ok(code)
}

fn write_markdown(arguments: &Arguments, text: impl FnOnce() -> String) -> anyhow::Result<()> {
    if let Some(path) = &arguments.markdown {
        durable::write(path, text().as_bytes()).with_context(|| path.display().to_string())?;
        tell(&format!("wrote {}", path.display()));
    }
    Ok(())
}

/// One experiment after the other; those that are finished are not repeated.
fn several(arguments: &Arguments) -> anyhow::Result<u8> {
    let mut kept = Vec::new();
    for number in 0..arguments.seeds {
        let seed = arguments.seed + u64::from(number);
        let file = arguments.out.join(format!("seed-{seed}.json"));
        let found = match read_kept(&file, &settings(arguments, seed))? {
            Some(found) => found,
            None => keep(arguments, seed, &file)?,
        };
        tell(&format!("seed {seed}: {} of {} experiments", number + 1, arguments.seeds));
        kept.push(found);
    }
    let truths: Vec<Vec<TrueDifference>> = kept.iter().map(|of| of.truth.clone()).collect();
    let found = coverage(&truths);
    let refused = kept.iter().filter(|of| of.refused.is_some()).count();
    let text = |format| {
        let Arguments { users, days, before, history, seed, seeds, overrides, .. } = arguments;
        format!(
            "{seeds} experiments, seeds from {seed}: {users} users, {days} days after {before} and {history} of history, {}; {refused} refused for their sample ratio.\n{}",
            if overrides.is_empty() { "no overrides".into() } else { overrides.join(" ") },
            online::coverage(&found, format)
        )
    };
    write_markdown(arguments, || text(Format::Markdown))?;
    if arguments.json {
        print_json(&json!({"experiments": kept, "coverage": found}))?;
    } else {
        print(&text(Format::Text))?;
    }
    Ok(crate::OK)
}

/// What was kept of an experiment, if it was finished.
fn read_kept(file: &Path, settings: &Settings) -> anyhow::Result<Option<Kept>> {
    let bytes = match fs_err::read(file) {
        Ok(bytes) => bytes,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(e.into()),
    };
    let wrong = |reason: String| eliverec_run::Error::Run { path: file.into(), reason };
    let found: Kept = serde_json::from_slice(&bytes)
        .map_err(|e| wrong(format!("is damaged ({e}); remove it")))?;
    if found.settings != *settings {
        return Err(wrong("is of other settings; give another --out, or remove it".into()).into());
    }
    Ok(Some(found))
}

/// Makes an experiment and keeps its truth alone.
fn keep(arguments: &Arguments, seed: u64, file: &Path) -> anyhow::Result<Kept> {
    let place = arguments.out.join(format!("seed-{seed}"));
    fs_err::create_dir_all(&place)?;
    let outcome = experiment(arguments, &place, seed)?;
    let settings = settings(arguments, seed);
    let found = Kept { settings, refused: outcome.report.refused, truth: outcome.truth };
    durable::write(file, &serde_json::to_vec(&found)?)?;
    fs_err::remove_dir_all(&place)?;
    Ok(found)
}

fn settings(arguments: &Arguments, seed: u64) -> Settings {
    let Arguments { users, days, before, history, .. } = *arguments;
    Settings { users, days, before, history, seed, overrides: arguments.overrides.clone() }
}

/// One experiment in a directory of its own.
fn experiment(arguments: &Arguments, out: &Path, seed: u64) -> anyhow::Result<Outcome> {
    let settings = settings(arguments, seed);
    first_settings::check(out, "simulate.toml", &settings.text()?)?;
    let (folder, begun) = (Folder::new(out)?, Instant::now());
    before::prepare(&folder, &settings)?;
    let life = before::lived(&folder, &settings)?;
    let mut arms = Arm::all(&life);
    for day in 0..settings.days {
        let (folder, settings) = (&folder, &settings);
        let lived: Vec<anyhow::Result<String>> = std::thread::scope(|scope| {
            let live = |arm| scope.spawn(move || Arm::live(arm, folder, settings, day));
            let living: Vec<_> = arms.iter_mut().map(live).collect();
            living.into_iter().map(joined).collect()
        });
        let lived = lived.into_iter().collect::<anyhow::Result<Vec<_>>>()?;
        tell(&format!(
            "day {} of {}: {}; {:.0} s",
            day + 1,
            settings.days,
            lived.join(", "),
            begun.elapsed().as_secs_f64()
        ));
        if day + 1 < settings.days {
            night::train(folder, settings, day)?;
            tell(&format!("night {}: trained; {:.0} s", day + 1, begun.elapsed().as_secs_f64()));
        }
    }
    outcome::compare(&folder, &settings)
}
