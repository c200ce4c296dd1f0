//! The service over HTTP: access, limits, refusals, metrics.

pub mod access;
pub mod admission;
pub mod clock;
pub mod engine;
pub mod error;
pub mod extract;
pub mod ledger;
pub mod problem;
mod routes;
pub mod server;
pub mod service;
pub mod settings;
pub mod telemetry;
pub mod wire;

pub use access::{Scope, Tokens};
pub use error::Error;
pub use problem::{Code, Problem};
pub use service::Service;
pub use settings::Settings;
