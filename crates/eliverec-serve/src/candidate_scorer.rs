//! How one user's request is scored against its candidates: by the fast path, where it takes the model, else by the general one.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use eliverec_core::Batch;
use eliverec_models::fast::{Encoded, FastModel, Request, Room, Stage, Unsupported, Wanted};
use eliverec_run::{Prepared, Scores, Scoring};
use serde::Serialize;

use crate::encoded_cache::{CacheCounts, EncodedCache};

/// A model's way from a request to scores. A request is one thread's work; any number of threads may ask at once.
#[derive(Debug)]
pub struct CandidateScorer {
    fast: Result<FastModel, Unsupported>,
    cache: EncodedCache,
    /// Buffers of the requests that are over, for the next.
    rooms: Mutex<Vec<Room>>,
    requests: AtomicU64,
}

/// The way that a model's requests take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Path<'a> {
    /// Without a graph or a tensor library ([`eliverec_models::fast`]).
    Fast,
    /// The model's own forward, with the reason.
    General(&'a Unsupported),
}

/// What a [`CandidateScorer`] has done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ScorerCounts {
    /// Requests scored.
    pub requests: u64,
    /// Why they went the general path; `None` for the fast one.
    pub general: Option<String>,
    /// Encoded sides; all zero on the general path, which keeps none.
    pub cache: CacheCounts,
}

impl CandidateScorer {
    /// Of a model; `cache_bytes` bounds the memory for encoded sides of users, 0 keeps none.
    pub fn new(scoring: &Scoring<'_>, cache_bytes: usize) -> Self {
        let settings = scoring.config.settings();
        Self {
            fast: FastModel::new(&settings, scoring.schema, scoring.model),
            cache: EncodedCache::new(cache_bytes),
            rooms: Mutex::default(),
            requests: AtomicU64::new(0),
        }
    }

    /// Which way requests take.
    pub fn path(&self) -> Path<'_> {
        match &self.fast {
            Ok(_) => Path::Fast,
            Err(reason) => Path::General(reason),
        }
    }

    /// What it has done so far.
    pub fn counts(&self) -> ScorerCounts {
        ScorerCounts {
            requests: self.requests.load(Ordering::Relaxed),
            general: self.fast.as_ref().err().map(ToString::to_string),
            cache: self.cache.counts(),
        }
    }

    /// The scores of one request's candidates; `scoring` is that of the model it was made of. `done` hears of every stage of the fast
    /// path as it ends.
    ///
    /// # Panics
    /// If the batch has not exactly one feed.
    pub fn score(
        &self,
        scoring: &Scoring<'_>,
        batch: Batch,
        wanted: Wanted,
        mut done: impl FnMut(Stage),
    ) -> Scores {
        assert_eq!(batch.feeds(), 1, "a request is one feed");
        self.requests.fetch_add(1, Ordering::Relaxed);
        let Ok(fast) = &self.fast else {
            let scores = scoring.score(&Prepared::of(scoring.schema, batch));
            let tasks = scores.tasks.filter(|_| wanted == Wanted::All);
            return Scores { tasks, ..scores };
        };
        let rows = |table: usize, id: u64, to: &mut [f32]| scoring.rows.read(table, id, to);
        let request = Request { batch: &batch, feed: 0, rows: &rows };
        let mut room = self.rooms().pop().unwrap_or_default();
        let encoded = self.encoded(fast, &request, &mut room);
        done(Stage::Encode);
        let outputs = fast.score(&request, &encoded, wanted, &mut room, done);
        self.rooms().push(room);
        Scores::of(outputs.logits, outputs.tasks, scoring.schema, scoring.normalization)
    }

    /// The intents of one request's user before any candidate is known, as [`eliverec_run::intents`]. The fast path keeps what it
    /// encodes for it, and scoring the same user's candidates then finds it.
    ///
    /// # Panics
    /// If the batch has not exactly one feed.
    pub fn intents(&self, scoring: &Scoring<'_>, batch: Batch) -> Vec<Vec<f32>> {
        assert_eq!(batch.feeds(), 1, "a request is one feed");
        let Ok(fast) = &self.fast else {
            let prepared = Prepared::of(scoring.schema, batch);
            return eliverec_run::intents(scoring, &prepared).swap_remove(0);
        };
        let rows = |table: usize, id: u64, to: &mut [f32]| scoring.rows.read(table, id, to);
        let mut room = self.rooms().pop().unwrap_or_default();
        let request = Request { batch: &batch, feed: 0, rows: &rows };
        let intents = self.encoded(fast, &request, &mut room).intents().to_vec();
        self.rooms().push(room);
        intents
    }

    /// The user's side of a request, kept or made.
    fn encoded(&self, fast: &FastModel, request: &Request<'_>, room: &mut Room) -> Arc<Encoded> {
        let (batch, feed) = (request.batch, request.feed);
        let user = batch.user_ids[feed];
        self.cache.get(user, || fast.content(batch, feed), || fast.encode(request, room))
    }

    /// Buffers hold nothing that a panic could leave wrong.
    fn rooms(&self) -> std::sync::MutexGuard<'_, Vec<Room>> {
        self.rooms.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
