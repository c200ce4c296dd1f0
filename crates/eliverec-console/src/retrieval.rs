//! Retrieval: how many candidates each source gave, which gave the same ones, which are left out.

use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use axum::response::Html;
use eliverec_http::overlap::{SourceReport, SourcesReport};
use maud::{Markup, html};

use crate::access::Console;
use crate::layout::{self, RETRIEVAL, scrolling};
use crate::visitor::Visitor;
use eliverec_report::written::{number, percent};

/// The page.
pub(crate) async fn page(
    State(console): State<Arc<Console>>,
    Extension(visitor): Extension<Visitor>,
) -> Html<String> {
    let report = console.service.sources();
    let body = html! {
        p #found {
            (report.requests) " recommendations of the last hour found " (report.candidates) " candidates"
            @if report.requests > 0 { ", " (number(report.candidates as f64 / report.requests as f64)) " each" } "."
        }
        h2 { "Sources" }
        (scrolling("Sources", sources(&report)))
        h2 { "Overlap" }
        p { "Of the candidates that the source at the left gave, the share that the one above gave, too." }
        (scrolling("Overlap", overlap(&report.sources)))
        p.note {
            "Whether what was watched was among the candidates is measured offline, per source: "
            code { "eliverec retrieval --feeds FEEDS --logs LOGS --run RUN" } ". A bundle does not carry it."
        }
    };
    layout::page(Some(&visitor), &RETRIEVAL, RETRIEVAL.title, body)
}

fn sources(report: &SourcesReport) -> Markup {
    let requests = report.requests.max(1) as f64;
    html! { table #sources {
        thead { tr { th { "source" } th { "quota" } th { "gave" } th { "per request" } th { "gave first" } th { "alone" } } }
        tbody { @for of in &report.sources { tr.unused[of.left_out.is_some()] {
            td { (of.source) @if let Some(reason) = &of.left_out { span.under { "left out: " (reason) } } }
            td { (of.quota) }
            td { (of.gave) }
            td { (number(of.gave as f64 / requests)) }
            td { (of.first) }
            td { (of.alone) }
        } } }
    } }
}

fn overlap(sources: &[SourceReport]) -> Markup {
    let giving: Vec<&SourceReport> = sources.iter().filter(|of| of.gave > 0).collect();
    if giving.is_empty() {
        return html! { p { "No source gave anything yet." } };
    }
    let share = |of: &SourceReport, other: &SourceReport| {
        let shared = of.shared.get(other.source).copied().unwrap_or(of.gave);
        shared as f64 / of.gave as f64
    };
    html! { table {
        thead { tr { th { "" } @for of in &giving { th { (of.source) } } } }
        tbody { @for of in &giving { tr {
            td { (of.source) }
            @for other in &giving {
                @let share = share(of, other);
                td class={ "heat" (((share * 10.0) as usize).min(10)) } { (percent(share)) }
            }
        } } }
    } }
}
