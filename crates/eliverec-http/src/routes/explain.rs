//! Why an answer was what it was.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use eliverec_core::IdKind;
use serde::Deserialize;
use utoipa::IntoParams;

use crate::answer::Explanation;
use crate::extract::Query;
use crate::problem::{Problem, ProblemBody};
use crate::service::Service;

/// Which answer.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct Which {
    /// The `request_id` of the answer.
    request_id: String,
    /// Whether it was an `integer` or `text`; if it is left out, what is written as JSON writes an integer is one.
    #[serde(default)]
    #[param(schema_with = kinds)]
    kind: Option<IdKind>,
}

fn kinds() -> utoipa::openapi::schema::Object {
    let object = utoipa::openapi::schema::Object::builder();
    let object = object.schema_type(utoipa::openapi::schema::Type::String);
    object.enum_values(Some(["integer", "text"])).build()
}

/// The features, intents, attention and sources behind a recent answer, computed again from what was known then.
#[utoipa::path(
    get, path = "/v1/explain", tag = "ranking", params(Which),
    responses((status = 200, body = Explanation), (status = "default", body = ProblemBody, content_type = "application/problem+json")),
)]
pub(crate) async fn explain(
    State(service): State<Arc<Service>>,
    Query(which): Query<Which>,
) -> Result<Json<Explanation>, Problem> {
    Ok(Json(service.explain(&which.request_id, which.kind).await?))
}
