//! What the feeds should be, the slow way: every event in the order of arrival through the online driver, requests and
//! labels by looking at all events.

use std::collections::BTreeMap;
use std::sync::Arc;

use eliverec_core::Dimensions;
use eliverec_core::event::{Event, EventKind};
use eliverec_core::{Feed, Schema};
use eliverec_features::Admission;
use eliverec_features::freshness::Fates;
use eliverec_features::{Candidate, FeedBuilder, OnlineDriver, Outcome, Request};
use eliverec_samples::{BelowThreshold, SampleConfig};
use eliverec_tables::events::Day;

pub struct Oracle {
    /// In the order of moment and id.
    pub feeds: Vec<Feed>,
    pub fates: Fates,
}

pub fn oracle(
    schema: &Schema,
    dimensions: &Arc<Dimensions>,
    events: &[Event],
    config: &SampleConfig,
) -> Oracle {
    let builder = FeedBuilder::new(schema, dimensions).unwrap().with_labels().unwrap();
    let mut arrivals: Vec<&Event> = events.iter().collect();
    arrivals.sort_by_key(|event| (event.available_at_ms, event.event_id));
    let requests = requests(&arrivals, config);
    let mut driver = OnlineDriver::new(config.features, dimensions, builder.wanted()).unwrap();
    let mut arrivals = arrivals.into_iter().peekable();
    let mut feeds = Vec::new();
    for request in &requests {
        while let Some(event) = arrivals.next_if(|event| event.available_at_ms < request.ts_ms) {
            assert!(!matches!(driver.event(event), Admission::Invalid(_)));
        }
        let channels: Vec<u64> = request.candidates.iter().map(|c| c.channel_id).collect();
        let known = driver.features(request.user_id, request.ts_ms, &channels);
        feeds.push(builder.feed(request, &known));
    }
    arrivals.for_each(|event| drop(driver.event(event)));
    Oracle { feeds, fates: driver.fates() }
}

fn requests(arrivals: &[&Event], config: &SampleConfig) -> Vec<Request> {
    let mut by_id: BTreeMap<u64, Vec<&Event>> = BTreeMap::new();
    for event in arrivals {
        let day = Day::of(event.ts_ms).unwrap();
        let in_time = event.available_at_ms < day.plus(2).unwrap().start_ms();
        let asked =
            config.from.is_none_or(|from| day >= from) && config.to.is_none_or(|to| day <= to);
        if event.kind == EventKind::Impression && in_time && asked {
            let shown = by_id.entry(event.request_id.unwrap()).or_default();
            if shown.iter().all(|known| known.event_id != event.event_id) {
                shown.push(event);
            }
        }
    }
    let mut requests: Vec<Request> = Vec::new();
    for (request_id, mut shown) in by_id {
        shown.sort_by_key(|event| event.position);
        let first = shown[0];
        let (mut candidates, mut dropped) = (Vec::<Candidate>::new(), Vec::new());
        for event in &shown {
            let channel_id = event.channel_id.unwrap();
            if !dropped.contains(&channel_id)
                && candidates.iter().all(|known| known.channel_id != channel_id)
            {
                let (outcome, left) = outcome(arrivals, first, channel_id, config);
                if left && !outcome.watched && config.below_threshold == BelowThreshold::Drop {
                    dropped.push(channel_id);
                    continue;
                }
                let (event_id, position) = (event.event_id, event.position);
                candidates.push(Candidate {
                    event_id,
                    channel_id,
                    position,
                    outcome: Some(outcome),
                });
            }
        }
        if candidates.is_empty() {
            continue;
        }
        requests.push(Request {
            request_id,
            user_id: first.user_id.unwrap(),
            ts_ms: first.ts_ms,
            context: first.context.clone(),
            candidates,
        });
    }
    requests.sort_by_key(|request| (request.ts_ms, request.request_id));
    requests
}

fn outcome(
    arrivals: &[&Event],
    shown: &Event,
    channel: u64,
    config: &SampleConfig,
) -> (Outcome, bool) {
    let last_ms = shown.ts_ms + config.attribution_window_ms;
    let arrived_by = Day::of(shown.ts_ms).unwrap().plus(2).unwrap().start_ms();
    let done: Vec<&&Event> = arrivals
        .iter()
        .filter(|event| {
            let stay = event.value.filter(|_| event.kind == EventKind::Leave).unwrap_or(0.0);
            let began_ms = event.ts_ms - (stay * 1_000.0).round() as i64;
            event.request_id == shown.request_id
                && event.user_id == shown.user_id
                && event.channel_id == Some(channel)
                && event.ts_ms >= shown.ts_ms
                && began_ms <= last_ms
                && event.available_at_ms < arrived_by
        })
        .collect();
    let any = |kind| done.iter().any(|event| event.kind == kind);
    let stays = done.iter().filter(|event| event.kind == EventKind::Leave);
    let longest = stays.map(|event| event.value.unwrap()).reduce(f64::max);
    let outcome = Outcome {
        watched: longest.is_some_and(|stay| stay >= config.features.stay_threshold_s),
        stay_s: match longest {
            Some(stay) => Some(stay as f32),
            None if any(EventKind::Watch) => None,
            None => Some(0.0),
        },
        bag_click: any(EventKind::BagClick),
        product_click: any(EventKind::ProductClick),
    };
    (outcome, longest.is_some())
}
