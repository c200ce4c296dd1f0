//! What the operators of a run share.

use std::sync::Arc;

use eliverec_core::Dimensions;
use eliverec_features::Wanted;

use crate::config::SampleConfig;
use crate::scan::Source;

/// The settings, the log, and what is asked of it.
#[derive(Debug)]
pub(crate) struct Context {
    pub(crate) config: SampleConfig,
    pub(crate) source: Arc<Source>,
    pub(crate) wanted: Wanted,
    pub(crate) dimensions: Arc<Dimensions>,
}

impl Context {
    pub(crate) fn anchor_of(&self, channel: u64, at_ms: i64) -> Option<u64> {
        self.dimensions.anchor_of(channel, at_ms)
    }
}
