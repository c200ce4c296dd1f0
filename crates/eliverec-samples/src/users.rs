//! The drive by user: requests are put together from the impressions, each with both histories, the user's features and
//! those of the user and each candidate's anchor, and wait for what the user did.

use std::sync::Arc;

use datafusion_common::{DataFusionError, Result};
use eliverec_features::assemble::{history, values};
use eliverec_features::routing::user_of;
use eliverec_features::{FeatureConfig, Snapshot, UserState};

use crate::bytes::{Reader, Writer};
use crate::context::Context;
use crate::drive::Drive;
use crate::gate::Gate;
use crate::requests::{Impression, Open, OpenCandidate, Requests, in_order};
use crate::rows::{Row, RowsBuilder};
use crate::scan::Use;
use crate::wire::{Shown, read_event, write_request};

/// Rows in: impressions with the features of their candidates; events of the user, behind their [`Use`]. Rows out: one per
/// request ([`Row::request`]).
pub(crate) struct UserDrive {
    context: Arc<Context>,
    config: FeatureConfig,
    gate: Gate,
    state: UserState,
    user: u64,
    /// The impressions of one moment, and which.
    shown: Vec<Impression>,
    at_ms: i64,
    requests: Requests,
    payload: Vec<u8>,
}

impl UserDrive {
    pub(crate) fn new(context: Arc<Context>) -> Self {
        let config = context.config.features;
        Self {
            requests: Requests::new(Arc::clone(&context)),
            context,
            config,
            gate: Gate::new(config),
            state: UserState::default(),
            user: 0,
            shown: Vec::new(),
            at_ms: 0,
            payload: Vec::new(),
        }
    }

    /// Opens the requests whose impressions have been gathered.
    fn answer(&mut self) {
        // Rows of one place come in any order, and nearly always there is one request.
        self.shown.sort_by_key(|of| of.request_id);
        let mut shown = std::mem::take(&mut self.shown);
        while let Some(request_id) = shown.last().map(|of| of.request_id) {
            let first = shown.partition_point(|of| of.request_id < request_id);
            let impressions = in_order(shown.split_off(first), &self.context);
            let request = self.request(impressions);
            self.requests.open(request_id, request);
        }
        // Empty again, with the room that it grew to: the next request needs no allocation.
        self.shown = shown;
    }

    fn request(&mut self, impressions: Vec<Impression>) -> Open {
        let (at_ms, wanted) = (self.at_ms, &self.context.wanted);
        let mut features = history(&self.config, Some(&self.state), at_ms);
        let mut snapshot = Snapshot::unknown();
        self.state.snapshot(at_ms, &self.config, &mut snapshot);
        features.user = values(&snapshot, &wanted.user);
        let context = impressions.first().map_or(&[][..], |first| &first.known[..first.context]);
        self.payload.clear();
        write_request(self.user, context, &features, &mut self.payload);
        let candidate = |mut of: Impression| {
            match self.context.anchor_of(of.channel_id, at_ms) {
                Some(anchor) => {
                    self.state.snapshot_anchor(anchor, at_ms, &self.config, &mut snapshot);
                }
                None => snapshot = Snapshot::unknown(),
            }
            Writer(&mut of.known).numbers(&values(&snapshot, &wanted.anchor));
            OpenCandidate::new(of)
        };
        let candidates = impressions.into_iter().map(candidate).collect();
        Open { ts_ms: at_ms, head: self.payload.as_slice().into(), candidates }
    }
}

impl Drive for UserDrive {
    fn row(&mut self, row: Row<'_>, out: &mut RowsBuilder) -> Result<()> {
        let at_ms = row.at();
        if !self.shown.is_empty() && (at_ms != self.at_ms || !row.is_probe()) {
            self.answer();
        }
        self.user = row.key;
        self.at_ms = at_ms;
        self.requests.close(at_ms, row.key, out)?;
        let mut from = Reader(row.payload);
        if row.is_probe() {
            let shown = Shown::read(from)?;
            self.shown.push(Impression {
                request_id: shown.request_id,
                event_id: shown.event_id,
                channel_id: shown.channel_id,
                available_at_ms: shown.available_at_ms,
                position: shown.position,
                known: [shown.context, shown.features].concat(),
                context: shown.context.len(),
            });
            return Ok(());
        }
        let of = Use::of(from.u8()?)
            .ok_or_else(|| DataFusionError::Internal("an event of no use to a user".into()))?;
        let event = read_event(&mut from)?;
        if of != Use::Folds {
            self.requests.outcome(&event);
        }
        let admitted = of != Use::Outcome && self.gate.admit(&event, event.channel_id.is_none())?;
        if admitted && user_of(&event).is_some() {
            let known_ms = event.available_at_ms.saturating_add(1);
            let anchor =
                event.channel_id.and_then(|channel| self.context.anchor_of(channel, known_ms));
            self.state.apply(&event, anchor, &self.config);
        }
        Ok(())
    }

    fn end_key(&mut self, out: &mut RowsBuilder) -> Result<()> {
        self.answer();
        self.requests.close_all(self.user, out)?;
        self.state = UserState::default();
        self.gate.end_key();
        Ok(())
    }

    fn finish(&mut self) {
        self.context.source.counters.add_fates(self.gate.counted());
        self.requests.finish();
    }
}
