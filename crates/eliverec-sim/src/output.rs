//! From drafts to events: ids, arrival, truth, and what of the history days the log keeps.

use eliverec_core::{Event, EventKind};

use crate::arrival::Arrival;
use crate::config::{DAY_MS, WorldConfig};
use crate::draft::{Draft, id};
use crate::log::Log;
use crate::policy::{Policy, PolicyRequest};
use crate::truth::Truth;

/// What a run has emitted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Events of the log, second arrivals included.
    pub events: u64,
    /// Requests of the logged days.
    pub requests: u64,
    /// Their impressions.
    pub impressions: u64,
    /// Impressions that became watches of at least the threshold.
    pub watched: u64,
}

/// An impression as the world knows it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shown {
    pub(crate) channel: u32,
    pub(crate) probability: f32,
    pub(crate) watched: bool,
}

#[derive(Clone, Debug)]
pub(crate) struct Output {
    start_ms: i64,
    arrival: Arrival,
    events: u64,
    totals: Totals,
}

impl Output {
    pub(crate) fn new(config: &WorldConfig) -> Self {
        Self {
            start_ms: config.start_ms,
            arrival: Arrival::new(config),
            events: 0,
            totals: Totals::default(),
        }
    }

    pub(crate) fn totals(&self) -> Totals {
        Totals { events: self.arrival.delivered(), ..self.totals }
    }

    /// Whether a request at that moment is in the log.
    pub(crate) fn logs_requests(&self, at_ms: i64) -> bool {
        at_ms >= self.start_ms
    }

    /// Of the history days the log has clicks of the product domain and watches, as a platform keeps profiles for longer
    /// than raw logs, and of the last one also what channels did, so that the first day finds them as they are.
    fn keeps(&self, draft: &Draft) -> bool {
        use EventKind::{
            Leave, ProductClick, ProductOff, ProductOn, StreamEnd, StreamStart, Watch,
        };
        draft.ts_ms >= self.start_ms
            || match draft.kind {
                Watch | Leave => true,
                ProductClick => id(draft.channel).is_none(),
                StreamStart | StreamEnd | ProductOn | ProductOff => {
                    draft.ts_ms >= self.start_ms - DAY_MS
                }
                _ => false,
            }
    }

    pub(crate) fn emit<L: Log>(
        &mut self,
        draft: &Draft,
        policy: &mut dyn Policy,
        log: &mut L,
    ) -> Result<(), L::Error> {
        self.events += 1;
        let mut event = Event {
            user_id: id(draft.user),
            channel_id: id(draft.channel),
            product_id: id(draft.product),
            request_id: (draft.request > 0).then_some(draft.request),
            value: (!draft.value.is_nan()).then_some(draft.value),
            ..Event::new(self.events, draft.ts_ms, draft.kind)
        };
        policy.observe(&event);
        if !self.keeps(draft) {
            return Ok(());
        }
        if let (Some(cause), Some(user_id)) = (draft.cause, event.user_id) {
            log.truth(&Truth::Cause {
                event_id: event.event_id,
                ts_ms: event.ts_ms,
                kind: event.kind,
                user_id,
                request_id: event.request_id,
                channel_id: event.channel_id,
                product_id: event.product_id,
                cause,
            })?;
        }
        self.arrival.deliver(&mut event, log)
    }

    /// The impressions of a request, all at its moment.
    pub(crate) fn emit_feed<L: Log>(
        &mut self,
        request: &PolicyRequest,
        feed: &[Shown],
        policy: &mut dyn Policy,
        log: &mut L,
    ) -> Result<(), L::Error> {
        let logged = self.logs_requests(request.at_ms);
        self.totals.requests += u64::from(logged);
        let context = request.context();
        for (position, shown) in feed.iter().enumerate() {
            self.events += 1;
            let channel_id = u64::from(shown.channel) + 1;
            let mut event = Event {
                user_id: Some(request.user_id),
                channel_id: Some(channel_id),
                request_id: Some(request.request_id),
                position: Some(position as u16),
                context: context.to_vec(),
                ..Event::new(self.events, request.at_ms, EventKind::Impression)
            };
            policy.observe(&event);
            if logged {
                self.totals.impressions += 1;
                self.totals.watched += u64::from(shown.watched);
                log.truth(&Truth::Impression {
                    event_id: event.event_id,
                    ts_ms: event.ts_ms,
                    request_id: request.request_id,
                    user_id: request.user_id,
                    channel_id,
                    position: position as u16,
                    watch_probability: shown.probability,
                    watched: shown.watched,
                })?;
                self.arrival.deliver(&mut event, log)?;
            }
        }
        Ok(())
    }

    pub(crate) fn flush<L: Log>(&mut self, log: &mut L) -> Result<(), L::Error> {
        self.arrival.flush(log)
    }
}
