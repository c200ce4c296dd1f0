//! A disk that fills up under a service: events are refused, requests go on, and nothing that was acknowledged is lost.

#![cfg(unix)]

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use super::server::{Server, context, serve, world};
use crate::sandbox::{Sandbox, tell};

const BEGIN_MS: i64 = 20_000 * 86_400_000;
const BATCH: u64 = 100;
const WORDS: &str = "--state state --clock callers --config serve.toml";

fn batch(number: u64) -> Value {
    let click = |i| json!({"event_id": number * BATCH + i, "ts": BEGIN_MS, "available_at": BEGIN_MS, "kind": "product_click", "user_id": 1 + i % 9, "product_id": i});
    (0..BATCH).map(click).collect()
}

/// Where no file may grow beyond some megabytes, wherever the tests run.
#[test]
fn a_file_that_cannot_grow_refuses_events_and_answers_requests() {
    // The signal that comes with the limit would end the process before it sees the error.
    let limit = "trap '' XFSZ; ulimit -f 6000; exec \"$0\" \"$@\"";
    fills_up(limit, false, |_| ());
}

/// On a file system of its own that is really full, where the tests may mount one.
#[test]
fn a_full_disk_refuses_events_and_answers_requests() {
    let mount = "mkdir -p state && mount -t tmpfs -o size=12m tmpfs state && exec \"$0\" \"$@\"";
    let probe = Sandbox::new();
    let _mounted = Mounted(probe.path("state"));
    let mut may_mount = Command::new("sh");
    let tried = may_mount.args(["-c", mount, "true"]).current_dir(probe.path(".")).output();
    if !tried.is_ok_and(|tried| tried.status.success()) {
        tell("full_disk: skipped, no file system may be mounted here");
        return;
    }
    fills_up(mount, true, |state| {
        let grown = Command::new("mount").args(["-o", "remount,size=1g"]).arg(state).status();
        assert!(grown.unwrap().success());
    });
}

/// A file system that is taken away again.
struct Mounted(PathBuf);

impl Drop for Mounted {
    fn drop(&mut self) {
        // There may be none.
        let _ = Command::new("umount").args(["--quiet", "--lazy"]).arg(&self.0).output();
    }
}

/// Fills the disk of a service that a shell starts by `limit`, and looks what is left when `make_room` has made some; where it `stays_full`
/// without the shell, after a kill in between, too.
fn fills_up(limit: &str, stays_full: bool, make_room: impl FnOnce(&Path)) {
    let sandbox = world(60);
    let _mounted = Mounted(sandbox.path("state"));
    fs_err::write(sandbox.path("serve.toml"), "[state]\ngather_ms = 0\n").unwrap();
    let serving = serve(&sandbox, WORDS);
    let mut limited = Command::new("sh");
    limited.args(["-c", limit]);
    limited.arg(serving.get_program()).args(serving.get_args());
    limited.current_dir(serving.get_current_dir().unwrap()).stdout(Stdio::piped());
    let server = Server::of(&mut limited).unwrap();
    let start = json!({"event_id": 1_u64 << 40, "ts": BEGIN_MS, "available_at": BEGIN_MS, "kind": "stream_start", "channel_id": 2});
    server.posted("/v1/events", &start);
    let mut acknowledged = 0;
    let refused = loop {
        let (status, answer) = server.post("/v1/events", &batch(acknowledged));
        if status != 200 {
            break (status, answer);
        }
        acknowledged += 1;
    };
    assert_eq!((refused.0, &refused.1["code"]), (507, &json!("storage_full")), "{}", refused.1);
    assert!(acknowledged > 5, "{acknowledged}");
    let (status, again) = server.post("/v1/events", &start);
    assert_eq!(status, 507, "{again}");
    let row = json!({"anchor_id": 7, "category_id": 3});
    assert_eq!(server.put("/v1/channels/5", &row).0, 507);
    assert_eq!(server.get("/readyz").0, 503);
    assert_eq!(server.get("/healthz").0, 200);
    let ask = json!({"user_id": 1, "at": BEGIN_MS + 1_000, "context": context()});
    let why = |server: &Server, at: i64| {
        let ask = json!({"user_id": 3, "request_id": 3, "at": at, "context": context(), "channels": [2, 3]});
        server.posted("/v1/rank", &ask);
        server.get("/v1/explain?request_id=3").1
    };
    let answer = server.posted("/v1/recommend", &ask);
    assert_eq!(answer["channels"][0]["channel_id"], 2, "{answer}");
    let known = why(&server, BEGIN_MS + 2_000);
    server.end();
    if stays_full {
        let mut again = Server::of(&mut serve(&sandbox, WORDS)).unwrap();
        let answered = why(&again, BEGIN_MS + 2_000);
        assert_eq!(answered["user"], known["user"], "it starts, and answers");
        again.kill();
    }

    make_room(&sandbox.path("state"));
    let server = Server::of(&mut serve(&sandbox, WORDS)).unwrap();
    let after = why(&server, BEGIN_MS + 2_000);
    // What was refused may be there or not, as after any answer that says so; it is of users whose histories are full.
    assert_eq!((&after["user"], &after["candidates"]), (&known["user"], &known["candidates"]));
    let again = |number: u64| {
        let mut batch = batch(number);
        for event in batch.as_array_mut().unwrap() {
            event["available_at"] = json!(BEGIN_MS + 2_000);
        }
        server.posted("/v1/events", &batch)
    };
    for number in 0..acknowledged {
        let answer = again(number);
        assert_eq!(answer["duplicate"], BATCH, "batch {number} of {acknowledged}: {answer}");
    }
    // It was refused, and is now in the log, once.
    assert_eq!(again(acknowledged)["log_position"], 1 + (acknowledged + 1) * BATCH);
    let next = json!({"event_id": 1_u64 << 41, "ts": BEGIN_MS, "available_at": BEGIN_MS + 2_000, "kind": "stream_start", "channel_id": 3});
    assert_eq!(server.posted("/v1/events", &next)["admitted"], 1);
}
