//! What only the world knows: why users did what they did, and how likely it was. Never read by samples or training.
//!
//! The true probabilities give AUC and gAUC of somebody who sees into the world ([`Ceiling`]), which no model does; the causes let
//! the disentangling of shared and domain-specific interests be measured.

use eliverec_core::EventKind;
use eliverec_metrics::{Error, Evaluation, Report};
use serde::{Deserialize, Serialize};

use crate::taste::InterestKind;

/// What drove a watch or a product click.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// An interest that acts in both domains.
    Shared,
    /// An interest that acts among products only.
    ProductOnly,
    /// An interest that acts among live channels only.
    LiveOnly,
    /// Loyalty to the anchor.
    Loyalty,
    /// The channel or the goods are popular.
    Popularity,
    /// Nothing in particular.
    Noise,
}

impl Cause {
    /// All causes.
    pub const ALL: [Self; 6] = [
        Self::Shared,
        Self::ProductOnly,
        Self::LiveOnly,
        Self::Loyalty,
        Self::Popularity,
        Self::Noise,
    ];

    /// Its name in the truth file.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Shared => "shared",
            Self::ProductOnly => "product_only",
            Self::LiveOnly => "live_only",
            Self::Loyalty => "loyalty",
            Self::Popularity => "popularity",
            Self::Noise => "noise",
        }
    }

    /// The cause of that name.
    pub fn of(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|cause| cause.name() == name)
    }
}

impl From<InterestKind> for Cause {
    fn from(kind: InterestKind) -> Self {
        match kind {
            InterestKind::Shared => Self::Shared,
            InterestKind::ProductOnly => Self::ProductOnly,
            InterestKind::LiveOnly => Self::LiveOnly,
        }
    }
}

/// The truth about one event of the log.
#[derive(Clone, Debug, PartialEq)]
pub enum Truth {
    /// About an impression; those of one request come one after the other.
    Impression {
        /// The event.
        event_id: u64,
        /// Its time, milliseconds since 1970 UTC.
        ts_ms: i64,
        /// Its request.
        request_id: u64,
        /// Who.
        user_id: u64,
        /// Which channel.
        channel_id: u64,
        /// Place in the feed, from 0.
        position: u16,
        /// Probability that it becomes a watch of at least the threshold, given everything the world knows at the request.
        /// One rare thing is not in it: an earlier watch of the same feed may last until this channel's stream is over.
        watch_probability: f32,
        /// Whether it does.
        watched: bool,
    },
    /// About a watch or a product click.
    Cause {
        /// The event.
        event_id: u64,
        /// Its time, milliseconds since 1970 UTC.
        ts_ms: i64,
        /// `Watch` or `ProductClick`.
        kind: EventKind,
        /// Who.
        user_id: u64,
        /// Its request, if the log has it.
        request_id: Option<u64>,
        /// In which channel, if any.
        channel_id: Option<u64>,
        /// Which product, of a click.
        product_id: Option<u64>,
        /// Why.
        cause: Cause,
    },
}

impl Truth {
    /// Time of the event, milliseconds since 1970 UTC.
    pub fn ts_ms(&self) -> i64 {
        match self {
            Self::Impression { ts_ms, .. } | Self::Cause { ts_ms, .. } => *ts_ms,
        }
    }
}

/// What the true probabilities do, to be printed beside their metrics.
pub const CEILING: &str =
    "know the users' minds, the place and the bag, which no log shows: out of reach of any model";

/// The metrics of the true probabilities.
#[derive(Clone, Debug, Default)]
pub struct Ceiling {
    evaluation: Evaluation,
    feed: Option<(u64, u64)>,
    probabilities: Vec<f32>,
    watched: Vec<bool>,
}

impl Ceiling {
    /// Nothing seen.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next record; causes say nothing here. Leave out impressions that are not to be measured.
    ///
    /// # Errors
    /// A probability outside `[0, 1]`, which the world never gives.
    pub fn add(&mut self, truth: &Truth) -> Result<(), Error> {
        if let Truth::Impression { request_id, user_id, watch_probability, watched, .. } = truth {
            let feed = Some((*request_id, *user_id));
            if self.feed != feed {
                self.close()?;
                self.feed = feed;
            }
            self.probabilities.push(*watch_probability);
            self.watched.push(*watched);
        }
        Ok(())
    }

    /// The metrics of the true probabilities.
    ///
    /// # Errors
    /// As [`Ceiling::add`].
    pub fn finish(mut self) -> Result<Report, Error> {
        self.close()?;
        Ok(self.evaluation.finish())
    }

    fn close(&mut self) -> Result<(), Error> {
        if let Some((_, user)) = self.feed {
            self.evaluation.add_feed(user, &self.probabilities, &self.watched)?;
            self.probabilities.clear();
            self.watched.clear();
        }
        Ok(())
    }
}
