//! The console: pages of a service for people, made on the server. They show what the calls of the service say, by the same functions.
//!
//! - `access`: who may see and change what: signing in, other sites kept out; `visitor`.
//! - `layout`: what all pages have around them, the list of pages; `written`: moments and numbers as people read them.
//! - `traffic`, `requests`, `explained`, `bundles`, `features`, `retrieval`: a page each; `lanes`: histories over time.
//! - `given`: addresses and forms, read; `assets`: scripts and styles, which come from the program itself.

mod access;
mod assets;
mod bundles;
mod explained;
mod features;
mod given;
mod lanes;
mod layout;
mod requests;
mod retrieval;
mod sign_in;
mod traffic;
mod visitor;
mod written;

use std::sync::Arc;

use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::response::Redirect;
use axum::routing::{get, post};
use eliverec_http::Service;

use access::Console;

/// The pages of a service, below `/console`.
pub fn pages(service: Arc<Service>) -> Router<Arc<Service>> {
    let console = Arc::new(Console::new(service));
    let read = Router::new()
        .route("/console", get(traffic::page))
        .route(access::TRAFFIC_REPORT, get(traffic::report))
        .route("/console/requests", get(requests::page))
        .route("/console/request", get(explained::page))
        .route("/console/bundles", get(bundles::page))
        .route("/console/features", get(features::page))
        .route("/console/retrieval", get(retrieval::page))
        .route("/console/sign-out", post(sign_in::leave))
        .route("/console/{*rest}", get(layout::nowhere))
        .route_layer(from_fn_with_state(Arc::clone(&console), access::signed_in));
    let admin = Router::new()
        .route("/console/bundles/activate", post(bundles::activate))
        .route("/console/bundles/roll-back", post(bundles::roll_back))
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
