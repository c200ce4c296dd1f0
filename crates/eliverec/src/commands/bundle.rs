//! `eliverec bundle verify`: is a bundle what was exported, and what is in it?

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::Subcommand;
use eliverec_core::{Dimension, Dimensions};
use eliverec_features::FeatureConfig;
use eliverec_serve::Bundle;
use eliverec_serve::bundle::{Manifest, OfflineMetrics};
use eliverec_tables::events::Day;
use serde::Serialize;

use super::{plain_table, print, print_json};

/// Look into a bundle
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  eliverec bundle verify work/bundle
  eliverec bundle verify work/bundle --json")]
pub(crate) struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    Verify(Verify),
}

/// Open a bundle as serving does and print what is in it
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Compares every byte with the manifest and the manifest with itself, and scores the golden requests. Exit code 1 if the bundle is
refused; the line names the file and the reason.

Example:
  eliverec bundle verify work/bundle")]
struct Verify {
    /// Bundle directory
    path: PathBuf,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// What is printed as JSON.
#[derive(Serialize)]
struct Verified<'a> {
    path: &'a Path,
    manifest: &'a Manifest,
    features: Option<FeatureConfig>,
    /// Rows of each table.
    tables: Option<BTreeMap<&'static str, usize>>,
    metrics: Option<&'a OfflineMetrics>,
    auc_change: Option<f64>,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<u8> {
    let What::Verify(Verify { path, json }) = &arguments.what;
    let bundle = Bundle::open(path)?;
    let tables = bundle.dimensions.as_deref();
    if *json {
        let metrics = bundle.metrics.as_ref();
        print_json(&Verified {
            path,
            manifest: &bundle.manifest,
            features: bundle.features,
            tables: tables.map(|Dimensions { users, products, channels }| {
                [users, products, channels].map(|table| (table.group().name(), table.len())).into()
            }),
            metrics,
            auc_change: metrics.and_then(OfflineMetrics::auc_change),
        })?;
        return Ok(crate::OK);
    }
    let text = table(path, &bundle.manifest, bundle.metrics.as_ref());
    let count = |table: &Dimension| format!("{} {}s", table.len(), table.group().name());
    let tables = tables.map_or_else(
        || "no tables".into(),
        |tables| [&tables.users, &tables.products, &tables.channels].map(count).join(", "),
    );
    let features = match bundle.features {
        Some(_) => "it answers requests",
        None => "it has no settings of features, so it scores feeds and answers no requests",
    };
    print(&format!("{text}\n\nverified: {features}; {tables}"))?;
    Ok(crate::OK)
}

/// What a bundle is.
pub(super) fn table(path: &Path, manifest: &Manifest, metrics: Option<&OfflineMetrics>) -> String {
    let mebibytes = |bytes: u64| format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20));
    let Manifest { made_of, golden, rows, .. } = manifest;
    let mut table = plain_table();
    table.add_row(["bundle", &path.display().to_string()]);
    table.add_row(["version", &manifest.version]);
    let made = format!("{} by {}", moment(manifest.created_ms), manifest.program);
    table.add_row(["made", &made]);
    let model = format!(
        "{}, {} parameters, schema {}",
        manifest.model, manifest.parameters, manifest.schema
    );
    table.add_row(["model", &model]);
    let (precision, size) = (rows.precision.name(), mebibytes(rows.bytes));
    table.add_row(["rows", &format!("{} in {precision}, {size}", rows.rows)]);
    table.add_row(["run", &format!("{}, {}", made_of.run, made_of.checkpoint)]);
    let others = made_of.other_feeds.as_ref().map(|other| format!("; not the run's: {other}"));
    table.add_row(["feeds", &format!("{}{}", made_of.feeds, others.unwrap_or_default())]);
    let requests = format!(
        "{} requests of the {} split, {} candidates, within {}",
        golden.requests, golden.split, golden.candidates, golden.tolerance
    );
    table.add_row(["golden", &requests]);
    let files = format!("{}, {}", manifest.files.len() + 1, mebibytes(manifest.bytes()));
    table.add_row(["files", &files]);
    let Some(metrics) = metrics else { return table.trim_fmt() };
    let changed = metrics.changes.values().any(|change| change.max > 0.0);
    if !changed {
        table.add_row(["change", "none by its rows"]);
    }
    for (name, change) in metrics.changes.iter().filter(|_| changed) {
        let change = format!("mean {:.2e}, largest {:.2e}", change.mean, change.max);
        table.add_row([format!("change of {name}"), change]);
    }
    let auc = metrics.bundle.as_ref().and_then(|report| report.auc);
    if let (Some(auc), Some(change)) = (auc, metrics.auc_change()) {
        let over = format!("{} feeds of the {} split", metrics.feeds, metrics.split);
        let against = match change {
            0.0 => "as the run's".into(),
            change => format!("{change:+.1e} against the run"),
        };
        table.add_row(["AUC", &format!("{auc:.4}, {against}, over {over}")]);
    }
    table.trim_fmt()
}

/// A moment in UTC to the second.
fn moment(ts_ms: i64) -> String {
    let Some(day) = Day::of(ts_ms) else { return format!("{ts_ms} ms after 1970") };
    let seconds = (ts_ms - day.start_ms()) / 1000;
    format!("{day} {:02}:{:02}:{:02} UTC", seconds / 3600, seconds / 60 % 60, seconds % 60)
}
