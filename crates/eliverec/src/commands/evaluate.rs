//! `eliverec evaluate`: the metrics of a run's best checkpoint on a split.

use std::path::PathBuf;

use eliverec_metrics::METRICS;
use eliverec_metrics::table::{Format, Layout, TableRow, render};
use eliverec_run::Scorer;
use eliverec_tables::{FeedDirectory, Split};
use eliverec_train::evaluate;

use super::{print, print_json};

/// Measure a run's best checkpoint
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  eliverec evaluate --run work/run --feeds work/ebnerd\n  eliverec evaluate --run work/run --feeds work/ebnerd --split validation --json"
)]
pub(crate) struct Arguments {
    /// Run directory
    #[arg(long, value_name = "RUN")]
    run: PathBuf,
    /// Feed directory with the run's schema
    #[arg(long, value_name = "DIR")]
    feeds: PathBuf,
    /// train, validation or test
    #[arg(long, default_value = "test")]
    split: Split,
    /// Print one JSON object; a metric that is undefined on the split is null
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<u8> {
    let feeds = FeedDirectory::open(&arguments.feeds)?;
    let scorer = Scorer::open(&arguments.run)?;
    let report = evaluate(&scorer, &arguments.run, &feeds, arguments.split)?.report;
    if arguments.json {
        print_json(&report)?;
    } else {
        let counts = format!(
            "{} feeds, {} impressions, {} watched\n\n",
            report.feeds, report.impressions, report.watched
        );
        let name = format!("{} {}", scorer.config.model.name(), arguments.split);
        let row = TableRow { name, reports: vec![report] };
        print(&(counts + &render(&[row], METRICS, Layout::MetricsDown, Format::Text)))?;
    }
    Ok(crate::OK)
}
