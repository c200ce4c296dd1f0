//! `eliverec disentangling`: on a simulated log, whether a run's intents find what they are meant to find.

use std::collections::BTreeMap;
use std::path::PathBuf;

use comfy_table::CellAlignment;
use eliverec_run::Error;
use eliverec_tables::check::promises;
use eliverec_tables::{FeedDirectory, Split};
use eliverec_train::disentangling::{Disentangling, measure};

use super::causes::Causes;
use super::{open_run, plain_table, reading, unchecked};

/// Compare a run's intents with the truth of a simulated log
#[derive(Debug, clap::Args)]
#[command(after_help = "\
A behaviour's cause is in LOGS/truth.parquet. Told apart are behaviours that came from an interest shared by both domains
and those that came from one of the domain's own. auc: of p_c (Eq. 5, mean over its elements) as a score for shared, 0.5
knows nothing. The attention columns say which share of the attention of z_c and z_s (Eq. 7) falls on shared behaviours.

Example:
  eliverec disentangling --run demo/elive --feeds demo/feeds --logs demo/logs")]
pub(crate) struct Arguments {
    /// Run directory, of a model with intents
    #[arg(long, value_name = "RUN")]
    run: PathBuf,
    /// Feed directory made from the log
    #[arg(long, value_name = "DIR")]
    feeds: PathBuf,
    /// Log directory that `eliverec simulate` made
    #[arg(long, value_name = "LOGS")]
    logs: PathBuf,
    /// train, validation or test
    #[arg(long, default_value = "test")]
    split: Split,
    /// Print one JSON object, a key per domain
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<u8> {
    let feeds = FeedDirectory::open(&arguments.feeds)?;
    let causes = Causes::read(&arguments.logs)?;
    let (scorer, commit) = open_run(&arguments.run)?;
    let split = arguments.split;
    let of_truth = causes.checked(&arguments.logs, feeds.path())?;
    let checked =
        promises(&feeds, &[split], &[split])?.and(of_truth).and(unchecked(&arguments.run, &commit));
    let is_shared = |behaviour| causes.is_shared(behaviour);
    let measured = measure(&scorer, &arguments.run, &feeds, split, is_shared)?;
    if measured.is_empty() {
        return Err(Error::Run {
            path: arguments.run.clone(),
            reason: "the model has no intents; only elive with model.disentangle has".into(),
        }
        .into());
    }
    reading::end(arguments.json, &checked, &measured, || Ok(table(&measured)))?;
    Ok(crate::OK)
}

fn table(measured: &BTreeMap<&'static str, Disentangling>) -> String {
    let mut table = plain_table();
    let names = measured.values().next().map(Disentangling::figures).unwrap_or_default();
    let names = names.map(|(name, _)| name.replace('_', " "));
    table.set_header([String::new(), "behaviours".into()].into_iter().chain(names));
    for (domain, found) in measured {
        let figures = found
            .figures()
            .map(|(_, value)| value.map_or("-".into(), |value| format!("{value:.4}")));
        table.add_row(
            [(*domain).to_string(), found.behaviours.to_string()].into_iter().chain(figures),
        );
    }
    table.column_iter_mut().skip(1).for_each(|c| c.set_cell_alignment(CellAlignment::Right));
    table.trim_fmt()
}
