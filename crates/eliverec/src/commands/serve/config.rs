//! The settings file of a service.

use std::path::Path;

use eliverec_http::settings::within;
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
    /// Records of the log between snapshots at most, whatever the time: a start after a kill reads those behind the newest.
    pub(super) snapshot_records: u64,
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
            snapshot_records: 1_000_000,
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
        let state = &config.state;
        let keys = [
            ("state.gather_ms", state.gather_ms, 0..=1_000),
            ("state.waiting_records", state.waiting_records as u64, 1..=10_000_000),
            ("state.known_ids", state.known_ids as u64, 1..=1_000_000_000),
            ("state.segment_records", state.segment_records, 1..=100_000_000),
            ("state.shared_records", state.shared_records, 1..=1_000_000_000),
            ("cache_mib", config.cache_mib as u64, 0..=1 << 20),
            ("snapshot_s", config.snapshot_s, 1..=86_400),
            ("snapshot_records", config.snapshot_records, 1..=1_000_000_000),
        ];
        within(keys).map_err(|e| wrong(e.to_string()))?;
        if config.state.keep_days.is_some_and(|days| days < FEWEST_DAYS) {
            let reason = "state.keep_days: is less than 2; write 2 or more, for `eliverec samples` makes the feeds of a day of its \
                          folder and that of the day after";
            return Err(wrong(reason.into()));
        }
        Ok(config)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_work_is_refused_by_its_key() {
        for (text, message) in [
            ("cache_mib = 1048577", "serve.toml: cache_mib: is 1048577; write 0 to 1048576"),
            ("snapshot_s = 0", "snapshot_s: is 0; write 1 to 86400"),
            ("[state]\ngather_ms = 1001", "state.gather_ms: is 1001; write 0 to 1000"),
            ("[state]\nwaiting_records = 0", "state.waiting_records: is 0; write 1 to"),
            ("[state]\nknown_ids = 1000000001", "state.known_ids: "),
            ("[state]\nsegment_records = 0", "state.segment_records: "),
            ("[state]\nshared_records = 0", "state.shared_records: "),
            ("[state]\nkeep_days = 1", "state.keep_days: is less than 2"),
            ("[limits]\nworkers = 9999", "limits.workers: is 9999; write 0 to 1024"),
        ] {
            let told = ServeConfig::parse(text, Path::new("serve.toml")).unwrap_err().to_string();
            assert!(told.contains(message), "{told}");
        }
        assert!(ServeConfig::parse("", Path::new("serve.toml")).is_ok());
    }
}
