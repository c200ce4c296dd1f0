//! `eliverec retrieval`: how much of what was watched each source of candidates finds, and all of them together.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use comfy_table::CellAlignment;
use eliverec_features::FeatureConfig;
use eliverec_retrieval::{NeighbourSettings, RetrievalConfig};
use eliverec_samples::{feature_settings, other_log};
use eliverec_tables::check::Checked;
use eliverec_tables::events::{EventLog, Store};
use eliverec_tables::{FeedDirectory, Split};
use eliverec_train::retrieval::{LiveFrom, Measured, Measurement, RecallRow, recall};
use indicatif::ProgressBar;
use serde::Serialize;

use super::{open_run, plain_table, read_text, reading, unchecked};

/// Measure the recall of retrieval: per source and together
#[derive(Debug, clap::Args)]
#[command(after_help = "\
For every request of the split in which something was watched, each source is asked alone for k live channels, and all together
with their quotas. recall: the share of the channels watched that are among the k. only: the share that all together find by this
source alone. random: what as many live channels at random would find.

Neighbours are counted from the training split. Embeddings need --run. With --logs, the log that the feeds were made of, live are
the streams that had begun and not ended, and popularity, exposure and follows come from its events; without, live is what any
request showed in the --window before, and watches make popularity.

Examples:
  eliverec retrieval --feeds work/driver --k 10,20
  eliverec retrieval --feeds work/world --logs work/logs --run work/run --k 10,50,200 --json")]
pub(crate) struct Arguments {
    /// Feed directory
    #[arg(long, value_name = "DIR")]
    feeds: PathBuf,
    /// Log directory that the feeds were made of
    #[arg(long, value_name = "LOGS")]
    logs: Option<PathBuf>,
    /// Run directory, for the embedding source
    #[arg(long, value_name = "RUN")]
    run: Option<PathBuf>,
    /// Quotas and settings of the sources
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// train, validation or test
    #[arg(long, default_value = "test")]
    split: Split,
    /// Lengths of the lists, separated by commas
    #[arg(long, default_value = "200", value_delimiter = ',', value_parser = clap::value_parser!(u16).range(1..=10_000))]
    k: Vec<u16>,
    /// Without --logs: minutes for which a channel is live after it was shown
    #[arg(long, value_name = "MINUTES", default_value_t = 30, conflicts_with = "logs")]
    window: u32,
    /// With --logs: seconds from which a stay is a watch; as `samples` made the feeds if omitted
    #[arg(long, value_name = "SECONDS")]
    stay_threshold: Option<f64>,
    /// With --logs: pass over rows that are no events and count them, as `samples --lenient` does
    #[arg(long, requires = "logs")]
    lenient: bool,
    /// Of the draws of exploration
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<u8> {
    let feeds = FeedDirectory::open(&arguments.feeds)?;
    let config = match &arguments.config {
        Some(path) => RetrievalConfig::parse(&read_text(path)?, &path.display().to_string())
            .map_err(eliverec_train::Error::from)?,
        None => RetrievalConfig::default(),
    };
    let opened = arguments.run.as_ref().map(|run| open_run(run)).transpose()?;
    let log = match &arguments.logs {
        Some(logs) => Some(EventLog::open(&Store::open(logs)?)?),
        None => None,
    };
    // What the sources know of the log has to be what the feeds knew: with the same lateness, windows and watches.
    let mut features: FeatureConfig = feature_settings(feeds.path())?.unwrap_or_default();
    if let Some(seconds) = arguments.stay_threshold {
        features.stay_threshold_s = seconds;
    }
    let mut k: Vec<usize> = arguments.k.iter().map(|k| usize::from(*k)).collect();
    k.sort_unstable();
    k.dedup();
    let measurement = Measurement {
        split: arguments.split,
        k: &k,
        config,
        neighbours: NeighbourSettings::default(),
        run: opened.as_ref().map(|(scorer, _)| scorer).zip(arguments.run.as_deref()),
        log: log.as_ref().map(|log| (log, features)),
        lenient: arguments.lenient,
        window_minutes: arguments.window,
        seed: arguments.seed,
    };
    let bar = ProgressBar::new(feeds.feeds(arguments.split)?);
    let measured = recall(&feeds, &measurement, |requests| bar.set_position(requests));
    bar.finish_and_clear();
    let mut measured = measured?;
    if let Some(log) = &log {
        let findings = other_log(feeds.path(), log)?;
        measured.checked = measured.checked.and(Checked { findings, ..Checked::default() });
    }
    if let (Some((_, commit)), Some(run)) = (&opened, &arguments.run) {
        measured.checked = measured.checked.and(unchecked(run, commit));
    }
    let run = opened.as_ref().zip(arguments.run.as_deref()).map(|((scorer, commit), path)| {
        RunRead { path, model: scorer.config.model.name(), checkpoint: &commit.best }
    });
    let result = Printed { run, measured: &measured };
    reading::end(arguments.json, &measured.checked, &result, || {
        let run = result.run.as_ref().map(|RunRead { path, model, checkpoint }| {
            format!("vectors of the run {}: {model}, {checkpoint}\n", path.display())
        });
        Ok(run.unwrap_or_default() + &text(&measured, &k))
    })?;
    Ok(crate::OK)
}

/// What is printed as JSON.
#[derive(Debug, Serialize)]
struct Printed<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    run: Option<RunRead<'a>>,
    #[serde(flatten)]
    measured: &'a Measured,
}

/// What was read of a run.
#[derive(Debug, Serialize)]
struct RunRead<'a> {
    path: &'a Path,
    model: &'a str,
    checkpoint: &'a str,
}

fn text(measured: &Measured, k: &[usize]) -> String {
    let mut text = String::new();
    let live = match measured.live {
        LiveFrom::Log => "streams that had begun and not ended, by the log".into(),
        LiveFrom::Feeds { window_minutes } => {
            format!("channels that any request showed in the last {window_minutes} minutes")
        }
    };
    let Measured { split, requests, requests_without_watch, watched, watched_not_live, .. } =
        measured;
    let counted = &measured.neighbours;
    // Writing to a string cannot fail.
    let _ = writeln!(
        text,
        "{requests} requests of the {split} split with {watched} channels watched, {watched_not_live} of them not live; \
         {requests_without_watch} requests without a watch left out"
    );
    let _ = writeln!(
        text,
        "live: {live}; {:.1} on average, {:.1} of them long without exposure",
        measured.live_channels, measured.live_unexposed
    );
    if let Some(without) = measured.live_without_vector {
        let _ = writeln!(text, "live channels without a vector: {without:.1} on average");
    }
    let _ = writeln!(
        text,
        "neighbours: of {} users' watches in the train split, {} channels, {} pairs\n",
        counted.users, counted.channels, counted.pairs
    );
    let mut table = plain_table();
    let names = k.iter().map(|k| format!("recall@{k}"));
    table.set_header(
        ["source".into(), "candidates".into()].into_iter().chain(names).chain(["only".into()]),
    );
    let rows = measured.sources.iter().chain([&measured.together, &measured.random]);
    for RecallRow { name, left_out, candidates, recall, only } in rows {
        if left_out.is_some() {
            table.add_row([*name, "left out"]);
            continue;
        }
        let figure =
            |value: Option<f64>| value.map_or(String::new(), |value| format!("{value:.4}"));
        let recalls = k.iter().map(|k| figure(recall.get(k).copied()));
        let cells = [(*name).into(), format!("{candidates:.1}")].into_iter().chain(recalls);
        table.add_row(cells.chain([figure(*only)]));
    }
    table.column_iter_mut().skip(1).for_each(|c| c.set_cell_alignment(CellAlignment::Right));
    text.push_str(&table.trim_fmt());
    for RecallRow { name, left_out, .. } in &measured.sources {
        if let Some(reason) = left_out {
            let _ = write!(text, "\n\n{name} left out: {reason}");
        }
    }
    text
}
