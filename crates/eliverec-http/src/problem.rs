//! Every refusal of the service in one form: problem details, RFC 9457.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

/// The kinds of refusals; a caller's program decides by these.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Code {
    /// The body is no JSON, or a part of the request cannot be read.
    Malformed,
    /// A value contradicts the contract: `field` and, of a batch, `row` say where.
    Invalid,
    /// No token, or one that nobody has.
    Unauthenticated,
    /// A token whose scope does not include the call.
    Forbidden,
    /// No such call, request, bundle.
    NotFound,
    /// The call exists with another method.
    MethodNotAllowed,
    /// The body is larger than the limit.
    TooLarge,
    /// The address is longer than the limit.
    UriTooLong,
    /// The body is not declared as JSON.
    UnsupportedMediaType,
    /// The body did not arrive in time.
    Timeout,
    /// The caller should slow down.
    Overloaded,
    /// The answer would come after the deadline.
    Deadline,
    /// This process does not take the call; `detail` says which one does.
    Misdirected,
    /// Nothing can be served yet or any more; `detail` says why.
    Unavailable,
    /// The disk of the log is full: nothing of the batch was taken.
    StorageFull,
    /// A bundle was refused; the one in service goes on.
    BundleRefused,
    /// A file of experiments was refused; those in service go on.
    ExperimentsRefused,
    /// A fault of the service itself.
    Internal,
}

impl Code {
    /// All kinds.
    pub const ALL: [Self; 18] = [
        Self::Malformed,
        Self::Invalid,
        Self::Unauthenticated,
        Self::Forbidden,
        Self::NotFound,
        Self::MethodNotAllowed,
        Self::TooLarge,
        Self::UriTooLong,
        Self::UnsupportedMediaType,
        Self::Timeout,
        Self::Overloaded,
        Self::Deadline,
        Self::Misdirected,
        Self::Unavailable,
        Self::StorageFull,
        Self::BundleRefused,
        Self::ExperimentsRefused,
        Self::Internal,
    ];

    const fn words(self) -> (&'static str, StatusCode, &'static str) {
        match self {
            Self::Malformed => ("malformed", StatusCode::BAD_REQUEST, "The request cannot be read"),
            Self::Invalid => ("invalid", StatusCode::UNPROCESSABLE_ENTITY, "A value is wrong"),
            Self::Unauthenticated => {
                ("unauthenticated", StatusCode::UNAUTHORIZED, "A token is needed")
            }
            Self::Forbidden => ("forbidden", StatusCode::FORBIDDEN, "The token's scope is another"),
            Self::NotFound => ("not_found", StatusCode::NOT_FOUND, "There is no such thing"),
            Self::MethodNotAllowed => {
                ("method_not_allowed", StatusCode::METHOD_NOT_ALLOWED, "The method is another")
            }
            Self::TooLarge => ("too_large", StatusCode::PAYLOAD_TOO_LARGE, "The body is too large"),
            Self::UriTooLong => {
                ("uri_too_long", StatusCode::URI_TOO_LONG, "The address is too long")
            }
            Self::UnsupportedMediaType => (
                "unsupported_media_type",
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "The body is not declared as JSON",
            ),
            Self::Timeout => ("timeout", StatusCode::REQUEST_TIMEOUT, "The body came too slowly"),
            Self::Overloaded => {
                ("overloaded", StatusCode::TOO_MANY_REQUESTS, "There is too much to do")
            }
            Self::Deadline => {
                ("deadline", StatusCode::SERVICE_UNAVAILABLE, "The answer would come too late")
            }
            Self::Misdirected => {
                ("misdirected", StatusCode::MISDIRECTED_REQUEST, "Another process takes this call")
            }
            Self::Unavailable => {
                ("unavailable", StatusCode::SERVICE_UNAVAILABLE, "The service is not ready")
            }
            Self::StorageFull => {
                ("storage_full", StatusCode::INSUFFICIENT_STORAGE, "The log's disk is full")
            }
            Self::BundleRefused => {
                ("bundle_refused", StatusCode::UNPROCESSABLE_ENTITY, "The bundle was refused")
            }
            Self::ExperimentsRefused => (
                "experiments_refused",
                StatusCode::UNPROCESSABLE_ENTITY,
                "The experiments were refused",
            ),
            Self::Internal => {
                ("internal", StatusCode::INTERNAL_SERVER_ERROR, "The service has a fault")
            }
        }
    }

    /// Whether it is told before the body was read to its end: then the connection ends, and the caller has to know that.
    const fn is_before_the_body(self) -> bool {
        matches!(
            self,
            Self::Unauthenticated
                | Self::Forbidden
                | Self::MethodNotAllowed
                | Self::TooLarge
                | Self::UriTooLong
                | Self::UnsupportedMediaType
                | Self::Timeout
        )
    }

    /// Its name, as in `type` and in the metrics.
    pub const fn name(self) -> &'static str {
        self.words().0
    }

    /// Its HTTP status.
    pub const fn status(self) -> StatusCode {
        self.words().1
    }
}

/// A refusal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Its kind.
    pub code: Code,
    /// What was wrong and what to do.
    pub detail: String,
    /// Which field of the body, if one.
    pub field: Option<String>,
    /// Which row of a batch, from 0.
    pub row: Option<usize>,
    /// When to try again, seconds.
    pub retry_after_s: Option<u32>,
}

/// The body of a refusal, `application/problem+json`.
#[derive(Debug, Serialize, ToSchema)]
pub struct ProblemBody {
    /// `urn:eliverec:` and the code.
    r#type: String,
    /// The code's sentence.
    title: &'static str,
    /// The HTTP status again.
    status: u16,
    /// The kind of refusal.
    code: Code,
    /// What was wrong and what to do.
    detail: String,
    /// Which field of the body.
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<String>,
    /// Which row of a batch, from 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    row: Option<usize>,
}

impl Problem {
    /// A refusal of that kind.
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into(), field: None, row: None, retry_after_s: None }
    }

    /// A wrong value of a field.
    pub fn invalid(field: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { field: Some(field.into()), ..Self::new(Code::Invalid, detail) }
    }

    /// The same in a row of a batch.
    #[must_use]
    pub fn at_row(self, row: usize) -> Self {
        Self { row: Some(row), ..self }
    }

    /// The same, and when to try again.
    #[must_use]
    pub fn retry_after(self, seconds: u32) -> Self {
        Self { retry_after_s: Some(seconds), ..self }
    }
}

impl From<eliverec_core::Error> for Problem {
    fn from(error: eliverec_core::Error) -> Self {
        let detail = error.to_string();
        match error {
            eliverec_core::Error::Event { field, reason } => Self::invalid(field, reason),
            eliverec_core::Error::Feed { field, reason } => Self::invalid(field, reason),
            _ => Self::new(Code::Invalid, detail),
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let (name, status, title) = self.code.words();
        let body = ProblemBody {
            r#type: format!("urn:eliverec:{name}"),
            title,
            status: status.as_u16(),
            code: self.code,
            detail: self.detail,
            field: self.field,
            row: self.row,
        };
        let mut response = (status, Json(body)).into_response();
        let headers = response.headers_mut();
        let kind = HeaderValue::from_static("application/problem+json");
        headers.insert(header::CONTENT_TYPE, kind);
        if let Some(seconds) = self.retry_after_s {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if self.code == Code::Unauthenticated {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if self.code.is_before_the_body() {
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        response.extensions_mut().insert(self.code);
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_refusals_are_no_success() {
        let names: std::collections::BTreeSet<_> =
            Code::ALL.iter().map(|code| code.name()).collect();
        assert_eq!(names.len(), Code::ALL.len());
        assert!(Code::ALL.iter().all(|code| code.status().as_u16() >= 400));
    }

    #[test]
    fn headers_say_what_a_client_needs() {
        let response = Problem::new(Code::Overloaded, "later").retry_after(2).into_response();
        assert_eq!(response.status(), 429);
        assert_eq!(response.headers()[header::RETRY_AFTER], "2");
        assert_eq!(response.headers()[header::CONTENT_TYPE], "application/problem+json");
        let response = Problem::new(Code::Unauthenticated, "no token").into_response();
        assert_eq!(response.headers()[header::WWW_AUTHENTICATE], "Bearer");
    }
}
