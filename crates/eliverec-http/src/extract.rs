//! Bodies and queries, whose refusals are problems like all others.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, PathRejection};
use axum::extract::{FromRequest, FromRequestParts, Path, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use serde::de::DeserializeOwned;

use crate::json::{array, first, object};
use crate::problem::{Code, Problem};
use crate::service::Service;

/// A JSON body.
#[derive(Debug)]
pub struct Body<T>(pub T);

/// A JSON body of a request for scores. Where too many wait already it is refused before it is parsed, so that a flood of requests
/// takes little from those that are answered.
#[derive(Debug)]
pub struct Admissible<T>(pub T);

/// A JSON array, one object, or newline-delimited JSON: rows of a batch, with the field that a wrong one names.
#[derive(Debug)]
pub struct Batch<T>(pub Vec<T>);

/// The named segments of a path.
#[derive(Debug)]
pub struct Segments<T>(pub T);

/// The parameters behind `?`.
#[derive(Debug)]
pub struct Query<T>(pub T);

/// The longest that a body may take to arrive.
const BODY: Duration = Duration::from_secs(20);

/// How a body is declared.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Media {
    Json,
    Lines,
}

fn media(headers: &HeaderMap) -> Result<Media, Problem> {
    let given = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let essence = given.unwrap_or_default().split(';').next().unwrap_or_default().trim();
    let essence = essence.to_ascii_lowercase();
    match essence.as_str() {
        "application/json" => Ok(Media::Json),
        "application/x-ndjson" | "application/jsonl" => Ok(Media::Lines),
        other if other.starts_with("application/") && other.ends_with("+json") => Ok(Media::Json),
        _ => Err(Problem::new(
            Code::UnsupportedMediaType,
            "send `Content-Type: application/json`, or application/x-ndjson for a batch",
        )),
    }
}

async fn bytes<S: Send + Sync>(request: Request, state: &S) -> Result<Bytes, Problem> {
    let read = tokio::time::timeout(BODY, Bytes::from_request(request, state)).await;
    let late =
        |_| Problem::new(Code::Timeout, format!("the body took more than {} s", BODY.as_secs()));
    read.map_err(late)?.map_err(|rejection| match rejection {
        BytesRejection::FailedToBufferBody(failed)
            if failed.status() == StatusCode::PAYLOAD_TOO_LARGE =>
        {
            Problem::new(Code::TooLarge, "the body is larger than this service takes")
        }
        _ => Problem::new(Code::Malformed, "the body ended early"),
    })
}

/// The text of one JSON object.
async fn one<S: Send + Sync>(request: Request, state: &S) -> Result<Bytes, Problem> {
    if media(request.headers())? == Media::Lines {
        let detail = "this call takes one JSON object; send `Content-Type: application/json`";
        return Err(Problem::new(Code::UnsupportedMediaType, detail));
    }
    bytes(request, state).await
}

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        object(&one(request, state).await?).map(Self)
    }
}

impl<T: DeserializeOwned> FromRequest<Arc<Service>> for Admissible<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, service: &Arc<Service>) -> Result<Self, Problem> {
        // Read to its end in any case: the connection goes on.
        let text = one(request, service).await?;
        service.ranking.has_room()?;
        object(&text).map(Self)
    }
}

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Segments<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let segments = Path::from_request_parts(parts, state).await;
        let Path(segments) = segments.map_err(|rejection: PathRejection| {
            Problem::new(Code::Malformed, format!("the path: {}", rejection.body_text()))
        })?;
        Ok(Self(segments))
    }
}

impl<T: DeserializeOwned> FromRequest<Arc<Service>> for Batch<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, service: &Arc<Service>) -> Result<Self, Problem> {
        let media = media(request.headers())?;
        let text = bytes(request, service).await?;
        // Nor is a batch parsed that could not wait for the log.
        service.ingesting.has_room()?;
        rows(media, &text).map(Self)
    }
}

/// The rows of a batch.
fn rows<T: DeserializeOwned>(media: Media, text: &[u8]) -> Result<Vec<T>, Problem> {
    match (media, first(text)) {
        (Media::Lines, _) => {
            let lines = text.split(|byte| *byte == b'\n').filter(|line| first(line).is_some());
            let rows = lines
                .enumerate()
                .map(|(i, line)| object(line).map_err(|problem: Problem| problem.at_row(i)));
            rows.collect()
        }
        (Media::Json, Some(b'[')) => {
            // One by one, so that a wrong one names its row.
            let rows = array(text)?;
            let rows = rows.iter().enumerate().map(|(i, row)| {
                object(row.get().as_bytes()).map_err(|problem: Problem| problem.at_row(i))
            });
            rows.collect()
        }
        (Media::Json, _) => Ok(vec![object(text)?]),
    }
}

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let pairs = axum::extract::Query::<Vec<(String, String)>>::from_request_parts(parts, state);
        let pairs = pairs.await.map_err(|_| {
            Problem::new(Code::Malformed, "what stands behind ? cannot be read; write name=value")
        })?;
        parameters(&pairs.0).map(Self)
    }
}

/// Parameters as an object of texts, whose refusals name the field.
fn parameters<T: DeserializeOwned>(pairs: &[(String, String)]) -> Result<T, Problem> {
    let quoted = |text: &String| serde_json::Value::from(text.as_str()).to_string();
    let fields: Vec<String> =
        pairs.iter().map(|(name, value)| format!("{}:{}", quoted(name), quoted(value))).collect();
    object(format!("{{{}}}", fields.join(",")).as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Row {
        n: u64,
    }

    async fn batch(kind: &str, text: &'static str) -> Result<Vec<Row>, Problem> {
        let request = Request::builder().header(header::CONTENT_TYPE, kind);
        let request = request.body(axum::body::Body::from(text)).unwrap();
        let media = media(request.headers())?;
        rows(media, &bytes(request, &()).await?)
    }

    #[tokio::test]
    async fn batches_come_in_three_forms() {
        let rows = vec![Row { n: 1 }, Row { n: 2 }];
        assert_eq!(batch("application/json", r#"[{"n":1},{"n":2}]"#).await.unwrap(), rows);
        assert_eq!(batch("application/x-ndjson", "{\"n\":1}\r\n\n{\"n\":2}").await.unwrap(), rows);
        assert_eq!(
            batch("application/json; charset=utf-8", " {\"n\":1} ").await.unwrap(),
            rows[..1]
        );
        assert_eq!(batch("application/json", "[]").await.unwrap(), []);
    }

    #[test]
    fn a_parameter_is_refused_by_its_name() {
        #[derive(Debug, serde::Deserialize)]
        #[serde(deny_unknown_fields)]
        #[expect(dead_code, reason = "only what is refused is looked at")]
        struct Which {
            id: String,
            kind: Option<eliverec_core::IdKind>,
        }
        for (given, field, words) in [
            (vec![], "id", "is missing"),
            (vec![("id", "1"), ("id", "2")], "id", "is given twice"),
            (vec![("id", "1"), ("k", "2")], "k", "is no field of this call; it has id or kind"),
            (vec![("id", "1"), ("kind", "\"")], "kind", "write"),
        ] {
            let pairs: Vec<_> =
                given.iter().map(|(a, b): &(&str, &str)| ((*a).into(), (*b).into())).collect();
            let problem = parameters::<Which>(&pairs).unwrap_err();
            assert_eq!((problem.code, problem.field.as_deref()), (Code::Invalid, Some(field)));
            assert!(problem.detail.contains(words), "{}", problem.detail);
        }
    }

    #[tokio::test]
    async fn a_wrong_row_is_named() {
        let problem = batch("application/json", r#"[{"n":1},{"n":"x"}]"#).await.unwrap_err();
        assert_eq!((problem.code, problem.row), (Code::Invalid, Some(1)));
        assert_eq!(problem.field.as_deref(), Some("n"));
        let problem = batch("application/x-ndjson", "{\"n\":1}\n{\"n\":").await.unwrap_err();
        assert_eq!((problem.code, problem.row), (Code::Malformed, Some(1)));
        let problem = batch("application/json", r#"{"n":1} 2"#).await.unwrap_err();
        assert_eq!(problem.code, Code::Malformed);
        let problem = batch("text/plain", "{}").await.unwrap_err();
        assert_eq!(problem.code, Code::UnsupportedMediaType);
        let problem = batch("application/json", r#"{"n":1,"m":2}"#).await.unwrap_err();
        assert_eq!(problem.code, Code::Invalid);
    }
}
