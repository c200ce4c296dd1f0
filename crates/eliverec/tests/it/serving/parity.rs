//! What the server used for a request is what `samples` computes from the log that the server wrote.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering::SeqCst};

use eliverec_core::feed::Column;
use eliverec_core::schema::Group;
use eliverec_core::{Dimension, Event, EventKind, Feed, Schema};
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

/// What the callers have in common: the newest moment that any of them knows, and what the server explained, by request, as text,
/// which takes a tenth of the memory of values.
struct Callers<'a> {
    server: &'a Server,
    schema: &'a Schema,
    now_ms: &'a AtomicI64,
    used: &'a Mutex<BTreeMap<u64, String>>,
}

impl Callers<'_> {
    /// Sends what `body` makes of the newest moment, again where another caller told a later one meanwhile.
    fn sent(&self, path: &str, body: impl Fn(i64) -> Value) -> Value {
        loop {
            let (status, answer) = self.server.post(path, &body(self.now_ms.load(SeqCst)));
            let field = answer["field"].as_str().unwrap_or_default();
            let is_before = ["at", "available_at"].contains(&field);
            if status == 200 {
                return answer;
            }
            assert!(status == 422 && is_before, "{path}: {answer}");
        }
    }

    /// Sends what waits, in batches; how much that was.
    fn send(&self, waiting: &mut Vec<Event>) -> usize {
        let events = std::mem::take(waiting);
        for batch in events.chunks(500) {
            self.sent("/v1/events", |at| {
                batch.iter().map(|event| wire(self.schema, event, at)).collect()
            });
        }
        events.len()
    }

    /// Takes calls by turns with the other callers; how many events were sent, and how many rows.
    fn play(&self, calls: &[(i64, Call)], next: &AtomicUsize) -> (usize, usize) {
        let mut waiting: Vec<Event> = Vec::new();
        let (mut sent, mut rows) = (0, 0);
        loop {
            let place = next.fetch_add(1, SeqCst);
            let Some((at_ms, call)) = calls.get(place) else { break };
            self.now_ms.fetch_max(*at_ms, SeqCst);
            if place % 199 == 198 {
                // Somebody has told the service a time, then.
                sent += self.send(&mut waiting);
                self.put(place as u64);
                rows += 1;
            }
            match call {
                Call::Event(event) => waiting.push(event.clone()),
                Call::Request(shown) => {
                    sent += self.send(&mut waiting);
                    waiting = self.ask(shown);
                }
            }
        }
        (sent + self.send(&mut waiting), rows)
    }

    /// Asks for scores of what was shown, and keeps why; the impressions of the answer.
    fn ask(&self, shown: &[Event]) -> Vec<Event> {
        let channels: Vec<_> = shown.iter().map(|event| event.channel_id).collect();
        let answer = self.sent("/v1/rank", |at| {
            json!({
                "user_id": shown[0].user_id, "request_id": shown[0].request_id, "at": at,
                "context": context(self.schema, &shown[0]), "channels": channels,
            })
        });
        let request = answer["request_id"].as_u64().unwrap();
        let why = self.server.get(&format!("/v1/explain?request_id={request}")).1;
        assert!(why["largest_difference"].as_f64().unwrap() < 1e-5, "{why}");
        self.used.lock().unwrap().insert(request, why.to_string());
        let ts_ms = answer["at"].as_i64().unwrap();
        self.now_ms.fetch_max(ts_ms, SeqCst);
        shown.iter().map(|event| Event { ts_ms, ..event.clone() }).collect()
    }

    /// Gives a user, a product or a channel of the world other values.
    fn put(&self, number: u64) {
        let (name, group) =
            [("users", Group::User), ("products", Group::Product), ("channels", Group::Channel)]
                [(number % 3) as usize];
        let row: Map<String, Value> = Dimension::fields_of(self.schema, group)
            .into_iter()
            .map(|field| {
                let value = match Column::empty(&field.kind) {
                    Column::Ids(_) => json!(number % 7),
                    Column::Numbers(_) => json!((number % 100) as f32 / 8.0),
                    Column::Lists { .. } => json!([number % 7, number % 5 + 7]),
                };
                (field.name, value)
            })
            .collect();
        let path = format!("/v1/{name}/{}", number % 50);
        let (status, answer) = self.server.put(&path, &row.into());
        assert_eq!(status, 200, "{path}: {answer}");
    }
}

/// Four callers at once; rows of users, products and channels change meanwhile. `ELIVEREC_PARITY_USERS` makes it a larger world than
/// CI has time for.
#[test]
fn what_the_server_used_is_what_samples_compute_from_its_log() {
    const CALLERS: usize = 4;
    let users = std::env::var("ELIVEREC_PARITY_USERS").map_or(60, |users| users.parse().unwrap());
    let sandbox = world(users);
    fs_err::write(sandbox.path("serve.toml"), "[state]\ngather_ms = 0\n").unwrap();
    let begin = || Server::begin(&sandbox, "--clock callers --config serve.toml");
    let calls = calls(&sandbox);
    let schema = FeedDirectory::open(sandbox.path("world")).unwrap().schema().clone();
    let (now_ms, used) = (AtomicI64::new(calls[0].0), Mutex::default());
    let (mut sent, mut rows) = (0, 0);
    let mut server = begin();
    // In the middle of it all the process dies.
    for half in [&calls[..calls.len() / 2], &calls[calls.len() / 2..]] {
        let callers = Callers { server: &server, schema: &schema, now_ms: &now_ms, used: &used };
        let next = AtomicUsize::new(0);
        let of_each = std::thread::scope(|scope| {
            let play = || callers.play(half, &next);
            let playing: Vec<_> = (0..CALLERS).map(|_| scope.spawn(play)).collect();
            playing.into_iter().map(|of| of.join().unwrap()).collect::<Vec<_>>()
        });
        for (events, puts) in of_each {
            sent += events;
            rows += puts;
        }
        server.kill();
        server = begin();
    }
    let (last_ms, used) = (now_ms.into_inner(), used.into_inner().unwrap());
    // The last day has an event of its own, whatever of the others came twice, and three days later all days are over.
    for (id, at_ms) in [(1_u64 << 40, last_ms), (1 << 41, last_ms + 3 * 86_400_000)] {
        let end = json!({"event_id": id, "ts": at_ms, "available_at": at_ms, "kind": "stream_end", "channel_id": 1});
        server.posted("/v1/events", &json!([end]));
        sent += 1;
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
    tell(&format!(
        "parity: {compared} requests of {CALLERS} callers at once, {sent} events and {rows} rows sent, 0 differing cells"
    ));
}
