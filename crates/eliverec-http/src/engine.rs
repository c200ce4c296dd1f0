//! From a request to its answer.

use std::path::Path;
use std::sync::Arc;

use eliverec_core::Event;
use eliverec_core::event::Scalar;
use eliverec_core::schema::{Field, Group};
use serde::Serialize;
use utoipa::ToSchema;

use crate::problem::Problem;
use crate::routes::admin::Bundles;
use crate::routes::events::Acknowledgement;

/// Who asks, when, and where.
#[derive(Clone, Debug, PartialEq)]
pub struct Asked {
    /// Who.
    pub user_id: u64,
    /// When, milliseconds since 1970 UTC.
    pub at_ms: i64,
    /// The schema's `context` fields, in its order.
    pub context: Vec<Scalar>,
}

/// A row of a table.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// Whose.
    pub id: u64,
    /// The table's fields, in the schema's order.
    pub values: Vec<Scalar>,
}

/// Channels with scores.
#[derive(Debug)]
pub struct Answer {
    /// The bundle's version.
    pub model: Arc<str>,
    /// The moment whose features were used.
    pub at_ms: i64,
    /// The event of the log before which the request stands.
    pub log_position: u64,
    /// Names of the tasks.
    pub tasks: Arc<[String]>,
    /// The likeliest watch first.
    pub channels: Vec<Scored>,
}

/// One channel with its scores.
#[derive(Clone, Debug, PartialEq)]
pub struct Scored {
    /// The channel.
    pub channel_id: u64,
    /// Probability of a watch.
    pub p_watch: f32,
    /// By task.
    pub tasks: Vec<f32>,
    /// Which sources of retrieval gave it.
    pub sources: Vec<&'static str>,
}

/// Why an answer was what it was.
#[derive(Debug, Serialize, ToSchema)]
pub struct Explanation {}

/// What answers.
#[derive(Debug)]
pub struct Engine {}

impl Engine {
    pub fn context_fields(&self) -> &[Field] {
        &[]
    }
    pub fn table_fields(&self, _group: Group) -> &[Field] {
        &[]
    }
    pub fn recommend(&self, _asked: &Asked, _k: usize) -> Result<Answer, Problem> {
        unimplemented!()
    }
    pub fn rank(&self, _asked: &Asked, _channels: &[u64]) -> Result<Answer, Problem> {
        unimplemented!()
    }
    pub fn ingest(&self, _events: Vec<Event>) -> Result<Acknowledgement, Problem> {
        unimplemented!()
    }
    pub fn upsert(&self, _group: Group, _rows: Vec<Row>) -> Result<Acknowledgement, Problem> {
        unimplemented!()
    }
    pub fn explain(&self, _answer: &Answer) -> Result<Explanation, Problem> {
        unimplemented!()
    }
    pub fn not_ready(&self) -> Option<String> {
        None
    }
    pub fn newest_event_ms(&self) -> Option<i64> {
        None
    }
    pub fn bundles(&self) -> Bundles {
        unimplemented!()
    }
    pub fn activate(&self, _path: &Path) -> Result<Bundles, Problem> {
        unimplemented!()
    }
    pub fn roll_back(&self) -> Result<Bundles, Problem> {
        unimplemented!()
    }
}
