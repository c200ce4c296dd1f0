//! Reports of experiments: who makes them ([`Reports`]), and how one looks on the page. They are of the days that are over, by the
//! functions of `eliverec ab report`, so that page and command cannot differ; making one takes seconds to a minute, so pages never wait.

use std::sync::Arc;
use std::time::Duration;

use eliverec_ab::comparison::{Row, Table, Verdict};
use eliverec_ab::difference::Difference;
use eliverec_ab::metrics::{metric, title};
use eliverec_ab::report::Report;
use eliverec_report::comparison_text as text;
use eliverec_report::written::age;
use maud::{Markup, html};

use crate::layout::scrolling;

/// Makes reports of layers from the log of a service, beside requests.
pub trait Reports: std::fmt::Debug + Send + Sync {
    /// What there is of a layer's report now, at once; one is begun if the log has days that the last one has not. May look at a disk.
    fn standing(&self, layer: &str) -> Standing;
}

/// What there is of a report.
#[derive(Clone, Debug, Default)]
pub struct Standing {
    /// The last one that was made, or why there is none.
    pub last: Option<Result<Made, String>>,
    /// Whether one is being made.
    pub is_begun: bool,
}

/// A report that was made.
#[derive(Clone, Debug)]
pub struct Made {
    /// It.
    pub report: Arc<Report>,
    /// Days before the experiment that it knows users by.
    pub pre: u32,
    /// How long that took.
    pub took: Duration,
    /// How long ago it was done.
    pub age: Duration,
}

/// What stands of a layer's report.
pub(crate) fn reported(layer: &str, standing: &Standing, logs_are_kept: bool) -> Markup {
    html! {
        @match &standing.last {
            None if !logs_are_kept => p { "This process keeps no log, so there is nothing to report; the one that takes events in has it." },
            None if standing.is_begun => p { "The first report is being made." },
            None => p { "No day with answers is over yet. A report is of whole days: the first comes when a day has become a folder of the log." },
            Some(Err(reason)) => p.refused { "No report: " (reason) "." },
            Some(Ok(made)) => { (report(&made.report)) p.note {
                "Made " (age(made.age.as_secs_f64())) " ago in " (age(made.took.as_secs_f64().ceil())) " of the days that are over, as "
                code { "eliverec ab report --layer " (layer) " --pre " (made.pre) } " makes it."
            } },
        }
        @if standing.is_begun && standing.last.is_some() { p.note { "Another one, with newer days, is being made." } }
    }
}

/// A report: who is compared, whether users are where they should be, and the differences.
fn report(report: &Report) -> Markup {
    html! {
        p { (text::summary(report)) }
        p.ratio.refused[report.refused.is_some()] { (text::sample_ratio(report)) }
        @if let Some(reason) = &report.refused { p.refused { "Nothing is compared: " (reason) "." } }
        @for table in &report.tables { (compared(report, table)) }
        @if !report.tables.is_empty() {
            details { summary { "How to read it" }
                p { (text::method(report)) }
                ul { @for line in text::definitions(report) { li { (line) } } }
            }
        }
        @if !report.told.is_empty() { ul.note { @for line in &report.told { li { (line) } } } }
    }
}

/// In words what a table says, then a picture per comparison.
fn compared(report: &Report, table: &Table) -> Markup {
    let scale = scale(table);
    html! {
        h4 { (text::table_title(table)) }
        p { (in_words(report, table)) }
        (scrolling(&text::table_title(table), html! { table.compared {
            // What matters first: a phone shows the first columns.
            thead { tr {
                th { "metric" } th { "difference" } th { "beside 0" } th { "says" } th { "at any time, %" } th { (report.control) } th { "bucket's" }
            } }
            tbody { @for row in &table.rows {
                @for (cells, comparison) in text::comparison_cells(report, row).iter().zip(&row.comparisons) {
                    tr class=(class(comparison.verdict)) {
                        td title=(metric(row.metric).map_or("", |of| of.definition)) { (cells[0]) span.under { (cells[2]) } }
                        td { (cells[4]) }
                        td { @if let (Some(difference), Some(scale)) = (&comparison.difference, scale) { (interval(difference, scale)) } }
                        td { (cells[8]) } td { (cells[6]) } td { (cells[1]) } td { (cells[3]) }
                    }
                }
            } }
        } }))
        p.note {
            (text::table_note(table))
            @if let Some(scale) = scale { " Beside 0: the interval at any time, drawn from " (format!("{:+.0} %", -100.0 * scale)) " to " (format!("{:+.0} %", 100.0 * scale)) "." }
        }
    }
}

const fn class(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Higher => "higher",
        Verdict::Lower => "lower",
        _ => "",
    }
}

/// What is decided, by bucket.
fn in_words(report: &Report, table: &Table) -> Markup {
    let of = |bucket: &str, wanted: Verdict| -> Vec<&str> {
        let decided = |row: &&Row| {
            row.comparisons.iter().any(|of| of.bucket == bucket && of.verdict == wanted)
        };
        let rows = table.rows.iter().filter(decided);
        rows.map(|row| title(row.metric)).collect()
    };
    let others = report.buckets.iter().filter(|bucket| **bucket != report.control);
    html! { @for bucket in others {
        @let (higher, lower) = (of(bucket, Verdict::Higher), of(bucket, Verdict::Lower));
        strong { (bucket) } " beside " (report.control) ": "
        @if higher.is_empty() && lower.is_empty() { "nothing is decided yet. " }
        @if !higher.is_empty() { "higher in " (higher.join(", ")) ". " }
        @if !lower.is_empty() { "lower in " (lower.join(", ")) ". " }
    } }
}

/// The largest bound of an interval that is drawn, at most a doubling; `None` where there is no difference.
fn scale(table: &Table) -> Option<f64> {
    let differences = table.rows.iter().flat_map(|row| &row.comparisons);
    let bounds = differences.filter_map(|of| of.difference.as_ref()).flat_map(|of| {
        let (low, high) = of.always_interval;
        [low.abs(), high.abs()]
    });
    let largest = bounds.filter(|bound| bound.is_finite()).max_by(f64::total_cmp)?;
    Some(largest.clamp(0.01, 1.0))
}

/// A difference with its interval at any time, and 0 in the middle.
fn interval(difference: &Difference, scale: f64) -> Markup {
    let x = |share: f64| format!("{:.1}", 60.0 + 56.0 * (share / scale).clamp(-1.0, 1.0));
    let (low, high) = difference.always_interval;
    html! {
        svg.interval width="120" height="16" aria-hidden="true" {
            line.base x1="60" x2="60" y1="0" y2="16" {}
            line.range x1=(x(low)) x2=(x(high)) y1="8" y2="8" {}
            circle.middle cx=(x(difference.relative)) cy="8" r="3.5" {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_there_is_said() {
        let told = |standing: &Standing, kept| reported("a", standing, kept).into_string();
        assert!(told(&Standing::default(), false).contains("keeps no log"));
        assert!(told(&Standing::default(), true).contains("No day with answers is over yet"));
        let begun = Standing { is_begun: true, ..Standing::default() };
        assert!(told(&begun, true).contains("is being made"));
        let refused = Standing { last: Some(Err("the disk is full".into())), is_begun: false };
        assert!(told(&refused, true).contains("No report: the disk is full."));
    }
}
