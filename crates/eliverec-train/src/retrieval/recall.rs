//! How much of what was watched retrieval finds: each source asked alone, and all together with their quotas.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use eliverec_core::seed::numbered;
use eliverec_features::FeatureConfig;
use eliverec_retrieval::neighbours::Counted;
use eliverec_retrieval::{
    Indexes, Live, NeighbourSettings, Query, Retrieval, RetrievalConfig, SourceName, State,
};
use eliverec_run::{RunDirectory, Scorer, Scoring, no_intents};
use eliverec_tables::check::{Checked, promises};
use eliverec_tables::events::EventLog;
use eliverec_tables::{FeedDirectory, Split};
use serde::Serialize;

use super::from_feeds::FeedPlatform;
use super::from_log::LogPlatform;
use super::neighbours::neighbours;
use super::platform::{Moment, Platform};
use super::requests::{Request, Requests};
use super::vectors::channel_vectors;
use crate::error::Error;
use crate::feeds_read::check_fit;
use eliverec_retrieval::fields::Fields;

/// What is measured, and by what.
#[derive(Clone, Debug)]
pub struct Measurement<'a> {
    /// Whose requests.
    pub split: Split,
    /// The list lengths at which recall is taken, ascending.
    pub k: &'a [usize],
    /// Quotas and settings; answers are as long as `k` says.
    pub config: RetrievalConfig,
    /// Of the neighbours, which are counted from the training split.
    pub neighbours: NeighbourSettings,
    /// A trained run and its path, for the embedding source.
    pub run: Option<(&'a Scorer, &'a Path)>,
    /// The log that the feeds were made of, with the settings of its features.
    pub log: Option<(&'a EventLog, FeatureConfig)>,
    /// Whether rows of the log that are no events are passed over and counted; else the first is an error.
    pub lenient: bool,
    /// Without a log: for how long a channel is live after it was shown, minutes.
    pub window_minutes: u32,
    /// Of the draws.
    pub seed: u64,
}

/// Where it was known from which channels are live.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "from", rename_all = "snake_case")]
pub enum LiveFrom {
    /// Streams that had begun and not ended, by the events that had arrived.
    Log,
    /// Channels that any request had shown within so many minutes, those of the request itself included.
    Feeds {
        /// The window.
        window_minutes: u32,
    },
}

/// What was found.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Measured {
    /// Whose requests.
    pub split: Split,
    /// Which channels are live.
    pub live: LiveFrom,
    /// Requests in which something was watched.
    pub requests: u64,
    /// Requests in which nothing was, which say nothing about recall.
    pub requests_without_watch: u64,
    /// Channels watched in them.
    pub watched: u64,
    /// Of them, those that were not live as far as was known; no source can find them.
    pub watched_not_live: u64,
    /// Live channels, mean over the requests.
    pub live_channels: f64,
    /// Of them, those without a vector; `None` without a run.
    pub live_without_vector: Option<f64>,
    /// Channels that were long without exposure, mean over the requests.
    pub live_unexposed: f64,
    /// What the neighbours were counted from.
    pub neighbours: Counted,
    /// A row per source, asked alone for as many as the largest k, in the order in which they are merged.
    pub sources: Vec<RecallRow>,
    /// All sources with their quotas.
    pub together: RecallRow,
    /// What as many live channels at random would find.
    pub random: RecallRow,
    /// What was read.
    #[serde(skip)]
    pub checked: Checked,
}

/// The recall of one way to find channels.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct RecallRow {
    /// Which one.
    pub name: &'static str,
    /// Why it has no figures.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub left_out: Option<String>,
    /// Channels given when asked for as many as the largest k, mean over the requests.
    pub candidates: f64,
    /// By k: the share of the channels watched that are among the first k.
    pub recall: BTreeMap<usize, f64>,
    /// The share of the channels watched that all sources together find at the largest k by this one alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub only: Option<f64>,
}

/// Measures the recall of what was watched. `progress` hears of the requests read and then of those answered.
///
/// # Errors
/// A split without feeds or labels, feeds, logs and runs that do not fit together or cannot be read.
pub fn recall(
    feeds: &FeedDirectory,
    measurement: &Measurement<'_>,
    mut progress: impl FnMut(u64),
) -> Result<Measured, Error> {
    let Measurement { split, run, log, lenient, window_minutes, .. } = *measurement;
    feeds.require_labels(split, "recall")?;
    if let Some((log, _)) = log {
        check_log(log, feeds)?;
    }
    if let Some((_, path)) = run {
        check_fit(&RunDirectory::at(path), feeds)?;
    }
    // Neighbours are of the training split; vectors, and a platform known by its feeds, are of all that they know.
    let is_read = |other: &Split| {
        *other == Split::Train
            || *other == split
            || run.is_some()
            || (log.is_none() && *other < split)
    };
    let read: Vec<Split> = Split::ALL.into_iter().filter(is_read).collect();
    let of_feeds = promises(feeds, &read, &[split])?;
    let fields = Fields::of(feeds.schema())?;
    let settings = measurement.neighbours;
    let (neighbours, counted) = neighbours(feeds, Split::Train, settings, &std::env::temp_dir())?;
    let scoring = run.map(|(scorer, _)| scorer.scoring());
    let left_out = no_embeddings(scoring.as_ref());
    let asking = scoring.as_ref().filter(|_| left_out.is_none());
    let vectors = asking.map(|scoring| channel_vectors(scoring, feeds)).transpose()?;
    let mut requests = Requests::read(feeds, split, &fields, asking, &mut progress)?;
    let indexes =
        Indexes { neighbours: Some(Arc::new(neighbours)), vectors: vectors.map(Arc::new) };
    let retrieval = Retrieval::new(measurement.config.clone(), indexes)?;
    let mut platform = if let Some((log, features)) = log {
        Platform::Log(Box::new(LogPlatform::open(log, &fields, features, lenient)?))
    } else {
        let window_ms = i64::from(window_minutes) * 60_000;
        Platform::Feeds(FeedPlatform::read(feeds, &fields, split, window_ms)?)
    };

    let mut sums = Sums::new(&retrieval, measurement.k);
    let mut live: Option<Live> = None;
    let count = requests.all.len();
    for (i, request) in requests.all.drain(..).enumerate() {
        platform.advance(request.ts_ms)?;
        let moment = Moment { platform: &platform, request: &request };
        let now = retrieval.live(&moment, request.ts_ms, live.as_ref());
        let seed = numbered(measurement.seed, request.id);
        sums.add(&retrieval, &moment, &now, &request, seed);
        live = Some(now);
        progress((i + 1) as u64);
    }
    let (live, checked) = match platform {
        Platform::Log(log) => (LiveFrom::Log, log.checked().and(of_feeds)),
        Platform::Feeds(_) => (LiveFrom::Feeds { window_minutes }, of_feeds),
    };
    let mut measured = sums.finish(split, live, count as u64);
    measured.requests_without_watch = requests.without_watch;
    measured.neighbours = counted;
    measured.checked = checked;
    measured.live_without_vector = measured.live_without_vector.filter(|_| left_out.is_none());
    if let Some(reason) = left_out {
        let row = RecallRow {
            name: SourceName::Embedding.name(),
            left_out: Some(reason),
            ..RecallRow::default()
        };
        // In the place where it would be merged.
        measured.sources.insert(1, row);
    }
    Ok(measured)
}

/// Why no query has a vector to ask with; `None` if some may have one.
fn no_embeddings(scoring: Option<&Scoring<'_>>) -> Option<String> {
    match scoring {
        None => Some("needs a trained run: --run RUN".into()),
        Some(scoring) => no_intents(scoring.config),
    }
}

/// Differences of schemas that are named.
const DIFFERENCES: usize = 2;

fn check_log(log: &EventLog, feeds: &FeedDirectory) -> Result<(), Error> {
    let mut differences = log.schema().differences(feeds.schema());
    if differences.is_empty() {
        return Ok(());
    }
    // Feeds of another log differ in nearly everything.
    let more = differences.len().saturating_sub(DIFFERENCES);
    differences.truncate(DIFFERENCES);
    let more = if more > 0 { format!("; and {more} more") } else { String::new() };
    Err(eliverec_core::Error::SchemaMismatch {
        expected: "the log".into(),
        found: feeds.path().display().to_string(),
        differences: differences.join("; ") + &more,
    }
    .into())
}

/// What is summed over the requests.
struct Sums<'a> {
    k: &'a [usize],
    watched: u64,
    not_live: u64,
    live: u64,
    without_vector: u64,
    unexposed: u64,
    sources: Vec<(SourceName, Hits)>,
    together: Hits,
    random: Vec<f64>,
}

/// Of one way to find channels.
#[derive(Clone, Debug)]
struct Hits {
    candidates: u64,
    /// By k.
    at: Vec<u64>,
    only: u64,
}

impl<'a> Sums<'a> {
    fn new(retrieval: &Retrieval, k: &'a [usize]) -> Self {
        let none = Hits { candidates: 0, at: vec![0; k.len()], only: 0 };
        Self {
            k,
            watched: 0,
            not_live: 0,
            live: 0,
            without_vector: 0,
            unexposed: 0,
            sources: retrieval.sources().map(|source| (source.name(), none.clone())).collect(),
            together: none,
            random: vec![0.0; k.len()],
        }
    }

    fn add(
        &mut self,
        retrieval: &Retrieval,
        state: &impl State,
        live: &Live,
        request: &Request,
        seed: u64,
    ) {
        let user = state.user(request.user_id, request.ts_ms);
        let barred = retrieval.barred(live, &user);
        let Request { intents, watched, .. } = request;
        let query = Query { live, user: &user, intents, seed, barred: &barred };
        let most = self.k.last().copied().unwrap_or(0);
        let count = live.channels().len();
        self.watched += watched.len() as u64;
        self.live += count as u64;
        self.without_vector += live.without_vector() as u64;
        self.unexposed += live.unexposed().len() as u64;
        let places: Vec<u32> = watched.iter().filter_map(|id| live.place(*id)).collect();
        self.not_live += (watched.len() - places.len()) as u64;
        for (sum, k) in self.random.iter_mut().zip(self.k) {
            *sum += places.len() as f64 * (*k as f64 / count.max(1) as f64).min(1.0);
        }
        for (source, (_, hits)) in retrieval.sources().zip(&mut self.sources) {
            let found = source.find(&query, most);
            hits.candidates += found.len() as u64;
            for place in &places {
                let rank = found.iter().position(|found| found.place == *place);
                for (at, k) in hits.at.iter_mut().zip(self.k) {
                    *at += u64::from(rank.is_some_and(|rank| rank < *k));
                }
            }
        }
        for (i, k) in self.k.iter().enumerate() {
            let merged = retrieval.merged(&query, *k);
            let hits = merged.iter().filter(|candidate| watched.contains(&candidate.channel_id));
            self.together.at[i] += hits.clone().count() as u64;
            if *k != most {
                continue;
            }
            self.together.candidates += merged.len() as u64;
            for hit in hits {
                if let [given] = hit.given_by.as_slice() {
                    let own = self.sources.iter_mut().find(|(name, _)| *name == given.source);
                    own.into_iter().for_each(|(_, hits)| hits.only += 1);
                }
            }
        }
    }

    fn finish(self, split: Split, live: LiveFrom, requests: u64) -> Measured {
        let per_request = |sum: u64| sum as f64 / requests.max(1) as f64;
        let share = |hits: f64| hits / self.watched.max(1) as f64;
        let row = |name, hits: &Hits| RecallRow {
            name,
            left_out: None,
            candidates: per_request(hits.candidates),
            recall: self.k.iter().zip(&hits.at).map(|(k, at)| (*k, share(*at as f64))).collect(),
            only: None,
        };
        let of_source = |(name, hits): &(SourceName, Hits)| RecallRow {
            only: Some(share(hits.only as f64)),
            ..row(name.name(), hits)
        };
        let most = self.k.last().copied().unwrap_or(0) as f64;
        Measured {
            split,
            live,
            requests,
            requests_without_watch: 0,
            watched: self.watched,
            watched_not_live: self.not_live,
            live_channels: per_request(self.live),
            live_without_vector: Some(per_request(self.without_vector)),
            live_unexposed: per_request(self.unexposed),
            neighbours: Counted::default(),
            checked: Checked::default(),
            sources: self.sources.iter().map(of_source).collect(),
            together: row("together", &self.together),
            random: RecallRow {
                name: "random",
                candidates: most.min(per_request(self.live)),
                recall: self.k.iter().copied().zip(self.random.iter().map(|s| share(*s))).collect(),
                ..RecallRow::default()
            },
        }
    }
}
