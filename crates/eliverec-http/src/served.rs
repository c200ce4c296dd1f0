//! A bundle in service: everything of it that a request needs, made once when it is loaded.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwapOption;
use eliverec_core::{Batch, BatchBuilder, Dimensions, Feed};
use eliverec_features::FeedBuilder;
use eliverec_retrieval::fields::Fields;
use eliverec_retrieval::{
    Indexes, Live, LiveChannel, Neighbours, Retrieval, RetrievalConfig, State as Known, User,
};
use eliverec_serve::{Bundle, CandidateScorer};

use crate::error::Error;
use crate::held::Asker;
use crate::problem::Problem;

/// The file of item-to-item neighbours in a bundle.
pub const NEIGHBOURS_FILE: &str = "neighbours.bin";

/// Live channels are arranged anew after so long, or when one begins or ends.
const LIVE_MS: i64 = 1_000;

/// See the module.
#[derive(Debug)]
pub(crate) struct Served {
    pub(crate) bundle: Bundle,
    pub(crate) version: Arc<str>,
    pub(crate) tasks: Arc<[String]>,
    pub(crate) scorer: CandidateScorer,
    pub(crate) builder: FeedBuilder,
    pub(crate) retrieval: Retrieval,
    fields: Fields,
    live: ArcSwapOption<LiveNow>,
    arranging: Mutex<()>,
}

/// Live channels as of a moment.
#[derive(Debug)]
struct LiveNow {
    /// The list that they were arranged of.
    ids: Arc<[u64]>,
    live: Live,
}

/// The user who asks, and channels, as sources ask for them.
struct View<'a> {
    asker: &'a Asker<'a>,
    fields: &'a Fields,
    live: &'a [u64],
    /// The moment of the request: later than that of the live channels.
    now_ms: i64,
}

impl Known for View<'_> {
    fn live(&self, at_ms: i64) -> Vec<LiveChannel> {
        let category = self.fields.category.as_ref();
        self.asker.read_channels(self.live, |id, state, dimensions| {
            LiveChannel::of(id, state, dimensions, category, at_ms)
        })
    }

    fn user(&self, _: u64, _: i64) -> User {
        let oldest_ms = self.asker.features().oldest_ms(self.now_ms);
        let category = self.fields.category.as_ref();
        let user = self.asker.read_user(|state, dimensions| {
            User::of(state, dimensions, category, oldest_ms, self.now_ms)
        });
        user.unwrap_or_default()
    }
}

impl Served {
    /// The bundle at `path`, verified, with room for `cache_bytes` of encoded users.
    ///
    /// # Errors
    /// A bundle that is refused, one without settings of features, and indexes that cannot be used.
    pub(crate) fn open(
        path: &Path,
        retrieval: &RetrievalConfig,
        cache_bytes: usize,
    ) -> Result<Self, Error> {
        fn refused(path: &Path) -> impl Fn(String) -> Error + '_ {
            |reason| Error::Bundle { path: path.into(), reason }
        }
        let refused = refused(path);
        let bundle = Bundle::open(path)?;
        if bundle.features.is_none() {
            let reason = "has no settings of features, since its feeds were not made of a log: it scores feeds, and answers no requests";
            return Err(refused(reason.into()));
        }
        let neighbours = bundle.file(NEIGHBOURS_FILE);
        let neighbours = neighbours.map(|bytes| Neighbours::from_bytes(NEIGHBOURS_FILE, bytes));
        let neighbours = neighbours.transpose().map_err(|e| refused(e.to_string()))?;
        let indexes = Indexes { neighbours: neighbours.map(Arc::new), vectors: None };
        let retrieval =
            Retrieval::new(retrieval.clone(), indexes).map_err(|e| refused(e.to_string()))?;
        let schema = &bundle.model.schema;
        // The state has the tables; these only say which fields there are.
        let fields_of = Dimensions::empty(schema).map(Arc::new);
        let builder = fields_of
            .map_err(|e| e.to_string())
            .and_then(|tables| FeedBuilder::new(schema, &tables).map_err(|e| e.to_string()));
        let builder = builder.map_err(&refused)?;
        let fields = Fields::of(schema).map_err(|e| refused(e.to_string()))?;
        let scorer = CandidateScorer::new(&bundle.model.scoring(), cache_bytes);
        let has_tasks = bundle.model.has_tasks();
        let tasks = schema.task.iter().filter(|_| has_tasks).map(|task| task.name.clone());
        Ok(Self {
            version: bundle.manifest.version.as_str().into(),
            tasks: tasks.collect(),
            scorer,
            builder,
            retrieval,
            fields,
            live: ArcSwapOption::empty(),
            arranging: Mutex::default(),
            bundle,
        })
    }

    /// The bundle's tables, without rows if it has none.
    pub(crate) fn dimensions(&self) -> Result<Arc<Dimensions>, Error> {
        if let Some(dimensions) = &self.bundle.dimensions {
            return Ok(Arc::clone(dimensions));
        }
        let empty = Dimensions::empty(&self.bundle.model.schema);
        Ok(Arc::new(empty.map_err(eliverec_serve::Error::from)?))
    }

    /// A feed, read for the model.
    pub(crate) fn batch(&self, feed: &Feed) -> Result<Batch, Problem> {
        let model = &self.bundle.model;
        let lengths = model.config.settings().lengths();
        let mut builder = BatchBuilder::new(&model.schema, &model.normalization, lengths);
        builder.push(feed)?;
        builder.finish().ok_or_else(|| Problem::invalid("channels", "is empty"))
    }

    /// The candidates of the user who asks at `now_ms`.
    pub(crate) fn candidates(
        &self,
        asker: &Asker<'_>,
        user_id: u64,
        now_ms: i64,
        seed: u64,
    ) -> Vec<eliverec_retrieval::Candidate> {
        let ids = asker.live();
        let view = View { asker, fields: &self.fields, live: &ids, now_ms };
        let live = self.live(&view, &ids);
        let asked = eliverec_retrieval::retrieval::Asked { user_id, intents: &[], seed };
        self.retrieval.retrieve(&view, &live.live, &asked)
    }

    /// The live channels, arranged: anew if they are others or it was long ago, unless another thread is at it already.
    fn live(&self, view: &View<'_>, ids: &Arc<[u64]>) -> Arc<LiveNow> {
        let fresh = |live: &Arc<LiveNow>| {
            Arc::ptr_eq(&live.ids, ids) && view.now_ms - live.live.at_ms() < LIVE_MS
        };
        let before = self.live.load_full();
        if let Some(live) = before.clone().filter(fresh) {
            return live;
        }
        let arranging = match (&before, self.arranging.try_lock()) {
            (_, Ok(arranging)) => arranging,
            (Some(before), Err(_)) => return Arc::clone(before),
            // A panic of another thread has changed nothing that is kept.
            (None, Err(_)) => self.arranging.lock().unwrap_or_else(PoisonError::into_inner),
        };
        let before = self.live.load_full();
        if let Some(live) = before.clone().filter(fresh) {
            return live;
        }
        let previous = before.as_ref().map(|before| &before.live);
        let live = self.retrieval.live(view, view.now_ms, previous);
        let live = Arc::new(LiveNow { ids: Arc::clone(ids), live });
        self.live.store(Some(Arc::clone(&live)));
        drop(arranging);
        live
    }
}
