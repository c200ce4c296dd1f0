//! What was acknowledged is there after a kill, and once: features are those of a server that never died.

use std::sync::atomic::{AtomicU64, Ordering};

use eliverec_core::seed::{Random, stream};
use serde_json::{Value, json};

use super::server::{Client, Server, context, number, serve, spin, until, world};
use crate::sandbox::{Sandbox, tell};

const WRITERS: u64 = 3;
const BATCH: u64 = 10;
const BEGIN_MS: i64 = 20_000 * 86_400_000;
/// From the clock of one life of the server to that of the next.
const LIFE_MS: i64 = 60_000;
const SETTINGS: &str = "snapshot_s = 1\n[state]\ngather_ms = 0\nsegment_records = 400\n";

/// A caller that sends one batch after the other, of users, channels and products that no other sends anything of: what the
/// server knows in the end does not depend on which of them was first.
#[derive(Default)]
struct Writer {
    number: u64,
    next: u64,
    /// Acknowledged in this life of the server, in order.
    acknowledged: Vec<Value>,
    /// Sent, and never answered.
    unanswered: Option<Value>,
}

impl Writer {
    fn batch(&mut self, now_ms: i64) -> Value {
        let n = self.next;
        self.next += 1;
        let of = |n: u64| 1 + self.number + WRITERS * (n % 3);
        let (user, channel, product) = (of(n), of(n / 3), 100 + of(n / 2));
        let mut events = vec![
            json!({"kind": "stream_start", "channel_id": channel}),
            json!({"kind": "product_on", "channel_id": channel, "product_id": product}),
            json!({"kind": "impression", "user_id": user, "channel_id": channel, "request_id": n, "context": context()}),
            json!({"kind": "watch", "user_id": user, "channel_id": channel, "request_id": n}),
            json!({"kind": "bag_click", "user_id": user, "channel_id": channel}),
            json!({"kind": "product_click", "user_id": user, "product_id": product}),
            json!({"kind": "order", "user_id": user, "channel_id": channel, "product_id": product, "value": 3.5}),
            json!({"kind": "leave", "user_id": user, "channel_id": channel, "value": n % 90}),
            json!({"kind": "follow", "user_id": user, "channel_id": channel}),
            json!({"kind": "like", "user_id": user, "channel_id": channel}),
        ];
        for (i, event) in (0..).zip(&mut events) {
            event["event_id"] = json!((self.number << 32) + n * BATCH + i);
            event["ts"] = json!(now_ms - (n * 137 + i * 911) as i64 % 5_000);
        }
        events.into()
    }

    /// Sends until the server is gone.
    fn write(&mut self, client: &Client, now_ms: i64, acknowledged: &AtomicU64) {
        loop {
            let batch = self.batch(now_ms);
            let answer = client.try_post("/v1/events", &arriving(&batch, now_ms));
            let Some((status, answer)) = answer else {
                self.unanswered = Some(batch);
                return;
            };
            assert_eq!((status, &answer["admitted"]), (200, &json!(BATCH)), "{answer}");
            self.acknowledged.push(batch);
            acknowledged.fetch_add(1, Ordering::Relaxed);
        }
    }
}

fn arriving(batch: &Value, now_ms: i64) -> Value {
    let mut batch = batch.clone();
    for event in batch.as_array_mut().unwrap() {
        event["available_at"] = json!(now_ms);
    }
    batch
}

fn rank(client: &Client, user: u64, at: i64) -> Option<(u16, Value)> {
    let channels: Vec<u64> = (1..=3 * WRITERS).collect();
    let ask = json!({"user_id": user, "request_id": user, "at": at, "context": context(), "channels": channels});
    client.try_post("/v1/rank", &ask)
}

/// All that the server knows and makes of it, for every user and channel.
fn known(client: &Client, at: i64) -> Vec<Value> {
    let of = |user| {
        let (status, answer) = rank(client, user, at).unwrap();
        assert_eq!((status, &answer["at"]), (200, &json!(at)), "{answer}");
        json!([answer, client.get(&format!("/v1/explain?request_id={user}")).1])
    };
    (1..=3 * WRITERS).map(of).collect()
}

/// Snapshots that are there or being made.
fn snapshots(sandbox: &Sandbox) -> Vec<String> {
    let names = std::fs::read_dir(sandbox.path("state/snapshots")).into_iter().flatten().flatten();
    let mut names: Vec<String> =
        names.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

/// `ELIVEREC_KILLS` makes more of them.
#[test]
fn after_any_kill_features_are_those_of_a_server_that_never_died() {
    let kills = number("ELIVEREC_KILLS", 6);
    let sandbox = world(60);
    fs_err::write(sandbox.path("serve.toml"), SETTINGS).unwrap();
    let begin = |state: &str| {
        serve(&sandbox, &format!("--state {state} --clock callers --config serve.toml"))
    };
    let oracle = Server::of(&mut begin("oracle")).unwrap();
    let mut random = Random::new(stream(kills, "kills"));
    let mut writers: Vec<Writer> =
        (0..WRITERS).map(|number| Writer { number, ..Writer::default() }).collect();
    let (mut died, mut resent, mut requests) = (0, [0, 0], 0);
    for life in 0.. {
        let now_ms = BEGIN_MS + life * LIFE_MS;
        let mut server = Server::of(&mut begin("state")).unwrap();
        // What was not answered is sent again; what came of it the first time shows now.
        let mut late = Vec::new();
        for writer in &mut writers {
            let Some(batch) = writer.unanswered.take() else { continue };
            let answer = server.posted("/v1/events", &arriving(&batch, now_ms));
            let was_there = answer["duplicate"] == BATCH;
            resent[usize::from(was_there)] += 1;
            if was_there {
                writer.acknowledged.push(batch);
            } else {
                assert_eq!(answer["admitted"], BATCH, "a part of a batch: {answer}");
                late.push(batch);
            }
        }
        let before_ms = now_ms - LIFE_MS / 2;
        for batch in writers.iter_mut().flat_map(|writer| writer.acknowledged.drain(..)) {
            oracle.posted("/v1/events", &arriving(&batch, before_ms));
        }
        for batch in late {
            oracle.posted("/v1/events", &arriving(&batch, now_ms));
        }
        let at = now_ms + LIFE_MS / 4;
        let (found, expected) = (known(&server, at), known(&oracle, at));
        for (found, expected) in found.iter().zip(&expected) {
            // Among it the number of the last record: nothing stands twice in the log.
            assert_eq!(found, expected, "life {life}");
        }
        if died >= kills {
            server.end();
            let server = Server::of(&mut begin("state")).unwrap();
            assert_eq!(known(&server, at), expected, "a graceful end loses nothing");
            break;
        }
        let row = json!({"anchor_id": 70 + life % 5, "category_id": 3});
        for server in [&server, &oracle] {
            assert_eq!(server.put(&format!("/v1/channels/{}", 1 + life % 9), &row).0, 200);
        }

        let load_ms = now_ms + LIFE_MS / 2;
        let client = Client::clone(&server);
        let (acknowledged, answered) = (AtomicU64::new(0), AtomicU64::new(0));
        let batches = 1 + random.below(60) as u64;
        std::thread::scope(|scope| {
            for writer in &mut writers {
                scope.spawn(|| writer.write(&client, load_ms, &acknowledged));
            }
            for ranker in 0..2 {
                let (client, answered) = (&client, &answered);
                scope.spawn(move || {
                    for user in (ranker..).map(|n| 1 + n % (3 * WRITERS)) {
                        let Some((status, answer)) = rank(client, user, load_ms) else { return };
                        assert_eq!(status, 200, "{answer}");
                        answered.fetch_add(1, Ordering::Relaxed);
                    }
                });
            }
            let count = |of: &AtomicU64| of.load(Ordering::Relaxed);
            until("load", || count(&acknowledged) >= batches && count(&answered) > 0);
            if life % 4 == 1 {
                let before = snapshots(&sandbox);
                until("a snapshot", || snapshots(&sandbox) != before);
            }
            spin(&mut random, 2_000_000);
            server.kill();
        });
        requests += answered.into_inner();
        died += 1;
        if life % 2 == 0 {
            // And once more while it recovers, or just after.
            let mut child = begin("state").spawn().unwrap();
            spin(&mut random, 5_000_000);
            child.kill().unwrap();
            child.wait().unwrap();
            died += 1;
        }
    }
    let batches: u64 = writers.iter().map(|writer| writer.next).sum();
    tell(&format!(
        "restarts: {died} kills, {batches} batches, {requests} requests under load; of {resent:?} batches without an answer the second \
         number was in the log"
    ));
}
