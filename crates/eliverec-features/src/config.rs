//! The settings of the folds. They shape the state, so states merge only if theirs are equal.

use serde::{Deserialize, Serialize};

use crate::error::Error;

/// How much is kept, what counts as a watch, and what is late.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FeatureConfig {
    /// An event that arrives more than this after it happened is left out, milliseconds. Phones send their log in
    /// batches and after dead spots; ten minutes takes those in.
    pub allowed_lateness_ms: i64,
    /// A stay of at least this many seconds is a watch (the paper's Sec. V-A drops shorter ones without a number).
    /// Swiping past takes a second or two.
    pub stay_threshold_s: f64,
    /// Product clicks kept per user, n (the paper's Sec. V-A: 50).
    pub product_history: usize,
    /// Watches kept per user, l (the paper's Sec. V-A: 50).
    pub channel_history: usize,
    /// Watches per user among which the affinity to an anchor counts.
    pub affinity_watches: usize,
    /// Products per channel whose last switch, on or off, is known. A channel that puts another product on sale every
    /// three minutes switches that many in a day.
    pub bag_products: usize,
    /// Clicks and watches count for so many days; all of them if `None`. A service forgets a user when nothing counts any more.
    /// Last and left out if `None`, so that what was written without it stays what it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub history_age_days: Option<u32>,
}

impl Default for FeatureConfig {
    fn default() -> Self {
        Self {
            allowed_lateness_ms: 10 * 60 * 1000,
            stay_threshold_s: 3.0,
            product_history: 50,
            channel_history: 50,
            affinity_watches: 128,
            bag_products: 500,
            history_age_days: None,
        }
    }
}

/// Longer lists would make every event pay for moving them.
const LONGEST: usize = 10_000;

impl FeatureConfig {
    /// Checks that the values can work.
    ///
    /// # Errors
    /// [`Error::Config`] names the option.
    pub fn check(&self) -> Result<(), Error> {
        let wrong = |option, reason: String| Err(Error::Config { option, reason });
        if self.allowed_lateness_ms < 0 {
            let reason = format!("is {}; write 0 or more", self.allowed_lateness_ms);
            return wrong("allowed_lateness_ms", reason);
        }
        if !self.stay_threshold_s.is_finite() || self.stay_threshold_s < 0.0 {
            let reason = format!("is {}; write seconds, 0 or more", self.stay_threshold_s);
            return wrong("stay_threshold_s", reason);
        }
        for (option, length) in [
            ("product_history", self.product_history),
            ("channel_history", self.channel_history),
            ("affinity_watches", self.affinity_watches),
            ("bag_products", self.bag_products),
        ] {
            if length > LONGEST {
                return wrong(option, format!("is {length}; write at most {LONGEST}"));
            }
        }
        Ok(())
    }

    /// The moment before which clicks and watches do not count for what is asked at `at_ms`.
    pub fn oldest_ms(&self, at_ms: i64) -> i64 {
        let age_ms = self.history_age_days.map(|days| i64::from(days) * 86_400_000);
        age_ms.map_or(i64::MIN, |age_ms| at_ms.saturating_sub(age_ms))
    }

    /// The options in which two differ, with both values; empty for equal ones.
    pub fn differences(&self, other: &Self) -> String {
        let rows = |c: &Self| {
            [
                ("allowed_lateness_ms", c.allowed_lateness_ms.to_string()),
                ("stay_threshold_s", c.stay_threshold_s.to_string()),
                ("product_history", c.product_history.to_string()),
                ("channel_history", c.channel_history.to_string()),
                ("affinity_watches", c.affinity_watches.to_string()),
                ("bag_products", c.bag_products.to_string()),
                ("history_age_days", c.history_age_days.map_or("none".into(), |d| d.to_string())),
            ]
        };
        let pairs = rows(self).into_iter().zip(rows(other));
        let differing = pairs.filter(|(ours, theirs)| ours != theirs);
        let lines: Vec<String> = differing
            .map(|((option, ours), (_, theirs))| format!("{option} is {ours} and {theirs}"))
            .collect();
        lines.join("; ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrong_options_are_named() {
        let fine = FeatureConfig::default();
        assert!(fine.check().is_ok());
        let cases = [
            (FeatureConfig { allowed_lateness_ms: -1, ..fine }, "allowed_lateness_ms is -1"),
            (FeatureConfig { stay_threshold_s: f64::NAN, ..fine }, "stay_threshold_s is NaN"),
            (FeatureConfig { bag_products: 20_000, ..fine }, "bag_products is 20000"),
        ];
        for (config, start) in cases {
            let message = config.check().unwrap_err().to_string();
            assert!(message.contains(start), "{message}");
        }
    }

    #[test]
    fn differences_name_both_values() {
        let ours = FeatureConfig::default();
        let theirs = FeatureConfig { channel_history: 20, ..ours };
        assert_eq!(ours.differences(&theirs), "channel_history is 50 and 20");
        assert_eq!(ours.differences(&ours), "");
    }
}
