//! Why an answer was what it was.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use eliverec_core::IdKind;
use serde::Deserialize;
use utoipa::IntoParams;

use crate::answer::Explanation;
use crate::extract::Query;
use crate::problem::{Code, Problem, ProblemBody};
use crate::service::Service;
use crate::wire::Id;

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
    let id = Id::of_address(&which.request_id, which.kind);
    let id = id.map_err(|detail| Problem::invalid("request_id", detail))?;
    let answer = service.ledger.find(id.value()).ok_or_else(|| {
        let kept = service.settings.explained;
        let as_what = if matches!(id, Id::Text(_)) { "a text" } else { "an integer" };
        let detail = format!(
            "no answer of request {:?}, read as {as_what}, is kept; the newest {kept} are, and &kind=text or &kind=integer says how to read it",
            which.request_id
        );
        Problem::new(Code::NotFound, detail)
    })?;
    let admitted = service.ranking.enter().await?;
    let explanation = service.compute(move || answer.explain(id)).await??;
    drop(admitted);
    Ok(Json(explanation))
}
