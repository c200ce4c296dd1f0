//! The routes with their scopes, and the life of a server: listen, answer, end without losing a request.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::HttpBody;
use axum::extract::{DefaultBodyLimit, MatchedPath, Request, State};
use axum::http::{HeaderName, Response, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::IntoResponse;
use tokio::net::TcpListener;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::request_id::{MakeRequestUuid, PropagateRequestIdLayer, SetRequestIdLayer};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::access::Scope;
use crate::connections;
use crate::document;
use crate::error::Error;
use crate::problem::{Code, Problem};
use crate::routes::{admin, events, experiments, explain, health, rank, reports, tables};
use crate::service::{Service, kib};

/// How long requests that have begun may take when the service ends.
const DRAIN: Duration = Duration::from_secs(15);

/// Bytes of a path with its query. HTTP's own limit, 64 KiB, is told without a body.
const URI_BYTES: usize = 8 << 10;

/// The routes, and the document that describes them.
fn calls(service: &Arc<Service>) -> (Router<Arc<Service>>, utoipa::openapi::OpenApi) {
    let scoped = |scope: Scope, mut router: OpenApiRouter<Arc<Service>>| {
        let service = Arc::clone(service);
        document::scoped(router.get_openapi_mut(), scope);
        router.route_layer(from_fn_with_state((service, scope), authorize))
    };
    let read = OpenApiRouter::new()
        .routes(routes!(rank::recommend))
        .routes(routes!(rank::rank))
        .routes(routes!(explain::explain))
        .routes(routes!(reports::traffic))
        .routes(routes!(reports::requests))
        .routes(routes!(reports::bundles))
        .routes(routes!(reports::features))
        .routes(routes!(reports::sources))
        .routes(routes!(reports::user))
        .routes(routes!(reports::channel));
    let ingest = OpenApiRouter::new()
        .routes(routes!(events::events))
        .routes(routes!(tables::put_rows))
        .routes(routes!(tables::put_row));
    let admin = OpenApiRouter::new()
        .routes(routes!(admin::bundles, admin::activate))
        .routes(routes!(admin::roll_back))
        .routes(routes!(experiments::experiments, experiments::experiment))
        .routes(routes!(health::metrics));
    let open = OpenApiRouter::new().routes(routes!(health::live)).routes(routes!(health::ready));
    OpenApiRouter::with_openapi(document::begun())
        .merge(scoped(Scope::Read, read))
        .merge(scoped(Scope::Ingest, ingest))
        .merge(scoped(Scope::Admin, admin))
        .merge(open)
        .split_for_parts()
}

/// The whole service as a router, with `pages` for people beside the calls.
pub fn router(service: Arc<Service>, pages: Router<Arc<Service>>) -> Router {
    let (calls, mut document) = calls(&service);
    document::batches(&mut document);
    // The document of a router does not change.
    let document = Arc::new(document);
    let request_id = HeaderName::from_static("x-request-id");
    let body_bytes = service.settings.body_bytes;
    calls
        .merge(pages)
        .route(
            "/openapi.json",
            axum::routing::get(move || async move { axum::Json((*document).clone()) }),
        )
        .fallback(|| async {
            Problem::new(Code::NotFound, "no such call; /openapi.json lists them")
        })
        .method_not_allowed_fallback(|| async {
            Problem::new(Code::MethodNotAllowed, "this path has other methods; see /openapi.json")
        })
        .layer(from_fn_with_state(Arc::clone(&service), refuse_long))
        .layer(DefaultBodyLimit::max(body_bytes))
        .layer(CatchPanicLayer::custom(|_| {
            Problem::new(Code::Internal, "the call failed; the log of the service says where")
                .into_response()
        }))
        .layer(from_fn_with_state(Arc::clone(&service), observe))
        .layer(PropagateRequestIdLayer::new(request_id.clone()))
        .layer(SetRequestIdLayer::new(request_id, MakeRequestUuid))
        .with_state(service)
}

async fn authorize(
    State((service, scope)): State<(Arc<Service>, Scope)>,
    request: Request,
    next: Next,
) -> Result<impl IntoResponse, Problem> {
    service.tokens.authorize(request.headers(), scope)?;
    Ok(next.run(request).await)
}

/// Refuses an address that is too long, a body that says itself that it is, and one for which there is no memory, before any of it has
/// come.
async fn refuse_long(
    State(service): State<Arc<Service>>,
    request: Request,
    next: Next,
) -> Result<impl IntoResponse, Problem> {
    let bytes = request.uri().path_and_query().map_or(0, |of| of.as_str().len());
    if bytes > URI_BYTES {
        let detail = format!("the address has {bytes} bytes; this service takes {URI_BYTES}");
        return Err(Problem::new(Code::UriTooLong, detail));
    }
    let length = request.headers().get(header::CONTENT_LENGTH).and_then(|of| of.to_str().ok());
    let length = length.and_then(|of| of.parse::<u64>().ok());
    let most = service.settings.body_bytes;
    if let Some(bytes) = length.filter(|of| *of > most as u64) {
        let detail = format!("the body has {bytes} bytes; this service takes at most {most}");
        return Err(Problem::new(Code::TooLarge, detail));
    }
    // One that does not say how long it is may be as long as any.
    let bytes = request.body().size_hint().upper().unwrap_or(most as u64);
    let held = Arc::clone(&service.bodies).try_acquire_many_owned(kib(bytes));
    let _held = held.map_err(|_| {
        let detail = "the bodies of requests take all the memory that they may; try again";
        Problem::new(Code::Overloaded, detail).retry_after(1)
    })?;
    Ok(next.run(request).await)
}

/// Counts answers and refusals, and writes a line of the log for each.
async fn observe(
    State(service): State<Arc<Service>>,
    request: Request,
    next: Next,
) -> impl IntoResponse {
    let call = request.extensions().get::<MatchedPath>().map(|path| path.as_str().to_owned());
    let call = call.unwrap_or_else(|| "none".into());
    let id = request.headers().get("x-request-id").and_then(|id| id.to_str().ok());
    let id = id.unwrap_or_default().to_owned();
    let began = std::time::Instant::now();
    let response: Response<_> = next.run(request).await;
    let status = response.status();
    service.telemetry.answered(&call, status.as_u16());
    let code = response.extensions().get::<Code>().map(|code| code.name());
    if let Some(code) = code {
        service.telemetry.refused(code);
    }
    let microseconds = began.elapsed().as_micros() as u64;
    if status == StatusCode::INTERNAL_SERVER_ERROR {
        tracing::error!(%id, call, status = status.as_u16(), code, microseconds, "answered");
    } else {
        tracing::debug!(%id, call, status = status.as_u16(), code, microseconds, "answered");
    }
    response
}

/// Answers calls, and with `pages` for people, until `ended` is there; requests that have begun are answered, then the log is closed.
///
/// # Errors
/// An address that others can reach without tokens, and a network that fails.
pub async fn serve(
    listener: TcpListener,
    service: Arc<Service>,
    pages: Router<Arc<Service>>,
    ended: impl Future<Output = ()> + Send + 'static,
) -> Result<(), Error> {
    let address = listener.local_addr().map_err(Error::Network)?;
    service.tokens.check_address(address)?;
    let router = router(Arc::clone(&service), pages);
    // A caller who never ends a request does not keep the service from ending.
    let most = service.settings.connections;
    if !connections::answer(listener, router, most, ended, DRAIN).await {
        tracing::warn!(
            "connections were still open {} s after the end was asked for",
            DRAIN.as_secs()
        );
    }
    Ok(())
}

/// Ends when the process is asked to: Ctrl-C, or SIGTERM where there are signals. Whoever asks between this call and the first poll is
/// heard, too.
pub fn asked_to_end() -> impl Future<Output = ()> + Send + 'static {
    #[cfg(unix)]
    let signals = {
        use tokio::signal::unix::{SignalKind, signal};
        // Without the right to signals the process ends as if there were no handler.
        [SignalKind::terminate(), SignalKind::interrupt()].map(signal)
    };
    async move {
        #[cfg(unix)]
        {
            if let [Ok(mut terminated), Ok(mut interrupted)] = signals {
                tokio::select! {
                    _ = terminated.recv() => {}
                    _ = interrupted.recv() => {}
                }
                return;
            }
        }
        let _ = tokio::signal::ctrl_c().await;
    }
}
