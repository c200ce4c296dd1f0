//! The drive by channel: windows, goods bag, live or not, exposure, popularity, as each request found them.

use std::sync::Arc;

use datafusion_common::Result;
use eliverec_features::{ChannelState, FeatureConfig, Snapshot};

use crate::context::Context;
use crate::drive::Drive;
use crate::gate::Gate;
use crate::requests::OF_CANDIDATE;
use crate::rows::{Row, RowsBuilder};
use crate::scan::PROBE;
use crate::snapshots::{on_sale, values};
use crate::wire::{Reader, Writer, read_event};

/// Rows in: [`PROBE`], id = impression, payload = request; events of the channel. Rows out: one per impression, payload
/// = the channel's features and the bag, keyed by request; or, if the clicks of the current product are wanted too,
/// keyed by that product for [`crate::products`], with whether there is one and the request before it.
pub(crate) struct ChannelDrive {
    context: Arc<Context>,
    config: FeatureConfig,
    gate: Gate,
    state: ChannelState,
    payload: Vec<u8>,
}

impl ChannelDrive {
    pub(crate) fn new(context: Arc<Context>) -> Self {
        let config = context.config.features;
        let (state, gate) = (ChannelState::default(), Gate::new(config));
        Self { context, config, gate, state, payload: Vec::new() }
    }
}

impl Drive for ChannelDrive {
    fn row(&mut self, row: Row<'_>, out: &mut RowsBuilder) -> Result<()> {
        if row.rank != PROBE {
            let event = read_event(row.id, row.at, &mut Reader(row.payload))?;
            if self.gate.admit(&event, true)? {
                self.state.apply(&event, &self.config);
            }
            return Ok(());
        }
        let wanted = &self.context.wanted;
        let request = Reader(row.payload).u64()?;
        let mut snapshot = Snapshot::unknown();
        self.state.snapshot(row.at, &mut snapshot);
        self.payload.clear();
        let current = self.state.bag().current();
        let mut to = Writer(&mut self.payload);
        if wanted.popularity {
            to.u8(u8::from(current.is_some()));
            to.u64(request);
        }
        to.numbers(&values(&snapshot, &wanted.channel));
        to.ids(&on_sale(Some(&self.state), wanted.on_sale));
        let payload = &self.payload;
        out.push(if wanted.popularity {
            // Without a product the row only passes through, anywhere.
            Row { key: current.unwrap_or(row.id), payload, ..row }
        } else {
            Row { key: request, at: row.at, rank: OF_CANDIDATE, id: row.id, payload }
        })
    }

    fn end_key(&mut self, _: &mut RowsBuilder) -> Result<()> {
        self.state = ChannelState::default();
        self.gate.end_key();
        Ok(())
    }

    fn finish(&mut self) {
        self.context.source.counters.add_fates(self.gate.counted());
    }
}
