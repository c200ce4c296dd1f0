//! What says when training has learnt enough.

use eliverec_metrics::Report;
use serde::{Deserialize, Serialize};

/// What early stopping watches on the validation split.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StopMetric {
    /// Over all impressions.
    Auc,
    /// The paper's gAUC, per user.
    GaucUser,
    /// gAUC per feed: what a ranking of one request is about, and defined where users ask once (the default).
    GaucFeed,
    /// Per feed.
    #[serde(rename = "ndcg_at_10")]
    NdcgAt10,
    /// Smaller is better.
    Logloss,
}

impl StopMetric {
    /// As in a config and in a report.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Auc => "auc",
            Self::GaucUser => "gauc_user",
            Self::GaucFeed => "gauc_feed",
            Self::NdcgAt10 => "ndcg_at_10",
            Self::Logloss => "logloss",
        }
    }

    /// Its value in a report, larger being better; `None` where it is undefined.
    pub fn of(self, report: &Report) -> Option<f64> {
        match self {
            Self::Auc => report.auc,
            Self::GaucUser => report.gauc_user,
            Self::GaucFeed => report.gauc_feed,
            Self::NdcgAt10 => report.ndcg_at_10,
            Self::Logloss => report.logloss.map(|loss| -loss),
        }
    }
}
