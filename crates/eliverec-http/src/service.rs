//! What the calls of one service share.

use std::sync::Arc;

use crate::access::Tokens;
use crate::admission::Gate;
use crate::clock::Clock;
use crate::engine::{Answer, Engine};
use crate::ledger::Ledger;
use crate::problem::{Code, Problem};
use crate::settings::Settings;
use crate::telemetry::Telemetry;

/// A service: what answers, and who may ask how much.
#[derive(Debug)]
pub struct Service {
    /// The limits.
    pub settings: Settings,
    /// Who may call what.
    pub tokens: Tokens,
    /// What time it is.
    pub clock: Clock,
    /// What answers.
    pub engine: Engine,
    /// Before ranking.
    pub ranking: Gate,
    /// Before the log.
    pub ingesting: Gate,
    /// The newest answers.
    pub ledger: Ledger<Arc<Answer>>,
    /// What is counted.
    pub telemetry: Telemetry,
}

impl Service {
    /// Runs what needs a core, or waits for a disk, beside the threads that speak HTTP.
    pub(crate) async fn compute<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Problem> {
        tokio::task::spawn_blocking(work).await.map_err(|_| {
            Problem::new(
                Code::Internal,
                "the computation failed; the log of the service says where",
            )
        })
    }
}
