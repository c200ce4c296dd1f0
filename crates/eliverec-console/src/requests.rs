//! The newest requests, each with its bundle, and a way to any that is kept.

use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use axum::response::Html;
use eliverec_http::reports::RecentRequest;
use eliverec_http::wire::Id;
use maud::{Markup, html};

use crate::access::Console;
use crate::layout::{self, REQUESTS, scrolling};
use crate::visitor::Visitor;
use eliverec_report::written::{age, number};

/// Requests on the page.
const SHOWN: usize = 50;

/// The page.
pub(crate) async fn page(
    State(console): State<Arc<Console>>,
    Extension(visitor): Extension<Visitor>,
) -> Html<String> {
    let service = &console.service;
    let recent = service.recent_requests(SHOWN);
    let now_ms = service.clock.now_ms();
    let body = html! {
        p { "Each answer, the newest first. A request leads to why its channels were shown: what found them, what the model looked at." }
        form.inline action="/console/request" {
            label { "Request " input name="id" required autocomplete="off"; }
            button { "Explain" }
        }
        section #newest hx-get=(REQUESTS.path) hx-select="#newest" hx-trigger="every 5s" hx-swap="outerHTML" {
            @if recent.is_empty() {
                p { "Nothing was asked yet. " code { "POST /v1/recommend" } " asks." }
            } @else { (scrolling("Newest requests", table(&recent, now_ms))) }
        }
        p.note {
            "The newest " (SHOWN) " of those that can be explained; the service keeps " (service.settings.explained)
            " (" code { "limits.explained" } "). Ids that are text stand for numbers here, as in explanations."
        }
    };
    layout::page(Some(&visitor), &REQUESTS, REQUESTS.title, body)
}

fn table(recent: &[RecentRequest], now_ms: i64) -> Markup {
    html! { table {
        thead { tr {
            th { "request" } th { "ago" } th { "bundle" } th { "user" } th { "channels" }
            th { "first" } th { "p(watch)" } th { "ms" }
        } }
        tbody { @for of in recent { tr {
            td { a href=(format!("/console/request?id={}", of.request_id)) { (of.request_id) } }
            td { (age((now_ms.saturating_sub(of.at)).max(0) as f64 / 1e3)) }
            td { code { (of.model) } }
            td { a href=(format!("/console/features?user={}", of.user_id)) { (of.user_id) } }
            td { (of.answered) " of " (of.scored) }
            td { (of.first.as_ref().map_or_else(|| "–".into(), name)) }
            td { (of.p_watch.map_or_else(|| "–".into(), |p| number(f64::from(p)))) }
            td { (number(of.took_ms)) }
        } } }
    } }
}

/// An id as callers write it.
pub(crate) fn name(id: &Id) -> String {
    match id {
        Id::Number(number) => number.to_string(),
        Id::Negative(number) => number.to_string(),
        Id::Text(text) => text.clone(),
    }
}
