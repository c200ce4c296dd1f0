//! `eliverec tune`: random search with successive halving over declared ranges, chosen by the validation split.

mod chosen;
mod range;
mod search;
mod space;
mod trials;

use std::path::PathBuf;

use eliverec_run::stop_metric::StopMetric;
use eliverec_run::{durable, kept};
use eliverec_tables::FeedDirectory;
use serde_json::json;

use self::chosen::Origin;
use self::search::{Ranked, Search};
use self::space::Space;
use self::trials::{Base, value_of};
use super::{plain_table, print, read_text, reading, tell, train};
use crate::exit;

/// Search for a model's best settings
#[derive(Debug, clap::Args)]
#[command(after_help = "\
SPACE declares ranges of keys, how many configurations are tried (the first is the base config itself), and the epochs or updates
of each rung. A rung trains its configurations anew, and the best of them by the base config's training.stop_metric on the
validation split go on to the next. The test split is not read. One space serves all models, with the same budget for each.

OUT gets one JSON file per configuration and rung, and tuned.toml, a whole config. Finished runs are not repeated, a killed one goes on from its
last checkpoint; a configuration that fails ranks last.

Examples:
  eliverec tune experiments/tune/space.toml --config experiments/quick/ebnerd-elive.toml --feeds work/ebnerd --out work/tune/ebnerd-elive
  eliverec tune experiments/tune/space.toml --config experiments/quick/ebnerd-eta-both.toml --feeds work/ebnerd \\
      --out work/tune/ebnerd-eta --jobs 2 --write work/tuned/ebnerd/eta.toml
  eliverec experiment experiments/table2 --feeds work/ebnerd --out work/table2 --tuned work/tuned/ebnerd
  eliverec train --config work/tune/ebnerd-elive/tuned.toml --feeds work/ebnerd --out work/runs/ebnerd-elive-tuned")]
pub(crate) struct Arguments {
    /// Ranges and budget
    #[arg(value_name = "SPACE")]
    space: PathBuf,
    /// Experiment file with all other settings
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Feed directory
    #[arg(long, value_name = "DIR")]
    feeds: PathBuf,
    /// Where results are kept
    #[arg(long, value_name = "OUT")]
    out: PathBuf,
    /// Write the chosen values of the searched keys here, for experiment --tuned
    #[arg(long, value_name = "FILE")]
    write: Option<PathBuf>,
    /// Runs at a time; with more than one each has one thread
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    jobs: u16,
    /// Print one JSON object; the tables of the rungs go to standard error then
    #[arg(long)]
    json: bool,
    /// Replaces a key of the base config, for example input.width=16
    #[arg(value_name = "KEY=VALUE")]
    overrides: Vec<String>,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<u8> {
    let space = Space::read(&arguments.space)?;
    let place = arguments.config.display().to_string();
    let base = Base::parse(read_text(&arguments.config)?, place, &arguments.overrides)?;
    let (keys, trials) = base.trials(&space)?;
    let feeds = FeedDirectory::open(&arguments.feeds)?;
    let search = Search::open(space.rungs.clone(), trials, feeds, &arguments.out)?;
    let metric = base.config.training.stop_metric;
    let stop = train::stop_on_interrupt()?;

    let mut going: Vec<usize> = (0..search.trials.len()).collect();
    let (mut best, mut sizes) = ((0, 0.0), Vec::new());
    for (rung, budget) in space.rungs.iter().enumerate() {
        let last = rung + 1 == space.rungs.len();
        let place = format!("rung {} of {}", rung + 1, space.rungs.len());
        tell(&format!("{place}: {} configurations, {budget} for each", going.len()));
        let Some(mut ranking) = search.rung(rung, &going, usize::from(arguments.jobs), stop)?
        else {
            tell("interrupted; the same command goes on");
            return Ok(crate::INTERRUPTED);
        };
        let valued = ranking.iter().filter(|ranked| ranked.outcome.is_ok()).count();
        best = match &ranking[0] {
            Ranked { trial, outcome: Ok(value) } => (*trial, *value),
            Ranked { trial, outcome: Err(error) } => {
                let told = format!(
                    "{place}: all {} configurations failed, config {} with: {}; nothing is chosen, see the base config and the ranges of {}",
                    ranking.len(),
                    trial + 1,
                    exit::line(error),
                    space.place
                );
                // Its cause says whose fault it is.
                let Err(error) = ranking.swap_remove(0).outcome else { unreachable!("it failed") };
                return Err(error.context(told));
            }
        };
        let on = if last { 1 } else { space.survivors(ranking.len()).min(valued) };
        let marked = if last { "chosen" } else { "goes on" };
        let table = table(&search, &keys, &ranking, metric, on);
        let text = format!("\n{place}, {budget} for each (* {marked})\n\n{table}");
        if arguments.json {
            tell(&text);
        } else {
            print(&text)?;
        }
        let failed = match ranking.len() - valued {
            0 => String::new(),
            failed => format!(" ({failed} failed)"),
        };
        sizes.push(format!("{} for {budget}{failed}", ranking.len()));
        going = ranking[..on].iter().map(|ranked| ranked.trial).collect();
    }
    write(arguments, &search, &keys, metric, best, &sizes.join(", then "))
}

/// A finished rung, best first; the first `on` go on or, after the last rung, are chosen.
fn table(
    search: &Search,
    keys: &[String],
    ranking: &[Ranked],
    metric: StopMetric,
    on: usize,
) -> comfy_table::Table {
    let mut table = plain_table();
    let mut header = vec![String::new(), "config".into()];
    header.extend(keys.iter().cloned());
    header.push(metric.name().into());
    table.set_header(header);
    for (i, ranked) in ranking.iter().enumerate() {
        let mark = if i < on { "*" } else { "" };
        let base = if ranked.trial == 0 { " (base)" } else { "" };
        let mut cells = vec![mark.to_string(), format!("{}{base}", ranked.trial + 1)];
        let config = &search.trials[ranked.trial];
        let value = |key: &String| value_of(config, key).map_or("-".into(), |v| v.to_string());
        cells.extend(keys.iter().map(value));
        cells.push(ranked.outcome.as_ref().map_or("failed".into(), |value| shown(*value)));
        table.add_row(cells);
    }
    table
}

/// Log loss is compared with its sign turned round.
fn shown(value: f64) -> String {
    format!("{:.4}", value.abs())
}

/// Writes the chosen config and says so.
fn write(
    arguments: &Arguments,
    search: &Search,
    keys: &[String],
    metric: StopMetric,
    (trial, value): (usize, f64),
    sizes: &str,
) -> anyhow::Result<u8> {
    let (name, value) = (metric.name(), shown(value));
    // `--jobs` changes no number.
    let paths = [
        ("--config", Some(&*arguments.config)),
        ("--feeds", Some(&*arguments.feeds)),
        ("--out", Some(&*arguments.out)),
        ("--write", arguments.write.as_deref()),
    ];
    let origin = Origin {
        command: chosen::command(&arguments.space, &paths, &arguments.overrides),
        data_fingerprint: &search.kept.fingerprint,
        search: format!("{} configurations tried: {sizes}.", search.trials.len()),
        result: format!("Config {}, validation {name} {value} in the last rung.", trial + 1),
    };
    let config = &search.trials[trial];
    let tuned = arguments.out.join("tuned.toml");
    kept::check(&tuned)?;
    durable::write(&tuned, chosen::whole(&origin, config).as_bytes())?;
    if let Some(path) = &arguments.write {
        if let Some(folder) = path.parent() {
            fs_err::create_dir_all(folder)?;
        }
        durable::write(path, chosen::searched(&origin, config, keys).as_bytes())?;
        tell(&format!("wrote {}", path.display()));
    }
    let written = tuned.display();
    let result = json!({"out": tuned, "config": trial + 1, "metric": name, "value": value});
    reading::end(arguments.json, &search.kept.checked, &result, || {
        Ok(format!(
            "{written}: config {}, validation {name} {value}; next: eliverec train --config {written} --feeds {} --out RUN",
            trial + 1,
            arguments.feeds.display()
        ))
    })?;
    Ok(crate::OK)
}
