//! The drive by channel: windows, goods bag, live or not, exposure, popularity, as each request found them.

use std::sync::Arc;

use datafusion_common::Result;
use eliverec_core::{Event, EventKind};
use eliverec_features::assemble::{on_sale, values};
use eliverec_features::routing::channel_of;
use eliverec_features::{ChannelState, FeatureConfig, Snapshot};

use crate::bytes::{Reader, Writer};
use crate::context::Context;
use crate::drive::Drive;
use crate::gate::Gate;
use crate::rows::{PROBE, Row, RowsBuilder};
use crate::wire::{Shown, read_event, write_candidate};

/// Rows in: impressions, as [`Shown`] without features; events of the channel. Rows out: one per impression, keyed by user,
/// with the features of the candidate; or, if the clicks of the current product are wanted too, keyed by that product for
/// [`crate::products`], behind the user and whether there is a product.
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
        let mut from = Reader(row.payload);
        if !row.is_probe() {
            let event = read_event(&mut from)?;
            if self.gate.admit(&event, true)? && channel_of(&event).is_some() {
                self.state.apply(&event, &self.config);
            }
            return Ok(());
        }
        let (wanted, at) = (&self.context.wanted, row.at());
        let user = from.u64()?;
        let shown = from.rest();
        if !self.context.source.exposures {
            let Shown { event_id, available_at_ms, .. } = Shown::read(Reader(shown))?;
            let impression = Event::new(event_id, at, EventKind::Impression);
            self.gate.count(&Event { available_at_ms, ..impression });
        }
        let mut snapshot = Snapshot::unknown();
        self.state.snapshot(at, &mut snapshot);
        self.payload.clear();
        let current = self.state.bag().current();
        let mut to = Writer(&mut self.payload);
        if wanted.popularity {
            to.u64(user);
            to.u8(u8::from(current.is_some()));
        }
        to.0.extend_from_slice(shown);
        let on_sale = on_sale(Some(&self.state), wanted.on_sale);
        write_candidate(&values(&snapshot, &wanted.channel), &on_sale, to.0);
        // Without a product the row only passes through, anywhere.
        let key = if wanted.popularity { current.unwrap_or(user) } else { user };
        out.push(Row::new(key, at, PROBE, &self.payload))
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
