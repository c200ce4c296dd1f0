//! Constants of serving.

use std::path::PathBuf;

use serde::Deserialize;

use super::output::{only, paths, positive};
use crate::error::Error;
use crate::line::Constant;

/// What measures them: a load of requests, and one of events.
const RANK: &str = "eliverec bench serve --call recommend --histories 50 --load 0.5 --json";
const EVENTS: &str = "eliverec bench serve --call events --json";

/// Constants of serving.
#[derive(Clone, Debug)]
pub(crate) struct Serving {
    /// Seconds of a core for a request.
    pub(crate) request_s: Constant,
    /// Bytes of a user's folds in memory.
    pub(crate) user_bytes: Constant,
    /// Events a second that one writer takes in.
    pub(crate) events_per_s: Constant,
}

impl Serving {
    pub(super) fn new(
        serve: Option<&(PathBuf, String)>,
        events: Option<&(PathBuf, String)>,
    ) -> Result<Self, Error> {
        let bench: ServeBench =
            only(serve, RANK, "what a request costs and a user takes", "--serve")?;
        let not_told =
            |constants| Error::NotMeasured { constants, command: RANK, option: "--serve" };
        let of = |name, value, unit, from| {
            let files = paths(serve);
            positive(Constant { name, value, unit, from, command: RANK, files })
        };
        let ms = bench
            .processor_ms_per_call
            .ok_or_else(|| not_told("the processor time of a request"))?;
        let filled = bench.filled.ok_or_else(|| not_told("the memory of a user (--histories)"))?;
        let [before, after] = filled.resident_mib;
        let of_events: ServeBench =
            only(events, EVENTS, "how many events a writer takes in", "--events")?;
        let events_per_s = of_events.events_per_s.ok_or(Error::NotMeasured {
            constants: "how many events a writer takes in",
            command: EVENTS,
            option: "--events",
        })?;
        Ok(Self {
            request_s: of("request_s", ms / 1e3, "core s/request", "processor_ms_per_call / 1000")?,
            user_bytes: of(
                "user_bytes",
                (after - before) * 1024.0 * 1024.0 / filled.users,
                "bytes/user",
                "difference of filled.resident_mib / filled.users",
            )?,
            events_per_s: positive(Constant {
                name: "events_per_s",
                value: events_per_s,
                unit: "events/s of a writer",
                from: "events_per_s",
                command: EVENTS,
                files: paths(events),
            })?,
        })
    }
}

#[derive(Debug, Deserialize)]
struct ServeBench {
    events_per_s: Option<f64>,
    processor_ms_per_call: Option<f64>,
    filled: Option<Filled>,
}

#[derive(Debug, Deserialize)]
struct Filled {
    users: f64,
    resident_mib: [f64; 2],
}
