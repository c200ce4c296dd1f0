//! What the service tells of itself beside answers.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use eliverec_core::schema::Group;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::drift::DriftReport;
use crate::extract::{Query, Segments};
use crate::now::{ChannelNow, UserNow};
use crate::overlap::SourcesReport;
use crate::problem::{Problem, ProblemBody};
use crate::reports::{BundleReport, RecentRequest};
use crate::service::Service;
use crate::traffic::TrafficReport;

/// How many requests are told if nobody says.
const REQUESTS: usize = 50;

/// Which requests.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct Newest {
    /// How many at most; 50 if it is not given.
    #[serde(default)]
    k: Option<String>,
}

/// How old what the features know is, and how far what was served is from what the model was trained on.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct FeaturesReport {
    /// Age of the newest event that the features know, seconds; `null` before the first.
    newest_event_age_s: Option<f64>,
    /// The last record of the log that features know (`applied`), that others can follow (`shared`), or that is told (`told`).
    #[schema(value_type = Object)]
    log_position: BTreeMap<&'static str, u64>,
    /// Of the last hour, of the bundle in service.
    drift: DriftReport,
    /// The same of each other bundle that answers in buckets of experiments.
    drift_in_buckets: Vec<DriftReport>,
}

/// Answers, refusals and times by stage of the last quarter of an hour.
#[utoipa::path(get, path = "/v1/traffic", tag = "operation", responses((status = 200, body = TrafficReport)))]
pub(crate) async fn traffic(State(service): State<Arc<Service>>) -> Json<TrafficReport> {
    Json(service.traffic())
}

/// The newest answers that can be explained, the newest first.
#[utoipa::path(
    get, path = "/v1/requests", tag = "ranking", params(Newest),
    responses((status = 200, body = Vec<RecentRequest>), (status = "default", body = ProblemBody, content_type = "application/problem+json")),
)]
pub(crate) async fn requests(
    State(service): State<Arc<Service>>,
    Query(newest): Query<Newest>,
) -> Result<Json<Vec<RecentRequest>>, Problem> {
    let most = service.settings.explained;
    let k = newest.k.map_or(Ok(REQUESTS.min(most)), |k| {
        let k = k.parse().ok().filter(|k| (1..=most.max(1)).contains(k));
        k.ok_or_else(|| Problem::invalid("k", format!("write 1 to {}", most.max(1))))
    });
    Ok(Json(service.recent_requests(k?)))
}

/// The bundles that are loaded, the one in service first, with their offline metrics.
#[utoipa::path(get, path = "/v1/bundles", tag = "operation", responses((status = 200, body = Vec<BundleReport>)))]
pub(crate) async fn bundles(State(service): State<Arc<Service>>) -> Json<Vec<BundleReport>> {
    Json(service.engine.bundle_reports())
}

/// Freshness of the features, and the drift of features and scores of the last hour against training.
#[utoipa::path(get, path = "/v1/features", tag = "operation", responses((status = 200, body = FeaturesReport)))]
pub(crate) async fn features(State(service): State<Arc<Service>>) -> Json<FeaturesReport> {
    Json(FeaturesReport {
        newest_event_age_s: service.newest_event_age_s(),
        log_position: service.engine.positions().into_iter().collect(),
        drift: service.drift(),
        drift_in_buckets: service.drift_in_buckets(),
    })
}

/// Which sources gave the candidates of the last hour, and which gave the same ones.
#[utoipa::path(get, path = "/v1/sources", tag = "operation", responses((status = 200, body = SourcesReport)))]
pub(crate) async fn sources(State(service): State<Arc<Service>>) -> Json<SourcesReport> {
    Json(service.sources())
}

/// What a request of a user would find now.
#[utoipa::path(
    get, path = "/v1/state/users/{id}", tag = "operation",
    params(("id" = String, Path, description = "as in PUT /v1/users/{id}")),
    responses((status = 200, body = UserNow), (status = "default", body = ProblemBody, content_type = "application/problem+json")),
)]
pub(crate) async fn user(
    State(service): State<Arc<Service>>,
    Segments(id): Segments<String>,
) -> Result<Json<UserNow>, Problem> {
    let id = service.id_of(Group::User, &id)?.value();
    let now_ms = service.clock.now_ms();
    let working = Arc::clone(&service);
    Ok(Json(service.compute(move || working.engine.user_now(id, now_ms)).await??))
}

/// What is known of a channel now.
#[utoipa::path(
    get, path = "/v1/state/channels/{id}", tag = "operation",
    params(("id" = String, Path, description = "as in PUT /v1/channels/{id}")),
    responses((status = 200, body = ChannelNow), (status = "default", body = ProblemBody, content_type = "application/problem+json")),
)]
pub(crate) async fn channel(
    State(service): State<Arc<Service>>,
    Segments(id): Segments<String>,
) -> Result<Json<ChannelNow>, Problem> {
    let id = service.id_of(Group::Channel, &id)?.value();
    let now_ms = service.clock.now_ms();
    let working = Arc::clone(&service);
    Ok(Json(service.compute(move || working.engine.channel_now(id, now_ms)).await??))
}
