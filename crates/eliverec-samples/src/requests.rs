//! The requests of a user, from what was shown to a row with features and labels.
//!
//! What its labels are says [`crate::outcomes`].
//!
//! Memory: the requests of one user on two days.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use datafusion_common::Result;
use eliverec_core::Event;
use eliverec_core::event::CLOCK_TOLERANCE_MS;
use eliverec_core::id::IdHash;
use eliverec_features::Candidate;
use eliverec_tables::events::Day;

use crate::config::BelowThreshold;
use crate::context::Context;
use crate::outcomes::{Doing, counts};
use crate::rows::{Row, RowsBuilder};
use crate::summary::Refusal;
use crate::wire::{write_answer, write_count};

/// A request whose outcomes may still arrive.
#[derive(Debug)]
pub(crate) struct Open {
    pub(crate) ts_ms: i64,
    /// As [`crate::wire::write_request`] makes it.
    pub(crate) head: Box<[u8]>,
    /// By position, each channel once.
    pub(crate) candidates: Vec<OpenCandidate>,
}

#[derive(Debug)]
pub(crate) struct OpenCandidate {
    pub(crate) candidate: Candidate,
    doing: Doing,
    /// As [`write_answer`] takes them, behind the context.
    known: Vec<u8>,
    context: usize,
}

impl OpenCandidate {
    /// Nothing has been done.
    pub(crate) fn new(of: Impression) -> Self {
        let Impression { event_id, channel_id, position, known, context, .. } = of;
        let candidate = Candidate { event_id, channel_id, position, outcome: None };
        Self { candidate, doing: Doing::NONE, known, context }
    }
}

/// The open requests of one user.
#[derive(Debug)]
pub(crate) struct Requests {
    context: Arc<Context>,
    by_id: HashMap<u64, Open, IdHash>,
    /// Moments and ids, in the order of moments.
    order: VecDeque<(i64, u64)>,
    /// Feeds of each day, of all users.
    feeds: BTreeMap<Day, u64>,
    payload: Vec<u8>,
}

impl Requests {
    pub(crate) fn new(context: Arc<Context>) -> Self {
        Self {
            context,
            by_id: HashMap::default(),
            order: VecDeque::new(),
            feeds: BTreeMap::new(),
            payload: Vec::new(),
        }
    }

    /// Takes in a request; requests come in the order of their moments.
    pub(crate) fn open(&mut self, request_id: u64, request: Open) {
        if let Some(other) = self.by_id.get_mut(&request_id) {
            let shown = other.candidates.len() + request.candidates.len();
            other.candidates.clear();
            self.context.source.counters.refuse(Refusal::MomentsDiffer, shown as u64);
        } else {
            self.order.push_back((request.ts_ms, request_id));
            self.by_id.insert(request_id, request);
        }
    }

    /// Joins what the user did to the request.
    pub(crate) fn outcome(&mut self, event: &Event) {
        let config = &self.context.config;
        let Some(request) = event.request_id.and_then(|id| self.by_id.get_mut(&id)) else { return };
        if !counts(event, request.ts_ms, config.attribution_window_ms) {
            return;
        }
        let mut candidates = request.candidates.iter_mut();
        if let Some(of) = candidates.find(|of| Some(of.candidate.channel_id) == event.channel_id) {
            of.doing.take_in(event, config.features.stay_threshold_s);
        }
    }

    /// Hands on the requests of which nothing more can arrive at `at_ms`.
    pub(crate) fn close(&mut self, at_ms: i64, user: u64, out: &mut RowsBuilder) -> Result<()> {
        let closed = |ts_ms| {
            // What arrives in time may stand where it happened.
            let end = Day::of(ts_ms).and_then(|day| day.plus(2));
            end.is_some_and(|end| end.start_ms() + CLOCK_TOLERANCE_MS < at_ms)
        };
        while let Some((_, id)) = self.order.pop_front_if(|(ts_ms, _)| closed(*ts_ms)) {
            self.send(id, user, out)?;
        }
        Ok(())
    }

    /// Hands on all requests.
    pub(crate) fn close_all(&mut self, user: u64, out: &mut RowsBuilder) -> Result<()> {
        while let Some((_, id)) = self.order.pop_front() {
            self.send(id, user, out)?;
        }
        Ok(())
    }

    fn send(&mut self, request_id: u64, user: u64, out: &mut RowsBuilder) -> Result<()> {
        let Some(mut request) = self.by_id.remove(&request_id) else { return Ok(()) };
        if self.context.config.below_threshold == BelowThreshold::Drop {
            let shown = request.candidates.len();
            request.candidates.retain(|of| !of.doing.is_below_threshold());
            let dropped = (shown - request.candidates.len()) as u64;
            self.context.source.counters.refuse(Refusal::BelowThreshold, dropped);
        }
        if request.candidates.is_empty() {
            return Ok(());
        }
        self.payload.clear();
        write_count(request.candidates.len(), &mut self.payload);
        self.payload.extend_from_slice(&request.head);
        for of in &request.candidates {
            let candidate = Candidate { outcome: Some(of.doing.outcome), ..of.candidate };
            write_answer(candidate, &of.known[of.context..], &mut self.payload);
        }
        if let Some(day) = Day::of(request.ts_ms) {
            *self.feeds.entry(day).or_default() += 1;
        }
        out.push(Row::request(user, request.ts_ms, request_id, &self.payload))
    }

    /// There are no more users.
    pub(crate) fn finish(&self) {
        self.context.source.counters.add_feeds(&self.feeds);
    }
}

/// One impression as it waits for the others of its request.
#[derive(Debug)]
pub(crate) struct Impression {
    pub(crate) request_id: u64,
    pub(crate) event_id: u64,
    pub(crate) channel_id: u64,
    pub(crate) available_at_ms: i64,
    pub(crate) position: Option<u16>,
    /// Context and then features, as [`crate::wire::Shown`] has them.
    pub(crate) known: Vec<u8>,
    /// Where the context ends.
    pub(crate) context: usize,
}

/// The impressions of one request by position, each once and each channel once; counts those that are left out.
pub(crate) fn in_order(mut impressions: Vec<Impression>, context: &Context) -> Vec<Impression> {
    let counters = &context.source.counters;
    // The first arrival of each impression.
    let before = impressions.len();
    impressions.sort_by_key(|of| (of.event_id, of.available_at_ms));
    impressions.dedup_by_key(|of| of.event_id);
    counters.refuse(Refusal::Duplicate, (before - impressions.len()) as u64);
    impressions
        .sort_by_key(|of| (of.position.unwrap_or(u16::MAX), of.position.is_none(), of.event_id));
    let before = impressions.len();
    let mut seen: Vec<u64> = Vec::with_capacity(before);
    impressions.retain(|of| {
        let first = !seen.contains(&of.channel_id);
        seen.push(of.channel_id);
        first
    });
    counters.refuse(Refusal::ChannelTwice, (before - impressions.len()) as u64);
    impressions
}
