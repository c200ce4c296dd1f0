//! What the server used for a request is what `samples` computes from the log that the server wrote.

use std::collections::BTreeMap;

use eliverec_core::schema::Group;
use eliverec_core::{Event, EventKind, Feed, Schema};
use eliverec_run::explained::{fields, plain_ids};
use eliverec_tables::events::{EventLog, Row, Store};
use eliverec_tables::{FeedDirectory, Split};
use serde_json::{Map, Value, json};

use super::server::{Server, until_while, world, written};
use crate::sandbox::{Sandbox, tell};

/// What a platform sends next.
pub(super) enum Call {
    Event(Event),
    /// The impressions of a request, by position, before any of them has a moment.
    Request(Vec<Event>),
}

/// The simulated log as it would have come to a service: events when they arrived, late and twice ones too, and requests when
/// their impressions happened.
pub(super) fn calls(sandbox: &Sandbox) -> Vec<(i64, Call)> {
    let log = EventLog::open(&Store::local(&sandbox.path("logs")).unwrap()).unwrap();
    let mut requests: BTreeMap<u64, BTreeMap<u16, Event>> = BTreeMap::new();
    let mut calls = Vec::new();
    for row in log.read(..).unwrap() {
        let Row::Event(event) = row.unwrap() else { panic!("a rejected row") };
        match (event.kind, event.request_id, event.position) {
            (EventKind::Impression, Some(request), Some(position)) => {
                requests.entry(request).or_default().insert(position, event);
            }
            _ => calls.push((event.available_at_ms, Call::Event(event))),
        }
    }
    for shown in requests.into_values() {
        let shown: Vec<Event> = shown.into_values().collect();
        calls.push((shown[0].ts_ms, Call::Request(shown)));
    }
    calls.sort_by_key(|(at_ms, _)| *at_ms);
    calls
}

pub(super) fn wire(schema: &Schema, event: &Event, arrival_ms: i64) -> Value {
    let mut wire = json!({
        "event_id": event.event_id, "ts": event.ts_ms, "available_at": arrival_ms, "kind": event.kind.name(),
        "user_id": event.user_id, "channel_id": event.channel_id, "product_id": event.product_id,
        "request_id": event.request_id, "position": event.position, "value": event.value,
    });
    if event.kind == EventKind::Impression {
        wire["context"] = context(schema, event);
    }
    wire
}

pub(super) fn context(schema: &Schema, event: &Event) -> Value {
    use eliverec_core::event::Scalar;
    let values = event.context.iter().map(|value| match value {
        Scalar::Id(id) => json!(id),
        Scalar::Number(number) => json!(number),
    });
    let names = schema.fields(Group::Context).iter().map(|field| field.name.clone());
    Value::Object(names.zip(values).collect::<Map<_, _>>())
}

/// Sends what waits, in batches; how much that was.
pub(super) fn send(server: &Server, waiting: &mut Vec<Value>) -> usize {
    let events = std::mem::take(waiting);
    events.chunks(500).for_each(|batch| {
        server.posted("/v1/events", &batch.into());
    });
    events.len()
}

/// What an explanation tells of a request, of a feed of it instead; histories of at most so many events.
pub(super) fn of_feed(schema: &Schema, feed: &Feed, kept: [usize; 2]) -> [Value; 3] {
    let ids = plain_ids(schema, feed);
    let of = |group, i| fields(schema, (feed, &ids), group, i);
    let mut user = of(Group::User, 0);
    user.extend(of(Group::Context, 0));
    let mut histories = Map::new();
    let both = [
        ("live", [Group::Channel, Group::ChannelEvent], &feed.channels.age_s),
        ("product", [Group::Product, Group::ProductEvent], &feed.products.age_s),
    ];
    for ((name, groups, ages), kept) in both.into_iter().zip(kept) {
        let event = |i: usize| {
            let fields: BTreeMap<_, _> = groups.iter().flat_map(|group| of(*group, i)).collect();
            json!({"fields": fields, "age_s": ages[i].to_string()})
        };
        let events: Vec<Value> = (ages.len().saturating_sub(kept)..ages.len()).map(event).collect();
        if !events.is_empty() {
            histories.insert(name.into(), events.into());
        }
    }
    let matches = schema.matches.iter().zip(schema.matchers());
    let matches: Vec<(&str, Vec<f32>)> =
        matches.map(|(of, matcher)| (of.name.as_str(), matcher.counts(feed))).collect();
    let candidate = |i: usize| {
        let groups = [Group::Candidate, Group::Target, Group::Dynamic];
        let fields = groups.into_iter().flat_map(|group| of(group, i));
        let counts = matches.iter().map(|(name, of)| ((*name).to_owned(), of[i].to_string()));
        let fields: BTreeMap<_, _> = fields.chain(counts).collect();
        json!(fields)
    };
    [json!(user), histories.into(), (0..feed.impressions()).map(candidate).collect()]
}

/// The same of an explanation.
pub(super) fn of_explanation(explanation: &Value) -> [Value; 3] {
    let mut histories = explanation["histories"].clone();
    let events = histories.as_object_mut().unwrap().values_mut();
    for event in events.flat_map(|events| events.as_array_mut().unwrap()) {
        let event = event.as_object_mut().unwrap();
        event.remove("intent");
        // Of 32 bits, as the feed has it.
        let age_s = event["age_s"].as_f64().unwrap() as f32;
        event["age_s"] = json!(age_s.to_string());
    }
    let candidates = explanation["candidates"].as_array().unwrap().iter();
    let candidates = candidates.map(|candidate| candidate["fields"].clone()).collect();
    [explanation["user"].clone(), histories, candidates]
}

/// `ELIVEREC_PARITY_USERS` makes it a larger world than CI has time for.
#[test]
fn what_the_server_used_is_what_samples_compute_from_its_log() {
    let users = std::env::var("ELIVEREC_PARITY_USERS").map_or(60, |users| users.parse().unwrap());
    let sandbox = world(users);
    fs_err::write(sandbox.path("serve.toml"), "[state]\ngather_ms = 0\n").unwrap();
    let mut server = Server::begin(&sandbox, "--clock callers --config serve.toml");
    let calls = calls(&sandbox);
    let schema = FeedDirectory::open(sandbox.path("world")).unwrap().schema().clone();
    // As text, which takes a tenth of the memory of values.
    let mut used: BTreeMap<u64, String> = BTreeMap::new();
    let mut waiting: Vec<Value> = Vec::new();
    let (mut last_ms, mut sent) = (0, 0);
    let half = calls.len() / 2;
    for (place, (at_ms, call)) in calls.iter().enumerate() {
        if place == half {
            // In the middle of it all the process dies.
            sent += send(&server, &mut waiting);
            server.kill();
            server = Server::begin(&sandbox, "--clock callers --config serve.toml");
        }
        last_ms = last_ms.max(*at_ms);
        match call {
            Call::Event(event) => waiting.push(wire(&schema, event, last_ms)),
            Call::Request(shown) => {
                sent += send(&server, &mut waiting);
                let channels: Vec<_> = shown.iter().map(|event| event.channel_id).collect();
                let answer = server.posted(
                    "/v1/rank",
                    &json!({
                        "user_id": shown[0].user_id, "request_id": shown[0].request_id, "at": last_ms,
                        "context": context(&schema, &shown[0]), "channels": channels,
                    }),
                );
                let request = answer["request_id"].as_u64().unwrap();
                let why = server.get(&format!("/v1/explain?request_id={request}")).1;
                assert!(why["largest_difference"].as_f64().unwrap() < 1e-5, "{why}");
                used.insert(request, why.to_string());
                let moment = answer["at"].as_i64().unwrap();
                last_ms = last_ms.max(moment);
                let shown = shown
                    .iter()
                    .map(|event| wire(&schema, &Event { ts_ms: moment, ..event.clone() }, last_ms));
                waiting.extend(shown);
            }
        }
    }
    sent += send(&server, &mut waiting);
    // The last day has an event of its own, whatever of the others came twice, and three days later all days are over.
    for (id, at_ms) in [(1_u64 << 40, last_ms), (1 << 41, last_ms + 3 * 86_400_000)] {
        waiting.push(json!({"event_id": id, "ts": at_ms, "available_at": at_ms, "kind": "stream_end", "channel_id": 1}));
        sent += send(&server, &mut waiting);
    }
    let day = eliverec_core::Day::of(last_ms).unwrap();
    let folder = sandbox.path(&format!("state/days/events/date={day}"));
    let days = sandbox.path("state/days");
    until_while("the last day's folder", || written(&days), || folder.is_dir());
    server.end();

    sandbox.succeed("samples --logs state/days --out again --below-threshold negative");
    let again = FeedDirectory::open(sandbox.path("again")).unwrap();
    let (mut compared, mut events) = (0, 0);
    let kept = [50, 50];
    for split in Split::ALL {
        if again.feeds(split).unwrap() == 0 {
            continue;
        }
        for feed in again.read(split).unwrap() {
            let feed = feed.unwrap();
            let explanation: Value = serde_json::from_str(&used[&feed.request_id]).unwrap();
            assert_eq!(
                of_feed(&schema, &feed, kept),
                of_explanation(&explanation),
                "{}",
                feed.request_id
            );
            assert_eq!(explanation["at"], feed.ts_ms);
            compared += 1;
            events += feed.channels.age_s.len() + feed.products.age_s.len();
        }
    }
    assert_eq!(compared, used.len(), "every request is a feed");
    assert!(compared > 100 && events > compared && sent > 1_000, "{compared} {events} {sent}");
    tell(&format!("parity: {compared} requests, {sent} events sent, 0 differing cells"));
}
