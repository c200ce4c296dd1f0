//! `eliverec report`: the results of an experiment as tables and plots.

use std::path::PathBuf;

use anyhow::Context;
use eliverec_metrics::table::Format;
use eliverec_report::{Experiment, page, text, verdict};
use eliverec_run::{Error, durable};

use super::{print, tell};

/// Show an experiment's results as tables and plots
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Prints the tables; --html writes one page with plots that opens offline. Rows are compared with the paper's main row, or with
--main, over users and seeds.

Examples:
  eliverec report results/world/table3
  eliverec report results/world/table3 --markdown results/world/table3/report.md
  eliverec report results/world/table3 --html table3.html")]
pub(crate) struct Arguments {
    /// Directory that `eliverec experiment` made
    #[arg(value_name = "RESULTS")]
    results: PathBuf,
    /// The row that the others are compared with
    #[arg(long, value_name = "ROW")]
    main: Option<String>,
    /// Heading in place of the experiment's own
    #[arg(long, value_name = "TEXT")]
    title: Option<String>,
    /// Write the tables as Markdown
    #[arg(long, value_name = "FILE")]
    markdown: Option<PathBuf>,
    /// Write tables and plots as one HTML page
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<u8> {
    let mut experiment = Experiment::read(&arguments.results)?;
    if let Some(title) = &arguments.title {
        experiment.title.clone_from(title);
    }
    if let Some(name) = arguments.main.as_ref().filter(|name| experiment.row(name).is_none()) {
        let rows: Vec<&str> = experiment.rows.iter().map(|row| row.name.as_str()).collect();
        let reason = format!("has no row {name}; it has {}", rows.join(", "));
        return Err(Error::Run { path: arguments.results.clone(), reason }.into());
    }
    let main = verdict::main_row(&experiment, arguments.main.as_deref()).context("no rows")?;
    let verdicts = verdict::verdicts(&experiment, main)?;
    print(&text::report(&experiment, &verdicts, Format::Text)?)?;
    if let Some(path) = &arguments.markdown {
        let text = text::report(&experiment, &verdicts, Format::Markdown)?;
        durable::write(path, text.as_bytes()).with_context(|| path.display().to_string())?;
        tell(&format!("wrote {}", path.display()));
    }
    if let Some(path) = &arguments.html {
        let page = page::page(&experiment, &verdicts, main)?;
        durable::write(path, page.as_bytes()).with_context(|| path.display().to_string())?;
        tell(&format!("wrote {}", path.display()));
    }
    Ok(crate::OK)
}
