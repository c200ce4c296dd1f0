//! Constants of samples.

use std::path::PathBuf;

use serde::Deserialize;

use super::output::{only, paths, positive};
use crate::error::Error;
use crate::line::Constant;

/// What measures them.
const SAMPLES: &str = "eliverec bench samples --shards 2 --json";

/// Constants of samples.
#[derive(Clone, Debug)]
pub(crate) struct Samples {
    pub(crate) events_per_impression: Constant,
    pub(crate) log_bytes: Constant,
    pub(crate) feeds_bytes: Constant,
    /// Seconds of an impression by which a task reads the whole log, as one by channel does and as one by user does.
    pub(crate) channels_read_s: Constant,
    pub(crate) users_read_s: Constant,
    /// Seconds of an impression that the tasks share.
    pub(crate) channels_s: Constant,
    pub(crate) users_s: Constant,
    /// Seconds of an impression from requests to feeds, in one process.
    pub(crate) feeds_s: Constant,
    pub(crate) exchange_bytes: Constant,
    pub(crate) threads: Constant,
    pub(crate) memory_mib: Constant,
}

impl Samples {
    pub(super) fn new(file: Option<&(PathBuf, String)>) -> Result<Self, Error> {
        let constants = "how long samples take";
        let bench: SamplesBench = only(file, SAMPLES, constants, "--samples")?;
        let files = paths(file);
        let missing = Error::NotMeasured {
            constants: "how long the tasks of samples take",
            command: SAMPLES,
            option: "--samples",
        };
        let largest = bench.timings.iter().max_by(|a, b| a.impressions.total_cmp(&b.impressions));
        let Some((timing, job)) = largest.and_then(|of| Some((of, of.job.as_ref()?))) else {
            return Err(missing);
        };
        let of = |name, value, unit, from| {
            positive(Constant { name, value, unit, from, command: SAMPLES, files: files.clone() })
        };
        let per = |value: f64| value / timing.impressions;
        // One thread read it once; a task reads it with all of its threads.
        let channels_read_s = timing.read_s / bench.threads;
        let users_read_s = channels_read_s * (timing.events - timing.impressions) / timing.events;
        let shared = |seconds: f64, read_s: f64| seconds - job.shards * read_s;
        let memory = timing.peak_memory_mib.unwrap_or(f64::NAN);
        Ok(Self {
            events_per_impression: of(
                "events_per_impression",
                per(timing.events),
                "events",
                "events / impressions",
            )?,
            log_bytes: of(
                "log_bytes",
                per(timing.log_bytes),
                "bytes/impression",
                "log_bytes / impressions",
            )?,
            feeds_bytes: of(
                "feeds_bytes",
                per(timing.feeds_bytes),
                "bytes/impression",
                "feeds_bytes / impressions",
            )?,
            channels_read_s: of(
                "channels_read_s",
                per(channels_read_s),
                "s/impression",
                "read_s / threads / impressions",
            )?,
            users_read_s: of(
                "users_read_s",
                per(users_read_s),
                "s/impression",
                "channels_read_s x (events - impressions) / events",
            )?,
            channels_s: of(
                "channels_s",
                per(shared(job.channels_s, channels_read_s)),
                "s/impression",
                "(job.channels_s - job.shards x read) / impressions",
            )?,
            users_s: of(
                "users_s",
                per(shared(job.users_s, users_read_s)),
                "s/impression",
                "(job.users_s - job.shards x read) / impressions",
            )?,
            feeds_s: of("feeds_s", per(job.feeds_s), "s/impression", "job.feeds_s / impressions")?,
            exchange_bytes: of(
                "exchange_bytes",
                per(job.impressions_bytes + job.requests_bytes),
                "bytes/impression",
                "(job.impressions_bytes + job.requests_bytes) / impressions",
            )?,
            threads: of("sample_threads", bench.threads, "cores/task", "threads")?,
            memory_mib: of("sample_memory", memory, "MiB/task", "peak_memory_mib")?,
        })
    }
}

#[derive(Debug, Deserialize)]
struct SamplesBench {
    threads: f64,
    timings: Vec<SamplesTiming>,
}

#[derive(Debug, Deserialize)]
struct SamplesTiming {
    impressions: f64,
    events: f64,
    read_s: f64,
    log_bytes: f64,
    feeds_bytes: f64,
    peak_memory_mib: Option<f64>,
    job: Option<JobTiming>,
}

#[derive(Debug, Deserialize)]
struct JobTiming {
    shards: f64,
    channels_s: f64,
    users_s: f64,
    feeds_s: f64,
    impressions_bytes: f64,
    requests_bytes: f64,
}
