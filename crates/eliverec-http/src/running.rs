//! Experiments in service: their bundles loaded, their quotas and utilities ready, and what that makes of one user's request.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use eliverec_core::task::P_WATCH;
use eliverec_core::{Schema, Task};
use eliverec_experiments::{Bucket, Experiments, Formula, Layer};
use eliverec_retrieval::RetrievalConfig;
use serde::Serialize;
use utoipa::ToSchema;

use crate::finder::Finder;
use crate::served::Served;

/// A bundle with retrieval for all quotas that requests may have.
#[derive(Debug)]
pub(crate) struct Loaded {
    pub(crate) served: Arc<Served>,
    /// By place in the quotas of [`Running`].
    finders: Vec<Finder>,
}

impl Loaded {
    /// # Errors
    /// Quotas that cannot work.
    pub(crate) fn new(served: Arc<Served>, quotas: &[RetrievalConfig]) -> Result<Self, String> {
        let finders = quotas.iter().map(|quotas| Finder::new(&served, quotas));
        let finders = finders.collect::<Result<_, _>>().map_err(|e| e.to_string())?;
        Ok(Self { served, finders })
    }
}

/// By what the channels of an answer are ordered.
#[derive(Debug)]
pub(crate) struct Utility {
    formula: Formula,
    /// By output of the formula: 0 for the probability of a watch, else the task of that number, from 1.
    places: Vec<usize>,
}

impl Utility {
    /// # Errors
    /// An output that the schema has not.
    fn new(formula: &Formula, schema: &Schema) -> Result<Self, String> {
        let tasks = schema.task.iter().map(Task::score_column);
        let known: Vec<String> = std::iter::once(P_WATCH.to_owned()).chain(tasks).collect();
        let place = |name: &String| {
            known.iter().position(|of| of == name).ok_or_else(|| {
                format!(
                    "\"{formula}\": a model has no output {name:?}; it has {}",
                    known.join(", ")
                )
            })
        };
        let places = formula.outputs().iter().map(place).collect::<Result<_, _>>()?;
        Ok(Self { formula: formula.clone(), places })
    }

    /// Whether it asks for more than the probability of a watch.
    pub(crate) fn needs_tasks(&self) -> bool {
        self.places.iter().any(|place| *place > 0)
    }

    /// The utility of a channel with these scores, which need not be finite.
    pub(crate) fn of(&self, p_watch: f32, task: impl Fn(usize) -> f32) -> f64 {
        self.formula.value(|output| match self.places[output] {
            0 => f64::from(p_watch),
            place => f64::from(task(place - 1)),
        })
    }
}

/// Names of layers, each with the bucket that a user is in.
pub(crate) type Buckets = Vec<(Arc<str>, Arc<str>)>;

/// What answers one request.
#[derive(Debug)]
pub(crate) struct Plan {
    loaded: Arc<Loaded>,
    finder: usize,
    pub(crate) utility: Option<Arc<Utility>>,
    pub(crate) buckets: Buckets,
}

impl Plan {
    /// The bundle.
    pub(crate) fn served(&self) -> &Arc<Served> {
        &self.loaded.served
    }

    /// Its retrieval.
    pub(crate) fn finder(&self) -> &Finder {
        &self.loaded.finders[self.finder]
    }
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Running {
    /// The file, if there is one.
    origin: Option<PathBuf>,
    experiments: Experiments,
    /// The service's first, then those of buckets.
    quotas: Vec<RetrievalConfig>,
    /// Each once, however many buckets have it.
    bundles: Vec<Arc<Loaded>>,
    /// As in the experiments.
    layers: Vec<RunningLayer>,
}

#[derive(Debug)]
struct RunningLayer {
    name: Arc<str>,
    buckets: Vec<RunningBucket>,
}

#[derive(Debug)]
struct RunningBucket {
    name: Arc<str>,
    bundle: Option<usize>,
    finder: Option<usize>,
    utility: Option<Arc<Utility>>,
}

/// The experiments of a service.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct RunningExperiments {
    /// The file that they are from; none if the service began without one.
    pub file: Option<String>,
    /// As the file has them, with `share`, the part of all users that is in a bucket, from 0 to 1.
    #[schema(value_type = Vec<Object>)]
    pub layers: Vec<Layer>,
    /// Versions of the buckets' bundles, by what the file calls them.
    #[schema(value_type = Object)]
    pub bundles: BTreeMap<String, String>,
}

impl Running {
    /// No experiments in a service with these quotas.
    pub(crate) fn none(quotas: RetrievalConfig) -> Self {
        Self {
            origin: None,
            experiments: Experiments::default(),
            quotas: vec![quotas],
            bundles: Vec::new(),
            layers: Vec::new(),
        }
    }

    /// Makes what experiments need; `open` loads a bundle by its path. Paths are relative to the folder of the file.
    ///
    /// # Errors
    /// What is wrong, by layer, bucket and field.
    pub(crate) fn new(
        origin: Option<&Path>,
        experiments: Experiments,
        (schema, base): (&Schema, &RetrievalConfig),
        mut open: impl FnMut(&Path) -> Result<Arc<Served>, String>,
    ) -> Result<Self, String> {
        let mut quotas = vec![base.clone()];
        let mut opened: Vec<(&Path, Arc<Served>)> = Vec::new();
        let mut bundles: Vec<Arc<Served>> = Vec::new();
        let folder = origin.and_then(Path::parent).unwrap_or(Path::new(""));
        let mut ready = |bucket: &Bucket, named: Option<&Arc<Served>>| {
            let bundle = named.map(|served| {
                bundles.iter().position(|of| Arc::ptr_eq(of, served)).unwrap_or_else(|| {
                    bundles.push(Arc::clone(served));
                    bundles.len() - 1
                })
            });
            let finder = bucket.quotas.as_ref().map(|of| {
                quotas.iter().position(|known| known == of).unwrap_or_else(|| {
                    quotas.push(of.clone());
                    quotas.len() - 1
                })
            });
            let utility = bucket.utility.as_ref().map(|of| Utility::new(of, schema));
            let utility = utility.transpose().map_err(|reason| format!("utility: {reason}"))?;
            let utility = utility.map(Arc::new);
            Ok::<_, String>(RunningBucket {
                name: bucket.name.as_str().into(),
                bundle,
                finder,
                utility,
            })
        };
        let mut layers = Vec::with_capacity(experiments.layers.len());
        for layer in &experiments.layers {
            let mut buckets = Vec::with_capacity(layer.buckets.len());
            for bucket in &layer.buckets {
                let at =
                    |reason| format!("layer {:?}, bucket {:?}: {reason}", layer.name, bucket.name);
                if let Some(path) = bucket.bundle.as_deref()
                    && opened.iter().all(|(of, _)| *of != path)
                {
                    let served = open(&folder.join(path));
                    let served = served.map_err(|reason| at(format!("bundle: {reason}")))?;
                    // By two names it is one.
                    let same =
                        opened.iter().find(|(_, of)| of.bundle.manifest == served.bundle.manifest);
                    let served = same.map_or(served, |(_, of)| Arc::clone(of));
                    opened.push((path, served));
                }
                let named = opened.iter().find(|(of, _)| Some(*of) == bucket.bundle.as_deref());
                buckets.push(ready(bucket, named.map(|(_, served)| served)).map_err(at)?);
            }
            layers.push(RunningLayer { name: layer.name.as_str().into(), buckets });
        }
        let bundles = bundles.into_iter().map(|served| Loaded::new(served, &quotas).map(Arc::new));
        let bundles = bundles.collect::<Result<_, _>>()?;
        let origin = origin.map(Into::into);
        Ok(Self { origin, experiments, quotas, bundles, layers })
    }

    /// All quotas that requests may have, the service's first.
    pub(crate) fn quotas(&self) -> &[RetrievalConfig] {
        &self.quotas
    }

    /// The bundles of buckets, each once.
    pub(crate) fn bundles(&self) -> impl Iterator<Item = &Arc<Served>> {
        self.bundles.iter().map(|loaded| &loaded.served)
    }

    /// The same, each with the buckets that name it, as `LAYER/BUCKET`.
    pub(crate) fn in_buckets(&self) -> impl Iterator<Item = (&Arc<Served>, Vec<String>)> {
        self.bundles.iter().enumerate().map(|(place, loaded)| {
            let of_layer = |layer: &RunningLayer| {
                let named = layer.buckets.iter().filter(|bucket| bucket.bundle == Some(place));
                named.map(|bucket| format!("{}/{}", layer.name, bucket.name)).collect::<Vec<_>>()
            };
            (&loaded.served, self.layers.iter().flat_map(of_layer).collect())
        })
    }

    /// Whether there are any.
    pub(crate) fn is_empty(&self) -> bool {
        self.layers.is_empty()
    }

    /// Looks whether every bundle that may answer with a utility has its outputs, `active` being the service's.
    ///
    /// # Errors
    /// The first that has not.
    pub(crate) fn check_utilities(&self, active: &Served) -> Result<(), String> {
        for layer in &self.layers {
            for bucket in &layer.buckets {
                let Some(utility) = bucket.utility.as_ref().filter(|of| of.needs_tasks()) else {
                    continue;
                };
                // The other buckets of its layer are other users.
                let own = bucket.bundle.map(|bundle| &self.bundles[bundle]);
                let is_apart = |of: &RunningLayer| {
                    !std::ptr::eq(of, layer) && of.buckets.iter().any(|of| of.bundle.is_some())
                };
                let beside = self.bundles.iter().filter(|_| self.layers.iter().any(is_apart));
                let alone = own.is_none().then_some(active);
                let mut may = own.into_iter().chain(beside).map(|of| &*of.served).chain(alone);
                if let Some(lacks) = may.find(|of| of.tasks.is_empty()) {
                    return Err(format!(
                        "layer {:?}, bucket {:?}: utility: \"{}\" needs tasks, and bundle {:?}, which may answer there, has none",
                        layer.name, bucket.name, utility.formula, lacks.version
                    ));
                }
            }
        }
        Ok(())
    }

    /// What answers a request of a user, whose id is written as slots are computed of it; `active` is the service's bundle.
    pub(crate) fn plan(&self, active: &Arc<Loaded>, user: &str) -> Plan {
        let mut plan =
            Plan { loaded: Arc::clone(active), finder: 0, utility: None, buckets: Vec::new() };
        for (layer, running) in self.experiments.layers.iter().zip(&self.layers) {
            let Some(place) = layer.bucket_of(user) else { continue };
            let bucket = &running.buckets[place];
            plan.buckets.push((Arc::clone(&running.name), Arc::clone(&bucket.name)));
            if let Some(bundle) = bucket.bundle {
                plan.loaded = Arc::clone(&self.bundles[bundle]);
            }
            plan.finder = bucket.finder.unwrap_or(plan.finder);
            if let Some(utility) = &bucket.utility {
                plan.utility = Some(Arc::clone(utility));
            }
        }
        plan
    }

    /// For whoever asks.
    pub(crate) fn told(&self) -> RunningExperiments {
        let of_layer = |(layer, running): (&Layer, &RunningLayer)| {
            let of_bucket = |(bucket, running): (&Bucket, &RunningBucket)| {
                let path = bucket.bundle.as_ref()?.display().to_string();
                Some((path, self.bundles[running.bundle?].served.version.to_string()))
            };
            layer.buckets.iter().zip(&running.buckets).filter_map(of_bucket).collect::<Vec<_>>()
        };
        let layers = self.experiments.layers.iter().zip(&self.layers);
        RunningExperiments {
            file: self.origin.as_ref().map(|path| path.display().to_string()),
            bundles: layers.flat_map(of_layer).collect(),
            layers: self.experiments.layers.clone(),
        }
    }
}
