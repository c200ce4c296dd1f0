//! What the calls of one service share.

use std::path::Path;
use std::sync::Arc;

use crate::access::Tokens;
use crate::admission::Gate;
use crate::answer::{Answer, Bundles};
use crate::clock::Clock;
use crate::engine::Engine;
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
    /// A service with its queues empty; `settings` have been checked.
    pub fn new(settings: Settings, tokens: Tokens, clock: Clock, engine: Engine) -> Self {
        let telemetry = Telemetry::default();
        telemetry.bundle(&engine.bundles().active);
        let deadline = settings.deadline();
        Self {
            ranking: Gate::new(settings.workers(), settings.waiting, deadline),
            ingesting: Gate::new(settings.ingesting, 1, deadline),
            ledger: Ledger::new(settings.explained),
            settings,
            tokens,
            clock,
            engine,
            telemetry,
        }
    }

    /// Puts the bundle at `path` in service, as [`Engine::activate`].
    ///
    /// # Errors
    /// As [`Engine::activate`].
    pub fn activate(&self, path: &Path) -> Result<Bundles, Problem> {
        let bundles = self.engine.activate(path)?;
        self.telemetry.bundle(&bundles.active);
        Ok(bundles)
    }

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
