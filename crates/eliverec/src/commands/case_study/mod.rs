//! `eliverec case-study`: the same users under two models, as a page with both histories, what each model put first and what was done.

mod described;

use std::path::{Path, PathBuf};

use anyhow::Context;
use eliverec_core::{Task, TaskKind};
use eliverec_report::case_page;
use eliverec_report::case_study::{Case, CaseStudy, OfModel, StudiedModel, StudiedTask};
use eliverec_run::checkpoint::Commit;
use eliverec_run::{Error, Scorer, durable};
use eliverec_tables::check::promises;
use eliverec_tables::{FeedDirectory, Split};
use eliverec_train::case_study::{Choice, compare};
use indicatif::ProgressBar;

use super::{open_run, plain_table, reading, tell, unchecked};
use described::Described;

/// Look at the same users under two models
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Users are chosen by a rule and not by hand: those whose first places differ most, and some by chance. docs/case-study.md has the rule
and how to read the page. Names stand in the log's tables: channel_name beside channel_id, product_name, category_name.

Examples:
  eliverec case-study --run demo/elive --run demo/eta --feeds demo/feeds --html case-study.html
  eliverec case-study --run work/a --run work/b --feeds work/feeds --logs work/logs --most 5 --chance 5 --json")]
pub(crate) struct Arguments {
    /// Run directory; given twice
    #[arg(long = "run", value_name = "RUN", required = true)]
    runs: Vec<PathBuf>,
    /// Feed directory with the runs' schema
    #[arg(long, value_name = "DIR")]
    feeds: PathBuf,
    /// Log directory whose tables have names; without it ids are shown
    #[arg(long, value_name = "LOGS")]
    logs: Option<PathBuf>,
    /// train, validation or test
    #[arg(long, default_value = "test")]
    split: Split,
    /// Places of the rankings that are compared and shown
    #[arg(long, value_name = "K", default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..=100))]
    top: u16,
    /// Users whose rankings differ most
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u16).range(0..=100))]
    most: u16,
    /// Users by chance, of the others
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u16).range(0..=100))]
    chance: u16,
    /// Of chance
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Write the study as one HTML page
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<u8> {
    let Arguments { runs, feeds, split, .. } = arguments;
    let [first, second] = runs.as_slice() else {
        let reason = format!("{} runs are given; a case study compares two", runs.len());
        return Err(Error::Config { place: "--run".into(), reason }.into());
    };
    let feeds = FeedDirectory::open(feeds)?;
    let opened = [open_run(first)?, open_run(second)?];
    let mut checked = promises(&feeds, &[*split], &[*split])?;
    for (path, (_, commit)) in runs.iter().zip(&opened) {
        checked = checked.and(unchecked(path, commit));
    }
    let described = Described::open(feeds.schema(), arguments.logs.as_deref())?;
    let bar = ProgressBar::new(feeds.feeds(*split)?);
    let choice = Choice {
        top: usize::from(arguments.top),
        most: usize::from(arguments.most),
        chance: usize::from(arguments.chance),
        seed: arguments.seed,
    };
    let models = [(&opened[0].0, first.as_path()), (&opened[1].0, second.as_path())];
    let compared = compare(models, &feeds, *split, choice, |read| bar.set_position(read));
    bar.finish_and_clear();
    let compared = compared?;
    checked.read.left_out.clone_from(&compared.left_out);
    let task = |task: &Task| StudiedTask {
        name: task.name.clone(),
        is_duration: task.kind == TaskKind::Duration,
    };
    let study = CaseStudy {
        split: split.to_string(),
        top: choice.top,
        seed: choice.seed,
        models: studied([first, second], &opened),
        users: compared.users,
        mean_distance: compared.mean_distance,
        alike: compared.alike,
        left_out: compared.left_out,
        tasks: feeds.schema().task.iter().map(task).collect(),
        cases: compared.cases.iter().map(|case| described.case(case, choice.top)).collect(),
    };
    if let Some(path) = &arguments.html {
        let page = case_page::page(&study);
        durable::write(path, page.as_bytes()).with_context(|| path.display().to_string())?;
        tell(&format!("wrote {}", path.display()));
    }
    reading::end(arguments.json, &checked, &study, || Ok(text(&study)))?;
    Ok(crate::OK)
}

/// Both models, called by the names of their runs' folders, or by the whole paths if these are the same.
fn studied(paths: [&Path; 2], opened: &[(Scorer, Commit); 2]) -> [StudiedModel; 2] {
    let of_folder = |path: &Path| {
        let folder = path.file_name().map(|name| name.to_string_lossy().into_owned());
        folder.unwrap_or_else(|| path.display().to_string())
    };
    let is_told = of_folder(paths[0]) != of_folder(paths[1]);
    let of = |i: usize| {
        let (path, (scorer, commit)) = (paths[i], &opened[i]);
        let run = path.display().to_string();
        StudiedModel {
            name: if is_told { of_folder(path) } else { run.clone() },
            model: scorer.config.model.name().into(),
            run,
            checkpoint: commit.best.clone(),
        }
    };
    [of(0), of(1)]
}

/// The study for a terminal: what was watched is marked.
fn text(study: &CaseStudy) -> String {
    let mut table = plain_table();
    let [first, second] = study.models.each_ref().map(|model| model.name.as_str());
    table.set_header(["user", "request", "chosen by", "distance", first, second]);
    let places = |case: &Case, of: &OfModel| {
        let one = |place: &usize| {
            let shown = &case.candidates[*place];
            let mark = if shown.watched == Some(true) { "*" } else { "" };
            format!("{}{mark}", shown.of.title())
        };
        of.ranking.iter().take(study.top).map(one).collect::<Vec<_>>().join(" ")
    };
    for case in &study.cases {
        table.add_row([
            case.user_id.clone(),
            case.request_id.clone(),
            case.chosen_by.to_owned(),
            format!("{:.3}", case.distance),
            places(case, &case.by_model[0]),
            places(case, &case.by_model[1]),
        ]);
    }
    format!(
        "{}\n{}\n\n{}\n\n* watched. --html writes both histories with what the models looked at, `eliverec explain` has one request in full.",
        case_page::rule(study),
        case_page::distances(study),
        table.trim_fmt()
    )
}
