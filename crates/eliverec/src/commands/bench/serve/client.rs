//! Whoever asks: calls at a pace, answers with their times.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

use super::arguments::Arguments;
use super::calls::Calls;
use super::percentiles::{Histogram, Percentiles};
use super::tally::{Answered, Loads, Tally};

/// When the next call is made.
#[derive(Clone, Copy, Debug)]
pub(super) enum Pace {
    /// So many a second, whatever was answered.
    Due { rate: f64, connections: usize },
    /// On each connection when the one before is answered.
    AsAnswered { connections: usize },
}

impl Pace {
    pub(super) const fn rate(self) -> Option<f64> {
        match self {
            Self::Due { rate, .. } => Some(rate),
            Self::AsAnswered { .. } => None,
        }
    }
}

/// Waits until then. Sleeping ends some tens of microseconds late, which would be counted as the service's; the last of the time is
/// waited awake.
fn wait_until(due: Instant) {
    const AWAKE: Duration = Duration::from_micros(200);
    std::thread::sleep(due.saturating_duration_since(Instant::now()).saturating_sub(AWAKE));
    while Instant::now() < due {
        std::thread::yield_now();
    }
}

/// How long after a load's time calls are made that were due within it.
const LATE: Duration = Duration::from_secs(5);

pub(super) struct Client {
    agent: ureq::Agent,
    url: String,
    token: Option<String>,
}

/// What a service says of itself.
#[derive(Clone, Copy, Debug)]
pub(super) struct OfService {
    /// Its memory.
    pub(super) resident_mib: f64,
    /// Time of the processor that it has taken, all its threads together, seconds.
    pub(super) processor_s: f64,
    /// How often a user's encoded side was found by the bundle in service.
    pub(super) kept: f64,
    /// How often it was not, and was made.
    pub(super) encoded: f64,
}

impl Client {
    pub(super) fn new(arguments: &Arguments) -> Self {
        let agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .max_idle_connections(arguments.connections + 17)
            .max_idle_connections_per_host(arguments.connections + 17)
            .timeout_global(Some(Duration::from_secs(30)))
            .build();
        let url = arguments.url.trim_end_matches('/').to_owned();
        let token = arguments.token.as_ref().map(|token| format!("Bearer {token}"));
        Self { agent: agent.into(), url, token }
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

    /// Status and text of one call.
    pub(super) fn post(&self, path: &str, body: &[u8]) -> anyhow::Result<(u16, String)> {
        let mut response = self.send(path, body)?;
        let text = response.body_mut().read_to_string()?;
        Ok((response.status().as_u16(), text))
    }

    fn send(
        &self,
        path: &str,
        body: &[u8],
    ) -> Result<ureq::http::Response<ureq::Body>, ureq::Error> {
        let mut request = self.agent.post(format!("{}{path}", self.url));
        if let Some(token) = &self.token {
            request = request.header("authorization", token);
        }
        request.header("content-type", "application/json").send(body)
    }

    /// One call of a load that was due then.
    fn ask(&self, calls: &Calls, i: usize, due: Instant) -> Answered {
        let body = calls.body(i);
        let read = self.send(calls.path(), &body).and_then(|mut answer| {
            // To its end, as a caller would.
            let text = answer.body_mut().read_to_vec()?;
            Ok((answer, text))
        });
        let took = due.elapsed();
        let Ok((answer, text)) = read else {
            return Answered { status: 0, took, stages: Vec::new(), retry_after: false };
        };
        let status = answer.status().as_u16();
        if status == 200 {
            calls.count(&text);
        }
        let stages = answer.headers().get("server-timing").and_then(|of| of.to_str().ok());
        let stage = |of: &str| {
            let (name, ms) = of.trim().split_once(";dur=")?;
            let ms: f64 = ms.parse().ok()?;
            Some((name.into(), Duration::try_from_secs_f64(ms / 1e3).ok()?))
        };
        Answered {
            status,
            took,
            stages: stages.unwrap_or_default().split(',').filter_map(stage).collect(),
            retry_after: answer.headers().contains_key("retry-after"),
        }
    }

    pub(super) fn calibrate(&self) -> anyhow::Result<Percentiles> {
        let mut times = Histogram::default();
        for _ in 0..1_000 {
            let begun = Instant::now();
            self.get("/healthz")?;
            times.add(begun.elapsed());
        }
        Ok(times.percentiles())
    }

    /// Calls for so long; what came of them, those that met one of `loads` apart.
    pub(super) fn load(
        &self,
        calls: &Calls,
        pace: Pace,
        time: Duration,
        loads: &Loads,
    ) -> anyhow::Result<Tally> {
        let (begun, next) = (Instant::now(), AtomicUsize::new(0));
        let first = calls.take_turns();
        let send = || {
            let mut tally = Tally::default();
            loop {
                // Calls that are late by now are not caught up with for ever.
                if begun.elapsed() >= time + LATE {
                    return tally;
                }
                let i = next.fetch_add(1, Ordering::Relaxed);
                let due = match pace {
                    Pace::Due { rate, .. } => Duration::from_secs_f64(i as f64 / rate),
                    Pace::AsAnswered { .. } => begun.elapsed(),
                };
                if due >= time {
                    return tally;
                }
                let due = begun + due;
                wait_until(due);
                tally.add(&self.ask(calls, first + i, due), due, loads);
            }
        };
        let (Pace::Due { connections, .. } | Pace::AsAnswered { connections }) = pace;
        let tallies = std::thread::scope(|scope| {
            let sending: Vec<_> = (0..connections).map(|_| scope.spawn(send)).collect();
            let answers = sending.into_iter().map(std::thread::ScopedJoinHandle::join);
            let answers: Result<Vec<_>, _> = answers.collect();
            answers.map_err(|_| anyhow::anyhow!("a thread that sends has ended"))
        })?;
        calls.turns_taken(first + next.into_inner());
        let mut all = Tally::default();
        tallies.iter().for_each(|tally| all.merge(tally));
        if let Pace::Due { rate, .. } = pace {
            let due = (time.as_secs_f64() * rate).ceil() as u64;
            all.not_made = due.saturating_sub(all.statuses.values().sum());
        }
        Ok(all)
    }

    /// What the service says of itself.
    pub(super) fn of_service(&self) -> anyhow::Result<OfService> {
        let (status, text) = self.get("/metrics")?;
        if status != 200 {
            bail!("{}/metrics answers {status}; give a token with the scope admin", self.url);
        }
        let value = |name: &str| {
            let value = text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok());
            value.unwrap_or(f64::NAN)
        };
        Ok(OfService {
            resident_mib: value("eliverec_resident_memory_bytes ") / 1024.0 / 1024.0,
            processor_s: value("eliverec_processor_seconds "),
            kept: value("eliverec_encoded_users{what=\"hits\"}"),
            encoded: value("eliverec_encoded_users{what=\"misses\"}"),
        })
    }
}
