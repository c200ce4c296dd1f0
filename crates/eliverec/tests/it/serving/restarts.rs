//! What was acknowledged is there after a kill, and once.

use std::collections::BTreeSet;

use eliverec_core::seed::Random;
use serde_json::{Value, json};

use super::server::{Server, context, now_ms, world};

/// Ten events of a user in one batch.
fn batch(number: u64) -> Value {
    let ts = now_ms();
    let event = |i: u64| {
        json!({
            "event_id": number * 10 + i, "ts": ts, "kind": "product_click",
            "user_id": 1 + number % 7, "product_id": 1 + i,
        })
    };
    (0..10).map(event).collect()
}

#[test]
fn no_kill_loses_or_doubles_what_was_acknowledged() {
    let kills: u64 = std::env::var("ELIVEREC_KILLS").map_or(6, |kills| kills.parse().unwrap());
    let sandbox = world(60);
    let mut random = Random::new(kills);
    let mut acknowledged = BTreeSet::new();
    let mut next = 0;
    for kill in 0..kills {
        let server = Server::begin(&sandbox, "");
        // What was sent last before the kill may be there or not; what was acknowledged is known.
        for number in acknowledged.iter().rev().take(5) {
            let again = server.posted("/v1/events", &batch(*number));
            assert_eq!(again["duplicate"], 10, "kill {kill}: {again}");
        }
        // Half of the kills come at once: a second one while or just after it recovers.
        let sent = if kill % 2 == 1 { 0 } else { 1 + (random.uniform() * 40.0) as u64 };
        for _ in 0..sent {
            let answer = server.posted("/v1/events", &batch(next));
            assert_eq!(answer["duplicate"], 0);
            acknowledged.insert(next);
            next += 1;
        }
        let (address, unanswered) = (server.address().to_owned(), batch(next));
        next += 1;
        std::thread::scope(|scope| {
            scope.spawn(|| {
                // It may be taken in or not.
                let _ = ureq::post(format!("{address}/v1/events")).send_json(&unanswered);
            });
            server.kill();
        });
    }
    let server = Server::begin(&sandbox, "");
    let ask = |user: u64| {
        let body =
            json!({"user_id": user, "context": context(), "channels": [1], "request_id": user});
        server.posted("/v1/rank", &body);
        server.get(&format!("/v1/explain?request_id={user}")).1
    };
    // Features are those of a server that never died: every user's newest clicks, each once.
    for user in 1..=7 {
        let clicks = acknowledged.iter().filter(|number| 1 + *number % 7 == user).count();
        let known = ask(user)["histories"]["product"].as_array().map_or(0, Vec::len);
        assert!(known >= (10 * clicks).min(50), "user {user}: {known} of {clicks} batches");
    }
    let position = ask(1)["log_position"].as_u64().unwrap();
    server.end();
    let server = Server::begin(&sandbox, "");
    let why =
        server.posted("/v1/rank", &json!({"user_id": 1, "context": context(), "channels": [1]}));
    assert_eq!(why["log_position"], position, "a graceful end loses nothing");
}
