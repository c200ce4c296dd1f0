//! `eliverec experiment`: every config of a folder under several seeds, finished runs kept in one small file.

mod folder;
mod outcome;
mod schedule;
pub(super) mod tuned;

use std::path::PathBuf;

use eliverec_tables::FeedDirectory;
use eliverec_tables::check::Checked;
use serde_json::json;

use self::folder::{Folder, Wanted};
use self::schedule::Schedule;
use super::causes::Causes;
use super::queue::Ended;
use super::{reading, tell, train};
use crate::exit;

/// Run a folder of configs over seeds
#[derive(Debug, clap::Args)]
#[command(after_help = "\
RESULTS gets one file, written anew with each run that ends. Finished runs are not repeated, a killed one goes on from its last checkpoint, a
failed one does not stop the others (exit code 2 at the end if all that failed is bad input, else 1). Results with another config are made anew; other feeds are
refused.

Examples:
  eliverec experiment experiments/table3 --feeds work/world --out results/world/table3
  eliverec experiment experiments/table2 --feeds work/ebnerd --out work/table2 --tuned experiments/tuned/ebnerd
  eliverec experiment experiments/fig6 --feeds work/ebnerd --out work/fig6 --seeds 1 --jobs 2 training.epochs=2
  eliverec report results/world/table3")]
pub(crate) struct Arguments {
    /// Folder of experiment files; a row is named after its file
    #[arg(value_name = "FOLDER")]
    folder: PathBuf,
    /// Feed directory
    #[arg(long, value_name = "DIR")]
    feeds: PathBuf,
    /// Where results are kept
    #[arg(long, value_name = "RESULTS")]
    out: PathBuf,
    /// Seeds 1 to N for every row
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..))]
    seeds: u64,
    /// Runs at a time; with more than one each has one thread
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    jobs: u16,
    /// Make this row alone; may be given several times
    #[arg(long = "row", value_name = "ROW")]
    rows: Vec<String>,
    /// Folder of what `tune --write` chose: the keys of MODEL.toml there replace those of every row of that model
    #[arg(long, value_name = "DIR")]
    tuned: Option<PathBuf>,
    /// Log of the simulated world that the feeds were made from: tells how well intents find its truth
    #[arg(long, value_name = "LOGS")]
    logs: Option<PathBuf>,
    /// Keep every run directory under RESULTS/runs
    #[arg(long)]
    keep_runs: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    /// Replaces a key of every config, for example training.epochs=2
    #[arg(value_name = "KEY=VALUE")]
    overrides: Vec<String>,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<u8> {
    let feeds = FeedDirectory::open(&arguments.feeds)?;
    let mut overrides = arguments.overrides.clone();
    if arguments.jobs > 1 {
        overrides.push("training.threads=1".into());
    }
    let Arguments { seeds, ref rows, ref tuned, .. } = *arguments;
    let wanted = Wanted { overrides: &overrides, seeds, rows, tuned: tuned.as_deref() };
    let folder = Folder::read(&arguments.folder, wanted)?;
    if let Some(tuned) = tuned
        && !folder.untuned.is_empty()
    {
        let models = folder.untuned.iter().copied().collect::<Vec<_>>().join(", ");
        tell(&format!(
            "{}: has nothing for {models}; their rows stay as they are",
            tuned.display()
        ));
    }
    if !folder.passed_over.is_empty() {
        tell(&format!(
            "{}: passed over {} that are no configs, or whose names begin with . or _: {}",
            arguments.folder.display(),
            folder.passed_over.len(),
            folder.passed_over.join(", ")
        ));
    }
    let causes = arguments.logs.as_deref().map(Causes::read).transpose()?;
    let of_truth = match arguments.logs.as_deref().zip(causes.as_ref()) {
        Some((logs, causes)) => causes.checked(logs, feeds.path())?,
        None => Checked::default(),
    };
    let schedule = Schedule::open(folder, feeds, &arguments.out, causes, arguments.keep_runs)?;
    let checked = schedule.checked().clone().and(of_truth);
    let stop = train::stop_on_interrupt()?;
    match schedule.run(usize::from(arguments.jobs), stop) {
        Ended::Interrupted => {
            tell("interrupted; the same command goes on");
            Ok(crate::INTERRUPTED)
        }
        Ended::Done { failures } => {
            let failed: Vec<_> = failures
                .iter()
                .map(|(run, error)| json!({"run": run.to_string(), "error": exit::line(error)}))
                .collect();
            let result = json!({"out": arguments.out, "failed": failed});
            reading::end(arguments.json, &checked, &result, || {
                let out = arguments.out.display();
                Ok(match failures.len() {
                    0 => format!("{out}: all runs are finished; next: eliverec report {out}"),
                    failed => format!("{out}: {failed} runs failed, the others are finished"),
                })
            })?;
            // What alone would be bad input is that here, too, unless something else failed besides.
            let codes = failures.iter().map(|(_, error)| exit::code(error));
            Ok(codes.min().unwrap_or(crate::OK))
        }
    }
}
