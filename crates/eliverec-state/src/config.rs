//! The settings of a state.

use eliverec_features::FeatureConfig;

/// What is kept, how much may wait, and how long a group of records waits for more.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StateConfig {
    /// Of the folds; those that the model's samples were made with.
    pub features: FeatureConfig,
    /// A group of records waits so long for more before it is written, milliseconds: one fsync for all of them.
    pub gather_ms: u64,
    /// Records that may wait for the log; a batch beyond is refused at once.
    pub waiting_records: usize,
    /// Event ids that are remembered, at most 40 bytes each; events beyond are refused. An id is remembered for the allowed lateness and
    /// up to 6 minutes more, so `known_ids / 960` events a second are sustained with the default lateness of 10 minutes: 33,333 by the
    /// default, which takes up to 1.3 GB at that rate and nothing before. Of events that say to be of the future, up to 5 minutes, ids stay for as much longer.
    pub known_ids: usize,
    /// A file of the log ends at this many records. What a restart has to check after a kill is at most one file.
    pub segment_records: u64,
}

impl Default for StateConfig {
    fn default() -> Self {
        Self {
            features: FeatureConfig::default(),
            gather_ms: 2,
            waiting_records: 1 << 16,
            known_ids: 32_000_000,
            segment_records: 1_000_000,
        }
    }
}
