//! Several processes with one state, by a real server: `redis-server` from the packages, named by the variable `REDIS_SERVER` or on the
//! path. Without it the tests say so and pass; where the variable names it, it has to be there.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};

use eliverec_core::Event;
use eliverec_tables::FeedDirectory;
use serde_json::{Value, json};

use super::parity::{Call, calls, context, wire};
use super::retrieval::given_by;
use super::server::{Server, UNKNOWN, serve, until, world, world_of};
use crate::sandbox::Sandbox;

/// A Redis-compatible server without a file, killed when it is dropped.
struct Redis {
    process: Child,
    port: u16,
}

impl Redis {
    /// `None` if there is no such program.
    fn begin(port: Option<u16>) -> Option<Self> {
        let named = std::env::var("REDIS_SERVER");
        let program = named.clone().unwrap_or_else(|_| "redis-server".into());
        // Another process may take it in between; then the server says so and ends.
        let free = || TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let port = port.unwrap_or_else(free);
        let process = Command::new(program)
            .args(["--bind", "127.0.0.1", "--port", &port.to_string()])
            .args(["--save", "", "--appendonly", "no"])
            .stdout(Stdio::null())
            .spawn();
        let process = match process {
            Ok(process) => process,
            Err(error) => {
                assert!(named.is_err(), "REDIS_SERVER: {error}");
                return None;
            }
        };
        let redis = Self { process, port };
        until("the Redis server", || redis.ask("PING\r\n").is_some_and(|said| said == "+PONG"));
        Some(redis)
    }

    /// The first line of an answer.
    fn ask(&self, command: &str) -> Option<String> {
        let mut connection = TcpStream::connect(("127.0.0.1", self.port)).ok()?;
        connection.write_all(command.as_bytes()).ok()?;
        let mut answer = [0; 256];
        let read = connection.read(&mut answer).ok()?;
        let answer = String::from_utf8_lossy(&answer[..read]).into_owned();
        answer.lines().next().map(str::to_owned)
    }

    fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// SIGKILL, and what it had is gone.
    fn kill(mut self) -> u16 {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
        self.port
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A Redis server, or none and a word about it.
fn redis() -> Option<Redis> {
    let redis = Redis::begin(None);
    if redis.is_none() {
        let told = "skipped: there is no redis-server; the Debian package redis-server has it\n";
        std::io::stderr().write_all(told.as_bytes()).unwrap();
    }
    redis
}

fn writer(sandbox: &Sandbox, redis: &Redis) -> Server {
    let words = format!("--clock callers --config serve.toml --redis {}", redis.url());
    Server::begin(sandbox, &words)
}

fn reader(sandbox: &Sandbox, redis: &Redis) -> Server {
    let words = format!("--clock callers --config serve.toml --follow {}", redis.url());
    Server::of(&mut serve(sandbox, &words)).expect("it listens")
}

fn ready(server: &Server) -> bool {
    server.get("/readyz").0 == 200
}

/// What an explanation tells but for what belongs to the process.
fn why(server: &Server, request: &Value) -> Value {
    let (status, mut why) = server.get(&format!("/v1/explain?request_id={request}"));
    assert_eq!(status, 200, "{why}");
    why.as_object_mut().unwrap().remove("largest_difference");
    why
}

/// Sends what waits, in batches.
fn send(server: &Server, waiting: &mut Vec<Value>) {
    let events = std::mem::take(waiting);
    events.chunks(500).for_each(|batch| {
        server.posted("/v1/events", &batch.into());
    });
}

#[test]
fn readers_answer_as_the_writer_does() {
    let Some(mut redis) = redis() else { return };
    let sandbox = world_of(UNKNOWN);
    // Small, so that snapshots come and groups leave.
    let config = "[state]\ngather_ms = 0\nshared_records = 2000\n[limits]\ndeadline_ms = 20000\n";
    fs_err::write(sandbox.path("serve.toml"), config).unwrap();
    let mut writer_now = writer(&sandbox, &redis);
    let mut readers = [reader(&sandbox, &redis), reader(&sandbox, &redis)];
    let schema = FeedDirectory::open(sandbox.path("world")).unwrap().schema().clone();
    let calls = calls(&sandbox);
    let mut waiting: Vec<Value> = Vec::new();
    let (mut last_ms, mut filler, mut compared, mut histories) = (0, 1_u64 << 50, 0, 0);
    for (place, (at_ms, call)) in calls.iter().enumerate() {
        last_ms = last_ms.max(*at_ms);
        if place == calls.len() / 4 {
            // A reader dies; another takes its place, from the snapshot that is there then.
            let [mut first, second] = readers;
            first.kill();
            readers = [reader(&sandbox, &redis), second];
        } else if place == calls.len() / 2 {
            writer_now.kill();
            // A reader goes on for some seconds without the writer.
            readers[1].posted("/v1/rank", &any(last_ms));
            writer_now = writer(&sandbox, &redis);
        } else if place == calls.len() * 5 / 8 {
            send(&writer_now, &mut waiting);
            redis_hangs(&redis, &writer_now, &readers, last_ms);
        } else if place == calls.len() * 3 / 4 {
            send(&writer_now, &mut waiting);
            redis = redis_is_gone(redis, &writer_now, &readers, last_ms);
        }
        let shown = match call {
            Call::Event(event) => {
                waiting.push(wire(&schema, event, last_ms));
                continue;
            }
            Call::Request(shown) => shown,
        };
        // A group right before the request, whose moment is right behind its stamp.
        filler += 1;
        waiting.push(like(filler, last_ms));
        let mut acknowledged = Value::Null;
        for batch in std::mem::take(&mut waiting).chunks(500) {
            acknowledged = writer_now.posted("/v1/events", &batch.into());
        }
        let channels: Vec<_> = shown.iter().map(|event| event.channel_id).collect();
        let mut ask = json!({
            "user_id": shown[0].user_id, "request_id": shown[0].request_id, "at": last_ms + 1,
            "context": context(&schema, &shown[0]), "channels": channels,
        });
        let reader = &readers[compared % 2];
        until("the reader is ready", || ready(reader));
        let answer = reader.posted("/v1/rank", &ask);
        assert_eq!(answer["log_position"], acknowledged["log_position"], "{answer}");
        // The writer at the same moment knows the same.
        ask["at"] = answer["at"].clone();
        last_ms = answer["at"].as_i64().unwrap();
        let of_writer = writer_now.posted("/v1/rank", &ask);
        assert_eq!(of_writer, answer);
        let (there, here) = (why(&writer_now, &ask["request_id"]), why(reader, &ask["request_id"]));
        assert_eq!(there, here);
        compared += 1;
        histories += usize::from(here["histories"].as_object().is_some_and(|of| !of.is_empty()));
        let impressions = shown
            .iter()
            .map(|event| wire(&schema, &Event { ts_ms: last_ms, ..event.clone() }, last_ms));
        waiting.extend(impressions);
    }
    assert!(compared > 100 && histories > compared / 2, "{compared} {histories}");
    assert_eq!(position(&readers[0], "applied"), position(&readers[0], "told"));
    // Others take nothing in.
    let body = json!({"anchor_id": 77, "category_id": 3});
    let (status, problem) = readers[0].put("/v1/channels/5", &body);
    assert_eq!((status, &problem["code"]), (421, &json!("misdirected")), "{problem}");
    assert_eq!(readers[0].post("/v1/events", &like(5, last_ms + 1)).0, 421);
    // Text that came with a row is there, too, and so are the intents of the user.
    assert_eq!(writer_now.put("/v1/channels/sofa", &body).0, 200);
    last_ms += 2;
    let mut event_id = 4_u64 << 50;
    let mut event = |kind: &str, user: Option<u64>, channel: Value| {
        event_id += 1;
        json!({"event_id": event_id, "ts": last_ms, "available_at": last_ms, "kind": kind, "user_id": user,
            "channel_id": channel, "value": (kind == "leave").then_some(75.0)})
    };
    let live = (1..=20).map(Value::from).chain([json!("sofa")]);
    let mut events: Vec<_> = live.map(|channel| event("stream_start", None, channel)).collect();
    events.extend(["watch", "leave"].map(|kind| event(kind, Some(2), json!(1))));
    writer_now.posted("/v1/events", &events.into());
    let ask =
        json!({"user_id": 2, "k": 200, "at": last_ms + 1, "context": super::server::context()});
    for reader in &readers {
        let answer = reader.posted("/v1/recommend", &ask);
        assert!(answer["channels"].to_string().contains("\"channel_id\":\"sofa\""), "{answer}");
        assert!(!given_by(&answer, "embedding").is_empty(), "{answer}");
        let metrics = reader.get("/metrics").1;
        let fetched = "eliverec_stage_seconds_count{stage=\"fetch\"}";
        assert!(metrics.as_str().unwrap().contains(fetched), "{metrics}");
    }
    let told = format!("shared: {compared} requests at readers as at the writer\n");
    std::io::stderr().write_all(told.as_bytes()).unwrap();
    writer_now.end();
    readers.into_iter().for_each(Server::end);
}

/// A request of the world's schema.
fn any(at_ms: i64) -> Value {
    json!({"user_id": 1, "request_id": 1, "at": at_ms, "context": super::server::context(), "channels": [1]})
}

/// An event that nothing depends on.
fn like(event_id: u64, at_ms: i64) -> Value {
    json!({"event_id": event_id, "ts": at_ms, "available_at": at_ms, "kind": "like", "user_id": 1, "channel_id": 1})
}

/// The Redis server says nothing for a while, and goes on with what it had.
fn redis_hangs(redis: &Redis, writer: &Server, readers: &[Server; 2], at_ms: i64) {
    let signal = |name: &str| {
        let pid = redis.process.id().to_string();
        assert!(Command::new("kill").args([name, &pid]).status().unwrap().success());
    };
    signal("-STOP");
    writer.posted("/v1/events", &like(6_u64 << 50, at_ms));
    until("the readers tell", || readers.iter().all(|reader| !ready(reader)));
    // Nobody waits for it any more.
    writer.posted("/v1/events", &like(5_u64 << 50, at_ms));
    signal("-CONT");
    until("the server has what the log has", || {
        position(writer, "shared") == position(writer, "applied")
    });
}

/// A position in the log, as the metrics have it.
fn position(server: &Server, of: &str) -> u64 {
    let (_, metrics) = server.get("/metrics");
    let name = format!("eliverec_log_position{{of=\"{of}\"}} ");
    let found = metrics.as_str().unwrap().lines().find_map(|line| line.strip_prefix(&name));
    found.expect("the metrics have it").parse().unwrap()
}

/// The Redis server dies with all it had, and another one comes.
fn redis_is_gone(redis: Redis, writer: &Server, readers: &[Server; 2], at_ms: i64) -> Redis {
    let port = redis.kill();
    writer.posted("/v1/events", &like(7_u64 << 50, at_ms));
    assert_eq!(writer.get("/readyz").0, 200, "the writer goes on");
    let (status, problem) = readers[0].post("/v1/rank", &any(at_ms));
    assert_eq!((status, &problem["code"]), (503, &json!("unavailable")), "{problem}");
    until("the readers tell", || readers.iter().all(|reader| !ready(reader)));
    Redis::begin(Some(port)).expect("it was there before")
}

#[test]
fn who_cannot_share_is_refused_by_name() {
    let Some(redis) = redis() else { return };
    let sandbox = world(60);
    fs_err::write(sandbox.path("serve.toml"), "[state]\ngather_ms = 0\n").unwrap();
    let writer = writer(&sandbox, &redis);
    let url = redis.url();
    let command = "serve --bundle bundle --listen 127.0.0.1:0";
    let refused = |words: &str| {
        let output = sandbox.run(words);
        assert_eq!(output.status.code(), Some(2), "{words}");
        String::from_utf8(output.stderr).unwrap()
    };
    let told = refused(&format!("{command} --state other --redis {url}"));
    assert!(told.contains("another process"), "{told}");
    let told = refused(&format!("{command} --follow nowhere"));
    assert!(told.contains("redis://"), "{told}");
    // What it answers is in no log.
    fs_err::write(sandbox.path("answers.toml"), "impressions = \"answers\"\n").unwrap();
    let told = refused(&format!("{command} --config answers.toml --follow {url}"));
    assert!(told.contains("impressions"), "{told}");
    // A bundle of other folds cannot follow.
    sandbox.succeed("samples --logs logs --out few --channel-history 5");
    let train =
        "train --config config.toml --feeds few --out run2 training.max_steps=1 tasks.mode=vanilla";
    sandbox.succeed(train);
    sandbox.succeed("export --run run2 --feeds few --out other-bundle");
    let get = "GET eliverec:about\r\n";
    until("the state is shared", || redis.ask(get).is_some_and(|said| said != "$-1"));
    let told = refused(&format!("serve --bundle other-bundle --listen 127.0.0.1:0 --follow {url}"));
    assert!(told.contains("channel_history is 50 and 5"), "{told}");
    // Under another prefix both write.
    let words = format!("--state other --prefix other --redis {url}");
    let other = Server::of(&mut serve(&sandbox, &words)).expect("it listens");
    assert!(ready(&other));
    other.end();
    writer.end();
}
