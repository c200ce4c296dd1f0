//! The first page: what the service answers now and in the last quarter of an hour, and where to look for what.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Html;
use axum::{Extension, Json};
use eliverec_http::stage::Stage;
use eliverec_http::traffic::TrafficReport;
use maud::{Markup, html};

use crate::access::Console;
use crate::layout::{self, BUNDLES, EXPERIMENTS, REQUESTS, TRAFFIC};
use crate::visitor::Visitor;
use eliverec_report::written::{age, number};

/// The numbers that curves are drawn of: what `GET /v1/traffic` says.
pub(crate) async fn report(State(console): State<Arc<Console>>) -> Json<TrafficReport> {
    Json(console.service.traffic())
}

/// The page.
pub(crate) async fn page(
    State(console): State<Arc<Console>>,
    Extension(visitor): Extension<Visitor>,
) -> Html<String> {
    let service = &console.service;
    let report = service.traffic();
    let bundles = service.engine.bundles();
    let ready = service.engine.not_ready();
    let body = html! {
        ul.questions {
            li { a href=(REQUESTS.path) { strong { "Why was a channel shown?" } " Open a request." } }
            li { a href=(REQUESTS.path) { strong { "Which model showed it?" } " Each request names its bundle." } }
            li { @if service.engine.experiments().layers.is_empty() {
                a href=(BUNDLES.path) { strong { "Is the new model better?" } " Compare bundles." }
            } @else {
                a href=(EXPERIMENTS.path) { strong { "Is the new model better?" } " Compare what users do in each bucket." }
            } }
        }
        // Brought up to date by a part of the same page.
        section #now hx-get=(TRAFFIC.path) hx-select="#now" hx-trigger="every 5s" hx-swap="outerHTML" {
            h2 { "Now" }
            @match ready {
                None => p { "Ready. In service: " a href=(BUNDLES.path) { code { (bundles.active()) } } "." },
                Some(reason) => p.refused { "Not ready: " (reason) },
            }
            (now(&report))
        }
        h2 { "The last quarter of an hour" }
        p.note #curves { "Curves are drawn by a script." }
        div.charts {
            (chart("answers", "Answers per second", "nothing was answered"))
            (chart("latency", "Milliseconds by stage", "nothing was timed"))
            (chart("refusals", "Refusals per second", "nothing was refused"))
        }
    };
    layout::page(Some(&visitor), &TRAFFIC, TRAFFIC.title, body)
}

fn chart(name: &str, title: &str, none: &str) -> Markup {
    html! { figure { figcaption { (title) } div.chart data-chart=(name) data-none=(none) {} } }
}

/// The last minute in numbers.
fn now(report: &TrafficReport) -> Markup {
    let minute = &report.last_minute;
    let seconds = minute.seconds.max(1.0);
    html! {
        div.tables {
            table {
                caption { "Answers of the last minute" }
                thead { tr { th { "call" } th { "answers" } th { "per second" } } }
                tbody { @for (call, count) in &minute.answers {
                    tr { td { code { (call) } } td { (count) } td { (number(*count as f64 / seconds)) } }
                } }
            }
            table {
                caption { "Milliseconds by stage" }
                thead { tr { th { "stage" } th { "median" } th { "99 of 100 within" } } }
                tbody {
                    // In the order of the way, which is not that of their names.
                    @for (stage, [median, most]) in Stage::ALL.iter().filter_map(|of| minute.stages_ms.get_key_value(of.name())) {
                        tr { td { (stage) } td { (written(*median)) } td { (written(*most)) } }
                    }
                    @if minute.stages_ms.is_empty() { tr { td colspan="3" { "nothing was timed" } } }
                }
            }
            table {
                caption { "Refusals" }
                thead { tr { th { "code" } th { "refusals" } } }
                tbody {
                    @for (code, count) in &minute.refusals { tr { td { code { (code) } } td { (count) } } }
                    @if minute.refusals.is_empty() { tr { td colspan="2" { "nothing was refused" } } }
                }
            }
        }
        p.note {
            (report.waiting) " requests wait for a worker; the newest event is "
            (report.newest_event_age_s.map_or("not there yet".into(), |seconds| format!("{} old", age(seconds.max(0.0)))))
            ". Times are known to a part in 22."
        }
    }
}

fn written(ms: Option<f64>) -> String {
    ms.map_or_else(|| "–".into(), number)
}
