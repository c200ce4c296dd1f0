//! A report as one HTML page with its plots inside: opens offline, reads on a phone and in the dark.

use std::collections::BTreeSet;

use eliverec_metrics::table::cell;
use maud::{Markup, PreEscaped, html};

use crate::Error;
use crate::experiment::{Experiment, ExperimentRow};
use crate::html::{document, folded, scrolling, table, with_legend};
use crate::named;
use crate::paper;
use crate::plot::{self, Axes, Line};
use crate::text;
use crate::verdict::Verdicts;

/// The whole page.
///
/// # Errors
/// Plots that cannot be drawn.
pub fn page(
    experiment: &Experiment,
    verdicts: &[Verdicts],
    main: &ExperimentRow,
) -> Result<String, Error> {
    let title = &experiment.title;
    let metrics = text::metrics(experiment);
    let plots = plots(experiment, main)?;
    let body = html! {
        h1 { (title) }
        p { (text::seeds(experiment)) }
        (scrolling("Metrics", html! { table {
            thead { tr { th { "" } @for metric in &metrics { th { (metric.title) } } } }
            tbody { @for row in &experiment.rows {
                tr.main[row.name == main.name] {
                    td { (row.name) (paper_name(experiment, row)) }
                    @for metric in &metrics { td {
                        (folded(&cell(metric, &row.reports())))
                        (paper_figure(experiment, row, &metric.name))
                    } }
                }
            } }
        } }))
        p.note { "Mean, below it the sample standard deviation over seeds, and the paper's figure, on its own data, where it gives one." }
        @for verdicts in verdicts {
            h2 { (text::verdicts_title(verdicts)) }
            @let rows = verdicts.orderings.iter().map(text::verdict_cells);
            (table(&text::verdicts_title(verdicts), &text::VERDICT_HEAD, rows))
            p.note { (text::verdicts_note(verdicts)) }
        }
        @if !verdicts.is_empty() { p.note { (text::verdicts_method()) } }
        @for figures in named::all(experiment) {
            h2 { (figures.title) }
            (table(figures.title, &figures.head, figures.rows.into_iter()))
            p.note { (figures.note) }
        }
        h2 { "Plots" }
        div.plots { @for plot in plots { (plot) } }
        h2 { "Definitions" }
        ul { @for metric in &metrics { li { (metric.title) ": " (metric.definition) "." } } }
        h2 { "Configs and data" }
        @let rows = experiment.rows.iter().map(text::fingerprint_cells);
        (table("Configs and data", &text::FINGERPRINT_HEAD, rows))
        p.note { (text::fingerprint_note(experiment)) }
        @for row in &experiment.rows {
            details { summary { code { (row.name) } } pre { (row.runs[0].config) } }
        }
    };
    Ok(document(title, "", &body))
}

fn paper_name(experiment: &Experiment, row: &ExperimentRow) -> Markup {
    let found = experiment.source().and_then(|source| source.row(&row.name));
    html! { @if let Some((name, _)) = found { span.under { (name) } } }
}

fn paper_figure(experiment: &Experiment, row: &ExperimentRow, metric: &str) -> Markup {
    let place = paper::METRICS.iter().position(|name| *name == metric);
    let figures = experiment.source().and_then(|source| source.row(&row.name)?.1);
    html! {
        @if let (Some(place), Some(figures)) = (place, figures) {
            span.under { (format!("{:.4}", figures[place])) }
        }
    }
}

fn plots(experiment: &Experiment, main: &ExperimentRow) -> Result<Vec<Markup>, Error> {
    let mut plots = Vec::new();
    let lengths: BTreeSet<usize> =
        experiment.rows.iter().map(|row| row.runs[0].product_length).collect();
    for (metric, name) in [("auc", "AUC"), ("gauc_user", "gAUC")] {
        if lengths.len() > 1 {
            plots.push(sweep(experiment, metric, name)?);
        } else {
            let value = |row: &ExperimentRow| {
                let (mean, spread) = row.mean_and_spread(metric)?;
                Some((row.name.clone(), mean, spread))
            };
            let values: Vec<_> = experiment.rows.iter().filter_map(value).collect();
            let svg = plot::points(&format!("{name}, test split"), name, &values)?;
            plots.push(html! { figure { (PreEscaped(svg)) } });
        }
    }
    if let Some(plot) = cost(experiment)? {
        plots.push(plot);
    }
    let axes = Axes { title: "Training loss", x: "update", y: "watch, nats" };
    plots.push(curves(experiment.rows.iter(), axes, |name| name == "watch")?);
    let of_main = |title, y| Axes { title, x: "update", y };
    let own = || std::iter::once(main);
    let has = |chosen: fn(&str) -> bool| main.runs[0].curves.keys().any(|name| chosen(name));
    let terms = |name: &str| !name.contains('.') && name != "loss" && name != "watch";
    if has(terms) {
        let axes = of_main("Other terms of the main row", "value, unweighted");
        plots.push(curves(own(), axes, terms)?);
    }
    if has(|name| name.starts_with("weight.")) {
        let weights = |name: &str| name.starts_with("weight.");
        plots.push(curves(own(), of_main("Task weights of the main row", "weight"), weights)?);
        let cosines = |name: &str| name.starts_with("cosine.");
        plots.push(curves(own(), of_main("Gradient cosines of the main row", "cosine"), cosines)?);
    }
    plots.push(calibration(experiment)?);
    Ok(plots)
}

/// What a row's accuracy costs: a point for each row whose runs tell, none if that is one alone.
fn cost(experiment: &Experiment) -> Result<Option<Markup>, Error> {
    let point = |row: &ExperimentRow| {
        let (mean, spread) = row.mean_and_spread("gauc_user")?;
        let costs = row.runs.iter().map(|run| Some(run.cost?.microseconds_per_candidate));
        let costs = costs.collect::<Option<Vec<f64>>>()?;
        let cost = costs.iter().sum::<f64>() / costs.len() as f64;
        Some(Line { name: row.name.clone(), points: vec![(cost, mean)], spread: vec![spread] })
    };
    let points: Vec<Line> = experiment.rows.iter().filter_map(point).collect();
    if points.len() < 2 {
        return Ok(None);
    }
    let axes = Axes {
        title: "gAUC against the cost of scoring, test split",
        x: "us per candidate",
        y: "gAUC",
    };
    let svg = plot::lines(axes, &points)?;
    Ok(Some(html! { figure { (PreEscaped(svg)) } }))
}

fn sweep(experiment: &Experiment, metric: &str, name: &str) -> Result<Markup, Error> {
    let mut points: Vec<(f64, f64, f64)> = experiment
        .rows
        .iter()
        .filter_map(|row| {
            let (mean, spread) = row.mean_and_spread(metric)?;
            Some((row.runs[0].product_length as f64, mean, spread))
        })
        .collect();
    points.sort_by(|a, b| a.0.total_cmp(&b.0));
    let line = Line {
        name: format!("{name}, mean and standard deviation over seeds"),
        points: points.iter().map(|(x, y, _)| (*x, *y)).collect(),
        spread: points.iter().map(|(_, _, spread)| *spread).collect(),
    };
    let title = format!("{name} by length of the product sequence");
    let svg = plot::lines(
        Axes { title: &title, x: "products kept", y: name },
        std::slice::from_ref(&line),
    )?;
    Ok(with_legend(&svg, &[line]))
}

/// The first seed's curves of the chosen names.
fn curves<'a>(
    rows: impl Iterator<Item = &'a ExperimentRow>,
    axes: Axes<'_>,
    chosen: impl Fn(&str) -> bool,
) -> Result<Markup, Error> {
    let mut lines = Vec::new();
    for row in rows {
        let run = &row.runs[0];
        for (name, curve) in run.curves.iter().filter(|(name, _)| chosen(name)) {
            let name = if name == "watch" { &row.name } else { name };
            let points = curve.steps.iter().copied().zip(curve.values.iter().copied()).collect();
            lines.push(Line { name: name.clone(), points, spread: Vec::new() });
        }
    }
    Ok(with_legend(&plot::lines(axes, &lines)?, &lines))
}

/// Mean predicted against share watched, bins with at least a hundredth of the impressions.
fn calibration(experiment: &Experiment) -> Result<Markup, Error> {
    let line = |row: &ExperimentRow| {
        let bins = &row.runs[0].calibration;
        let all: u64 = bins.iter().map(|(_, _, n)| n).sum();
        let points = bins.iter().filter(|(_, _, n)| n * 100 >= all).map(|(x, y, _)| (*x, *y));
        Line { name: row.name.clone(), points: points.collect(), spread: Vec::new() }
    };
    let mut lines: Vec<Line> = experiment.rows.iter().map(line).collect();
    let ends = lines.iter().flat_map(|line| &line.points).map(|(x, _)| *x).fold(0.0, f64::max);
    lines.push(Line {
        name: "perfect".into(),
        points: vec![(0.0, 0.0), (ends, ends)],
        spread: Vec::new(),
    });
    let axes = Axes { title: "Calibration, test split", x: "mean predicted", y: "share watched" };
    Ok(with_legend(&plot::lines(axes, &lines)?, &lines))
}
