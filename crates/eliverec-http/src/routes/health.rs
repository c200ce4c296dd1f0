//! Whether the process lives, whether it can answer, and what it counts.

use std::sync::Arc;

use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;

use crate::problem::{Code, Problem, ProblemBody};
use crate::service::Service;

/// The process lives.
#[utoipa::path(get, path = "/healthz", tag = "operation", responses((status = 200, body = str)))]
pub(crate) async fn live() -> &'static str {
    "ok\n"
}

/// A bundle is in service, and the log takes events or what is followed is known.
#[utoipa::path(
    get, path = "/readyz", tag = "operation",
    responses((status = 200, body = str), (status = 503, body = ProblemBody, content_type = "application/problem+json")),
)]
pub(crate) async fn ready(State(service): State<Arc<Service>>) -> Result<&'static str, Problem> {
    match service.engine.not_ready() {
        None => Ok("ready\n"),
        Some(reason) => Err(Problem::new(Code::Unavailable, reason).retry_after(1)),
    }
}

/// Counters and histograms in the text form of Prometheus.
#[utoipa::path(get, path = "/metrics", tag = "operation", responses((status = 200, body = str)))]
pub(crate) async fn metrics(State(service): State<Arc<Service>>) -> impl IntoResponse {
    let age_s = service.newest_event_age_s();
    let positions = service.engine.positions();
    let queues = [("ranking", &service.ranking), ("ingesting", &service.ingesting)];
    service.telemetry.cache(service.engine.cache_counts());
    service.telemetry.upkeep.read(&service.clock);
    let text = service.telemetry.text(&queues, age_s, &positions);
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, kind)], text)
}
