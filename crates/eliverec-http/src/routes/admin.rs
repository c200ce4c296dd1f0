//! Bundles: which one is in service, another in its place, the one before again.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use utoipa::ToSchema;

use crate::answer::Bundles;
use crate::extract::Body;
use crate::problem::{Problem, ProblemBody};
use crate::service::Service;

/// Which bundle to load.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Activation {
    /// Its directory on the service's machine.
    path: String,
}

/// What is in service.
#[utoipa::path(get, path = "/v1/admin/bundles", tag = "admin", responses((status = 200, body = Bundles)))]
pub(crate) async fn bundles(State(service): State<Arc<Service>>) -> Json<Bundles> {
    Json(service.engine.bundles())
}

/// Loads a bundle, verifies it, scores its golden requests, and puts it in service; requests go on meanwhile. A bundle that
/// fails is refused, and the one in service stays.
#[utoipa::path(
    post, path = "/v1/admin/bundles", tag = "admin", request_body = Activation,
    responses((status = 200, body = Bundles), (status = "default", body = ProblemBody, content_type = "application/problem+json")),
)]
pub(crate) async fn activate(
    State(service): State<Arc<Service>>,
    Body(activation): Body<Activation>,
) -> Result<Json<Bundles>, Problem> {
    Ok(Json(service.put_in_service(activation.path.into()).await?))
}

/// Puts the bundle before this one in service again.
#[utoipa::path(
    post, path = "/v1/admin/bundles/rollback", tag = "admin",
    responses((status = 200, body = Bundles), (status = "default", body = ProblemBody, content_type = "application/problem+json")),
)]
pub(crate) async fn roll_back(
    State(service): State<Arc<Service>>,
) -> Result<Json<Bundles>, Problem> {
    Ok(Json(service.roll_back()?))
}
