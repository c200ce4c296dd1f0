//! `eliverec train`: from a config and feeds to a run.

use std::io::IsTerminal;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Once};

use anyhow::Context;
use eliverec_run::checkpoint::Finish;
use eliverec_samples::missing_days;
use eliverec_tables::check::{Checked, promises};
use eliverec_tables::{FeedDirectory, Split};
use eliverec_train::ranks::{Ranks, first_alone};
use eliverec_train::{Progress, TrainingEnd, TrainingOrder, train};
use serde_json::json;

use super::ranks::on_every_rank;
use super::{parse_config, read_config, reading, serve, tell};

/// Train a model, or go on with a run
#[derive(Debug, clap::Args)]
#[command(after_help = "\
A kill at any moment leaves a run that loads: --resume goes on from its last checkpoint. Ctrl-C writes a checkpoint
first. RUN/metrics.jsonl has every update and evaluation.

Keys that neither FILE nor an override sets come from `preset`: \"default\", or \"paper\" for the settings of the paper to the
letter, in FILE as `preset = \"paper\"` or here as preset=paper. RUN/config.toml has every value.

Several processes train one model together (built with --features mpi): mpirun -n 4 eliverec train ... training.shards=4. Up to
training.shards of them can; results depend on the shards and not on how many do. Feeds and RUN must be in reach of all of them.

Examples:
  eliverec train --config experiments/quick/ebnerd-elive.toml --feeds work/ebnerd --out work/run
  eliverec train --config experiments/quick/ebnerd-elive.toml --feeds work/ebnerd --out work/run2 seed=2 training.epochs=1
  eliverec train --config mine.toml --feeds work/ebnerd --out work/paper preset=paper training.warmup_steps=100
  eliverec train --feeds work/ebnerd --out work/run --resume
  eliverec train --config experiments/quick/world-elive.toml --feeds work/today --out work/today-run --init-from work/run")]
pub(crate) struct Arguments {
    /// Experiment file; with --resume the run's own if omitted
    #[arg(long, value_name = "FILE", required_unless_present = "resume")]
    config: Option<PathBuf>,
    /// Feed directory
    #[arg(long, value_name = "DIR")]
    feeds: PathBuf,
    /// Run directory
    #[arg(long, value_name = "RUN")]
    out: PathBuf,
    /// Go on with the run if there is one
    #[arg(long)]
    resume: bool,
    /// Begin with the best checkpoint of this run, on newer feeds; --resume needs it no more
    #[arg(long, value_name = "RUN", requires = "config")]
    init_from: Option<PathBuf>,
    /// No progress on standard error
    #[arg(long)]
    quiet: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    /// Replaces a key of the config, for example training.epochs=2
    #[arg(value_name = "KEY=VALUE", requires = "config")]
    overrides: Vec<String>,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<u8> {
    on_every_rank(|ranks| on_rank(arguments, ranks))
}

fn on_rank(arguments: &Arguments, ranks: &Ranks) -> anyhow::Result<u8> {
    let is_first = ranks.rank() == 0;
    let (config, feeds, checked) = first_alone(&**ranks, || {
        let path = arguments.config.as_ref();
        let read = if is_first { read_config } else { parse_config };
        let config = path.map(|path| read(path, &arguments.overrides)).transpose()?;
        let feeds = FeedDirectory::open(&arguments.feeds)?;
        // Once is enough to check and to tell.
        let checked = is_first.then(|| check(&feeds)).transpose()?;
        anyhow::Ok((config, feeds, checked))
    })?;
    let order = TrainingOrder {
        config,
        overrides: arguments.overrides.clone(),
        feeds,
        run: arguments.out.clone(),
        resume: arguments.resume,
        init_from: arguments.init_from.clone(),
        ranks: Arc::clone(ranks),
    };
    let progress = if arguments.quiet || !is_first {
        Progress::Silent
    } else if std::io::stderr().is_terminal() {
        Progress::bar()
    } else {
        Progress::Lines(Box::new(std::io::stderr()))
    };
    let outcome = train(&order, progress, stop_on_interrupt()?)?;
    let run = arguments.out.display();
    let next = format!("eliverec evaluate --run {run} --feeds {}", arguments.feeds.display());
    let (ended, words, sent) = match outcome {
        TrainingEnd::Finished { finish, traffic } => {
            let words = format!("finished, {}; next: {next}", reason(finish));
            ("finished", words, traffic)
        }
        TrainingEnd::AlreadyFinished(finish) => {
            let words = format!("was finished already, {}; next: {next}", reason(finish));
            ("finished_already", words, None)
        }
        TrainingEnd::Interrupted { step } => {
            if is_first {
                tell(&format!(
                    "{run}: interrupted after step {step}, checkpoint written; go on with --resume"
                ));
            }
            return Ok(crate::INTERRUPTED);
        }
    };
    let Some(checked) = checked else { return Ok(crate::OK) };
    let mut result = json!({"run": arguments.out, "ended": ended});
    let mut lines = vec![format!("{run}: {words}")];
    if let Some(sent) = sent {
        result["ranks"] = json!(ranks.ranks());
        result["sent_per_update"] = json!(sent);
        lines.push(format!("rank 0 of {} sent {sent}", ranks.ranks()));
    }
    reading::end(arguments.json, &checked, &result, || Ok(lines.join("\n")))?;
    Ok(crate::OK)
}

/// What of the feeds is not as the documents promise.
fn check(feeds: &FeedDirectory) -> anyhow::Result<Checked> {
    let checked = promises(feeds, &[Split::Train, Split::Validation], &[Split::Validation])?;
    let findings = missing_days(feeds.path())?.into_iter().collect();
    Ok(checked.and(Checked { findings, ..Checked::default() }))
}

fn reason(finish: Finish) -> &'static str {
    match finish {
        Finish::Epochs => "all epochs are done",
        Finish::MaxSteps => "training.max_steps is reached",
        Finish::Patience => "training.patience evaluations brought nothing",
    }
}

/// Set by the first Ctrl-C (or SIGTERM); the second one ends the process at once. A service that the same process began afterwards hears
/// of both by itself.
pub(super) fn stop_on_interrupt() -> anyhow::Result<&'static AtomicBool> {
    static STOP: AtomicBool = AtomicBool::new(false);
    static LISTENING: Once = Once::new();
    let mut listening = Ok(());
    LISTENING.call_once(|| {
        listening = ctrlc::set_handler(|| {
            if serve::hears_interrupts() {
                return;
            }
            if STOP.swap(true, Ordering::Relaxed) {
                #[expect(clippy::exit, reason = "asked for twice; the last checkpoint is whole")]
                std::process::exit(i32::from(crate::INTERRUPTED));
            }
            tell("interrupted: writing a checkpoint after this step, once more to stop at once");
        });
    });
    listening.context("cannot listen for Ctrl-C")?;
    Ok(&STOP)
}
