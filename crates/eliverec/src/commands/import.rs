//! `eliverec import`: a published data set becomes a feed directory.

use std::fmt::Write as _;
use std::path::PathBuf;

use clap::builder::PossibleValuesParser;
use eliverec_tables::FeedDirectory;
use eliverec_tables::import::{IMPORTERS, Imported, find};

use super::{inspect, print};

/// Turn a published data set into feeds
#[derive(Debug, clap::Args)]
#[command(after_help = after_help())]
pub(crate) struct Arguments {
    /// Which data set
    #[arg(value_parser = PossibleValuesParser::new(IMPORTERS.iter().map(|i| i.name)))]
    name: String,
    /// Directory with the files of the set
    #[arg(long, value_name = "DIR")]
    from: PathBuf,
    /// Feed directory to make; must not exist yet
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Seed of sampled candidates
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

fn after_help() -> String {
    let width = IMPORTERS.iter().map(|importer| importer.name.len()).max().unwrap_or(0);
    let mut text = String::from("Data sets:\n");
    for importer in IMPORTERS {
        let _ = writeln!(text, "  {:width$}  {}", importer.name, importer.summary);
    }
    text + "\nExample:\n  eliverec import ebnerd --from ../shared/data/ebnerd-demo --out work/ebnerd"
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<u8> {
    let importer = find(&arguments.name).expect("clap accepts only names of importers");
    let imported = importer.run(&arguments.from, &arguments.out, arguments.seed)?;
    print(&account(&imported))?;
    let directory = FeedDirectory::open(&arguments.out)?;
    print(&inspect::table(&eliverec_tables::statistics(&directory)?))?;
    Ok(crate::OK)
}

/// What became of the rows: in = feeds + dropped, reason by reason.
fn account(imported: &Imported) -> String {
    let [train, validation, test] = imported.feeds;
    let mut text = format!(
        "{} rows in = {} feeds ({train} train, {validation} validation, {test} test) + {} dropped\n",
        imported.rows_in,
        imported.rows_out(),
        imported.rows_dropped()
    );
    for (reason, count) in &imported.dropped {
        let _ = writeln!(text, "  dropped {count}: {reason}");
    }
    for (remark, count) in &imported.remarks {
        let _ = writeln!(text, "  {count}: {remark}");
    }
    text
}
