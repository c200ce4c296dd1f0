//! The settings file of a service.

use std::path::Path;

use eliverec_http::{Impressions, Settings};
use eliverec_retrieval::RetrievalConfig;
use eliverec_state::StateConfig;
use serde::Deserialize;

/// Folders of days without which no feeds can be made.
const FEWEST_DAYS: usize = 2;

/// All of it; what is left out has its default.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct ServeConfig {
    /// What a caller may ask for.
    pub(super) limits: Settings,
    /// Quotas and settings of the sources.
    pub(super) retrieval: RetrievalConfig,
    /// Of the log.
    pub(super) state: LogConfig,
    /// MiB for encoded sides of users.
    pub(super) cache_mib: usize,
    /// Seconds between snapshots of the state.
    pub(super) snapshot_s: u64,
    /// What counts as shown: what callers say, or every answer.
    pub(super) impressions: Impressions,
}

/// How the log is written; the settings of the folds are the bundle's.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct LogConfig {
    gather_ms: u64,
    waiting_records: usize,
    known_ids: usize,
    segment_records: u64,
    /// Folders of days that stay, the newest; all of them if it is left out.
    pub(super) keep_days: Option<usize>,
    /// Those who follow get another snapshot after so many records: more take longer to catch up with and more room at the server.
    pub(super) shared_records: u64,
}

impl Default for ServeConfig {
    fn default() -> Self {
        Self {
            limits: Settings::default(),
            retrieval: RetrievalConfig::default(),
            state: LogConfig::default(),
            cache_mib: 512,
            snapshot_s: 300,
            impressions: Impressions::default(),
        }
    }
}

impl Default for LogConfig {
    fn default() -> Self {
        let StateConfig { gather_ms, waiting_records, known_ids, segment_records, .. } =
            StateConfig::default();
        Self {
            gather_ms,
            waiting_records,
            known_ids,
            segment_records,
            keep_days: None,
            shared_records: 1_000_000,
        }
    }
}

impl From<LogConfig> for StateConfig {
    fn from(config: LogConfig) -> Self {
        let LogConfig { gather_ms, waiting_records, known_ids, segment_records, .. } = config;
        Self { gather_ms, waiting_records, known_ids, segment_records, ..Self::default() }
    }
}

impl ServeConfig {
    /// Parses and checks the text of the file at `path`.
    pub(super) fn parse(text: &str, path: &Path) -> anyhow::Result<Self> {
        let wrong = |reason: String| {
            let path = path.into();
            anyhow::Error::from(eliverec_run::Error::Run { path, reason })
        };
        let config: Self = toml::from_str(text).map_err(|e| wrong(e.to_string()))?;
        config.limits.check().map_err(|e| wrong(format!("limits.{e}")))?;
        config.retrieval.check().map_err(|e| wrong(format!("retrieval.{e}")))?;
        for (key, value) in [
            ("state.waiting_records", config.state.waiting_records as u64),
            ("state.known_ids", config.state.known_ids as u64),
            ("state.segment_records", config.state.segment_records),
            ("state.shared_records", config.state.shared_records),
            ("snapshot_s", config.snapshot_s),
        ] {
            if value == 0 {
                return Err(wrong(format!("{key}: is 0; write 1 or more")));
            }
        }
        if config.state.keep_days.is_some_and(|days| days < FEWEST_DAYS) {
            let reason = "state.keep_days: is less than 2; write 2 or more, for `eliverec samples` makes the feeds of a day of its \
                          folder and that of the day after";
            return Err(wrong(reason.into()));
        }
        Ok(config)
    }
}
