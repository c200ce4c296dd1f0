//! The drive by request: what was shown, what the user did with it, and the features that the other drives found,
//! become one row per request.
//!
//! # Labels
//! Joined by request and channel. What a user did counts if it **began** from the request to the end of the attribution
//! window: a click when it happened, a visit when the user entered, that is when the user left less the stay. The time
//! of leaving would call whoever stays longer than the window uninterested. Late events count: lateness is a limit of
//! what serving can wait for, and labels wait. They wait until the end of the day that follows the request's, so a
//! day's feeds are a function of two days of arrivals and of the days before. A second arrival changes no label.

use std::collections::BTreeMap;
use std::sync::Arc;

use datafusion_common::{DataFusionError, Result};
use eliverec_core::event::Scalar;
use eliverec_core::{Event, EventKind};
use eliverec_tables::events::Day;

use crate::context::Context;
use crate::drive::Drive;
use crate::request::{Candidate, CandidateFeatures, Outcome, Request, RequestFeatures};
use crate::rows::{Row, RowsBuilder};
use crate::scan::{IMPRESSION, OUTCOME, arrived_in_time};
use crate::summary::Refusal;
use crate::wire::{Reader, read_context, read_event, read_user, write_request};

/// Rows from [`crate::users`].
pub(crate) const OF_USER: u8 = 1;
/// Rows from [`crate::channels`] or [`crate::products`].
pub(crate) const OF_CANDIDATE: u8 = 2;

/// Rows in: [`IMPRESSION`], [`OF_USER`], [`OF_CANDIDATE`], [`OUTCOME`]. Rows out: one per request, at = its moment, id =
/// its id, payload = [`write_request`].
pub(crate) struct RequestDrive {
    context: Arc<Context>,
    impressions: Vec<(Event, Vec<Scalar>)>,
    outcomes: Vec<Event>,
    /// User, moment and features, with the anchor features of each impression in the order of ids.
    users: Vec<(u64, i64, RequestFeatures, AnchorFeatures)>,
    /// Impression, moment and features.
    channels: Vec<(u64, i64, CandidateFeatures)>,
    feeds: BTreeMap<Day, u64>,
    payload: Vec<u8>,
}

/// Features of the user and a candidate's anchor, by impression.
type AnchorFeatures = Vec<(u64, Vec<f32>)>;

impl RequestDrive {
    pub(crate) fn new(context: Arc<Context>) -> Self {
        Self {
            context,
            impressions: Vec::new(),
            outcomes: Vec::new(),
            users: Vec::new(),
            channels: Vec::new(),
            feeds: BTreeMap::new(),
            payload: Vec::new(),
        }
    }

    /// The request, unless its impressions contradict each other; counts those that are left out.
    fn request(&mut self) -> Option<Request> {
        let counters = &self.context.source.counters;
        // The first arrival of each impression.
        let before = self.impressions.len();
        self.impressions.sort_by_key(|(event, _)| (event.event_id, event.available_at_ms));
        self.impressions.dedup_by_key(|(event, _)| event.event_id);
        counters.refuse(Refusal::Duplicate, (before - self.impressions.len()) as u64);
        self.impressions.sort_by_key(|(event, _)| {
            (event.position.unwrap_or(u16::MAX), event.position.is_none(), event.event_id)
        });
        let (first, context) = self.impressions.first_mut()?;
        let context = std::mem::take(context);
        let (user, ts_ms) = (first.user_id, first.ts_ms);
        let (Some(user_id), Some(request_id)) = (user, first.request_id) else { return None };
        let others = || self.impressions.iter().map(|(event, _)| event);
        let refusal = if others().any(|event| event.user_id != user) {
            Some(Refusal::UsersDiffer)
        } else if others().any(|event| event.ts_ms != ts_ms) {
            Some(Refusal::MomentsDiffer)
        } else {
            None
        };
        if let Some(refusal) = refusal {
            counters.refuse(refusal, self.impressions.len() as u64);
            return None;
        }
        let mut candidates: Vec<Candidate> = Vec::with_capacity(self.impressions.len());
        for (event, _) in &self.impressions {
            let Some(channel_id) = event.channel_id else { continue };
            if candidates.iter().any(|candidate| candidate.channel_id == channel_id) {
                counters.refuse(Refusal::ChannelTwice, 1);
                continue;
            }
            let outcome = Outcome::NONE;
            let (event_id, position) = (event.event_id, event.position);
            candidates.push(Candidate { event_id, channel_id, position, outcome });
        }
        Some(Request { request_id, user_id, ts_ms, context, candidates })
    }

    /// Joins what the user did to the candidates.
    fn label(&self, request: &mut Request) {
        let config = &self.context.config;
        let Some(day) = Day::of(request.ts_ms) else { return };
        let last_ms = request.ts_ms.saturating_add(config.attribution_window_ms);
        // Leaves last: a known stay wins over the entry alone, whichever arrived first.
        let leaves = |leave: bool| {
            self.outcomes.iter().filter(move |event| leave == (event.kind == EventKind::Leave))
        };
        for event in leaves(false).chain(leaves(true)) {
            let stay_s = event.value.filter(|_| event.kind == EventKind::Leave).unwrap_or(0.0);
            let began_ms = event.ts_ms.saturating_sub((stay_s * 1000.0).round() as i64);
            let counts = event.user_id == Some(request.user_id)
                && event.ts_ms >= request.ts_ms
                && began_ms <= last_ms
                && arrived_in_time(day, event.available_at_ms);
            let candidate = request
                .candidates
                .iter_mut()
                .find(|candidate| counts && Some(candidate.channel_id) == event.channel_id);
            let Some(candidate) = candidate else { continue };
            let outcome = &mut candidate.outcome;
            match event.kind {
                EventKind::Watch => outcome.stay_s = None,
                EventKind::Leave => {
                    outcome.watched |= stay_s >= config.features.stay_threshold_s;
                    let stay_s = (stay_s as f32).min(f32::MAX);
                    outcome.stay_s = Some(outcome.stay_s.unwrap_or(0.0).max(stay_s));
                }
                EventKind::BagClick => outcome.bag_click = true,
                EventKind::ProductClick => outcome.product_click = true,
                _ => {}
            }
        }
    }

    /// The features of every candidate.
    fn features(&mut self, request: &Request) -> Result<RequestFeatures> {
        let lost = |what: &str, id: u64| {
            let request_id = request.request_id;
            let reason = format!("request {request_id} has lost the features of {what} {id}");
            DataFusionError::Internal(reason)
        };
        let place = self
            .users
            .iter()
            .position(|(user, at, ..)| (*user, *at) == (request.user_id, request.ts_ms));
        let place = place.ok_or_else(|| lost("user", request.user_id))?;
        let (_, _, mut features, mut anchors) = self.users.swap_remove(place);
        // Copies of an impression that disagree on the moment were asked for at each.
        self.channels.retain(|(_, at, _)| *at == request.ts_ms);
        self.channels.sort_by_key(|(event_id, ..)| *event_id);
        for candidate in &request.candidates {
            let event_id = candidate.event_id;
            let channel = self.channels.binary_search_by_key(&event_id, |of| of.0);
            let anchor = anchors.binary_search_by_key(&event_id, |of| of.0);
            let (Ok(channel), Ok(anchor)) = (channel, anchor) else {
                return Err(lost("impression", event_id));
            };
            let mut of_candidate = std::mem::take(&mut self.channels[channel].2);
            of_candidate.anchor = std::mem::take(&mut anchors[anchor].1);
            features.candidates.push(of_candidate);
        }
        Ok(features)
    }
}

impl Drive for RequestDrive {
    fn row(&mut self, row: Row<'_>, _: &mut RowsBuilder) -> Result<()> {
        let mut from = Reader(row.payload);
        match row.rank {
            IMPRESSION => {
                let event = read_event(row.id, row.at, &mut from)?;
                self.impressions.push((event, read_context(&mut from)?));
            }
            OF_USER => {
                let features = read_user(&mut from)?;
                let anchors = from.list(|from| Ok((from.u64()?, from.numbers()?)))?;
                self.users.push((row.id, row.at, features, anchors));
            }
            OF_CANDIDATE => {
                let (channel, on_sale) = (from.numbers()?, from.ids()?);
                let popularity = if self.context.wanted.popularity { from.f32()? } else { 0.0 };
                let features =
                    CandidateFeatures { channel, popularity, on_sale, anchor: Vec::new() };
                let known = self
                    .channels
                    .last()
                    .is_some_and(|(event_id, at, _)| (*event_id, *at) == (row.id, row.at));
                if !known {
                    self.channels.push((row.id, row.at, features));
                }
            }
            OUTCOME => self.outcomes.push(read_event(row.id, row.at, &mut from)?),
            rank => {
                return Err(DataFusionError::Internal(format!("a request has no rows of {rank}")));
            }
        }
        Ok(())
    }

    fn end_key(&mut self, out: &mut RowsBuilder) -> Result<()> {
        if let Some(mut request) = self.request() {
            self.label(&mut request);
            let features = self.features(&request)?;
            self.payload.clear();
            write_request(&request, &features, &mut self.payload);
            let (id, at, payload) = (request.request_id, request.ts_ms, &self.payload);
            out.push(Row { key: id, at, rank: 0, id, payload })?;
            if let Some(day) = Day::of(request.ts_ms) {
                *self.feeds.entry(day).or_default() += 1;
            }
        }
        self.impressions.clear();
        self.outcomes.clear();
        self.users.clear();
        self.channels.clear();
        Ok(())
    }

    fn finish(&mut self) {
        self.context.source.counters.add_feeds(&self.feeds);
    }
}
