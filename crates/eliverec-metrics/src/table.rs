//! Named reports as an aligned table, plain or Markdown, with the definitions of its metrics below.
//!
//! A name with several reports (seeds) is one row: mean ± standard deviation. Models under each other compare best; a single
//! run with all metrics reads best with the metrics under each other.

use std::fmt::Write as _;

use crate::{Metric, Report};

/// How the table is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Columns aligned by spaces, for a terminal.
    Text,
    /// A Markdown table, aligned as well.
    Markdown,
}

/// What the rows are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// One row for each name.
    NamesDown,
    /// One row for each metric.
    MetricsDown,
}

/// A name, such as a model's, and its reports, one for each seed.
#[derive(Clone, Debug)]
pub struct TableRow {
    /// What was evaluated.
    pub name: String,
    /// One report for each seed.
    pub reports: Vec<Report>,
}

/// Writes `rows` x `metrics` ([`METRICS`](crate::METRICS) or a choice of it) with four decimals, and the definitions below.
/// A metric that is undefined in one of a row's reports is shown as `-`.
pub fn render<'a>(
    rows: &[TableRow],
    metrics: impl IntoIterator<Item = &'a Metric>,
    layout: Layout,
    format: Format,
) -> String {
    let metrics: Vec<&Metric> = metrics.into_iter().collect();
    let mut grid = vec![vec![String::new()]];
    grid[0].extend(metrics.iter().map(|metric| metric.title.clone().into_owned()));
    for row in rows {
        let name = row.name.replace('\n', " ");
        // A bar would end the cell.
        let name = if format == Format::Markdown { name.replace('|', "\\|") } else { name };
        let mut cells = vec![name];
        cells.extend(metrics.iter().map(|metric| cell(metric, &row.reports)));
        grid.push(cells);
    }
    if layout == Layout::MetricsDown {
        grid = (0..grid[0].len())
            .map(|column| grid.iter().map(|cells| cells[column].clone()).collect())
            .collect();
    }
    let mut text = aligned(&grid, format);
    text.push('\n');
    for metric in metrics {
        let _ = match format {
            Format::Text => writeln!(text, "{}: {}.", metric.title, metric.definition),
            Format::Markdown => writeln!(text, "- {}: {}.", metric.title, metric.definition),
        };
    }
    if rows.iter().any(|row| row.reports.len() > 1) {
        let bullet = if format == Format::Markdown { "- " } else { "" };
        let _ = writeln!(text, "{bullet}a ± b: mean and sample standard deviation over seeds.");
    }
    text
}

/// A metric over the reports of a row: `-` where it is undefined in one, mean ± standard deviation over several.
pub fn cell(metric: &Metric, reports: &[Report]) -> String {
    let values: Option<Vec<f64>> = reports.iter().map(|report| metric.of(report)).collect();
    match values.as_deref() {
        None | Some([]) => "-".to_owned(),
        Some([value]) => format!("{value:.4}"),
        Some(values) => {
            let (mean, deviation) = mean_and_deviation(values);
            format!("{mean:.4} ± {deviation:.4}")
        }
    }
}

/// Mean and sample standard deviation, which is 0 for one value; NaN for none.
pub fn mean_and_deviation(values: &[f64]) -> (f64, f64) {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let squares = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>();
    (mean, if n > 1.0 { (squares / (n - 1.0)).sqrt() } else { 0.0 })
}

/// Cells as a table, the first row being its head: names to the left, numbers to the right.
pub fn aligned(grid: &[Vec<String>], format: Format) -> String {
    let width = |column: usize| grid.iter().map(|cells| cells[column].chars().count()).max();
    let widths: Vec<usize> = (0..grid[0].len()).map(|column| width(column).unwrap_or(0)).collect();
    let mut text = String::new();
    for (number, cells) in grid.iter().enumerate() {
        let padded: Vec<String> = cells
            .iter()
            .zip(&widths)
            .enumerate()
            .map(|(column, (cell, &width))| match column {
                0 => format!("{cell:<width$}"),
                _ => format!("{cell:>width$}"),
            })
            .collect();
        match format {
            Format::Text => text.push_str(padded.join("  ").trim_end()),
            Format::Markdown => {
                let _ = write!(text, "| {} |", padded.join(" | "));
            }
        }
        text.push('\n');
        if number == 0 {
            let rule = |(column, &width): (usize, &usize)| match (format, column) {
                (Format::Text, _) => "-".repeat(width),
                (Format::Markdown, 0) => "-".repeat(width + 2),
                (Format::Markdown, _) => format!("{}:", "-".repeat(width + 1)),
            };
            let rules: Vec<String> = widths.iter().enumerate().map(rule).collect();
            let _ = match format {
                Format::Text => writeln!(text, "{}", rules.join("  ")),
                Format::Markdown => writeln!(text, "|{}|", rules.join("|")),
            };
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{metric, tests::distinct};

    fn rows() -> Vec<TableRow> {
        let undefined = Report { auc: None, ..distinct(0.5) };
        vec![
            TableRow { name: "elive".to_owned(), reports: vec![distinct(0.5), distinct(0.7)] },
            TableRow { name: "η|both".to_owned(), reports: vec![undefined] },
        ]
    }

    #[test]
    fn markdown_with_names_down() {
        let metrics = ["auc", "pcoc"].map(|name| metric(name).unwrap());
        let text = render(&rows(), metrics, Layout::NamesDown, Format::Markdown);
        let expected = "\
|         |             AUC |            PCOC |
|---------|----------------:|----------------:|
| elive   | 0.6000 ± 0.1414 | 1.3500 ± 0.1414 |
| η\\|both |               - |          1.2500 |

- AUC: share of (watched, unwatched) pairs of impressions in the right order, a tie counting one half.
- PCOC: mean predicted / mean observed.
- a ± b: mean and sample standard deviation over seeds.
";
        assert_eq!(text, expected);
    }

    #[test]
    fn text_with_metrics_down() {
        let metrics = ["gauc_feed", "pcoc"].map(|name| metric(name).unwrap());
        let text = render(&rows()[1..], metrics, Layout::MetricsDown, Format::Text);
        let expected = "           η|both
---------  ------
gAUC feed  0.6250
PCOC       1.2500

gAUC feed: AUC inside each feed, mean weighted by impressions, feeds with one class left out.
PCOC: mean predicted / mean observed.
";
        assert_eq!(text, expected);
    }

    #[test]
    fn no_reports_are_undefined() {
        let rows = [TableRow { name: "x".to_owned(), reports: Vec::new() }];
        let text = render(&rows, metric("auc"), Layout::NamesDown, Format::Text);
        assert!(text.contains("\nx    -\n"), "{text}");
    }
}
