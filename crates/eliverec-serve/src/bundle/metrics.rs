//! `metrics.json`: what was measured on feeds when the bundle was made.

use std::collections::BTreeMap;

use eliverec_metrics::{Change, Report};
use serde::{Deserialize, Serialize};

/// The name of the file.
pub const METRICS_FILE: &str = "metrics.json";

/// Offline metrics, and what the rows' precision changed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OfflineMetrics {
    /// The split that was scored.
    pub split: String,
    /// Its requests.
    pub feeds: u64,
    /// Their candidates.
    pub impressions: u64,
    /// How far the bundle's scores are from the run's, by the name of the scores' column.
    pub changes: BTreeMap<String, Change>,
    /// Of the run; `None` where the feeds have no labels.
    pub run: Option<Report>,
    /// Of the bundle.
    pub bundle: Option<Report>,
}

impl OfflineMetrics {
    /// By how much the bundle's AUC is larger than the run's, where both have one.
    pub fn auc_change(&self) -> Option<f64> {
        let auc = |report: &Option<Report>| report.as_ref().and_then(|report| report.auc);
        Some(auc(&self.bundle)? - auc(&self.run)?)
    }
}
