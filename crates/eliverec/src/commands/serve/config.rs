//! The settings file of a service.

use std::path::Path;

use eliverec_http::Settings;
use eliverec_retrieval::RetrievalConfig;
use eliverec_state::StateConfig;
use serde::Deserialize;

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
}

/// How the log is written; the settings of the folds are the bundle's.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct LogConfig {
    gather_ms: u64,
    waiting_records: usize,
    known_ids: usize,
    segment_records: u64,
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
        }
    }
}

impl Default for LogConfig {
    fn default() -> Self {
        let StateConfig { gather_ms, waiting_records, known_ids, segment_records, .. } =
            StateConfig::default();
        let shared_records = 1_000_000;
        Self { gather_ms, waiting_records, known_ids, segment_records, shared_records }
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
        Ok(config)
    }
}
