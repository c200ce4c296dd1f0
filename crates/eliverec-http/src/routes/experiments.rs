//! Experiments: which ones are in service, and others in their place.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use utoipa::ToSchema;

use crate::extract::Body;
use crate::problem::{Problem, ProblemBody};
use crate::running::RunningExperiments;
use crate::service::Service;

/// Which experiments to put in service.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ExperimentsFile {
    /// The file on the service's machine; it may be the one that is in service, read again.
    path: String,
}

/// The experiments in service.
#[utoipa::path(get, path = "/v1/admin/experiments", tag = "admin", responses((status = 200, body = RunningExperiments)))]
pub(crate) async fn experiments(State(service): State<Arc<Service>>) -> Json<RunningExperiments> {
    Json(service.engine.experiments())
}

/// Reads a file of experiments, loads the bundles that it names, and puts it in service; requests go on meanwhile. A file that is
/// refused changes nothing. One without layers ends all experiments.
#[utoipa::path(
    post, path = "/v1/admin/experiments", tag = "admin", request_body = ExperimentsFile,
    responses((status = 200, body = RunningExperiments), (status = "default", body = ProblemBody, content_type = "application/problem+json")),
)]
pub(crate) async fn experiment(
    State(service): State<Arc<Service>>,
    Body(file): Body<ExperimentsFile>,
) -> Result<Json<RunningExperiments>, Problem> {
    Ok(Json(service.put_experiments(file.path.into()).await?))
}
