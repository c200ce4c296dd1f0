//! What is answered, and why.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};

use eliverec_core::schema::Group;
use eliverec_core::{Feed, IdKinds};
use eliverec_models::fast::Wanted;
use eliverec_retrieval::merge::Given;
use eliverec_run::{Explained, Prepared, explained};
use serde::Serialize;
use utoipa::ToSchema;

use crate::id::Id;
use crate::problem::{Code, Problem};
use crate::running::{Buckets, Plan};
use crate::served::Served;
use crate::stage::Stages;

/// Channels with scores.
#[derive(Debug)]
pub struct Answer {
    /// The bundle's version.
    pub model: Arc<str>,
    /// The moment whose features were used.
    pub at_ms: i64,
    /// The record of the log after which the request stands.
    pub log_position: u64,
    /// Names of the tasks.
    pub tasks: Arc<[String]>,
    /// Names of layers of experiments, each with the bucket that the user is in.
    pub buckets: Buckets,
    /// The likeliest watch first, or the highest utility, if a bucket has one.
    pub channels: Vec<Scored>,
    /// Channels that were scored and whose utility is no finite number.
    pub(crate) not_finite: usize,
    /// What was known, of all that was scored.
    pub(crate) feed: Feed,
    /// The bundle while it is loaded.
    pub(crate) served: Weak<Served>,
    /// By candidate of the feed.
    pub(crate) p_watch: Vec<f32>,
    /// By channel of the answer: which candidate of the feed it is.
    pub(crate) rows: Vec<usize>,
    /// What it took.
    pub(crate) stages: Stages,
}

/// One channel with its scores.
#[derive(Clone, Debug, PartialEq)]
pub struct Scored {
    /// The channel.
    pub channel_id: u64,
    /// Probability of a watch.
    pub p_watch: f32,
    /// By task.
    pub tasks: Vec<f32>,
    /// By what it stands where it stands, if a bucket has a utility; what is not finite stands behind what is.
    pub utility: Option<f64>,
    /// Which sources of retrieval gave it.
    pub sources: Vec<Given>,
}

/// That a source of retrieval gave a channel.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, ToSchema)]
pub struct GivenBy {
    /// Its name.
    pub source: &'static str,
    /// Place in its list, from 0.
    pub rank: u32,
    /// What it orders by.
    pub score: f32,
    /// How likely it was to be drawn, of a source that draws.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub propensity: Option<f64>,
}

impl From<Given> for GivenBy {
    fn from(given: Given) -> Self {
        let Given { source, rank, score, propensity } = given;
        Self { source: source.name(), rank, score, propensity }
    }
}

/// The bundles of a service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Bundles {
    /// The version in service.
    pub(crate) active: String,
    /// The one that a roll-back brings back.
    pub(crate) previous: Option<String>,
    /// The versions of the bundles of experiments' buckets.
    pub(crate) in_buckets: Vec<String>,
    /// Sources of retrieval that the bundle in service has nothing for, and why.
    pub(crate) left_out: BTreeMap<&'static str, String>,
    /// How callers write ids, `integer` or `text`, by column and by vocabulary; where it is not known both are taken, as different ids.
    #[schema(value_type = Object)]
    pub(crate) ids: IdKinds,
}

impl Bundles {
    /// The version in service.
    pub fn active(&self) -> &str {
        &self.active
    }

    /// That, and the versions of buckets.
    pub(crate) fn all(&self) -> impl Iterator<Item = &str> {
        std::iter::once(&self.active).chain(&self.in_buckets).map(String::as_str)
    }
}

/// Why an answer was what it was, computed again from the features that it was computed from.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct Explanation {
    /// The request, as it was asked for.
    pub request_id: Id,
    /// Who asked.
    pub user_id: u64,
    /// The bundle that scored.
    pub model: String,
    /// By layer of experiments the bucket that the user was in.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub buckets: BTreeMap<String, String>,
    /// The moment whose features were used, milliseconds since 1970 UTC.
    pub at: i64,
    /// The record of the log after which the request stands.
    pub log_position: u64,
    /// The largest difference between what was answered, tasks included, and what is computed again by the model's own forward: of
    /// probabilities, and of durations as a share of them.
    pub largest_difference: f32,
    /// Features of the user and of the request's context.
    #[schema(value_type = Object)]
    pub user: BTreeMap<String, String>,
    /// By domain, `live` and `product`: the events that the model saw, oldest first, each with its share of the consistent intent.
    #[schema(value_type = Object)]
    pub histories: BTreeMap<&'static str, Vec<explained::Event>>,
    /// All channels that were scored, in the order in which retrieval found them: features, probability, attention to the events.
    #[schema(value_type = Vec<Object>)]
    pub candidates: Vec<explained::Candidate>,
    /// By task, what is predicted for each of these channels, computed again; empty if the model has none or they were not asked for.
    pub tasks: BTreeMap<String, Vec<f32>>,
    /// By channel answered, what found it.
    #[schema(value_type = Object)]
    pub sources: BTreeMap<String, Vec<GivenBy>>,
}

impl Answer {
    /// Scores the candidates of a feed whose channels are `channels`, the likeliest watch or the highest utility first, at most `k`.
    pub(crate) fn of(
        plan: Plan,
        feed: Feed,
        stand: eliverec_state::Stand,
        channels: Vec<(u64, Vec<Given>)>,
        (k, wanted): (usize, Wanted),
    ) -> Result<Self, Problem> {
        let served = plan.served();
        let model = &served.bundle.model;
        let for_utility = plan.utility.as_ref().is_some_and(|of| of.needs_tasks());
        let scored = if for_utility { Wanted::All } else { wanted };
        let (tasks, p_watch) = if channels.is_empty() {
            (None, Vec::new())
        } else {
            let batch = served.batch(&feed)?;
            let scores = served.scorer.score(&model.scoring(), batch, scored, |_| ());
            (scores.tasks, scores.p_watch)
        };
        let mut scored: Vec<(usize, Scored)> = channels
            .into_iter()
            .enumerate()
            .map(|(i, (channel_id, sources))| {
                let (p_watch, tasks) = (p_watch[i], tasks.iter().flatten());
                let tasks: Vec<f32> = tasks.map(|task| task[i]).collect();
                let utility = plan.utility.as_ref().map(|of| of.of(p_watch, |task| tasks[task]));
                let tasks = if wanted == Wanted::All { tasks } else { Vec::new() };
                (i, Scored { channel_id, p_watch, tasks, utility, sources })
            })
            .collect();
        // Without a utility all are equal in it; those that are not finite are, too, and stand behind.
        let by = |of: &Scored| of.utility.filter(|of| of.is_finite()).unwrap_or(f64::NEG_INFINITY);
        let not_finite =
            scored.iter().filter(|(_, of)| of.utility.is_some_and(|of| !of.is_finite()));
        let not_finite = not_finite.count();
        scored.sort_by(|(_, a), (_, b)| {
            by(b).total_cmp(&by(a)).then(b.p_watch.total_cmp(&a.p_watch))
        });
        scored.truncate(k);
        let (rows, channels) = scored.into_iter().unzip();
        Ok(Self {
            model: Arc::clone(&served.version),
            at_ms: stand.ts_ms,
            log_position: stand.position,
            tasks: Arc::clone(&served.tasks),
            channels,
            not_finite,
            feed,
            served: Arc::downgrade(served),
            p_watch,
            rows,
            stages: Stages::default(),
            buckets: plan.buckets,
        })
    }

    /// By layer of experiments the bucket that the user is in.
    pub(crate) fn buckets(&self) -> BTreeMap<String, String> {
        let of = self.buckets.iter();
        of.map(|(layer, bucket)| (layer.to_string(), bucket.to_string())).collect()
    }

    /// Why it is what it is; `request_id` is how the caller writes the request.
    ///
    /// # Errors
    /// A bundle that is not loaded any more.
    pub(crate) fn explain(&self, request_id: Id) -> Result<Explanation, Problem> {
        let served = self.served.upgrade().ok_or_else(|| {
            let detail = format!("bundle {:?}, which answered, is not loaded any more", self.model);
            Problem::new(Code::NotFound, detail)
        })?;
        let model = &served.bundle.model;
        let scoring = model.scoring();
        let ids = explained::plain_ids(&model.schema, &self.feed);
        let (explained, again, mut tasks) = if self.p_watch.is_empty() {
            let nothing = Explained { histories: BTreeMap::new(), candidates: Vec::new() };
            (nothing, Vec::new(), Vec::new())
        } else {
            let prepared = Prepared::of(&model.schema, served.batch(&self.feed)?);
            let (explained, scores, _) = Explained::of(&scoring, &self.feed, &prepared, &ids);
            (explained, scores.p_watch, scores.tasks.unwrap_or_default())
        };
        let differences = self.p_watch.iter().zip(&again).map(|(a, b)| (a - b).abs());
        let answered = self.rows.iter().zip(&self.channels);
        let of_tasks = answered.flat_map(|(row, scored)| {
            let pairs = scored.tasks.iter().zip(&tasks).map(move |(a, again)| (*a, again[*row]));
            pairs.map(|(a, b)| (a - b).abs() / b.abs().max(1.0))
        });
        let largest_difference = differences.chain(of_tasks).fold(0.0, f32::max);
        if self.channels.iter().all(|scored| scored.tasks.is_empty()) {
            tasks.clear();
        }
        let mut user = explained::fields(&model.schema, (&self.feed, &ids), Group::User, 0);
        user.extend(explained::fields(&model.schema, (&self.feed, &ids), Group::Context, 0));
        let sources = self.channels.iter().map(|scored| {
            let given = scored.sources.iter().copied().map(GivenBy::from);
            (scored.channel_id.to_string(), given.collect())
        });
        Ok(Explanation {
            request_id,
            user_id: self.feed.user_id,
            model: self.model.to_string(),
            buckets: self.buckets(),
            at: self.at_ms,
            log_position: self.log_position,
            largest_difference,
            user,
            histories: explained.histories,
            candidates: explained.candidates,
            tasks: self.tasks.iter().cloned().zip(tasks).collect(),
            sources: sources.collect(),
        })
    }
}
