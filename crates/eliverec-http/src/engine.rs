//! From a request to its answer, and from one bundle to the next.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use eliverec_core::schema::{Field, Group};
use eliverec_core::{Dimension, Dimensions, Event, IdKinds, Schema};
use eliverec_experiments::{Experiments, journal};
use eliverec_features::FeatureConfig;
use eliverec_retrieval::RetrievalConfig;
use eliverec_retrieval::merge::Given;
use eliverec_state::{Answered, Replica, Row, State, StateConfig, Table};

use crate::acknowledgement::Acknowledgement;
use crate::answer::{Answer, Bundles};
use crate::asked::Asked;
use crate::error::Error;
use crate::held::{Asker, Held, of_state};
use crate::in_service::{Expected, InService};
use crate::logged::{answered, shown};
use crate::names::Names;
use crate::problem::{Code, Problem};
use crate::running::{Plan, RunningExperiments};
use crate::served::Served;
use crate::settings::Impressions;
use crate::telemetry::{Stage, Stages, Telemetry};
use crate::wire::Id;

/// What an engine is made of.
#[derive(Clone, Debug)]
pub struct EngineConfig {
    /// The bundle to begin with.
    pub bundle: PathBuf,
    /// Quotas and settings of the sources.
    pub retrieval: RetrievalConfig,
    /// What encoded sides of users may take, bytes.
    pub cache_bytes: usize,
    /// What counts as shown.
    pub impressions: Impressions,
    /// Which experiments ran when is kept in this file; `None` where nothing is logged.
    pub journal: Option<PathBuf>,
}

/// What answers: what is known of all users and channels, and the bundle in service.
#[derive(Debug)]
pub struct Engine {
    pub(crate) held: Held,
    /// By group of [`eliverec_core::dimensions::TABLE_GROUPS`].
    tables: Vec<(Group, Vec<Field>)>,
    pub(crate) in_service: InService,
    impressions: Impressions,
    journal: Option<PathBuf>,
}

impl Engine {
    /// Opens the bundle and the state in a directory, which is new or goes on where it was; a new one begins with the bundle's tables.
    /// The settings of the folds are the bundle's.
    ///
    /// # Errors
    /// A bundle that is refused, a state that cannot be opened, or one of another schema or other settings of the folds.
    pub fn open(
        config: EngineConfig,
        directory: &Path,
        state_config: StateConfig,
    ) -> Result<Self, Error> {
        Self::with(config, |served, features| {
            let dimensions = served.dimensions()?;
            let state_config = StateConfig { features, ..state_config };
            let schema = &served.bundle.model.schema;
            let state = State::open(directory, state_config, schema, &dimensions)?;
            // Behind the lock of the state, so no other process has it open.
            let names = Names::open(&directory.join("names.redb"), state.position() == 0)?;
            Ok(Held::Own { state: Box::new(state), names })
        })
    }

    /// Opens the bundle and follows the state of another process, which `follow` finds for the bundle's schema and settings of the
    /// folds. A request waits at most `deadline` for it.
    ///
    /// # Errors
    /// A bundle that is refused, answers that count as impressions, for nothing is logged here, and what `follow` says.
    pub fn follow<E: From<Error>>(
        config: EngineConfig,
        deadline: Duration,
        follow: impl FnOnce(&Schema, FeatureConfig) -> Result<Arc<Replica>, E>,
    ) -> Result<Self, E> {
        if config.impressions == Impressions::Answers {
            let reason = "is \"answers\", and a process that follows another one logs nothing; leave it out, and ask the one that is \
                          followed for recommendations";
            return Err(Error::Setting { field: "impressions", reason: reason.into() }.into());
        }
        Self::with(config, |served, features| {
            let replica = follow(&served.bundle.model.schema, features)?;
            Ok(Held::Followed { replica, deadline })
        })
    }

    fn with<E: From<Error>>(
        config: EngineConfig,
        held: impl FnOnce(&Served, FeatureConfig) -> Result<Held, E>,
    ) -> Result<Self, E> {
        let EngineConfig { bundle, retrieval, cache_bytes, impressions, journal } = config;
        let served = Served::open(&bundle, cache_bytes)?;
        let held = held(&served, served.bundle.features.unwrap_or_default())?;
        let tables = eliverec_core::dimensions::TABLE_GROUPS
            .map(|group| (group, Dimension::fields_of(&served.bundle.model.schema, group)));
        Ok(Self {
            held,
            tables: tables.into(),
            in_service: InService::new(served, retrieval, cache_bytes)?,
            impressions,
            journal,
        })
    }

    /// The state, for whoever keeps house: snapshots, days that are over; `None` if another process's is followed.
    pub fn state(&self) -> Option<&State> {
        self.held.own().ok().map(|(state, _)| state)
    }

    /// All texts of channels that this process was given.
    pub fn names(&self) -> Vec<(u64, String)> {
        self.held.own().map(|(_, names)| names.all()).unwrap_or_default()
    }

    /// The schema of contexts and tables.
    pub fn schema(&self) -> &Schema {
        self.held.schema()
    }

    /// The tables of the bundle in service: what a new state begins with.
    ///
    /// # Errors
    /// None for a schema that passes its check.
    pub fn dimensions(&self) -> Result<Arc<Dimensions>, Error> {
        self.in_service.active().dimensions()
    }

    /// How callers write ids, as far as it is known; of others integers and text are taken, and `5` and `"5"` are two ids.
    pub fn ids(&self) -> Arc<IdKinds> {
        self.in_service.ids()
    }

    /// Takes over what is known of how callers write ids: what the log says, which the bundle may not know any more.
    pub fn know_ids(&self, ids: &IdKinds) {
        self.in_service.know_ids(ids);
    }

    /// The fields of a context.
    pub fn context_fields(&self) -> &[Field] {
        self.schema().fields(Group::Context)
    }

    /// The fields of the table of a group, the id apart.
    pub fn table_fields(&self, group: Group) -> &[Field] {
        self.tables.iter().find(|(of, _)| *of == group).map_or(&[], |(_, fields)| fields)
    }

    /// The likeliest watches among the live channels that retrieval finds, or those of the highest utility, at most `k`.
    ///
    /// # Errors
    /// What the process that is followed did not tell in time; otherwise none for a request that fits the schema.
    pub fn recommend(
        &self,
        asked: &Asked,
        k: usize,
        telemetry: &Telemetry,
    ) -> Result<Answer, Problem> {
        let plan = self.in_service.plan(&asked.subject);
        let mut stages = Stages::default();
        let mut asker = self.asker(asked, &mut stages)?;
        let begun = Instant::now();
        let found = plan.finder().candidates(plan.served(), &mut asker, asked)?;
        stages.took(Stage::Retrieval, begun.elapsed());
        telemetry.candidates(&found);
        let channels = found.into_iter().map(|found| (found.channel_id, found.given_by));
        Self::answer(plan, (asked, asker), channels.collect(), k, stages)
    }

    /// Scores of the caller's own channels, each once.
    ///
    /// # Errors
    /// As [`Engine::recommend`].
    pub fn rank(&self, asked: &Asked, channels: &[u64]) -> Result<Answer, Problem> {
        let plan = self.in_service.plan(&asked.subject);
        let channels: Vec<_> = channels.iter().map(|channel| (*channel, Vec::new())).collect();
        let k = channels.len();
        let mut stages = Stages::default();
        let asker = self.asker(asked, &mut stages)?;
        Self::answer(plan, (asked, asker), channels, k, stages)
    }

    /// What is known for a request.
    fn asker(&self, asked: &Asked, stages: &mut Stages) -> Result<Asker<'_>, Problem> {
        let begun = Instant::now();
        let asker = self.held.asker(asked.user_id)?;
        if matches!(asker, Asker::Followed(..)) {
            stages.took(Stage::Fetch, begun.elapsed());
        }
        Ok(asker)
    }

    fn answer(
        plan: Plan,
        (asked, mut asker): (&Asked, Asker<'_>),
        channels: Vec<(u64, Vec<Given>)>,
        k: usize,
        mut stages: Stages,
    ) -> Result<Answer, Problem> {
        let begun = Instant::now();
        let mut request = asked.request(channels.iter().map(|(channel_id, _)| *channel_id));
        let (feed, stand) = asker.feed(&plan.served().builder, &mut request, asked.at_ms)?;
        stages.took(Stage::Features, begun.elapsed());
        let begun = Instant::now();
        let mut answer = Answer::of(plan, feed, stand, channels, (k, asked.wanted))?;
        stages.took(Stage::Rank, begun.elapsed());
        answer.stages = stages;
        Ok(answer)
    }

    /// Keeps how callers write these channels. Those who follow hear of what is new, and of those in `begins`, whose streams begin: they
    /// may have forgotten them.
    ///
    /// # Errors
    /// A file that cannot be written, and a process that takes nothing in.
    pub fn learn_channels<'a>(
        &self,
        ids: impl Iterator<Item = &'a Id>,
        begins: &[Id],
    ) -> Result<(), Problem> {
        let (state, names) = self.held.own()?;
        let learnt = names.learn(ids);
        let failed = |e: Error| {
            let code = if e.is_disk_full() { Code::StorageFull } else { Code::Unavailable };
            Problem::new(code, e.to_string()).retry_after(60)
        };
        let begins = begins.iter().filter_map(|id| Some((id.value(), id.written()?)));
        state.publish_names(learnt.map_err(failed)?.into_iter().chain(begins));
        Ok(())
    }

    /// A channel as callers write it.
    pub fn name_of(&self, channel_id: u64) -> Id {
        self.held.name_of(channel_id)
    }

    /// What counts as shown.
    pub const fn impressions(&self) -> Impressions {
        self.impressions
    }

    /// Puts the channels of an answer into the log as shown at its moment, in their order, and how it came to be, if there are
    /// experiments or some were drawn.
    ///
    /// # Errors
    /// A request that was answered before, a log that takes nothing in now, and a process that takes nothing in.
    pub fn log_answer(
        &self,
        asked: &Asked,
        answer: &Answer,
        now_ms: i64,
    ) -> Result<Acknowledgement, Problem> {
        let (state, _) = self.held.own()?;
        let answered = self.to_keep(asked, answer);
        state.log_answer(shown(asked, answer), answered, now_ms).map(Into::into).map_err(of_state)
    }

    /// Puts how an answer came to be on its way into the log, where a report will ask for it; a follower logs nothing.
    ///
    /// # Errors
    /// A log that takes nothing in now.
    pub fn note_answer(&self, asked: &Asked, answer: &Answer, now_ms: i64) -> Result<(), Problem> {
        let Ok((state, _)) = self.held.own() else { return Ok(()) };
        let Some(answered) = self.to_keep(asked, answer) else { return Ok(()) };
        state.note_answer(answered, now_ms).map_err(of_state)
    }

    /// How an answer came to be, where a report or an estimate will ask for it.
    fn to_keep(&self, asked: &Asked, answer: &Answer) -> Option<Answered> {
        let answered = answered(asked, answer);
        (self.in_service.has_experiments() || !answered.drawn.is_empty()).then_some(answered)
    }

    /// Takes events in: they are on disk and in the features when it returns.
    ///
    /// # Errors
    /// Events that contradict the contract, a log that takes nothing in now.
    pub fn ingest(&self, events: Vec<Event>, now_ms: i64) -> Result<Acknowledgement, Problem> {
        let (state, _) = self.held.own()?;
        state.ingest(events, now_ms).map(Into::into).map_err(of_state)
    }

    /// Gives rows of the table of `group` other values at `now_ms`, or, where the callers have not told the time since the process
    /// began, at the end of the log.
    ///
    /// # Errors
    /// Rows that do not fit the table, a log that takes nothing in now, and a time that nobody ever told.
    pub fn upsert(
        &self,
        group: Group,
        rows: Vec<Row>,
        now_ms: i64,
    ) -> Result<Acknowledgement, Problem> {
        let (state, _) = self.held.own()?;
        let table = match group {
            Group::User => Table::Users,
            Group::Product => Table::Products,
            _ => Table::Channels,
        };
        let now_ms = now_ms.max(state.earliest_stamp_ms().unwrap_or(i64::MIN));
        if now_ms == i64::MIN {
            let detail = "nobody has told this service a time yet (--clock callers); send an event or a request first";
            return Err(Problem::new(Code::Invalid, detail));
        }
        state.upsert(table, rows, now_ms).map(Into::into).map_err(of_state)
    }

    /// Why requests should go elsewhere; `None` while all is well.
    pub fn not_ready(&self) -> Option<String> {
        self.held.not_ready()
    }

    /// When the newest event that the features know happened, milliseconds since 1970 UTC.
    pub fn newest_event_ms(&self) -> Option<i64> {
        self.held.newest_event_ms()
    }

    /// The numbers of the last records that features know, that were shared, or that the process that is followed told.
    pub fn positions(&self) -> Vec<(&'static str, u64)> {
        self.held.positions()
    }

    /// The bundles in service.
    pub fn bundles(&self) -> Bundles {
        self.in_service.bundles()
    }

    /// What the cache of the bundle in service holds.
    pub fn cache_counts(&self) -> eliverec_serve::CacheCounts {
        self.in_service.active().scorer.counts().cache
    }

    /// Loads the bundle at `path`, verified to the last byte and warmed up by its golden requests, and puts it in service.
    ///
    /// # Errors
    /// A bundle that is refused, of another schema, of other settings of the folds, or whose ids are written in another way; the one in
    /// service stays.
    pub fn activate(&self, path: &Path) -> Result<Bundles, Problem> {
        self.in_service.activate(path, self.expected())
    }

    fn expected(&self) -> Expected<'_> {
        Expected { schema: self.schema(), features: self.held.features() }
    }

    /// The experiments in service.
    pub fn experiments(&self) -> RunningExperiments {
        self.in_service.experiments()
    }

    /// Reads a file of experiments, loads what they name, keeps that they run from `now_ms` on, and puts them in service in place of
    /// those before; without a file there are none from now on.
    ///
    /// # Errors
    /// A file that is refused, a journal that cannot be written, and a process that takes nothing in; the experiments before stay.
    pub fn experiment(
        &self,
        file: Option<&Path>,
        now_ms: i64,
    ) -> Result<RunningExperiments, Problem> {
        // Nothing could be logged here.
        self.held.own()?;
        let refused = |detail: String| Problem::new(Code::ExperimentsRefused, detail);
        let experiments = match file {
            None => Experiments::default(),
            Some(path) => {
                let text =
                    eliverec_core::regular::read(path).map_err(|e| refused(e.to_string()))?;
                let text = String::from_utf8(text);
                let text = text.map_err(|_| refused(format!("{}: is no text", path.display())))?;
                Experiments::parse(&text, path, self.in_service.retrieval())
                    .map_err(|e| refused(e.to_string()))?
            }
        };
        self.in_service.experiment(file, experiments, self.expected(), |experiments| {
            let Some(path) = &self.journal else { return Ok(()) };
            let kept = journal::keep(path, now_ms, experiments);
            kept.map(drop).map_err(|e| Problem::new(Code::Unavailable, e.to_string()))
        })
    }

    /// Puts the bundle before the one in service in its place.
    ///
    /// # Errors
    /// There is none before, or another is being loaded.
    pub fn roll_back(&self) -> Result<Bundles, Problem> {
        self.in_service.roll_back()
    }
}
