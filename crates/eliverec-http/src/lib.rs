//! The service over HTTP: access, limits, refusals, metrics.

pub mod access;
pub mod acknowledgement;
pub mod admission;
pub mod answer;
pub mod asked;
pub mod background;
pub mod clock;
mod connections;
mod document;
pub mod engine;
pub mod error;
pub mod extract;
mod finder;
mod held;
mod id;
mod in_service;
mod json;
pub mod ledger;
mod names;
pub mod problem;
mod routes;
mod running;
mod served;
pub mod server;
pub mod service;
pub mod settings;
pub mod telemetry;
pub mod wire;

pub use access::{Scope, Tokens};
pub use engine::{Engine, EngineConfig};
pub use error::Error;
pub use problem::{Code, Problem};
pub use running::RunningExperiments;
pub use served::{NEIGHBOURS_FILE, VECTORS_FILE};
pub use service::Service;
pub use settings::{Impressions, Settings};
