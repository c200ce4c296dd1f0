//! Whatever is sent, no answer is a fault of the service's own.

use std::sync::atomic::{AtomicU64, Ordering};

use eliverec_core::seed::Random;
use serde_json::{Value, json};

use super::server::{Server, UNKNOWN, context, now_ms, serve, world_of};

/// A service of one kind, and how it is called.
struct Kind {
    server: Server,
    /// Whether its clock is that of the callers.
    of_callers: bool,
}

/// Calls as they should be: method, path, body.
fn good(of_callers: bool) -> Vec<(&'static str, String, Vec<u8>)> {
    let moment = now_ms();
    let told = |mut value: Value, name: &str| {
        if of_callers {
            value[name] = json!(moment);
        }
        value
    };
    let event = json!({"event_id": 5, "ts": moment, "kind": "impression", "user_id": 1, "channel_id": 2, "request_id": 3,
        "position": 0, "context": context()});
    let leave = json!({"event_id": 6, "ts": moment, "kind": "leave", "user_id": "ä", "channel_id": -2, "value": 1.5});
    let [event, leave] = [event, leave].map(|event| told(event, "available_at"));
    let bytes = |value: &Value| serde_json::to_vec(value).unwrap();
    let asking = |value: Value| bytes(&told(value, "at"));
    let user = json!({"age": 1, "gender": 2, "city_tier": 1, "activity": 3});
    let product = json!({"category_id": 1, "brand_id": "b", "price": 12.5});
    let read = [
        "/v1/explain?request_id=3",
        "/v1/requests?k=3",
        "/v1/state/users/1",
        "/v1/state/channels/-2",
        "/v1/traffic",
        "/v1/bundles",
        "/v1/features",
        "/v1/sources",
        "/v1/admin/bundles",
        "/v1/admin/experiments",
        "/metrics",
        "/healthz",
        "/readyz",
        "/openapi.json",
        "/console",
        "/console/request?id=3",
        "/console/features?user=1",
        "/console/retrieval",
    ];
    let read = read.map(|path| ("GET", path.into(), Vec::new()));
    let mut calls = vec![
        (
            "POST",
            "/v1/recommend".into(),
            asking(json!({"user_id": 1, "k": 3, "context": context()})),
        ),
        (
            "POST",
            "/v1/rank".into(),
            asking(
                json!({"user_id": "u", "request_id": 3, "channels": [1, "x", -4], "context": context()}),
            ),
        ),
        ("POST", "/v1/events".into(), bytes(&json!([event, leave]))),
        ("POST", "/v1/events".into(), bytes(&leave)),
        ("PUT", "/v1/users/5".into(), bytes(&user)),
        ("PUT", "/v1/users".into(), bytes(&json!([{"id": "ä", "values": user}]))),
        ("PUT", "/v1/products/-7".into(), bytes(&product)),
        ("PUT", "/v1/products".into(), bytes(&json!({"id": 7, "values": product}))),
        ("PUT", "/v1/channels/7".into(), bytes(&json!({"anchor_id": 7, "category_id": 2}))),
        (
            "PUT",
            "/v1/channels".into(),
            bytes(&json!([{"id": 7, "values": {"anchor_id": 7, "category_id": 2}}])),
        ),
        ("POST", "/v1/admin/bundles".into(), bytes(&json!({"path": "nowhere"}))),
        ("POST", "/v1/admin/bundles/rollback".into(), bytes(&json!({}))),
        ("POST", "/v1/admin/experiments".into(), bytes(&json!({"path": "nowhere"}))),
        ("POST", "/console/bundles/roll-back".into(), Vec::new()),
    ];
    calls.extend(read);
    calls
}

const PIECES: &[&str] = &[
    "null",
    "-1",
    "1e400",
    "18446744073709551615",
    "18446744073709551616",
    "-9223372036854775808",
    "0.5",
    "NaN",
    "\"\"",
    "\"\\u0000\"",
    "\"\\ud800\"",
    "[]",
    "{}",
    "[[[[",
    "}",
    ",",
    ":",
    "true",
    "\u{feff}",
    "\n",
    "9999999999999999",
    "1e-400",
];

fn below(random: &mut Random, n: usize) -> usize {
    (random.uniform() * n as f64) as usize % n.max(1)
}

/// Changes bytes, cuts, doubles, or puts in what JSON and numbers stumble over.
fn mutated(mut bytes: Vec<u8>, random: &mut Random) -> Vec<u8> {
    for _ in 0..below(random, 4) {
        let at = below(random, bytes.len() + 1);
        match below(random, 5) {
            0 if at < bytes.len() => bytes[at] ^= 1 << below(random, 8),
            1 => bytes.truncate(at),
            2 => {
                let again = bytes[at..].to_vec();
                bytes.extend(again);
            }
            3 => {
                let piece = PIECES[below(random, PIECES.len())].bytes();
                bytes.splice(at..at, piece);
            }
            _ => {
                // A value in the place of another.
                let piece = PIECES[below(random, PIECES.len())].bytes();
                let end = bytes[at..].iter().position(|b| matches!(b, b',' | b'}' | b']'));
                let start = bytes[..at]
                    .iter()
                    .rposition(|b| matches!(b, b':' | b'['))
                    .map_or(at, |i| i + 1);
                bytes.splice(start..end.map_or(at, |end| at + end).max(start), piece);
            }
        }
    }
    bytes
}

/// A path of visible characters, which is all that a client can send.
fn path(path: &str, random: &mut Random) -> String {
    if random.uniform() < 0.8 {
        return path.into();
    }
    let visible = mutated(path.as_bytes().to_vec(), random).into_iter();
    let visible =
        visible.filter(|b| b.is_ascii_graphic() && !b"\"<>`{}[]\\^|#".contains(b)).map(char::from);
    format!("/{}", visible.skip_while(|c| *c == '/').collect::<String>())
}

/// `ELIVEREC_CALLS` makes more of them.
#[test]
fn no_call_makes_a_fault() {
    let calls: u64 =
        std::env::var("ELIVEREC_CALLS").map_or(100_000, |calls| calls.parse().unwrap());
    let sandbox = world_of(UNKNOWN);
    let settings = "[state]\ngather_ms = 0\n[limits]\nworkers = 4\n";
    fs_err::write(sandbox.path("serve.toml"), settings).unwrap();
    let answers = format!("impressions = \"answers\"\n{settings}");
    fs_err::write(sandbox.path("answers.toml"), answers).unwrap();
    let begin = |number: usize, of_callers: bool, file: &str| {
        let clock = if of_callers { "callers" } else { "machine" };
        let words = format!("--state state-{number} --config {file} --clock {clock}");
        Kind { server: Server::of(&mut serve(&sandbox, &words)).unwrap(), of_callers }
    };
    // Two threads for the usual one.
    let kinds = [
        begin(0, false, "serve.toml"),
        begin(1, true, "serve.toml"),
        begin(2, false, "answers.toml"),
        begin(3, true, "answers.toml"),
    ];
    let threads = [0, 0, 1, 2, 3];
    let count = || [AtomicU64::new(0), AtomicU64::new(0)];
    let counts: [[AtomicU64; 2]; 4] = std::array::from_fn(|_| count());
    for Kind { server, of_callers } in &kinds {
        let mut start =
            json!({"event_id": 1, "ts": now_ms(), "kind": "stream_start", "channel_id": 2});
        if *of_callers {
            start["available_at"] = start["ts"].clone();
        }
        server.posted("/v1/events", &start);
    }
    std::thread::scope(|scope| {
        for (thread, kind) in (0..).zip(threads) {
            let (Kind { server, of_callers }, counts) = (&kinds[kind], &counts[kind]);
            scope.spawn(move || {
                let mut random = Random::new(thread);
                let good = good(*of_callers);
                for _ in 0..calls / threads.len() as u64 {
                    let (method, of, body) = &good[below(&mut random, good.len())];
                    let (path, body) = (path(of, &mut random), mutated(body.clone(), &mut random));
                    let media = ["application/json", "application/x-ndjson", "text/plain", "*"];
                    let medium =
                        if random.uniform() < 0.9 { 0 } else { below(&mut random, media.len()) };
                    let (status, answer) = server.send(method, &path, media[medium], &body);
                    let what = || format!("{method} {path} {}", String::from_utf8_lossy(&body));
                    assert!(status != 500, "{answer}\n{}", what());
                    // A page refuses by a page.
                    if status >= 400 && !path.starts_with("/console") {
                        assert!(answer["code"].is_string(), "{status} {answer}\n{}", what());
                    }
                    counts[usize::from(status >= 400)].fetch_add(1, Ordering::Relaxed);
                }
            });
        }
    });
    for (Kind { server, of_callers }, counts) in kinds.into_iter().zip(counts) {
        assert_eq!(server.get("/readyz").0, 200);
        let both = counts.map(AtomicU64::into_inner);
        // A moment far ahead that was told makes all before it the past.
        let least = if of_callers { 0 } else { calls / 100 };
        assert!(both.iter().all(|count| *count > least), "{both:?} answered and refused");
        server.end();
    }
}
