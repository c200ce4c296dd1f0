//! The simulated world as callers of a service would bring it: events as they arrive, and requests.

use std::collections::{BTreeMap, HashSet};

use eliverec_core::schema::Group;
use eliverec_core::{Dimension, Dimensions, Event, EventKind, Schema};
use eliverec_features::{Candidate, Request};
use eliverec_sim::{Collected, LoggingPolicy, SCHEMA, World, WorldConfig};

/// What a caller does next.
#[derive(Clone, Debug)]
pub(crate) enum Call {
    /// Sends events.
    Events(Vec<Event>),
    /// Asks for features of the channels that its impressions show, and then sends these.
    Request(Request, Vec<Event>),
}

/// Schema, tables and calls with their moments, in the order of arrival.
pub(crate) struct Played {
    pub(crate) schema: Schema,
    pub(crate) dimensions: Dimensions,
    pub(crate) calls: Vec<(i64, Call)>,
    pub(crate) requests: usize,
}

/// A world of so many users, its events in batches of `batch`.
pub(crate) fn play(users: u32, days: u32, batch: usize) -> Played {
    let config = WorldConfig { users, days, history_days: 2, ..Default::default() };
    let mut world = World::new(&config).unwrap();
    let mut log = Collected::default();
    let Ok(_) = world.run(&mut LoggingPolicy::new(1), &mut log, &mut |_| ());
    let schema = Schema::parse(SCHEMA).unwrap();
    let dimensions = Dimensions {
        users: Dimension::from_rows(&schema, Group::User, world.users()).unwrap(),
        products: Dimension::from_rows(&schema, Group::Product, world.products()).unwrap(),
        channels: Dimension::from_rows(&schema, Group::Channel, world.channels()).unwrap(),
    };
    let mut requests: BTreeMap<u64, Vec<Event>> = BTreeMap::new();
    let mut arrivals: BTreeMap<(i64, u64), Vec<Call>> = BTreeMap::new();
    let mut seen = HashSet::new();
    for event in log.events {
        if event.kind == EventKind::Impression {
            if seen.insert(event.event_id) {
                requests.entry(event.request_id.unwrap()).or_default().push(event);
            }
        } else {
            let calls = arrivals.entry((event.available_at_ms, event.event_id)).or_default();
            calls.push(Call::Events(vec![event]));
        }
    }
    let count = requests.len();
    for (request_id, mut shown) in requests {
        shown.sort_by_key(|event| event.position);
        let first = &shown[0];
        let candidate = |event: &Event| Candidate {
            event_id: event.event_id,
            channel_id: event.channel_id.unwrap(),
            position: event.position,
            outcome: None,
        };
        let request = Request {
            request_id,
            user_id: first.user_id.unwrap(),
            ts_ms: first.ts_ms,
            context: first.context.clone(),
            candidates: shown.iter().map(candidate).collect(),
        };
        let key = (first.ts_ms, first.event_id);
        arrivals.entry(key).or_default().push(Call::Request(request, shown));
    }
    let mut calls: Vec<(i64, Call)> = Vec::new();
    for ((at_ms, _), of_moment) in arrivals {
        for call in of_moment {
            match (calls.last_mut(), call) {
                (Some((last_ms, Call::Events(events))), Call::Events(more))
                    if events.len() < batch =>
                {
                    *last_ms = at_ms;
                    events.extend(more);
                }
                (_, call) => calls.push((at_ms, call)),
            }
        }
    }
    Played { schema, dimensions, calls, requests: count }
}
