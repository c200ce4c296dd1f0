//! The bundle that answers, and how another takes its place.

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, TryLockError};

use arc_swap::ArcSwap;
use eliverec_core::{IdKinds, Schema};
use eliverec_features::FeatureConfig;
use eliverec_retrieval::RetrievalConfig;

use crate::answer::Bundles;
use crate::background::quietly;
use crate::problem::{Code, Problem};
use crate::served::Served;

/// The bundle that answers, and the one before.
#[derive(Debug)]
pub(crate) struct InService {
    now: ArcSwap<Now>,
    retrieval: RetrievalConfig,
    cache_bytes: usize,
    /// One bundle is loaded at a time.
    loading: Mutex<()>,
}

#[derive(Debug)]
struct Now {
    active: Arc<Served>,
    previous: Option<Arc<Served>>,
    /// How callers write ids, as far as the bundles that were in service knew.
    ids: Arc<IdKinds>,
}

impl InService {
    /// The bundle to begin with.
    pub(crate) fn new(served: Served, retrieval: RetrievalConfig, cache_bytes: usize) -> Self {
        let ids = Arc::new(served.bundle.manifest.ids.clone());
        let now = Now { active: Arc::new(served), previous: None, ids };
        Self { now: ArcSwap::from_pointee(now), retrieval, cache_bytes, loading: Mutex::default() }
    }

    pub(crate) fn active(&self) -> Arc<Served> {
        Arc::clone(&self.now.load().active)
    }

    /// The bundle that answers, and the one before.
    pub(crate) fn both(&self) -> (Arc<Served>, Option<Arc<Served>>) {
        let now = self.now.load();
        (Arc::clone(&now.active), now.previous.clone())
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
        self.now.rcu(|now| Now {
            active: Arc::clone(&now.active),
            previous: now.previous.clone(),
            ids: Arc::clone(&ids),
        });
    }

    pub(crate) fn bundles(&self) -> Bundles {
        let now = self.now.load();
        Bundles {
            active: now.active.version.to_string(),
            previous: now.previous.as_ref().map(|previous| previous.version.to_string()),
            left_out: now.active.left_out.clone(),
            ids: IdKinds::clone(&now.ids),
        }
    }

    /// Loads the bundle at `path` and puts it in service, if it is of this schema and these settings of the folds.
    ///
    /// # Errors
    /// A bundle that is refused; the one in service stays.
    pub(crate) fn activate(
        &self,
        path: &Path,
        schema: &Schema,
        features: &FeatureConfig,
    ) -> Result<Bundles, Problem> {
        let _loading = self.load()?;
        let served = quietly(|| Served::open(path, &self.retrieval, self.cache_bytes));
        let refused = |detail: String| Problem::new(Code::BundleRefused, detail);
        let served = served.map_err(|e| refused(e.to_string()))?;
        let refused = |reason: String| {
            Err(refused(format!("{}: {reason}; the state here cannot serve it", path.display())))
        };
        let differences = schema.differences(&served.bundle.model.schema);
        if !differences.is_empty() {
            return refused(format!("has another schema: {}", differences.join("; ")));
        }
        if served.bundle.features.as_ref() != Some(features) {
            return refused("was made with other settings of features".into());
        }
        let mut ids = IdKinds::clone(&self.ids());
        let differences = served.bundle.manifest.ids.differences(&ids);
        if !differences.is_empty() {
            let differences = differences.join(", ");
            return refused(format!(
                "has ids that are written in another way than those in service: {differences}"
            ));
        }
        if self.active().bundle.manifest == served.bundle.manifest {
            // Asked for twice: there is still something to roll back to.
            return Ok(self.bundles());
        }
        ids.extend(&served.bundle.manifest.ids);
        let (active, ids) = (Arc::new(served), Arc::new(ids));
        self.now.rcu(|now| Now {
            active: Arc::clone(&active),
            // The same content exported again: what there is to roll back to is the one before.
            previous: if now.active.version == active.version {
                now.previous.clone()
            } else {
                Some(Arc::clone(&now.active))
            },
            ids: Arc::clone(&ids),
        });
        Ok(self.bundles())
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
    /// There is none before, or another is being loaded.
    pub(crate) fn roll_back(&self) -> Result<Bundles, Problem> {
        let _loading = self.load()?;
        let now = self.now.load_full();
        let Some(previous) = &now.previous else {
            return Err(Problem::new(Code::NotFound, "no bundle was in service before this one"));
        };
        let (active, previous) = (Arc::clone(previous), Some(Arc::clone(&now.active)));
        self.now.store(Arc::new(Now { active, previous, ids: Arc::clone(&now.ids) }));
        Ok(self.bundles())
    }
}
