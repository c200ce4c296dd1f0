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
    /// Event ids that are remembered, about 40 bytes each. They are those of the last 21 minutes with the default lateness, so
    /// this many events in that time are taken in, and more are refused.
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
            known_ids: 16_000_000,
            segment_records: 1_000_000,
        }
    }
}
