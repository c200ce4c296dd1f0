//! The drive by product: how often the product that a channel was showing had been clicked, in both domains.

use std::sync::Arc;

use datafusion_common::Result;
use eliverec_features::Popularity;

use crate::bytes::{Reader, Writer};
use crate::context::Context;
use crate::drive::Drive;
use crate::gate::Gate;
use crate::rows::{PROBE, Row, RowsBuilder};
use crate::wire::read_event;

/// Rows in: impressions, as [`crate::channels`] gives them; clicks of the product. Rows out: one per impression, keyed by
/// user, with the clicks behind the candidate's other features.
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
        let mut from = Reader(row.payload);
        if !row.is_probe() {
            let event = read_event(&mut from)?;
            if self.gate.admit(&event, false)? {
                self.state.add(event.ts_ms);
            }
            return Ok(());
        }
        let (at, user) = (row.at(), from.u64()?);
        let known = from.u8()? != 0;
        let clicks = if known { self.state.count(at) as f32 } else { 0.0 };
        self.payload.clear();
        self.payload.extend_from_slice(from.rest());
        Writer(&mut self.payload).f32(clicks);
        out.push(Row::new(user, at, PROBE, &self.payload))
    }

    fn end_key(&mut self, _: &mut RowsBuilder) -> Result<()> {
        self.state = Popularity::default();
        self.gate.end_key();
        Ok(())
    }
}
