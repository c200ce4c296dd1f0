//! What a caller chooses about samples.

use eliverec_features::FeatureConfig;
use eliverec_tables::events::Day;
use serde::{Deserialize, Serialize};

use crate::error::Error;

/// Which requests become feeds, and how.
#[derive(Clone, Debug, PartialEq)]
pub struct SampleConfig {
    /// Requests from this day (UTC) on; the log's first day if `None`.
    pub from: Option<Day>,
    /// Requests up to the end of this day; the log's last day if `None`.
    pub to: Option<Day>,
    /// Days of the log before `from` that features may draw on; all there are if `None`.
    pub history_days: Option<u32>,
    /// The folds' settings; `stay_threshold_s` also decides what the label `watched` means.
    pub features: FeatureConfig,
    /// What a user did counts for a request if it began within this time after it, milliseconds.
    pub attribution_window_ms: i64,
    /// What becomes of a candidate that the user entered and left again before the threshold.
    pub below_threshold: BelowThreshold,
    /// Whether rows that are no events are set aside and counted instead of ending the run.
    pub lenient: bool,
    /// Threads, and partitions of the plans. The feeds do not depend on it.
    pub threads: usize,
    /// Memory of the engine's sorts and exchanges together, bytes; sorts that need more go to disk. The feeds do not
    /// depend on it. Beside it the process holds the dimension tables, per thread the state of one user and one channel,
    /// the rows of one request, and one row group of feeds.
    pub memory_limit_bytes: usize,
}

/// A candidate whose longest stay is known and below the threshold: the user looked in, and left.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BelowThreshold {
    /// It is in no feed: the paper deletes such records (Sec. V-A).
    Drop,
    /// It was not watched.
    #[default]
    Negative,
}

impl BelowThreshold {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
    fn is_negative(&self) -> bool {
        *self == Self::Negative
    }
}

/// Memory that each thread needs: the batches that its four sorts take in and merge.
pub const LEAST_MEMORY_BYTES: usize = 64 << 20;

impl Default for SampleConfig {
    fn default() -> Self {
        Self {
            from: None,
            to: None,
            history_days: None,
            features: FeatureConfig::default(),
            attribution_window_ms: 30 * 60 * 1000,
            below_threshold: BelowThreshold::Drop,
            lenient: false,
            threads: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            memory_limit_bytes: 1 << 30,
        }
    }
}

impl SampleConfig {
    /// Checks that the values can work.
    ///
    /// # Errors
    /// [`Error::Config`] names the option.
    pub fn check(&self) -> Result<(), Error> {
        let wrong = |option, reason| Err(Error::Config { option, reason });
        self.features.check()?;
        if let (Some(from), Some(to)) = (self.from, self.to)
            && from > to
        {
            return wrong("from", format!("is {from}, which is after to, {to}; swap them"));
        }
        if self.attribution_window_ms < 0 {
            let reason = format!("is {}; write 0 or more", self.attribution_window_ms);
            return wrong("attribution_window_ms", reason);
        }
        if self.threads == 0 {
            return wrong("threads", "is 0; write 1 or more".into());
        }
        if self.memory_limit_bytes < LEAST_MEMORY_BYTES * self.threads {
            let least = LEAST_MEMORY_BYTES * self.threads;
            let reason = format!(
                "is {}; {} threads need {least} or more",
                self.memory_limit_bytes, self.threads
            );
            return wrong("memory_limit_bytes", reason);
        }
        Ok(())
    }

    /// Whether requests of a day become feeds.
    pub(crate) fn asks_for(&self, day: Day) -> bool {
        self.from.is_none_or(|from| day >= from) && self.to.is_none_or(|to| day <= to)
    }

    /// What feeds of one directory must have in common.
    pub(crate) fn recipe(&self) -> Recipe {
        Recipe {
            features: self.features,
            attribution_window_ms: self.attribution_window_ms,
            below_threshold: self.below_threshold,
            history_days: self.history_days,
            from: self.from.filter(|_| self.history_days.is_some()),
        }
    }
}

/// The settings on which the content of a day's feeds depends, kept beside the feeds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Recipe {
    pub(crate) attribution_window_ms: i64,
    /// Feeds from before there was a choice have them as not watched.
    #[serde(default, skip_serializing_if = "BelowThreshold::is_negative")]
    pub(crate) below_threshold: BelowThreshold,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    history_days: Option<u32>,
    /// The first day, where the history is counted from it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    from: Option<Day>,
    pub(crate) features: FeatureConfig,
}

impl Recipe {
    /// The first day of the log that features draw on; all there are if `None`.
    pub(crate) fn first_day(&self) -> Option<Day> {
        first_day(self.from, self.history_days)
    }
}

/// A limited history is counted from the first day asked for.
pub(crate) fn first_day(from: Option<Day>, history_days: Option<u32>) -> Option<Day> {
    from?.plus(-i32::try_from(history_days?).unwrap_or(i32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrong_settings_are_named() {
        let fine = SampleConfig::default();
        assert!(fine.check().is_ok());
        let day = |text: &str| Some(text.parse::<Day>().unwrap());
        let late = FeatureConfig { allowed_lateness_ms: -1, ..FeatureConfig::default() };
        let cases = [
            (
                SampleConfig { from: day("2024-05-02"), to: day("2024-05-01"), ..fine.clone() },
                "samples: from is 2024-05-02, which is after to, 2024-05-01",
            ),
            (
                SampleConfig { attribution_window_ms: -5, ..fine.clone() },
                "samples: attribution_window_ms is -5",
            ),
            (SampleConfig { threads: 0, ..fine.clone() }, "samples: threads is 0"),
            (
                SampleConfig { threads: 2, memory_limit_bytes: 1 << 20, ..fine.clone() },
                "samples: memory_limit_bytes is 1048576; 2 threads need 134217728 or more",
            ),
            (SampleConfig { features: late, ..fine }, "features: allowed_lateness_ms is -1"),
        ];
        for (config, start) in cases {
            let message = config.check().unwrap_err().to_string();
            assert!(message.starts_with(start), "{message}");
        }
    }
}
