//! Recommendations, and scores of the caller's own candidates.

use std::collections::{BTreeMap, HashMap};
use std::future::Future;
use std::sync::Arc;
use std::time::Instant;

use axum::Json;
use axum::extract::State;
use eliverec_core::schema::Group;
use eliverec_models::fast::Wanted;
use serde::{Deserialize, Serialize, Serializer};
use utoipa::ToSchema;

use crate::answer::{Answer, GivenBy};
use crate::asked::Asked;
use crate::extract::Admissible;
use crate::problem::{Code, Problem, ProblemBody};
use crate::service::Service;
use crate::settings::Impressions;
use crate::telemetry::Stage;
use crate::wire::{Id, Shape, Values, at_most, scalars};

/// Who asks for channels, and where.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RecommendRequest {
    /// Who.
    user_id: Id,
    /// The schema's context fields by name.
    #[serde(default)]
    #[schema(value_type = Object)]
    context: Values,
    /// How many channels at most; 10 if it is not given, or as many as the service scores, if that is less.
    #[serde(default)]
    #[schema(minimum = 1)]
    k: Option<usize>,
    /// Ties the answer to impressions and what follows; drawn if it is not given.
    #[serde(default)]
    request_id: Option<Id>,
    /// When, milliseconds since 1970 UTC, on a service whose clock the callers set.
    #[serde(default)]
    at: Option<i64>,
    /// Whether the inter-channel tasks are scored, too; p_watch alone takes less time.
    #[serde(default = "yes")]
    tasks: bool,
}

/// Channels of an answer to a request that does not say how many.
const CHANNELS: usize = 10;

const fn yes() -> bool {
    true
}

/// Who asks for the scores of which channels.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RankRequest {
    /// Who.
    user_id: Id,
    /// The schema's context fields by name.
    #[serde(default)]
    #[schema(value_type = Object)]
    context: Values,
    /// The channels to score, each once.
    channels: Vec<Id>,
    /// Ties the answer to impressions and what follows; drawn if it is not given.
    #[serde(default)]
    request_id: Option<Id>,
    /// When, milliseconds since 1970 UTC, on a service whose clock the callers set.
    #[serde(default)]
    at: Option<i64>,
    /// Whether the inter-channel tasks are scored, too; p_watch alone takes less time.
    #[serde(default = "yes")]
    tasks: bool,
}

/// Channels, the likeliest watch first, or the highest utility, if a bucket of experiments has one.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RankAnswer {
    /// Of the request, as the caller gave it.
    request_id: Id,
    /// The bundle that scored.
    model: String,
    /// By layer of experiments the bucket that the user is in.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    buckets: BTreeMap<String, String>,
    /// The moment whose features were used, milliseconds since 1970 UTC.
    at: i64,
    /// The event of the log before which the request stands.
    log_position: u64,
    /// The channels.
    channels: Vec<RankedChannel>,
}

/// One channel with its scores.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RankedChannel {
    /// As the caller gave it, or as the log has it.
    channel_id: Id,
    /// Probability of a watch.
    p_watch: f32,
    /// What the inter-channel tasks predict, by the schema's names; of something that happens or not its probability given a
    /// watch.
    #[serde(skip_serializing_if = "Predicted::is_empty")]
    #[schema(value_type = Object)]
    tasks: Predicted,
    /// By what the channel stands where it stands, if a bucket of experiments has a utility; null if it is no finite number.
    #[serde(skip_serializing_if = "Option::is_none")]
    utility: Option<f64>,
    /// Which sources of retrieval gave it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    sources: Vec<GivenBy>,
}

/// What the tasks predict, by their names; empty where they were not asked.
#[derive(Debug)]
struct Predicted {
    tasks: Arc<[String]>,
    values: Vec<f32>,
}

impl Predicted {
    const fn is_empty(&self) -> bool {
        self.values.is_empty()
    }
}

impl Serialize for Predicted {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.tasks.iter().zip(&self.values))
    }
}

/// An answer, and what its stages took as a header.
type Timed = ([(&'static str, String); 1], Json<RankAnswer>);

/// Ranks live channels that retrieval finds for a user.
#[utoipa::path(
    post, path = "/v1/recommend", tag = "ranking", request_body = RecommendRequest,
    responses((status = 200, body = RankAnswer), (status = "default", body = ProblemBody, content_type = "application/problem+json")),
)]
pub(crate) async fn recommend(
    State(service): State<Arc<Service>>,
    Admissible(request): Admissible<RecommendRequest>,
) -> Result<Timed, Problem> {
    let arrived = Instant::now();
    let most = service.settings.candidates;
    let k = request.k.unwrap_or(CHANNELS.min(most));
    if k == 0 || k > most {
        let detail = format!("is {k}; write 1 to {most}");
        return Err(Problem::invalid("k", detail));
    }
    let who = (request.request_id.as_ref(), &request.user_id);
    let (request_id, asked) = asked(&service, who, &request.context, (request.at, request.tasks))?;
    let of = asked.clone();
    let answer = compute(&service, arrived, move |service| {
        let answer = service.engine.recommend(&asked, k, &service.telemetry)?;
        if !is_shown(service, &answer) {
            service.note(&asked, &answer);
        }
        Ok(answer)
    });
    let mut answer = answer.await?;
    if is_shown(&service, &answer) {
        answer = log(&service, arrived, of, answer).await?;
    }
    let answer = keep(&service, arrived, request_id.value(), answer);
    let names = answer.channels.iter().map(|of| service.engine.name_of(of.channel_id)).collect();
    Ok(told(request_id, &answer, names))
}

/// Scores the caller's own candidates.
#[utoipa::path(
    post, path = "/v1/rank", tag = "ranking", request_body = RankRequest,
    responses((status = 200, body = RankAnswer), (status = "default", body = ProblemBody, content_type = "application/problem+json")),
)]
pub(crate) async fn rank(
    State(service): State<Arc<Service>>,
    Admissible(request): Admissible<RankRequest>,
) -> Result<Timed, Problem> {
    let arrived = Instant::now();
    if request.channels.is_empty() {
        return Err(Problem::invalid("channels", "is empty; name at least one channel"));
    }
    at_most(request.channels.len(), service.settings.candidates, "channels")?;
    let mut given = HashMap::with_capacity(request.channels.len());
    let ids = service.engine.ids();
    for (i, channel) in request.channels.into_iter().enumerate() {
        let value = channel
            .of_group(Group::Channel, &ids, "channels")
            .map_err(|problem| Problem { field: Some(format!("channels[{i}]")), ..problem })?;
        if let Some((first, _)) = given.insert(value, (i, channel)) {
            let detail = format!("is the same channel as channels[{first}]; name each once");
            return Err(Problem::invalid(format!("channels[{i}]"), detail));
        }
    }
    let who = (request.request_id.as_ref(), &request.user_id);
    let (request_id, asked) = asked(&service, who, &request.context, (request.at, request.tasks))?;
    let mut channels: Vec<(usize, u64)> = given.iter().map(|(id, (i, _))| (*i, *id)).collect();
    channels.sort_unstable();
    let channels: Vec<u64> = channels.into_iter().map(|(_, id)| id).collect();
    let answer = compute(&service, arrived, move |service| {
        let answer = service.engine.rank(&asked, &channels)?;
        service.note(&asked, &answer);
        Ok(answer)
    });
    let answer = keep(&service, arrived, request_id.value(), answer.await?);
    let names = answer.channels.iter().map(|of| {
        given.remove(&of.channel_id).map_or(Id::Number(of.channel_id), |(_, given)| given)
    });
    let names = names.collect();
    Ok(told(request_id, &answer, names))
}

fn asked(
    service: &Service,
    (request, user): (Option<&Id>, &Id),
    context: &Values,
    (at, tasks): (Option<i64>, bool),
) -> Result<(Id, Asked), Problem> {
    let ids = service.engine.ids();
    let user_id = user.of_group(Group::User, &ids, "user_id")?;
    let shape = Shape { fields: service.engine.context_fields(), ids: &ids };
    let context = scalars(shape, context, "context")?;
    let request = request.cloned().unwrap_or_else(|| Id::Number(drawn()));
    let at_ms = service.clock.request_ms(at)?;
    let wanted = if tasks { Wanted::All } else { Wanted::Watch };
    let (request_id, subject) = (request.value(), user.subject());
    Ok((request, Asked { request_id, user_id, subject, at_ms, context, wanted }))
}

/// A request's id that a caller's numbers, which may be of 53 bits, hold.
fn drawn() -> u64 {
    rand::random::<u64>() >> 11
}

/// What comes of work by the deadline of a request that arrived then; the work itself goes on.
async fn in_time<T>(
    service: &Service,
    arrived: Instant,
    work: impl Future<Output = T>,
) -> Result<T, Problem> {
    let deadline = service.settings.deadline();
    let left = deadline.saturating_sub(arrived.elapsed());
    tokio::time::timeout(left, work).await.map_err(|_| {
        let detail = format!("there was no answer within {} ms", deadline.as_millis());
        Problem::new(Code::Deadline, detail).retry_after(1)
    })
}

/// Computes an answer on a thread of its own when a worker is free.
async fn compute(
    service: &Arc<Service>,
    arrived: Instant,
    work: impl FnOnce(&Service) -> Result<Answer, Problem> + Send + 'static,
) -> Result<Answer, Problem> {
    let admitted = service.ranking.enter().await?;
    let (working, waited) = (Arc::clone(service), admitted.waited);
    let answer = service.compute_admitted(admitted, move || work(&working));
    let mut answer = in_time(service, arrived, answer).await???;
    answer.stages.took(Stage::Wait, waited);
    Ok(answer)
}

/// Whether an answer to a recommendation counts as shown.
fn is_shown(service: &Service, answer: &Answer) -> bool {
    service.engine.impressions() == Impressions::Answers && !answer.channels.is_empty()
}

/// Puts what is about to be answered into the log as shown. No worker waits for the disk meanwhile.
async fn log(
    service: &Arc<Service>,
    asked_at: Instant,
    asked: Asked,
    answer: Answer,
) -> Result<Answer, Problem> {
    let arrived = Instant::now();
    let admitted = service.ingesting.enter().await?;
    let working = Arc::clone(service);
    let logged = service.compute_admitted(admitted, move || {
        let now_ms = working.clock.now_ms();
        working.engine.log_answer(&asked, &answer, now_ms).map(|logged| (logged, answer))
    });
    let (logged, answer) = in_time(service, asked_at, logged).await???;
    service.telemetry.ingested(&logged, arrived.elapsed());
    Ok(answer)
}

/// Keeps an answer that is given for explanations.
fn keep(service: &Service, arrived: Instant, request_id: u64, mut answer: Answer) -> Arc<Answer> {
    answer.stages.took(Stage::Total, arrived.elapsed());
    service.telemetry.took(&answer.stages);
    for (layer, bucket) in &answer.buckets {
        service.telemetry.in_bucket(layer, bucket, answer.not_finite);
    }
    service.drift.add(&answer);
    let answer = Arc::new(answer);
    service.ledger.keep(request_id, Arc::clone(&answer));
    answer
}

fn told(request_id: Id, answer: &Answer, names: Vec<Id>) -> Timed {
    let channels = answer.channels.iter().zip(names).map(|(scored, channel_id)| {
        let tasks = Predicted { tasks: Arc::clone(&answer.tasks), values: scored.tasks.clone() };
        RankedChannel {
            channel_id,
            p_watch: scored.p_watch,
            tasks,
            utility: scored.utility,
            sources: scored.sources.iter().copied().map(GivenBy::from).collect(),
        }
    });
    let told = RankAnswer {
        request_id,
        model: answer.model.to_string(),
        buckets: answer.buckets(),
        at: answer.at_ms,
        log_position: answer.log_position,
        channels: channels.collect(),
    };
    ([("server-timing", answer.stages.header())], Json(told))
}
