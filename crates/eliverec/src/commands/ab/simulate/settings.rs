//! What decides about the numbers of one experiment.

use anyhow::Context;
use eliverec_sim::WorldConfig;
use eliverec_sim::config::DAY_MS;
use eliverec_tables::events::Day;
use serde::{Deserialize, Serialize};

/// What decides about the numbers of one experiment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Settings {
    pub(super) users: u32,
    pub(super) days: u32,
    pub(super) before: u32,
    pub(super) history: u32,
    pub(super) seed: u64,
    pub(super) overrides: Vec<String>,
}

impl Settings {
    pub(super) fn world(&self) -> WorldConfig {
        WorldConfig {
            users: self.users,
            days: self.before + self.days,
            history_days: self.history,
            seed: self.seed,
            ..WorldConfig::default()
        }
    }

    /// Midnight before a day of the experiment, counted from 0, milliseconds since 1970 UTC.
    pub(super) fn midnight_ms(&self, day: u32) -> i64 {
        self.world().start_ms + i64::from(self.before + day) * DAY_MS
    }

    /// A day of the experiment, counted from 0.
    pub(super) fn day(&self, day: u32) -> anyhow::Result<Day> {
        Day::of(self.midnight_ms(day)).context("the world lives between the years 0 and 9999")
    }

    pub(super) fn text(&self) -> anyhow::Result<String> {
        Ok(toml::to_string(self)?)
    }
}
