//! Which channels a request is answered from: retrieval with one set of quotas over a bundle's indexes.

use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwapOption;
use eliverec_retrieval::fields::Fields;
use eliverec_retrieval::{
    Candidate, Error, Live, LiveChannel, Retrieval, RetrievalConfig, SourceName, State as Known,
    User, retrieval,
};

use crate::asked::Asked;
use crate::held::Asker;
use crate::problem::Problem;
use crate::served::Served;

/// Live channels are arranged anew after so long, or when one begins or ends.
const LIVE_MS: i64 = 1_000;

/// See the module.
#[derive(Debug)]
pub(crate) struct Finder {
    retrieval: Retrieval,
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

impl Finder {
    /// With these quotas over the indexes of a bundle.
    ///
    /// # Errors
    /// Quotas that cannot work.
    pub(crate) fn new(served: &Served, config: &RetrievalConfig) -> Result<Self, Error> {
        let retrieval = Retrieval::new(config.clone(), served.indexes.clone())?;
        Ok(Self { retrieval, live: ArcSwapOption::empty(), arranging: Mutex::default() })
    }

    /// The candidates of a request; `served` is the bundle that it was made of.
    ///
    /// # Errors
    /// As [`Served::batch`] and [`Asker::feed`].
    pub(crate) fn candidates(
        &self,
        served: &Served,
        asker: &mut Asker<'_>,
        asked: &Asked,
    ) -> Result<Vec<Candidate>, Problem> {
        let Asked { request_id, user_id, at_ms: now_ms, .. } = *asked;
        let ids = asker.live();
        // A feed has a candidate; the intents are the same for any.
        let intents = match ids.first().filter(|_| self.asks_with_intents()) {
            Some(any) => served.intents(asker, asked, *any)?,
            None => Vec::new(),
        };
        let view = View { asker, fields: &served.fields, live: &ids, now_ms };
        let live = self.live(&view, &ids);
        let asked = retrieval::Asked { user_id, intents: &intents, seed: request_id };
        let mut found = self.retrieval.retrieve(&view, &live.live, &asked);
        if !Arc::ptr_eq(&live.ids, &ids) {
            // Another thread arranges those that are live now; of those before, some have ended.
            found.retain(|found| ids.binary_search(&found.channel_id).is_ok());
        }
        Ok(found)
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
