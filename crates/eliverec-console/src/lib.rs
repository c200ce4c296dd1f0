//! The console: pages of a service for people, made on the server. They show what the calls of the service say, by the same functions.
//!
//! - `access`: who may see and change what: signing in, other sites kept out; `visitor`.
//! - `layout`: what all pages have around them, the list of pages.
//! - `traffic`, `requests`, `explained`, `bundles`, `experiments`, `features`, `retrieval`: a page each.
//! - `reported`: reports of experiments, which somebody else makes of the log, and how they look.
//! - `given`: addresses and forms, read; `assets`: scripts and styles, which come from the program itself.

mod access;
mod assets;
mod bundles;
mod experiments;
mod explained;
mod features;
mod given;
mod layout;
mod reported;
mod requests;
mod retrieval;
mod sign_in;
mod traffic;
mod visitor;

use std::sync::Arc;

use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::response::Redirect;
use axum::routing::{get, post};
use eliverec_http::Service;

use access::Console;

pub use reported::{Made, Reports, Standing};

/// The pages of a service, below `/console`, with reports of its experiments from `reports`; `None` where no log is kept.
pub fn pages(service: Arc<Service>, reports: Option<Arc<dyn Reports>>) -> Router<Arc<Service>> {
    let console = Arc::new(Console::new(service, reports));
    let read = Router::new()
        .route("/console", get(traffic::page))
        .route(access::TRAFFIC_REPORT, get(traffic::report))
        .route("/console/requests", get(requests::page))
        .route("/console/request", get(explained::page))
        .route("/console/bundles", get(bundles::page))
        .route("/console/experiments", get(experiments::page))
        .route("/console/features", get(features::page))
        .route("/console/retrieval", get(retrieval::page))
        .route("/console/sign-out", post(sign_in::leave))
        .route("/console/{*rest}", get(layout::nowhere))
        .route_layer(from_fn_with_state(Arc::clone(&console), access::signed_in));
    let admin = Router::new()
        .route("/console/bundles/activate", post(bundles::activate))
        .route("/console/bundles/roll-back", post(bundles::roll_back))
        .route("/console/experiments/put", post(experiments::put))
        .route_layer(from_fn_with_state(Arc::clone(&console), access::may_change));
    Router::new()
        .route("/console/", get(|| async { Redirect::permanent("/console") }))
        .route("/console/sign-in", get(sign_in::page).post(sign_in::enter))
        .route("/console/assets/{name}", get(assets::asset))
        .merge(read)
        .merge(admin)
        .layer(from_fn_with_state(Arc::clone(&console), access::guard))
        .with_state(console)
}
