//! More than can be answered: what is refused is refused with a time to come again, and afterwards all is as before.

use std::collections::BTreeMap;
use std::sync::Mutex;

use serde_json::{Value, json};

use super::server::{Client, Server, context, now_ms, until, world};

const CLIENTS: u64 = 32;

/// Calls with many clients until `enough` of the answers were given and refused; how many of each status.
fn call(
    client: &Client,
    path: &str,
    enough: u64,
    body: impl Fn(u64) -> Value + Sync,
) -> BTreeMap<u16, u64> {
    let statuses = Mutex::new(BTreeMap::new());
    let is_enough = || {
        let statuses = statuses.lock().unwrap();
        let given = statuses.get(&200).copied().unwrap_or(0);
        given >= enough && statuses.values().sum::<u64>() - given >= enough
    };
    std::thread::scope(|scope| {
        for of in 0..CLIENTS {
            let (statuses, body, is_enough) = (&statuses, &body, &is_enough);
            scope.spawn(move || {
                let client = client.clone();
                for number in (of..).step_by(CLIENTS as usize) {
                    if is_enough() {
                        return;
                    }
                    let (status, retry_after) = client.post_for_headers(path, &body(number));
                    let seconds = retry_after.map(|seconds| seconds.parse::<u32>().unwrap());
                    let is_right = match status {
                        200 => seconds.is_none(),
                        429 | 503 => seconds.is_some_and(|seconds| seconds > 0),
                        _ => false,
                    };
                    assert!(is_right, "{path}: {status} with Retry-After {seconds:?}");
                    *statuses.lock().unwrap().entry(status).or_default() += 1;
                }
            });
        }
        until(path, is_enough);
    });
    statuses.into_inner().unwrap()
}

#[test]
fn what_is_too_much_is_refused_with_a_time_to_come_again() {
    let sandbox = world(60);
    let settings = "[limits]\nworkers = 1\nwaiting = 1\ningesting = 1\n[state]\ngather_ms = 0\n";
    fs_err::write(sandbox.path("serve.toml"), settings).unwrap();
    let server = Server::begin(&sandbox, "--config serve.toml");
    let channels: Vec<u64> = (1..=40).collect();
    let ask = json!({"user_id": 1, "context": context(), "channels": channels});
    let asked = call(&server, "/v1/rank", 30, |_| ask.clone());
    assert!(asked[&200] >= 30, "{asked:?}");
    assert_eq!(server.post("/v1/rank", &ask).0, 200, "after {asked:?}");
    let ts = now_ms();
    let event = |id| json!({"event_id": id, "ts": ts, "kind": "stream_start", "channel_id": 1});
    let sent = call(&server, "/v1/events", 30, event);
    let last = server.posted("/v1/events", &event(1 << 40));
    // Every event that was answered with 200 is in the log, and none that was refused.
    assert_eq!(last["log_position"], sent[&200] + 1, "{sent:?}");
    let (_, metrics) = server.get("/metrics");
    assert!(
        metrics.as_str().unwrap().contains("eliverec_waiting{queue=\"ranking\"} 0"),
        "{metrics}"
    );
}
