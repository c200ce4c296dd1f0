//! The parts of the way of a request, and what they took.

use std::fmt::Write as _;
use std::time::Duration;

use prometheus_client::encoding::{EncodeLabelValue, LabelValueEncoder};

/// A part of the way of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stage {
    /// For a free worker.
    Wait,
    /// For what the process that is followed tells of the user.
    Fetch,
    /// The features of user and candidates.
    Features,
    /// Which channels to score, the user's intents included.
    Retrieval,
    /// Their scores.
    Rank,
    /// From a batch's arrival to its acknowledgement.
    Ingest,
    /// From a request's arrival to its answer.
    Total,
}

impl Stage {
    /// All stages.
    pub const ALL: [Self; 7] = [
        Self::Wait,
        Self::Fetch,
        Self::Features,
        Self::Retrieval,
        Self::Rank,
        Self::Ingest,
        Self::Total,
    ];

    /// Its name in the metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Wait => "wait",
            Self::Fetch => "fetch",
            Self::Features => "features",
            Self::Retrieval => "retrieval",
            Self::Rank => "rank",
            Self::Ingest => "ingest",
            Self::Total => "total",
        }
    }
}

/// What the stages of one request took.
#[derive(Clone, Debug, Default)]
pub struct Stages(pub(crate) Vec<(Stage, Duration)>);

impl Stages {
    /// So long one of them took.
    pub fn took(&mut self, stage: Stage, time: Duration) {
        self.0.push((stage, time));
    }

    /// What a stage took; `None` of one that was not on the way.
    pub fn of(&self, stage: Stage) -> Option<Duration> {
        self.0.iter().find(|(of, _)| *of == stage).map(|(_, took)| *took)
    }

    /// As the header `server-timing` has it (W3C Server Timing), milliseconds.
    pub fn header(&self) -> String {
        let one = |(stage, took): &(Stage, Duration)| {
            format!("{};dur={:.3}", stage.name(), took.as_secs_f64() * 1e3)
        };
        self.0.iter().map(one).collect::<Vec<_>>().join(", ")
    }
}

impl EncodeLabelValue for Stage {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> std::fmt::Result {
        encoder.write_str(self.name())
    }
}
