//! A report as text: the paper's table layout with our figures and the paper's, orderings, definitions, fingerprints.

use std::fmt::Write as _;

use eliverec_metrics::table::{Format, Layout, TableRow, aligned, render};
use eliverec_metrics::{METRICS, Metric, task_metrics};

use crate::Error;
use crate::experiment::{Experiment, ExperimentRow};
use crate::named;
use crate::paper;
use crate::results::{Cost, GROUPS};
use crate::verdict::{FEWEST_SEEDS, Ordering, REPLICATES, Verdict, Verdicts};

/// The columns of the first table, in its order.
const SHOWN: [&str; 6] =
    ["auc", "gauc_user", "gauc_feed", "paper_prec_at_10", "ndcg_at_10", "logloss"];

/// The whole report.
///
/// # Errors
/// None that reading the experiment did not have.
pub fn report(
    experiment: &Experiment,
    verdicts: &[Verdicts],
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
    for table in verdicts {
        heading(&mut text, "\n##", &verdicts_title(table));
        text += &grid(&VERDICT_HEAD, table.orderings.iter().map(verdict_cells).collect(), format);
        let _ = writeln!(text, "\n{}", verdicts_note(table));
    }
    if !verdicts.is_empty() {
        let _ = writeln!(text, "\n{}", verdicts_method());
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

/// The heading of a table of verdicts.
pub fn verdicts_title(table: &Verdicts) -> String {
    format!("Verdicts: {}", table.metric.title)
}

/// What stands below a table of verdicts.
pub fn verdicts_note(table: &Verdicts) -> String {
    let mut note = format!("Of {}, {} minus the other row. ", table.metric.title, table.main);
    let without = table.orderings.iter().filter(|o| o.verdict == Verdict::NoUsers).count();
    if without > 0 {
        let _ = write!(
            note,
            "{without} of {}: users' values not kept: no verdict, though the seeds agree. ",
            table.orderings.len()
        );
    }
    if table.intervals > 0 {
        let level = 100.0 * (1.0 - 0.05 / table.intervals as f64);
        let _ = write!(
            note,
            "Each interval is one of {level:.2} %, so that all {} of this table hold together in at least 95 % of cases. ",
            table.intervals
        );
    }
    note += &of_paper(&table.orderings);
    note.trim_end().to_owned()
}

/// How the intervals are made and what a verdict takes.
pub fn verdicts_method() -> String {
    format!(
        "Seeds: the difference under each seed that both rows have; under one seed both begin with the same initial values. Interval: over users and seeds, both drawn with replacement {REPLICATES} times, users in {GROUPS} groups, the same for both rows and all seeds of a draw; Student's t with the degrees of freedom that users and seeds have together. Corrected by Bonferroni for the comparisons of its table; Holm decides more, but by an order of p-values, and has no interval to show for it. A row is ahead or behind only where the interval leaves 0 out and every seed is on that side; with fewer than {FEWEST_SEEDS} seeds nothing is said."
    )
}

/// How many of the paper's orderings hold.
fn of_paper(orderings: &[Ordering]) -> String {
    let of_paper = || orderings.iter().filter_map(|o| Some((o.paper?, o.verdict)));
    let all = of_paper().count();
    if all == 0 {
        return String::new();
    }
    let decided = |sign: f64| {
        let side = |(paper, verdict): &(f64, Verdict)| match verdict {
            Verdict::Ahead => paper * sign > 0.0,
            Verdict::Behind => paper * sign < 0.0,
            Verdict::Undecided | Verdict::TooFewSeeds | Verdict::NoUsers => false,
        };
        of_paper().filter(side).count()
    };
    let (hold, reversed) = (decided(1.0), decided(-1.0));
    format!(
        "Of {all} orderings of the paper {hold} hold here, {reversed} are reversed, {} are open.",
        all - hold - reversed
    )
}

/// A head and rows as a table of the format.
pub(crate) fn grid(head: &[&str], rows: Vec<Vec<String>>, format: Format) -> String {
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

/// The head of a table of verdicts.
pub const VERDICT_HEAD: [&str; 6] = ["against", "paper", "here", "interval", "seeds", "verdict"];

/// The cells of an ordering.
pub fn verdict_cells(ordering: &Ordering) -> Vec<String> {
    let signed = |value: &f64| format!("{value:+.4}");
    let seeds: Vec<String> = ordering.seeds.iter().map(signed).collect();
    vec![
        ordering.other.clone(),
        ordering.paper.as_ref().map_or("-".into(), signed),
        signed(&ordering.here()),
        ordering
            .interval
            .map_or("-".into(), |found| format!("[{:+.4}, {:+.4}]", found.low, found.high)),
        seeds.join(" "),
        ordering.verdict.name().into(),
    ]
}

/// The head of the table of fingerprints.
pub const FINGERPRINT_HEAD: [&str; 10] = [
    "row",
    "seeds",
    "validation",
    "updates",
    "parameters",
    "in rows",
    "impressions/s",
    "us/candidate",
    "seconds",
    "config",
];

/// What stands below it.
pub fn fingerprint_note(experiment: &Experiment) -> String {
    format!(
        "Validation: the metric by which the best checkpoint was chosen. The config's fingerprint leaves the seed out; the whole configs are in the file of results. Parameters: dense ones, and numbers in rows of the tables. Impressions/s: of training, the median over the updates; us/candidate: of scoring the test split; both with whatever else the machine did. Fingerprint of the feeds: {}.",
        experiment.data_fingerprint
    )
}

/// The cells of a row's fingerprints; numbers are means over its seeds.
pub fn fingerprint_cells(row: &ExperimentRow) -> Vec<String> {
    let mean = |value: fn(&crate::RunResult) -> f64| {
        row.runs.iter().map(value).sum::<f64>() / row.runs.len() as f64
    };
    let seeds: Vec<String> = row.runs.iter().map(|run| run.seed.to_string()).collect();
    let first = &row.runs[0];
    let cost = |value: fn(&Cost) -> f64, digits: usize| {
        let costs: Vec<f64> = row.runs.iter().filter_map(|run| Some(value(&run.cost?))).collect();
        if costs.is_empty() {
            return "-".into();
        }
        format!("{:.digits$}", costs.iter().sum::<f64>() / costs.len() as f64)
    };
    vec![
        row.name.clone(),
        seeds.join(" "),
        named::spread(row.runs.iter().filter_map(|run| run.validation)),
        format!("{:.0}", mean(|run| run.steps as f64)),
        first.parameters.to_string(),
        first.cost.map_or("-".into(), |cost| cost.sparse_parameters.to_string()),
        cost(|cost| cost.impressions_per_s, 0),
        cost(|cost| cost.microseconds_per_candidate, 1),
        format!("{:.0}", mean(|run| run.seconds)),
        first.config_fingerprint.clone(),
    ]
}

fn fingerprints(experiment: &Experiment, format: Format) -> String {
    let rows: Vec<Vec<String>> = experiment.rows.iter().map(fingerprint_cells).collect();
    grid(&FINGERPRINT_HEAD, rows, format) + "\n" + &fingerprint_note(experiment) + "\n"
}
