//! What the calls of one service share.

use std::path::Path;
use std::sync::Arc;

use eliverec_core::dimensions::{TABLE_GROUPS, id_column};
use eliverec_core::schema::Group;

use tokio::sync::Semaphore;

use crate::access::Tokens;
use crate::admission::{Admitted, Gate};
use crate::answer::{Answer, Bundles};
use crate::asked::Asked;
use crate::clock::Clock;
use crate::drift::Drift;
use crate::engine::Engine;
use crate::ledger::Ledger;
use crate::problem::{Code, Problem};
use crate::running::RunningExperiments;
use crate::settings::Settings;
use crate::telemetry::Telemetry;
use crate::wire::Id;

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
    /// KiB of bodies that may be in memory at once.
    pub(crate) bodies: Arc<Semaphore>,
    /// The newest answers.
    pub ledger: Ledger<Arc<Answer>>,
    /// What is counted.
    pub telemetry: Telemetry,
    /// What was served lately, beside what the bundles were trained on.
    pub(crate) drift: Drift,
}

/// Bytes in KiB, the last one begun.
pub(crate) fn kib(bytes: u64) -> u32 {
    u32::try_from(bytes.div_ceil(1024)).unwrap_or(u32::MAX)
}

impl Service {
    /// A service with its queues empty; `settings` have been checked.
    pub fn new(settings: Settings, tokens: Tokens, clock: Clock, engine: Engine) -> Self {
        let deadline = settings.deadline();
        let service = Self {
            ranking: Gate::new(settings.workers(), settings.waiting, deadline),
            ingesting: Gate::new(settings.ingesting, 1, deadline),
            bodies: Arc::new(Semaphore::new(kib(settings.buffered_bytes as u64) as usize)),
            ledger: Ledger::new(settings.explained),
            settings,
            tokens,
            clock,
            engine,
            telemetry: Telemetry::default(),
            drift: Drift::default(),
        };
        service.tell(&service.engine.bundles());
        service
    }

    /// Puts the bundle at `path` in service, as [`Engine::activate`].
    ///
    /// # Errors
    /// As [`Engine::activate`].
    pub fn activate(&self, path: &Path) -> Result<Bundles, Problem> {
        let bundles = self.engine.activate(path)?;
        let path = path.display();
        tracing::info!(active = bundles.active(), %path, "another bundle is in service");
        self.tell(&bundles);
        Ok(bundles)
    }

    /// Puts the bundle before the one in service in its place, as [`Engine::roll_back`].
    ///
    /// # Errors
    /// As [`Engine::roll_back`].
    pub fn roll_back(&self) -> Result<Bundles, Problem> {
        let bundles = self.engine.roll_back()?;
        tracing::info!(active = bundles.active(), "the bundle before is in service again");
        self.tell(&bundles);
        Ok(bundles)
    }

    /// Puts the experiments of a file in service, as [`Engine::experiment`].
    ///
    /// # Errors
    /// As [`Engine::experiment`].
    pub fn experiment(&self, file: Option<&Path>) -> Result<RunningExperiments, Problem> {
        let experiments = self.engine.experiment(file, self.clock.now_ms())?;
        self.telemetry.bundles(self.engine.bundles().all());
        if let Some(file) = &experiments.file {
            tracing::info!(file, layers = experiments.layers.len(), "experiments are in service");
        }
        Ok(experiments)
    }

    /// Puts how an answer that nothing else logs came to be on its way into the log. One that cannot be logged is given all the same,
    /// for a page without channels is worse than a report without it, and counted.
    pub(crate) fn note(&self, asked: &Asked, answer: &Answer) {
        if let Err(problem) = self.engine.note_answer(asked, answer, self.clock.now_ms()) {
            self.telemetry.not_logged();
            tracing::warn!(
                reason = problem.detail,
                "an answer that a report or an estimate will ask for is not in the log"
            );
        }
    }

    /// Another bundle is in service.
    fn tell(&self, bundles: &Bundles) {
        self.telemetry.bundles(bundles.all());
        let is_unknown = |group: &&Group| bundles.ids.of_group(**group).is_none();
        let unknown: Vec<String> =
            TABLE_GROUPS.iter().filter(is_unknown).map(|of| id_column(*of)).collect();
        if !unknown.is_empty() {
            tracing::warn!(
                ids = unknown.join(", "),
                bundle = bundles.active,
                "the bundle does not say whether these are integers or text: both are taken, as different ids"
            );
        }
        for (source, reason) in &bundles.left_out {
            tracing::warn!(
                source,
                reason,
                bundle = bundles.active,
                "retrieval leaves a source out"
            );
        }
    }

    /// The id of a user, product or channel that a part of an address says.
    ///
    /// # Errors
    /// One of another kind than ids have here.
    pub fn id_of(&self, group: Group, part: &str) -> Result<Id, Problem> {
        let id = Id::of_address(part, self.engine.ids().of_group(group));
        id.map_err(|detail| Problem::invalid("id", detail))
    }

    /// Runs what was admitted, as [`Service::compute`]: its leave ends with the work, whether somebody still waits for it or not.
    ///
    /// # Errors
    /// Work that panics.
    pub async fn compute_admitted<T: Send + 'static>(
        &self,
        admitted: Admitted,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Problem> {
        let admitted_work = move || {
            let done = work();
            drop(admitted);
            done
        };
        self.compute(admitted_work).await
    }

    /// Runs what needs a core, or waits for a disk, beside the threads that speak HTTP.
    ///
    /// # Errors
    /// Work that panics.
    pub async fn compute<T: Send + 'static>(
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
