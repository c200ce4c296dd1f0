//! Why an answer was what it was.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
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
pub(crate) struct Which {
    /// The `request_id` of the answer.
    request_id: String,
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
    let id = Id::of_path(&which.request_id).value();
    let answer = service.ledger.find(id).ok_or_else(|| {
        let kept = service.settings.explained;
        let detail = format!("no answer of request {id} is kept; the newest {kept} are");
        Problem::new(Code::NotFound, detail)
    })?;
    let admitted = service.ranking.enter().await?;
    let explanation = service.compute(move || answer.explain()).await??;
    drop(admitted);
    Ok(Json(explanation))
}
