//! A bundle in service: everything of it that a request needs, made once when it is loaded.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwapOption;
use eliverec_core::matching::Matcher;
use eliverec_core::{Batch, BatchBuilder, Dimensions, Feed};
use eliverec_features::FeedBuilder;
use eliverec_retrieval::fields::Fields;
use eliverec_retrieval::{
    ChannelVectors, Indexes, Live, LiveChannel, Neighbours, Retrieval, RetrievalConfig, SourceName,
    State as Known, User, retrieval,
};
use eliverec_run::no_intents;
use eliverec_serve::{Bundle, CandidateScorer};

use crate::asked::Asked;
use crate::error::Error;
use crate::held::Asker;
use crate::problem::Problem;

/// The file of item-to-item neighbours in a bundle.
pub const NEIGHBOURS_FILE: &str = "neighbours.bin";

/// The file of channels' vectors in a bundle.
pub const VECTORS_FILE: &str = "vectors.bin";

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
    /// The match features of its schema.
    pub(crate) matchers: Vec<Matcher>,
    /// Sources that the bundle has no index for, and why.
    pub(crate) left_out: BTreeMap<&'static str, String>,
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

/// The indexes of a bundle, and by source why it has none; otherwise what is wrong with one.
fn indexes(bundle: &Bundle) -> Result<(Indexes, BTreeMap<&'static str, String>), String> {
    let missing = |file: &str| format!("the bundle has no {file}");
    let mut left_out = BTreeMap::new();
    let neighbours = bundle.file(NEIGHBOURS_FILE);
    let neighbours = neighbours.map(|bytes| Neighbours::from_bytes(NEIGHBOURS_FILE, bytes));
    let neighbours = neighbours.transpose().map_err(|e| e.to_string())?;
    if neighbours.is_none() {
        left_out.insert(SourceName::Collaborative.name(), missing(NEIGHBOURS_FILE));
    }
    let config = &bundle.model.config;
    let vectors = match (no_intents(config), bundle.file(VECTORS_FILE)) {
        (None, Some(bytes)) => {
            let vectors = ChannelVectors::from_bytes(VECTORS_FILE, bytes);
            let vectors = vectors.map_err(|e| e.to_string())?;
            let (width, d) = (vectors.width(), config.input.width);
            if width != d {
                return Err(format!("{VECTORS_FILE}: has vectors of width {width}, the model {d}"));
            }
            Some(Arc::new(vectors))
        }
        (reason, _) => {
            let reason = reason.unwrap_or_else(|| missing(VECTORS_FILE));
            left_out.insert(SourceName::Embedding.name(), reason);
            None
        }
    };
    Ok((Indexes { neighbours: neighbours.map(Arc::new), vectors }, left_out))
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
        let (indexes, left_out) = indexes(&bundle).map_err(&refused)?;
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
            matchers: schema.matchers(),
            left_out,
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

    /// The candidates of a request.
    ///
    /// # Errors
    /// As [`Served::batch`] and [`Asker::feed`].
    pub(crate) fn candidates(
        &self,
        asker: &mut Asker<'_>,
        asked: &Asked,
    ) -> Result<Vec<eliverec_retrieval::Candidate>, Problem> {
        let Asked { request_id, user_id, at_ms: now_ms, .. } = *asked;
        let ids = asker.live();
        let intents = self.intents(asker, asked, &ids)?;
        let view = View { asker, fields: &self.fields, live: &ids, now_ms };
        let live = self.live(&view, &ids);
        let asked = retrieval::Asked { user_id, intents: &intents, seed: request_id };
        let mut found = self.retrieval.retrieve(&view, &live.live, &asked);
        if !Arc::ptr_eq(&live.ids, &ids) {
            // Another thread arranges those that are live now; of those before, some have ended.
            found.retain(|found| ids.binary_search(&found.channel_id).is_ok());
        }
        Ok(found)
    }

    /// The user's intents, as far as a source asks with them. Ranking reads the user again, at the moment that the answer tells, and
    /// finds the encoded side of the histories unless an event came in between.
    fn intents(
        &self,
        asker: &mut Asker<'_>,
        asked: &Asked,
        live: &[u64],
    ) -> Result<Vec<Vec<f32>>, Problem> {
        // A feed has a candidate; the intents are the same for any.
        let Some(any) = live.first().filter(|_| self.asks_with_intents()) else {
            return Ok(Vec::new());
        };
        let (feed, _) = asker.feed(&self.builder, &mut asked.request([*any]), asked.at_ms)?;
        Ok(self.scorer.intents(&self.bundle.model.scoring(), self.batch(&feed)?))
    }

    fn asks_with_intents(&self) -> bool {
        let embedding = SourceName::Embedding;
        self.retrieval.config().quota(embedding) > 0
            && self.retrieval.sources().any(|source| source.name() == embedding)
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
