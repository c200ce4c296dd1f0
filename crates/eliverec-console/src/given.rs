//! What stands behind `?` and what a form sends; what cannot be read is refused by a page.

use axum::extract::{FromRequest, FromRequestParts, Query, Request};
use axum::http::Extensions;
use axum::http::request::Parts;
use axum::response::Response;
use axum::{Form, RequestExt};
use eliverec_http::{Code, Problem};
use serde::de::DeserializeOwned;

use crate::layout;
use crate::visitor::Visitor;

/// The parameters behind `?`.
#[derive(Debug)]
pub(crate) struct Asked<T>(pub(crate) T);

/// The fields of a form.
#[derive(Debug)]
pub(crate) struct Sent<T>(pub(crate) T);

fn refused(extensions: &Extensions, detail: String) -> Response {
    layout::refused(extensions.get::<Visitor>(), &Problem::new(Code::Malformed, detail))
}

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Asked<T> {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Response> {
        match Query::from_request_parts(parts, state).await {
            Ok(Query(asked)) => Ok(Self(asked)),
            Err(error) => {
                let detail = format!("what stands behind ? cannot be read: {}", error.body_text());
                Err(refused(&parts.extensions, detail))
            }
        }
    }
}

impl<T: DeserializeOwned + Send + 'static, S: Send + Sync> FromRequest<S> for Sent<T> {
    type Rejection = Response;

    async fn from_request(request: Request, _: &S) -> Result<Self, Response> {
        let extensions = request.extensions().clone();
        match request.extract::<Form<T>, _>().await {
            Ok(Form(sent)) => Ok(Self(sent)),
            Err(error) => {
                let detail = format!("the form cannot be read: {}", error.body_text());
                Err(refused(&extensions, detail))
            }
        }
    }
}
