//! The drive by user: both histories, the user's features, and those of the user and each candidate's anchor.

use std::sync::Arc;

use datafusion_common::Result;
use eliverec_features::{FeatureConfig, Snapshot, UserState};

use crate::context::Context;
use crate::drive::Drive;
use crate::gate::Gate;
use crate::requests::OF_USER;
use crate::rows::{Row, RowsBuilder};
use crate::scan::PROBE;
use crate::snapshots::{history, values};
use crate::wire::{Reader, Writer, read_event, write_user};

/// Rows in: [`PROBE`], id = request, payload = impression and channel; events of the user. Rows out: one per request,
/// payload = [`write_user`], then the impressions in the order of their ids, each with its anchor's features.
pub(crate) struct UserDrive {
    context: Arc<Context>,
    config: FeatureConfig,
    gate: Gate,
    state: UserState,
    user: u64,
    /// The request whose impressions are being gathered, its moment, and impressions with channels.
    request: Option<(u64, i64)>,
    shown: Vec<(u64, u64)>,
    payload: Vec<u8>,
}

impl UserDrive {
    pub(crate) fn new(context: Arc<Context>) -> Self {
        let config = context.config.features;
        Self {
            context,
            config,
            gate: Gate::new(config),
            state: UserState::default(),
            user: 0,
            request: None,
            shown: Vec::new(),
            payload: Vec::new(),
        }
    }

    /// Answers the request whose impressions have been gathered.
    fn answer(&mut self, out: &mut RowsBuilder) -> Result<()> {
        let Some((request, at_ms)) = self.request.take() else { return Ok(()) };
        let wanted = &self.context.wanted;
        let mut features = history(Some(&self.state), at_ms);
        let mut snapshot = Snapshot::unknown();
        self.state.snapshot(at_ms, &mut snapshot);
        features.user = values(&snapshot, &wanted.user);
        self.payload.clear();
        write_user(&features, &mut self.payload);
        // Copies of an impression stand here too.
        self.shown.sort_unstable();
        self.shown.dedup_by_key(|(event_id, _)| *event_id);
        let mut to = Writer(&mut self.payload);
        to.length(self.shown.len());
        for (event_id, channel) in self.shown.drain(..) {
            let mut snapshot = Snapshot::unknown();
            if let Some(anchor) = self.context.anchor_of(channel) {
                self.state.snapshot_anchor(anchor, at_ms, &mut snapshot);
            }
            to.u64(event_id);
            to.numbers(&values(&snapshot, &wanted.anchor));
        }
        let payload = &self.payload;
        out.push(Row { key: request, at: at_ms, rank: OF_USER, id: self.user, payload })
    }
}

impl Drive for UserDrive {
    fn row(&mut self, row: Row<'_>, out: &mut RowsBuilder) -> Result<()> {
        self.user = row.key;
        if row.rank == PROBE {
            if self.request != Some((row.id, row.at)) {
                self.answer(out)?;
                self.request = Some((row.id, row.at));
            }
            let mut from = Reader(row.payload);
            self.shown.push((from.u64()?, from.u64()?));
            return Ok(());
        }
        self.answer(out)?;
        let event = read_event(row.id, row.at, &mut Reader(row.payload))?;
        if self.gate.admit(&event, event.channel_id.is_none())? {
            let anchor = event.channel_id.and_then(|channel| self.context.anchor_of(channel));
            self.state.apply(&event, anchor, &self.config);
        }
        Ok(())
    }

    fn end_key(&mut self, out: &mut RowsBuilder) -> Result<()> {
        self.answer(out)?;
        self.state = UserState::default();
        self.gate.end_key();
        Ok(())
    }

    fn finish(&mut self) {
        self.context.source.counters.add_fates(self.gate.counted());
    }
}
