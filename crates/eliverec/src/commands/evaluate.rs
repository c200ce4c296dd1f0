//! `eliverec evaluate`: the metrics of a run's best checkpoint, or of a file of scores, on a split.

use std::path::PathBuf;

use eliverec_metrics::table::{Format, Layout, TableRow, render};
use eliverec_metrics::{METRICS, Metric, Report, task_metrics};
use eliverec_run::Scorer;
use eliverec_tables::check::{Checked, Part, Read, promises};
use eliverec_tables::scores::ScoreTable;
use eliverec_tables::{FeedDirectory, Split};
use eliverec_train::ranks::Ranks;
use eliverec_train::{evaluate, evaluate_scores};
use serde::Serialize;

use super::ranks::on_every_rank;
use super::{open_run, reading, tell, unchecked};

/// Measure a run's best checkpoint, or the scores of any system
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  eliverec evaluate --run work/run --feeds work/ebnerd\n  eliverec evaluate --run work/run --feeds work/ebnerd --split validation --json\n  eliverec evaluate --scores work/scores.parquet --feeds work/ebnerd"
)]
pub(crate) struct Arguments {
    /// Run directory
    #[arg(long, value_name = "RUN", required_unless_present = "scores")]
    run: Option<PathBuf>,
    /// A Parquet file with the columns that `eliverec score` writes, from any system: request_id, the channel's id and p_watch
    #[arg(long, value_name = "FILE", conflicts_with = "run")]
    scores: Option<PathBuf>,
    /// Feed directory, with the run's schema
    #[arg(long, value_name = "DIR")]
    feeds: PathBuf,
    /// train, validation or test
    #[arg(long, default_value = "test")]
    split: Split,
    /// Print one JSON object; a metric that is undefined on the split is null
    #[arg(long)]
    json: bool,
}

/// What is printed as JSON.
#[derive(Debug, Serialize)]
struct Measured {
    #[serde(flatten)]
    report: Report,
    /// Rows that nothing but their order told from others of the same request and ids.
    #[serde(skip_serializing_if = "Option::is_none")]
    rows_told_by_order: Option<usize>,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<u8> {
    on_every_rank(|ranks| on_rank(arguments, ranks))
}

/// Each rank scores its share of the batches; what is printed is that of all.
fn on_rank(arguments: &Arguments, ranks: &Ranks) -> anyhow::Result<u8> {
    let is_first = ranks.rank() == 0;
    let feeds = FeedDirectory::open(&arguments.feeds)?;
    let split = arguments.split;
    let mut checked = Checked::default();
    if is_first {
        checked = promises(&feeds, &[split], &[split])?;
    }
    let (name, report, rows_told_by_order) = match (&arguments.run, &arguments.scores) {
        (Some(run), _) => {
            let (scorer, commit) = if is_first { open_run(run)? } else { Scorer::open(run)? };
            checked = checked.and(unchecked(run, &commit));
            let report = evaluate(&scorer, run, &feeds, split, &**ranks)?.report;
            (scorer.config.model.name().to_owned(), report, None)
        }
        (None, Some(path)) => {
            let mut scores = ScoreTable::read(path, feeds.schema())?;
            let report = evaluate_scores(&mut scores, &feeds, split)?.report;
            let name = path.display();
            checked =
                checked.and(Checked { read: of_scores(&scores, split), ..Checked::default() });
            let by_order = scores.by_order();
            if by_order > 0 && is_first {
                tell(&format!(
                    "{by_order} rows of {name} were told from others of the same request and ids by their order alone, which \
                     must be that of the feeds then; write position in both, or further ids"
                ));
            }
            (name.to_string(), report, Some(by_order))
        }
        (None, None) => unreachable!("one of the two is required"),
    };
    if !is_first {
        return Ok(crate::OK);
    }
    let measured = Measured { report, rows_told_by_order };
    reading::end(arguments.json, &checked, &measured, || {
        let Report { feeds, impressions, watched, .. } = &measured.report;
        let counts = format!("{feeds} feeds, {impressions} impressions, {watched} watched\n\n");
        let name = format!("{name} {split}");
        let of_tasks = task_metrics([&measured.report]);
        let metrics: Vec<Metric> = METRICS.iter().cloned().chain(of_tasks).collect();
        let row = TableRow { name, reports: vec![measured.report.clone()] };
        Ok(counts + &render(&[row], &metrics, Layout::MetricsDown, Format::Text))
    })?;
    Ok(crate::OK)
}

/// What was read of a file of scores, and what of it is of no request of the split.
fn of_scores(scores: &ScoreTable, split: Split) -> Read {
    let rows = scores.len() as u64;
    let part = Part { name: "scores".into(), files: 1, rows, impressions: None };
    let mut read = Read::of(vec![part], Vec::new());
    let [of_others, not_shown] = scores.unused();
    for (reason, left_out) in [
        (format!("scores of no request of the {split} split"), of_others),
        ("scores of channels that the request did not show".to_owned(), not_shown),
    ] {
        if left_out > 0 {
            read.left_out.insert(reason, left_out as u64);
        }
    }
    read
}
