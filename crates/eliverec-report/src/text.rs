//! A report as text: the paper's table layout with our figures and the paper's, orderings, definitions, fingerprints.

use std::fmt::Write as _;

use eliverec_metrics::table::{Format, Layout, TableRow, aligned, render};
use eliverec_metrics::{METRICS, Metric, task_metrics};

use crate::Error;
use crate::experiment::{Experiment, ExperimentRow};
use crate::named;
use crate::paper;
use crate::verdict::{Ordering, Verdict};

/// The columns of the first table, in its order.
const SHOWN: [&str; 6] =
    ["auc", "gauc_user", "gauc_feed", "paper_prec_at_10", "ndcg_at_10", "logloss"];

/// The whole report.
///
/// # Errors
/// None that reading the experiment did not have.
pub fn report(
    experiment: &Experiment,
    orderings: &[Ordering],
    format: Format,
) -> Result<String, Error> {
    let mut text = String::new();
    let heading = |text: &mut String, level: &str, title: &str| {
        let _ = match format {
            Format::Markdown => writeln!(text, "{level} {title}\n"),
            Format::Text => {
                let apart = if level.starts_with('\n') { "\n" } else { "" };
                writeln!(text, "{apart}{title}\n")
            }
        };
    };
    heading(&mut text, "#", &experiment.title);
    let _ = writeln!(text, "{}\n", seeds(experiment));
    let rows: Vec<TableRow> = experiment.rows.iter().map(table_row).collect();
    text += &render(&rows, &metrics(experiment), Layout::NamesDown, format);

    if let Some(paper) = paper_table(experiment, format) {
        heading(&mut text, "\n##", "The paper's figures, on its own data");
        text += &paper;
    }
    if orderings.is_empty() && experiment.rows.len() > 1 {
        let _ = writeln!(text, "\nNo comparison: the users' AUCs are not beside the results.");
    } else if !orderings.is_empty() {
        heading(&mut text, "\n##", "Which orderings hold here");
        text += &orderings_table(orderings, format);
        let _ = writeln!(
            text,
            "\nDifference of gAUC per user, {} minus the other row; seeds averaged per user, 95 % interval of a bootstrap over users.\n{}",
            orderings[0].main,
            summary(orderings)
        );
    }
    for figures in named::all(experiment) {
        heading(&mut text, "\n##", figures.title);
        let head: Vec<&str> = figures.head.iter().map(String::as_str).collect();
        text += &grid(&head, figures.rows, format);
        let _ = writeln!(text, "\n{}", figures.note);
    }
    heading(&mut text, "\n##", "Configs and data");
    text += &fingerprints(experiment, format);
    Ok(text)
}

/// How many seeds, on what.
pub fn seeds(experiment: &Experiment) -> String {
    let counts: Vec<usize> = experiment.rows.iter().map(|row| row.runs.len()).collect();
    let (fewest, most) = (counts.iter().min().unwrap_or(&0), counts.iter().max().unwrap_or(&0));
    let seeds =
        if fewest == most { format!("{most}") } else { format!("{fewest} to {most}, see below") };
    let report = &experiment.rows[0].runs[0].report;
    format!(
        "Test split: {} feeds, {} impressions, {} watched. Seeds per row: {seeds}.",
        report.feeds, report.impressions, report.watched
    )
}

/// The metrics that have a value in some row.
pub fn metrics(experiment: &Experiment) -> Vec<Metric> {
    let shown = METRICS.iter().filter(|metric| SHOWN.contains(&metric.name.as_ref())).cloned();
    let reports = || experiment.rows.iter().flat_map(|row| &row.runs).map(|run| &run.report);
    let has = |metric: &Metric| reports().any(|report| metric.of(report).is_some());
    shown.chain(task_metrics(reports())).filter(has).collect()
}

/// A row for [`render`].
fn table_row(row: &ExperimentRow) -> TableRow {
    TableRow { name: row.name.clone(), reports: row.reports() }
}

/// How many of the paper's orderings hold.
pub fn summary(orderings: &[Ordering]) -> String {
    let count = |verdict| orderings.iter().filter(|o| o.verdict == verdict).count();
    let of_paper = orderings.len() - count(Verdict::NotInPaper);
    if of_paper == 0 {
        return "The paper gives no figures for these rows.".into();
    }
    format!(
        "Of {of_paper} orderings of the paper {} hold here, {} are reversed, {} are undecided.",
        count(Verdict::Holds),
        count(Verdict::Reversed),
        count(Verdict::Undecided)
    )
}

/// A head and rows as a table of the format.
fn grid(head: &[&str], rows: Vec<Vec<String>>, format: Format) -> String {
    let head = head.iter().map(|name| (*name).to_string()).collect();
    let cells: Vec<Vec<String>> = std::iter::once(head).chain(rows).collect();
    aligned(&cells, format)
}

fn paper_table(experiment: &Experiment, format: Format) -> Option<String> {
    let source = experiment.source()?;
    let figures = source.rows.iter().filter_map(|(row, name, figures)| {
        let figures = figures.as_ref()?;
        let mut cells = vec![(*row).to_string(), (*name).to_string()];
        cells.extend(figures.iter().map(|figure| format!("{figure:.4}")));
        Some(cells)
    });
    let rows: Vec<Vec<String>> = figures.collect();
    let mut head = vec!["row", "the paper's name"];
    let metrics = paper::METRICS.iter().filter_map(|name| eliverec_metrics::report::metric(name));
    head.extend(metrics.map(|metric| metric.title.as_ref()));
    (!rows.is_empty()).then(|| grid(&head, rows, format))
}

fn orderings_table(orderings: &[Ordering], format: Format) -> String {
    let rows = orderings.iter().map(ordering_cells).collect();
    grid(&ORDERING_HEAD, rows, format)
}

/// The head of the table of orderings.
pub const ORDERING_HEAD: [&str; 5] = ["against", "paper", "here", "95 % interval", "verdict"];

/// The cells of an ordering.
pub fn ordering_cells(ordering: &Ordering) -> Vec<String> {
    let here = &ordering.here;
    vec![
        ordering.other.clone(),
        ordering.paper.map_or("-".into(), |paper| format!("{paper:+.4}")),
        format!("{:+.4}", here.difference),
        format!("{:+.4} to {:+.4}", here.low, here.high),
        ordering.verdict.name().into(),
    ]
}

/// The head of the table of fingerprints.
pub const FINGERPRINT_HEAD: [&str; 8] =
    ["row", "seeds", "validation", "updates", "parameters", "seconds", "config", "data"];

/// What stands below it.
pub const FINGERPRINT_NOTE: &str = "Validation: the metric by which the best checkpoint was chosen. The config's fingerprint leaves the seed out; the whole configs are in the runs' JSON files.";

/// The cells of a row's fingerprints; numbers are means over its seeds.
pub fn fingerprint_cells(row: &ExperimentRow) -> Vec<String> {
    let mean = |value: fn(&crate::RunResult) -> f64| {
        row.runs.iter().map(value).sum::<f64>() / row.runs.len() as f64
    };
    let seeds: Vec<String> = row.runs.iter().map(|run| run.seed.to_string()).collect();
    let first = &row.runs[0];
    vec![
        row.name.clone(),
        seeds.join(" "),
        named::spread(row.runs.iter().filter_map(|run| run.validation)),
        format!("{:.0}", mean(|run| run.steps as f64)),
        first.parameters.to_string(),
        format!("{:.0}", mean(|run| run.seconds)),
        first.config_fingerprint.clone(),
        first.data_fingerprint.clone(),
    ]
}

fn fingerprints(experiment: &Experiment, format: Format) -> String {
    let rows: Vec<Vec<String>> = experiment.rows.iter().map(fingerprint_cells).collect();
    grid(&FINGERPRINT_HEAD, rows, format) + "\n" + FINGERPRINT_NOTE + "\n"
}
