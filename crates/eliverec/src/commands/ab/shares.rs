//! `eliverec ab shares`: other shares for buckets, so that as few users as possible move.

use std::path::{Path, PathBuf};

use eliverec_core::regular;
use eliverec_experiments::shares::{Change, set};
use eliverec_run::{Error, durable};
use serde::Serialize;

use crate::commands::{plain_table, print, print_json};

/// Give buckets of an experiments file other shares of users
#[derive(Debug, clap::Args)]
#[command(after_help = "\
A bucket that shrinks gives up its highest slots; one that grows takes these first and then slots that no bucket had. All other
users stay in their buckets. The file is replaced as a whole; but for the slots it stays as it is. A running service reads it again
by POST /v1/admin/experiments.

Examples:
  eliverec ab shares experiments.toml
  eliverec ab shares experiments.toml --set elive=0.2
  eliverec ab shares experiments.toml --layer ranker --set elive=0.5 --set eta=0.5 --json")]
pub(super) struct Arguments {
    /// Experiments file
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Layer of the buckets; not needed where there is one
    #[arg(long, value_name = "NAME")]
    layer: Option<String>,
    /// Another share of a bucket, from 0 to 1; may be given several times. Without it the shares are printed
    #[arg(long = "set", value_name = "BUCKET=SHARE", value_parser = share)]
    shares: Vec<(String, f64)>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

fn share(text: &str) -> Result<(String, f64), String> {
    let (bucket, share) = text.split_once('=').ok_or("write BUCKET=SHARE, such as elive=0.2")?;
    let share = share.parse().map_err(|_| format!("{share:?} is no number"))?;
    Ok((bucket.into(), share))
}

/// What is printed as JSON.
#[derive(Serialize)]
struct Told<'a> {
    file: &'a Path,
    /// Of the layer, as it is now.
    buckets: &'a [Change],
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<u8> {
    let Arguments { file, layer, shares, json } = arguments;
    let text = regular::read_to_string(file).map_err(|e| Error::Config {
        place: file.display().to_string(),
        reason: format!("cannot be read ({}); give an experiments file", e.kind()),
    })?;
    let (changed, buckets) = set(&text, file, layer.as_deref(), shares)?;
    if !shares.is_empty() {
        // What a link points to is meant.
        durable::write(&fs_err::canonicalize(file)?, changed.as_bytes())?;
    }
    if *json {
        print_json(&Told { file, buckets: &buckets })?;
        return Ok(crate::OK);
    }
    let mut table = plain_table();
    table.set_header(["bucket", "slots before", "slots now"]);
    for Change { bucket, before, after } in &buckets {
        table.add_row([bucket.clone(), before.to_string(), after.to_string()]);
    }
    print(&table.trim_fmt())?;
    Ok(crate::OK)
}
