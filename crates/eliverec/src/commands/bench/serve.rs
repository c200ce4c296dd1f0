//! `eliverec bench serve`: how long a running service takes under a load that does not wait for it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use comfy_table::CellAlignment;
use eliverec_core::feed::Column;
use eliverec_core::schema::Group;
use eliverec_core::{Feed, Schema};
use eliverec_tables::{FeedDirectory, Split};
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::commands::{plain_table, print, print_json};

/// Ask a running service at a given rate, however long it takes, and tell the times from when each request was due
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Address of the service, such as http://127.0.0.1:8088
    #[arg(long, value_name = "URL")]
    url: String,
    /// Feed directory of the service's schema, whose requests are sent: user, context, candidates
    #[arg(long, value_name = "DIR")]
    feeds: PathBuf,
    /// train, validation or test
    #[arg(long, default_value = "test")]
    split: Split,
    /// What is asked: rank the feeds' candidates, filled up to --candidates with those of others, or recommend
    #[arg(long, value_enum, default_value = "rank")]
    call: Call,
    /// Requests a second
    #[arg(long, default_value_t = 100.0)]
    rate: f64,
    /// Seconds of load; after a tenth of that as warm-up
    #[arg(long, default_value_t = 20.0)]
    seconds: f64,
    /// Candidates of a request to rank
    #[arg(long, default_value_t = 100)]
    candidates: usize,
    /// Connections
    #[arg(long, default_value_t = 32)]
    connections: usize,
    /// Token with the scopes read and admin, if the service has tokens
    #[arg(long, env = "ELIVEREC_TOKEN")]
    token: Option<String>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Call {
    Rank,
    Recommend,
}

/// What was measured.
#[derive(Debug, Serialize)]
struct Measured {
    /// Requests a second that were due, and that were answered with 200.
    rate: f64,
    answered_per_s: f64,
    /// By status; 0 where there was no answer.
    statuses: BTreeMap<u16, u64>,
    /// Of a call that does nothing, one at a time, before the load: network, HTTP and this tool.
    calibration: Percentiles,
    /// From when a request was due to its answer, of those answered with 200.
    latency: Percentiles,
    /// The service's own times by stage, upper bounds of its histogram's buckets.
    stages: BTreeMap<String, Percentiles>,
}

/// Milliseconds.
#[derive(Clone, Copy, Debug, Default, Serialize)]
struct Percentiles {
    count: u64,
    p50: f64,
    p90: f64,
    p99: f64,
    p999: f64,
    max: f64,
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<u8> {
    let Arguments { rate, seconds, connections, .. } = *arguments;
    if !(rate > 0.0 && seconds > 0.0 && connections > 0 && arguments.candidates > 0) {
        let reason = "rate, seconds, candidates and connections must be above 0".into();
        return Err(eliverec_run::Error::Config { place: "bench".into(), reason }.into());
    }
    let feeds = FeedDirectory::open(&arguments.feeds)?;
    let bodies = bodies(arguments, &feeds)?;
    let client = Client::new(arguments);
    let calibration = client.calibrate()?;
    let warm_up = (rate * seconds / 10.0).ceil() as usize;
    client.load(&bodies, warm_up, rate, connections)?;
    let before = client.stages()?;
    let count = (rate * seconds).ceil() as usize;
    let begun = Instant::now();
    let answers = client.load(&bodies, count, rate, connections)?;
    let took = begun.elapsed().as_secs_f64();
    let stages = difference(&client.stages()?, &before);

    let mut statuses = BTreeMap::new();
    answers.iter().for_each(|(status, _)| *statuses.entry(*status).or_default() += 1);
    let good = answers.iter().filter(|(status, _)| *status == 200).map(|(_, took)| *took);
    let latency = Percentiles::of(good.collect());
    let answered_per_s = latency.count as f64 / took;
    let measured = Measured { rate, answered_per_s, statuses, calibration, latency, stages };
    if arguments.json {
        print_json(&measured)?;
    } else {
        print(&text(&measured))?;
    }
    Ok(crate::OK)
}

/// Requests as the feeds have them.
fn bodies(arguments: &Arguments, feeds: &FeedDirectory) -> anyhow::Result<Vec<Vec<u8>>> {
    const MOST: usize = 2_000;
    let schema = feeds.schema();
    let read: Vec<Feed> =
        feeds.read(arguments.split)?.take(MOST).collect::<Result<_, eliverec_tables::Error>>()?;
    let ids = |feed: &Feed| match feed.candidates.channel.first() {
        Some(Column::Ids(ids)) => ids.clone(),
        _ => Vec::new(),
    };
    let all: Vec<u64> = read.iter().flat_map(ids).collect();
    if all.is_empty() {
        bail!(
            "{}: no feed of the {} split has candidates",
            feeds.path().display(),
            arguments.split
        );
    }
    let body = |(i, feed): (usize, &Feed)| {
        let mut body = json!({"user_id": feed.user_id, "context": context(schema, feed)});
        if arguments.call == Call::Rank {
            let mut channels = ids(feed);
            let others = (0..all.len()).map(|j| all[(i * 31 + j) % all.len()]);
            for other in others {
                if channels.len() >= arguments.candidates {
                    break;
                }
                if !channels.contains(&other) {
                    channels.push(other);
                }
            }
            channels.truncate(arguments.candidates);
            body["channels"] = channels.into();
        }
        serde_json::to_vec(&body)
    };
    Ok(read.iter().enumerate().map(body).collect::<Result<_, _>>()?)
}

fn context(schema: &Schema, feed: &Feed) -> Value {
    let fields = schema.fields(Group::Context).iter().zip(feed.columns(Group::Context));
    let value = |column: &Column| match column {
        Column::Ids(ids) => json!(ids.first()),
        Column::Numbers(numbers) => json!(numbers.first()),
        Column::Lists { ids, .. } => json!(ids),
    };
    Value::Object(fields.map(|(f, column)| (f.name.clone(), value(column))).collect::<Map<_, _>>())
}

/// Whoever asks.
struct Client {
    agent: ureq::Agent,
    url: String,
    path: &'static str,
    token: Option<String>,
}

impl Client {
    fn new(arguments: &Arguments) -> Self {
        let agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .max_idle_connections(arguments.connections + 1)
            .max_idle_connections_per_host(arguments.connections + 1)
            .timeout_global(Some(Duration::from_secs(30)))
            .build();
        let path = match arguments.call {
            Call::Rank => "/v1/rank",
            Call::Recommend => "/v1/recommend",
        };
        let url = arguments.url.trim_end_matches('/').to_owned();
        let token = arguments.token.as_ref().map(|token| format!("Bearer {token}"));
        Self { agent: agent.into(), url, path, token }
    }

    fn get(&self, path: &str) -> anyhow::Result<(u16, String)> {
        let url = format!("{}{path}", self.url);
        let mut request = self.agent.get(&url);
        if let Some(token) = &self.token {
            request = request.header("authorization", token);
        }
        let mut response = request.call().with_context(|| url.clone())?;
        Ok((response.status().as_u16(), response.body_mut().read_to_string().context(url)?))
    }

    /// The status of one request; 0 without an answer.
    fn ask(&self, body: &[u8]) -> u16 {
        let mut request = self.agent.post(format!("{}{}", self.url, self.path));
        if let Some(token) = &self.token {
            request = request.header("authorization", token);
        }
        let answer = request.header("content-type", "application/json").send(body);
        let read = answer.and_then(|mut answer| {
            // To its end, as a caller would.
            answer.body_mut().read_to_vec()?;
            Ok(answer.status().as_u16())
        });
        read.unwrap_or(0)
    }

    fn calibrate(&self) -> anyhow::Result<Percentiles> {
        let mut times = Vec::new();
        for _ in 0..1_000 {
            let begun = Instant::now();
            self.get("/healthz")?;
            times.push(begun.elapsed());
        }
        Ok(Percentiles::of(times))
    }

    /// Sends `count` requests, the next whenever it is due: statuses and times from then.
    fn load(
        &self,
        bodies: &[Vec<u8>],
        count: usize,
        rate: f64,
        connections: usize,
    ) -> anyhow::Result<Vec<(u16, Duration)>> {
        let (begun, next) = (Instant::now(), AtomicUsize::new(0));
        let send = || {
            let mut answers = Vec::new();
            loop {
                let i = next.fetch_add(1, Ordering::Relaxed);
                if i >= count {
                    return answers;
                }
                let due = begun + Duration::from_secs_f64(i as f64 / rate);
                std::thread::sleep(due.saturating_duration_since(Instant::now()));
                let status = self.ask(&bodies[i % bodies.len()]);
                answers.push((status, due.elapsed()));
            }
        };
        std::thread::scope(|scope| {
            let sending: Vec<_> = (0..connections).map(|_| scope.spawn(send)).collect();
            let answers = sending.into_iter().map(std::thread::ScopedJoinHandle::join);
            let answers: Result<Vec<_>, _> = answers.collect();
            let answers = answers.map_err(|_| anyhow::anyhow!("a thread that sends has ended"))?;
            Ok(answers.concat())
        })
    }

    /// The service's histograms: by stage, upper bounds in seconds and how many are below.
    fn stages(&self) -> anyhow::Result<BTreeMap<String, Vec<(f64, u64)>>> {
        let (status, text) = self.get("/metrics")?;
        if status != 200 {
            bail!("{}/metrics answers {status}; give a token with the scope admin", self.url);
        }
        let mut stages: BTreeMap<String, Vec<(f64, u64)>> = BTreeMap::new();
        for line in text.lines() {
            let Some(rest) = line.strip_prefix("eliverec_stage_seconds_bucket{") else { continue };
            let Some((labels, count)) = rest.split_once("} ") else { continue };
            let label = |name: &str| {
                let value = labels.split(',').find_map(|label| label.strip_prefix(name))?;
                Some(value.strip_prefix("=\"")?.trim_end_matches('"').to_owned())
            };
            if let (Some(stage), Some(bound), Ok(count)) =
                (label("stage"), label("le"), count.trim().parse())
            {
                let bound = bound.parse().unwrap_or(f64::INFINITY);
                stages.entry(stage).or_default().push((bound, count));
            }
        }
        Ok(stages)
    }
}

/// What came into the histograms in between.
fn difference(
    after: &BTreeMap<String, Vec<(f64, u64)>>,
    before: &BTreeMap<String, Vec<(f64, u64)>>,
) -> BTreeMap<String, Percentiles> {
    let mut stages = BTreeMap::new();
    for (stage, buckets) in after {
        let earlier = before.get(stage);
        let count = |i: usize| buckets[i].1 - earlier.map_or(0, |earlier| earlier[i].1);
        let total = buckets.len().checked_sub(1).map_or(0, count);
        let at = |share: f64| {
            let rank = (share * total as f64).ceil().max(1.0) as u64;
            let bucket = (0..buckets.len()).find(|i| count(*i) >= rank);
            bucket.map_or(0.0, |i| buckets[i].0 * 1e3)
        };
        if total > 0 {
            let [p50, p90, p99, p999, max] = [0.5, 0.9, 0.99, 0.999, 1.0].map(at);
            stages.insert(stage.clone(), Percentiles { count: total, p50, p90, p99, p999, max });
        }
    }
    stages
}

impl Percentiles {
    fn of(mut times: Vec<Duration>) -> Self {
        times.sort_unstable();
        let at = |share: f64| {
            let place = (share * times.len() as f64).ceil() as usize;
            times.get(place.max(1) - 1).map_or(0.0, |time| time.as_secs_f64() * 1e3)
        };
        let [p50, p90, p99, p999, max] = [0.5, 0.9, 0.99, 0.999, 1.0].map(at);
        Self { count: times.len() as u64, p50, p90, p99, p999, max }
    }
}

fn text(measured: &Measured) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = writeln!(
        text,
        "{} requests/s due, {:.1} answered; statuses {:?}; milliseconds:\n",
        measured.rate, measured.answered_per_s, measured.statuses
    );
    let mut table = plain_table();
    table.set_header(["", "count", "p50", "p90", "p99", "p99.9", "max"]);
    let rows = [("nothing (calibration)", measured.calibration), ("a request", measured.latency)];
    let stages = measured.stages.iter().map(|(stage, times)| (format!("  {stage}"), *times));
    for (name, of) in rows.map(|(name, of)| (name.to_owned(), of)).into_iter().chain(stages) {
        let times = [of.p50, of.p90, of.p99, of.p999, of.max].map(|ms| format!("{ms:.3}"));
        table.add_row([name, of.count.to_string()].into_iter().chain(times));
    }
    table.column_iter_mut().skip(1).for_each(|c| c.set_cell_alignment(CellAlignment::Right));
    text + &table.trim_fmt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_of_what_came_in_between() {
        let times = (1..=100).map(Duration::from_millis).collect();
        let of = Percentiles::of(times);
        assert_eq!((of.count, of.p50, of.p99, of.max), (100, 50.0, 99.0, 100.0));
        assert_eq!(Percentiles::of(Vec::new()).p50, 0.0);
        let histogram = |counts: [u64; 3]| {
            let bounds = [0.001, 0.002, f64::INFINITY].into_iter().zip(counts);
            BTreeMap::from([("rank".to_owned(), bounds.collect::<Vec<_>>())])
        };
        let of = difference(&histogram([12, 20, 20]), &histogram([10, 10, 10]));
        assert_eq!((of["rank"].count, of["rank"].p50, of["rank"].p90), (10, 2.0, 2.0));
    }
}
