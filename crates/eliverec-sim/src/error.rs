//! The crate's errors: sentences that name the setting.

/// What can be wrong with a [`WorldConfig`](crate::WorldConfig).
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Error {
    /// A count that must be positive is zero, or a size is beyond what ids allow.
    #[error("{setting} is {value}; give a number from {least} to {most}")]
    Count {
        /// Name of the setting.
        setting: &'static str,
        /// What was given.
        value: u64,
        /// The smallest that works.
        least: u64,
        /// The largest that works.
        most: u64,
    },
    /// A share is not a share.
    #[error("{setting} is {value}; a share lies between 0 and 1")]
    Share {
        /// Name of the setting.
        setting: &'static str,
        /// What was given.
        value: f64,
    },
    /// Every event has at most one fate, so their shares cannot exceed the whole.
    #[error(
        "the shares of late, very late, duplicated and displaced events add up to {sum}; at most 1 is possible"
    )]
    Shares {
        /// Their sum.
        sum: f64,
    },
    /// The first day starts in the middle of a day.
    #[error(
        "start_ms is {start_ms}; give midnight UTC, a multiple of 86400000 of at least 10 years after 1970"
    )]
    Start {
        /// What was given.
        start_ms: i64,
    },
}
