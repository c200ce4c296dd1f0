//! The bundle that answers, and how another takes its place; experiments beside it, and how others take theirs.

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, TryLockError};

use arc_swap::ArcSwap;
use eliverec_core::{IdKinds, Schema};
use eliverec_experiments::Experiments;
use eliverec_features::FeatureConfig;
use eliverec_retrieval::RetrievalConfig;

use crate::answer::Bundles;
use crate::background::quietly;
use crate::error::Error;
use crate::problem::{Code, Problem};
use crate::running::{Loaded, Plan, Running, RunningExperiments};
use crate::served::Served;

/// The bundle that answers, the one before, and the experiments.
#[derive(Debug)]
pub(crate) struct InService {
    now: ArcSwap<Now>,
    retrieval: RetrievalConfig,
    cache_bytes: usize,
    /// One bundle, or the experiments, are loaded at a time.
    loading: Mutex<()>,
}

#[derive(Clone, Debug)]
struct Now {
    active: Arc<Loaded>,
    previous: Option<Arc<Loaded>>,
    /// How callers write ids, as far as the bundles that were in service knew.
    ids: Arc<IdKinds>,
    running: Arc<Running>,
}

/// Of what a bundle must be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Expected<'a> {
    pub(crate) schema: &'a Schema,
    pub(crate) features: &'a FeatureConfig,
}

impl InService {
    /// The bundle to begin with, without experiments.
    ///
    /// # Errors
    /// Quotas that cannot work.
    pub(crate) fn new(
        served: Served,
        retrieval: RetrievalConfig,
        cache_bytes: usize,
    ) -> Result<Self, Error> {
        let ids = Arc::new(served.bundle.manifest.ids.clone());
        let running = Running::none(retrieval.clone());
        let active = Loaded::new(Arc::new(served), running.quotas());
        let wrong = |reason| Error::Setting { field: "retrieval", reason };
        let active = Arc::new(active.map_err(wrong)?);
        let now = Now { active, previous: None, ids, running: Arc::new(running) };
        let now = ArcSwap::from_pointee(now);
        Ok(Self { now, retrieval, cache_bytes, loading: Mutex::default() })
    }

    pub(crate) fn active(&self) -> Arc<Served> {
        Arc::clone(&self.now.load().active.served)
    }

    /// What answers a request of a user, whose id is written as slots are computed of it.
    pub(crate) fn plan(&self, user: &str) -> Plan {
        let now = self.now.load();
        now.running.plan(&now.active, user)
    }

    /// The service's quotas and settings of sources.
    pub(crate) const fn retrieval(&self) -> &RetrievalConfig {
        &self.retrieval
    }

    /// Whether there are experiments.
    pub(crate) fn has_experiments(&self) -> bool {
        !self.now.load().running.is_empty()
    }

    /// The experiments.
    pub(crate) fn experiments(&self) -> RunningExperiments {
        self.now.load().running.told()
    }

    /// The bundle that answers, and the one before.
    pub(crate) fn both(&self) -> (Arc<Served>, Option<Arc<Served>>) {
        let now = self.now.load();
        let served = |of: &Arc<Loaded>| Arc::clone(&of.served);
        (served(&now.active), now.previous.as_ref().map(served))
    }

    /// The bundles of experiments' buckets, each once, with the buckets that name it, as `LAYER/BUCKET`.
    pub(crate) fn in_buckets(&self) -> Vec<(Arc<Served>, Vec<String>)> {
        let now = self.now.load();
        let of_buckets = now.running.in_buckets();
        of_buckets.map(|(served, buckets)| (Arc::clone(served), buckets)).collect()
    }

    /// How callers write ids, as far as it is known.
    pub(crate) fn ids(&self) -> Arc<IdKinds> {
        Arc::clone(&self.now.load().ids)
    }

    /// Takes over what is known of how callers write ids.
    pub(crate) fn know_ids(&self, known: &IdKinds) {
        let mut ids = IdKinds::clone(&self.ids());
        ids.extend(known);
        let ids = Arc::new(ids);
        self.now.rcu(|now| Now { ids: Arc::clone(&ids), ..Now::clone(now) });
    }

    pub(crate) fn bundles(&self) -> Bundles {
        let now = self.now.load();
        let active = &now.active.served;
        Bundles {
            active: active.version.to_string(),
            previous: now.previous.as_ref().map(|previous| previous.served.version.to_string()),
            in_buckets: now.running.bundles().map(|of| of.version.to_string()).collect(),
            left_out: active.left_out.clone(),
            ids: IdKinds::clone(&now.ids),
        }
    }

    /// Loads the bundle at `path`, if it can serve this state and its callers; what is loaded already is taken as it is.
    fn open(
        &self,
        path: &Path,
        expected: Expected<'_>,
        ids: &IdKinds,
    ) -> Result<Arc<Served>, String> {
        let served = quietly(|| Served::open(path, self.cache_bytes)).map_err(|e| e.to_string())?;
        let refused = |reason: String| {
            Err(format!("{}: {reason}; the state here cannot serve it", path.display()))
        };
        let differences = expected.schema.differences(&served.bundle.model.schema);
        if !differences.is_empty() {
            return refused(format!("has another schema: {}", differences.join("; ")));
        }
        if served.bundle.features.as_ref() != Some(expected.features) {
            return refused("was made with other settings of features".into());
        }
        let differences = served.bundle.manifest.ids.differences(ids);
        if !differences.is_empty() {
            let differences = differences.join(", ");
            return refused(format!(
                "has ids that are written in another way than those in service: {differences}"
            ));
        }
        let now = self.now.load();
        let known = [Some(&now.active), now.previous.as_ref()].into_iter().flatten();
        let mut known = known.map(|of| &of.served).chain(now.running.bundles());
        let same = known.find(|of| of.bundle.manifest == served.bundle.manifest);
        Ok(same.map_or_else(|| Arc::new(served), Arc::clone))
    }

    /// Loads the bundle at `path` and puts it in service, if it is of this schema and these settings of the folds, and has what the
    /// utilities of experiments need.
    ///
    /// # Errors
    /// A bundle that is refused; the one in service stays.
    pub(crate) fn activate(&self, path: &Path, expected: Expected<'_>) -> Result<Bundles, Problem> {
        let _loading = self.load()?;
        let refused = |detail: String| Problem::new(Code::BundleRefused, detail);
        let mut ids = IdKinds::clone(&self.ids());
        let served = self.open(path, expected, &ids).map_err(refused)?;
        if self.active().bundle.manifest == served.bundle.manifest {
            // Asked for twice: there is still something to roll back to.
            return Ok(self.bundles());
        }
        ids.extend(&served.bundle.manifest.ids);
        let running = Arc::clone(&self.now.load().running);
        running.check_utilities(&served).map_err(refused)?;
        let active = Arc::new(Loaded::new(served, running.quotas()).map_err(refused)?);
        let ids = Arc::new(ids);
        self.now.rcu(|now| Now {
            active: Arc::clone(&active),
            // The same content exported again: what there is to roll back to is the one before.
            previous: if now.active.served.version == active.served.version {
                now.previous.clone()
            } else {
                Some(Arc::clone(&now.active))
            },
            ids: Arc::clone(&ids),
            running: Arc::clone(&now.running),
        });
        Ok(self.bundles())
    }

    /// Puts experiments in service in place of those before, with the bundles that they name, once `keep` has kept them. `origin` is
    /// their file.
    ///
    /// # Errors
    /// Bundles and utilities that are refused, and what `keep` says; the experiments before stay.
    pub(crate) fn experiment(
        &self,
        origin: Option<&Path>,
        experiments: Experiments,
        expected: Expected<'_>,
        keep: impl FnOnce(&Experiments) -> Result<(), Problem>,
    ) -> Result<RunningExperiments, Problem> {
        let _loading = self.load()?;
        let refused = |reason: String| {
            let file = origin.map(|path| format!("{}: ", path.display())).unwrap_or_default();
            Problem::new(Code::ExperimentsRefused, format!("{file}{reason}"))
        };
        let mut ids = IdKinds::clone(&self.ids());
        let of = (expected.schema, &self.retrieval);
        let running = Running::new(origin, experiments.clone(), of, |path| {
            let served = self.open(path, expected, &ids)?;
            ids.extend(&served.bundle.manifest.ids);
            Ok(served)
        });
        let running = running.map_err(refused)?;
        let now = self.now.load_full();
        running.check_utilities(&now.active.served).map_err(refused)?;
        let loaded = |of: &Arc<Loaded>| {
            let loaded = Loaded::new(Arc::clone(&of.served), running.quotas());
            loaded.map(Arc::new).map_err(refused)
        };
        let active = loaded(&now.active)?;
        let previous = now.previous.as_ref().map(loaded).transpose()?;
        keep(&experiments)?;
        let next = Now { active, previous, ids: Arc::new(ids), running: Arc::new(running) };
        self.now.store(Arc::new(next));
        Ok(self.experiments())
    }

    /// Leave to change what is in service.
    fn load(&self) -> Result<MutexGuard<'_, ()>, Problem> {
        match self.loading.try_lock() {
            Ok(loading) => Ok(loading),
            Err(TryLockError::Poisoned(loading)) => Ok(loading.into_inner()),
            Err(TryLockError::WouldBlock) => {
                let detail = "another bundle is being loaded";
                Err(Problem::new(Code::Overloaded, detail).retry_after(5))
            }
        }
    }

    /// Puts the bundle before the one in service in its place.
    ///
    /// # Errors
    /// There is none before, it lacks what the utilities of experiments need, or another is being loaded.
    pub(crate) fn roll_back(&self) -> Result<Bundles, Problem> {
        let _loading = self.load()?;
        let now = self.now.load_full();
        let Some(previous) = &now.previous else {
            return Err(Problem::new(Code::NotFound, "no bundle was in service before this one"));
        };
        let refused = |detail: String| Problem::new(Code::BundleRefused, detail);
        now.running.check_utilities(&previous.served).map_err(refused)?;
        let (active, previous) = (Arc::clone(previous), Some(Arc::clone(&now.active)));
        self.now.store(Arc::new(Now { active, previous, ..Now::clone(&now) }));
        Ok(self.bundles())
    }
}
