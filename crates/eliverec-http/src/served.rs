//! A bundle in service: everything of it that a request needs, made once when it is loaded.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use eliverec_core::matching::Matcher;
use eliverec_core::{Batch, BatchBuilder, Dimensions, Feed};
use eliverec_features::FeedBuilder;
use eliverec_retrieval::fields::Fields;
use eliverec_retrieval::{ChannelVectors, Indexes, Neighbours, SourceName};
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

/// See the module.
#[derive(Debug)]
pub(crate) struct Served {
    pub(crate) bundle: Bundle,
    pub(crate) version: Arc<str>,
    pub(crate) tasks: Arc<[String]>,
    pub(crate) scorer: CandidateScorer,
    pub(crate) builder: FeedBuilder,
    pub(crate) indexes: Indexes,
    /// The match features of its schema.
    pub(crate) matchers: Vec<Matcher>,
    /// Sources that the bundle has no index for, and why.
    pub(crate) left_out: BTreeMap<&'static str, String>,
    pub(crate) fields: Fields,
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
    pub(crate) fn open(path: &Path, cache_bytes: usize) -> Result<Self, Error> {
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
            indexes,
            matchers: schema.matchers(),
            left_out,
            fields,
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

    /// The user's intents, for which any channel is asked about. Ranking reads the user again, at the moment that the answer tells, and
    /// finds the encoded side of the histories unless an event came in between.
    ///
    /// # Errors
    /// As [`Served::batch`] and [`Asker::feed`].
    pub(crate) fn intents(
        &self,
        asker: &mut Asker<'_>,
        asked: &Asked,
        any: u64,
    ) -> Result<Vec<Vec<f32>>, Problem> {
        let (feed, _) = asker.feed(&self.builder, &mut asked.request([any]), asked.at_ms)?;
        Ok(self.scorer.intents(&self.bundle.model.scoring(), self.batch(&feed)?))
    }
}
