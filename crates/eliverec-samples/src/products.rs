//! The drive by product: how often the product that a channel was showing had been clicked, in both domains.

use std::sync::Arc;

use datafusion_common::Result;
use eliverec_features::Popularity;

use crate::context::Context;
use crate::drive::Drive;
use crate::gate::Gate;
use crate::requests::OF_CANDIDATE;
use crate::rows::{Row, RowsBuilder};
use crate::scan::PROBE;
use crate::wire::{Reader, Writer, read_event};

/// Rows in: [`PROBE`], id = impression, payload as [`crate::channels`] makes it; clicks of the product. Rows out: one per
/// impression, keyed by request, payload = that of the channel and the clicks.
pub(crate) struct ProductDrive {
    gate: Gate,
    state: Popularity,
    payload: Vec<u8>,
}

impl ProductDrive {
    pub(crate) fn new(context: Arc<Context>) -> Self {
        let gate = Gate::new(context.config.features);
        Self { gate, state: Popularity::default(), payload: Vec::new() }
    }
}

impl Drive for ProductDrive {
    fn row(&mut self, row: Row<'_>, out: &mut RowsBuilder) -> Result<()> {
        if row.rank != PROBE {
            let event = read_event(row.id, row.at, &mut Reader(row.payload))?;
            if self.gate.admit(&event, false)? {
                self.state.add(event.ts_ms);
            }
            return Ok(());
        }
        let mut from = Reader(row.payload);
        let known = from.u8()? != 0;
        let request = from.u64()?;
        let clicks = if known { self.state.count(row.at) as f32 } else { 0.0 };
        self.payload.clear();
        self.payload.extend_from_slice(from.rest());
        Writer(&mut self.payload).f32(clicks);
        let payload = &self.payload;
        out.push(Row { key: request, at: row.at, rank: OF_CANDIDATE, id: row.id, payload })
    }

    fn end_key(&mut self, _: &mut RowsBuilder) -> Result<()> {
        self.state = Popularity::default();
        self.gate.end_key();
        Ok(())
    }
}
