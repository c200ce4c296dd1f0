//! The report of an online experiment as one HTML page: the tables of the text, the differences as they came day by day, and how
//! exposure is spread.

use eliverec_ab::comparison::Table;
use eliverec_ab::report::Report;
use maud::{Markup, html};

use crate::Error;
use crate::comparison_text as text;
use crate::html::{document, table, with_legend};
use crate::plot::{self, Axes, Line};

/// The metrics whose differences are drawn day by day.
const DRAWN: [(&str, &str); 3] =
    [("ctr", "CTR"), ("stay_per_user", "stay per user"), ("conversion", "conversion")];

/// The whole page.
///
/// # Errors
/// Plots that cannot be drawn.
pub fn page(report: &Report) -> Result<String, Error> {
    let title = text::title(report);
    let plots = if report.refused.is_some() { Vec::new() } else { plots(report)? };
    let body = html! {
        h1 { (title) }
        p { (text::summary(report)) }
        p { (text::sample_ratio(report)) }
        @if let Some(reason) = &report.refused {
            h2 { "Refused" }
            p { (reason) }
        }
        ul { @for line in &report.told { li { (line) } } }
        @for of_group in &report.tables { (comparisons(report, of_group)) }
        @if !report.tables.is_empty() {
            p.note { (text::method(report)) }
            h2 { "Plots" }
            div.plots { @for plot in plots { (plot) } }
            @if !report.hidden.is_empty() {
                h2 { (text::HIDDEN_TITLE) }
                (table(text::HIDDEN_TITLE, &text::HIDDEN_HEAD, text::hidden_cells(report).into_iter()))
                p.note { (text::HIDDEN_NOTE) }
            }
            h2 { (text::EXPOSURE_TITLE) }
            (table(text::EXPOSURE_TITLE, &text::EXPOSURE_HEAD, text::exposure_cells(report).into_iter()))
            p.note { (text::exposure_note(report)) }
            h2 { (text::needs_title(report)) }
            (table("What it takes", &text::NEEDS_HEAD, text::needs_cells(report).into_iter()))
            p.note { (text::NEEDS_NOTE) }
            h2 { "Definitions" }
            ul { @for line in text::definitions(report) { li { (line) } } }
        }
    };
    Ok(document(&title, "", &body))
}

fn comparisons(report: &Report, of_group: &Table) -> Markup {
    let title = text::table_title(of_group);
    let rows = of_group.rows.iter().flat_map(|row| text::comparison_cells(report, row));
    html! {
        h2 { (title) }
        (table(&title, &text::COMPARISON_HEAD, rows))
        p.note { (text::table_note(of_group)) }
    }
}

fn plots(report: &Report) -> Result<Vec<Markup>, Error> {
    let mut plots = Vec::new();
    for (metric, name) in DRAWN {
        let others = report.buckets.iter().filter(|bucket| **bucket != report.control);
        let lines: Vec<Line> = others.map(|bucket| running(report, metric, bucket)).collect();
        if lines.iter().all(|line| line.points.is_empty()) {
            continue;
        }
        let title = format!("{name}: difference so far, interval at any time");
        let axes = Axes { title: &title, x: "day", y: "per cent" };
        plots.push(with_legend(&plot::lines(axes, &lines)?, &lines));
    }
    let lines: Vec<Line> = report
        .exposure
        .iter()
        .map(|exposure| Line {
            name: exposure.bucket.clone(),
            points: exposure.spread.curve.clone(),
            spread: Vec::new(),
        })
        .collect();
    let axes = Axes {
        title: "Exposure, the least shown channels first",
        x: "share of channels",
        y: "share of impressions",
    };
    plots.push(with_legend(&plot::lines(axes, &lines)?, &lines));
    Ok(plots)
}

/// The difference of a bucket after each day, with the interval that holds at all of them.
fn running(report: &Report, metric: &str, bucket: &str) -> Line {
    let days = || {
        let all = report.running.iter();
        all.filter(move |running| running.metric == metric && running.bucket == bucket)
    };
    let half = |(low, high): (f64, f64)| 50.0 * (high - low);
    Line {
        name: bucket.into(),
        points: days().map(|of| (f64::from(of.day), 100.0 * of.difference.relative)).collect(),
        spread: days().map(|of| half(of.difference.always_interval)).collect(),
    }
}
