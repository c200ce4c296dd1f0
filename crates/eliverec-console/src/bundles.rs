//! Bundles: which one is in service, the one before, what was measured of both, and how another takes the place.

use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use axum::response::{IntoResponse, Redirect, Response};
use eliverec_http::Problem;
use eliverec_http::reports::BundleReport;
use eliverec_metrics::report::metric;
use eliverec_metrics::{Metric, Report};
use maud::{Markup, html};
use serde::Deserialize;

use crate::access::Console;
use crate::given::{Asked, Sent};
use crate::layout::{self, BUNDLES, EXPERIMENTS, pairs, scrolling};
use crate::visitor::Visitor;
use eliverec_report::written::moment;

/// Metrics that are compared, and which way is better.
const COMPARED: [(&str, Better); 6] = [
    ("gauc_user", Better::Higher),
    ("auc", Better::Higher),
    ("ndcg_at_10", Better::Higher),
    ("recall_at_10", Better::Higher),
    ("logloss", Better::Lower),
    ("ece", Better::Lower),
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Better {
    Higher,
    Lower,
}

/// What has just been done.
#[derive(Debug, Deserialize)]
pub(crate) struct Told {
    done: Option<Done>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Done {
    Activated,
    RolledBack,
}

/// The page.
pub(crate) async fn page(
    State(console): State<Arc<Console>>,
    Extension(visitor): Extension<Visitor>,
    Asked(told): Asked<Told>,
) -> Response {
    let done = told.done.map(|done| match done {
        Done::Activated => "It was verified and answers from now on:",
        Done::RolledBack => "The bundle before answers again:",
    });
    shown(&console, &visitor, done, None)
}

fn shown(
    console: &Console,
    visitor: &Visitor,
    done: Option<&str>,
    refused: Option<&Problem>,
) -> Response {
    let bundles = console.service.engine.bundle_reports();
    let of_role = |role: &str| bundles.iter().find(|bundle| bundle.role == role);
    let [active, previous] = ["active", "previous"].map(of_role);
    // Without one before, what answers the users of a bucket is what there is to compare with.
    let other = previous.or_else(|| of_role("bucket"));
    let body = html! {
        @if let (Some(done), Some(active)) = (done, active) {
            p.done role="status" { (done) " " code { (active.version) } }
        }
        @if let Some(problem) = refused {
            p.refused role="alert" { (problem.detail) ". The bundle in service goes on." }
        }
        h2 { "Is the new model better?" }
        (verdict(active, other))
        (scrolling("Offline metrics", metrics(&bundles)))
        div.cards { @for bundle in &bundles { (card(bundle)) } }
        h2 { "Another bundle" }
        @if visitor.may_change { (forms(previous)) } @else {
            p { "A token with the scope " code { "admin" } " may put another bundle in service and roll back." }
        }
    };
    let page = layout::page(Some(visitor), &BUNDLES, BUNDLES.title, body);
    match refused {
        Some(problem) => (problem.code.status(), page).into_response(),
        None => page.into_response(),
    }
}

/// What the metrics say of the active bundle beside another, and what they cannot.
fn verdict(active: Option<&BundleReport>, other: Option<&BundleReport>) -> Markup {
    let [Some(active), Some(other)] = [active, other] else {
        return html! { p {
            "One bundle is loaded, so there is nothing to compare it with. The one that another takes the place of stays loaded, and stands beside it here."
        } };
    };
    let text = match difference(active, other) {
        Ok((first, change, on)) => html! {
            "Offline, on the same " (on) ": " (first.title) " of " code { (active.version) } " is "
            @if rounded(change) == 0.0 { strong { "the same" } " to four digits as" }
            @else { strong { (format!("{:.4}", change.abs())) (if change > 0.0 { " higher" } else { " lower" }) } " than" }
            " that of " code { (other.version) } ". That is one number on logged requests, without an interval. "
            "What users do with either, only " a href=(EXPERIMENTS.path) { "an experiment" } " tells."
        },
        Err(reason) => html! { "Offline metrics of the two do not compare: " (reason) "." },
    };
    html! { p #verdict { (text) } }
}

/// By how much the first metric of the active bundle is larger, and on what; otherwise why they do not compare.
fn difference(
    active: &BundleReport,
    other: &BundleReport,
) -> Result<(&'static Metric, f64, String), String> {
    if active.feeds != other.feeds {
        return Err("they are of different feeds".into());
    }
    let of = |bundle: &BundleReport| {
        let metrics = bundle.metrics.clone();
        metrics.ok_or_else(|| format!("{} was exported without any", bundle.version))
    };
    let [new, old] = [of(active)?, of(other)?];
    if new.split != old.split {
        return Err(format!("they are of the splits {} and {}", new.split, old.split));
    }
    let metrics = COMPARED.iter().filter_map(|(name, _)| metric(name));
    let value = |metric: &Metric, report: &Option<Report>| metric.of(report.as_ref()?);
    let mut both = metrics.filter_map(|metric| {
        Some((metric, value(metric, &new.bundle)? - value(metric, &old.bundle)?))
    });
    let (first, change) = both.next().ok_or("the feeds have no labels")?;
    Ok((first, change, format!("{} requests of the split {}", new.feeds, new.split)))
}

/// The metrics under each other, a column for each bundle.
fn metrics(bundles: &[BundleReport]) -> Markup {
    let value = |metric: &Metric, bundle: &BundleReport| {
        metric.of(bundle.metrics.as_ref()?.bundle.as_ref()?)
    };
    html! { table #metrics {
        thead { tr { th { "offline" } @for bundle in bundles { th { code { (bundle.version) } span.under { (role(bundle)) } } } } }
        tbody { @for (name, better) in COMPARED { @if let Some(metric) = metric(name) {
            @let values: Vec<Option<f64>> = bundles.iter().map(|bundle| value(metric, bundle)).collect();
            tr {
                td title=(metric.definition) { (metric.title) span.under { (if better == Better::Higher { "higher is better" } else { "lower is better" }) } }
                @for (i, of) in values.iter().enumerate() {
                    td.best[is_best(&values, i, better)] { (of.map_or_else(|| "–".into(), |x| format!("{x:.4}"))) }
                }
            }
        } } }
    } }
}

/// A metric as it is printed: what cannot be seen makes no difference.
fn rounded(x: f64) -> f64 {
    (x * 1e4).round()
}

/// Whether a value is better than all others.
fn is_best(values: &[Option<f64>], i: usize, better: Better) -> bool {
    let is_better = |a: f64, b: f64| {
        let [a, b] = [a, b].map(rounded);
        if better == Better::Higher { a > b } else { a < b }
    };
    let others = || values.iter().enumerate().filter(|(j, _)| *j != i);
    let Some(own) = values[i] else { return false };
    others().count() > 0 && others().all(|(_, of)| of.is_some_and(|of| is_better(own, of)))
}

/// What a bundle is loaded for.
fn role(bundle: &BundleReport) -> String {
    match bundle.role {
        "bucket" => bundle.buckets.join(", "),
        role => role.into(),
    }
}

fn card(bundle: &BundleReport) -> Markup {
    let mut facts = vec![
        ("model", bundle.model.clone()),
        ("made", moment(bundle.created)),
        ("run", format!("{}, {} updates", bundle.run, bundle.step)),
        ("dense parameters", bundle.parameters.to_string()),
        ("embedding rows", format!("{} in {}", bundle.rows, bundle.precision)),
        ("feeds of the metrics", bundle.feeds.clone()),
    ];
    facts.extend(bundle.other_feeds.clone().map(|other| ("other than it was trained on", other)));
    if let Some(metrics) = &bundle.metrics {
        facts.push((
            "measured on",
            format!("{} requests of the split {}", metrics.feeds, metrics.split),
        ));
        let change = metrics.auc_change().map(|change| format!("{change:+.5}"));
        facts.extend(change.map(|change| ("AUC by fewer bits", change)));
    }
    let title = match bundle.role {
        "active" => "In service",
        "bucket" => "In buckets",
        _ => "Before",
    };
    if !bundle.buckets.is_empty() {
        facts.push(("answers in buckets", bundle.buckets.join(", ")));
    }
    html! { section.card { h3 { (title) ": " code { (bundle.version) } } (pairs(facts)) } }
}

fn forms(previous: Option<&BundleReport>) -> Markup {
    html! {
        form.inline method="post" action="/console/bundles/activate" {
            label { "Its directory on the service's machine " input name="path" required autocomplete="off"; }
            button { "Verify and put in service" }
        }
        p.note { "Every byte is compared with the bundle's manifest and its golden requests are scored before it answers; requests go on meanwhile. One that is refused changes nothing." }
        @if let Some(previous) = previous {
            form method="post" action="/console/bundles/roll-back" {
                button { "Roll back to " (previous.version) }
            }
        }
    }
}

/// Which bundle to load.
#[derive(Debug, Deserialize)]
pub(crate) struct Activation {
    path: String,
}

/// Puts another bundle in service.
pub(crate) async fn activate(
    State(console): State<Arc<Console>>,
    Extension(visitor): Extension<Visitor>,
    Sent(Activation { path }): Sent<Activation>,
) -> Response {
    match console.service.put_in_service(path.trim().into()).await {
        Ok(_) => Redirect::to("/console/bundles?done=activated").into_response(),
        Err(problem) => shown(&console, &visitor, None, Some(&problem)),
    }
}

/// Puts the bundle before in service again.
pub(crate) async fn roll_back(
    State(console): State<Arc<Console>>,
    Extension(visitor): Extension<Visitor>,
) -> Response {
    match console.service.roll_back() {
        Ok(_) => Redirect::to("/console/bundles?done=rolled_back").into_response(),
        Err(problem) => shown(&console, &visitor, None, Some(&problem)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_better_one_is_marked() {
        let [low, high] = [Some(0.5), Some(0.6)];
        assert!(is_best(&[high, low], 0, Better::Higher));
        assert!(!is_best(&[high, low], 1, Better::Higher));
        assert!(is_best(&[high, low], 1, Better::Lower));
        assert!(!is_best(&[high, Some(0.599_99)], 0, Better::Higher), "a tie as printed");
        assert!(!is_best(&[high], 0, Better::Higher), "nothing to compare with");
        assert!(!is_best(&[high, None], 0, Better::Higher));
    }

    #[test]
    fn every_compared_metric_exists() {
        assert!(COMPARED.iter().all(|(name, _)| metric(name).is_some()));
    }
}
