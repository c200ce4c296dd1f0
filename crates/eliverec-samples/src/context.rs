//! What the operators of a run share.

use std::sync::Arc;

use eliverec_core::feed::Column;
use eliverec_tables::events::Dimensions;

use crate::config::SampleConfig;
use crate::fields::Wanted;
use crate::scan::Source;

/// The settings, the log, and what is asked of it.
#[derive(Debug)]
pub(crate) struct Context {
    pub(crate) config: SampleConfig,
    pub(crate) source: Arc<Source>,
    pub(crate) wanted: Wanted,
    pub(crate) anchors: Anchors,
}

impl Context {
    pub(crate) fn anchor_of(&self, channel: u64) -> Option<u64> {
        self.anchors.of(channel)
    }
}

/// The anchor of each channel: the column `anchor_id` of the table of channels.
#[derive(Clone, Debug)]
pub(crate) struct Anchors {
    dimensions: Arc<Dimensions>,
    column: Option<usize>,
}

impl Anchors {
    pub(crate) fn new(dimensions: &Arc<Dimensions>) -> Self {
        let fields = dimensions.channels.fields();
        let column = fields.iter().position(|field| field.name == "anchor_id");
        Self { dimensions: Arc::clone(dimensions), column }
    }

    /// The anchor of a channel, if it is known.
    pub(crate) fn of(&self, channel: u64) -> Option<u64> {
        let channels = &self.dimensions.channels;
        let Column::Ids(anchors) = &channels.columns()[self.column?] else { return None };
        channels.row(channel).map(|row| anchors[row])
    }
}
