//! The directories of a service: what says that a day stands elsewhere is not believed, and what is another's is not written to.

use std::path::Path;
use std::process::Stdio;

use serde_json::{Value, json};

use super::server::{Server, UNKNOWN, now_ms, serve, until, world, world_of};
use crate::sandbox::{Sandbox, text};

const DAY_MS: i64 = 86_400_000;
const BEGIN_MS: i64 = 20_000 * DAY_MS;

fn click(id: u64, at: i64) -> Value {
    json!({"event_id": id, "ts": at, "available_at": at, "kind": "product_click", "user_id": 1, "product_id": 2})
}

fn folder(days: &Path, day: i64) -> std::path::PathBuf {
    let day = eliverec_core::Day::of(BEGIN_MS + day * DAY_MS).unwrap();
    days.join(format!("events/date={day}"))
}

/// A service that does not come to listen; its last line.
fn refused(sandbox: &Sandbox, words: &str) -> String {
    let words = format!("serve --bundle bundle --listen 127.0.0.1:0 {words}");
    let output = sandbox.command(&words).stdout(Stdio::piped()).output().unwrap();
    let told = text(&output.stderr);
    assert!(matches!(output.status.code(), Some(1 | 2)), "{words}: {told}");
    told.lines().last().unwrap_or_default().to_owned()
}

/// A service of callers' clock, and where it tells.
fn told(sandbox: &Sandbox, words: &str) -> Server {
    let told = fs_err::File::create(sandbox.path("told")).unwrap().into_parts().0;
    let words = format!("--state state --clock callers --config serve.toml {words}");
    Server::of(serve(sandbox, &words).stderr(told)).unwrap()
}

#[test]
fn no_day_leaves_that_stands_nowhere_else() {
    let sandbox = world(60);
    fs_err::write(sandbox.path("serve.toml"), "snapshot_s = 1\n").unwrap();
    let (days, left) = (sandbox.path("state/days"), sandbox.path("state/left"));
    let server = told(&sandbox, "");
    for day in 0..3 {
        server.posted("/v1/events", &click(day, BEGIN_MS + day as i64 * DAY_MS));
    }
    until("two days", || folder(&days, 1).is_dir());
    until("a note", || fs_err::read_to_string(&left).is_ok_and(|text| text.lines().count() == 3));
    server.end();

    // Another bit, and a day that cannot be over.
    let whole = fs_err::read_to_string(&left).unwrap();
    fs_err::write(&left, whole.replacen("20", "60", 1)).unwrap();
    let message = refused(&sandbox, "--state state --clock callers");
    assert!(
        message.contains("state/left: is damaged") && message.contains("remove it"),
        "{message}"
    );
    fs_err::remove_file(&left).unwrap();
    // Without it the days are compared, and nothing is doubled or lost.
    let server = told(&sandbox, "");
    server.posted("/v1/events", &click(3, BEGIN_MS + 3 * DAY_MS));
    until("the third day", || folder(&days, 2).is_dir());
    server.end();

    // A folder that is gone is told by name.
    fs_err::remove_dir_all(folder(&days, 2)).unwrap();
    let server = told(&sandbox, "");
    let message = fs_err::read_to_string(sandbox.path("told")).unwrap();
    let day = eliverec_core::Day::of(BEGIN_MS + 2 * DAY_MS).unwrap().to_string();
    let line = message.lines().find(|line| line.contains("are gone")).unwrap_or_default();
    assert!(line.starts_with("warning: ") && line.contains(&day), "{message}");
    server.end();
}

#[test]
fn days_go_to_a_log_of_this_service_alone() {
    let sandbox = world(60);
    // A log may be given that has days already.
    let server = Server::begin(&sandbox, "--logs logs");
    let message = refused(&sandbox, "--state other --logs logs");
    assert!(message.contains("logs: another service moves its days there"), "{message}");
    server.end();
    let files = |name: &str| {
        let mut names: Vec<_> = fs_err::read_dir(sandbox.path(name))
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        names.sort();
        names
    };
    for name in ["bundle", "world", "run"] {
        let before = files(name);
        let message = refused(&sandbox, &format!("--state new --logs {name}"));
        let expected = format!("{name}: holds \"");
        assert!(message.contains(&expected) && message.contains("and no log"), "{message}");
        assert_eq!(files(name), before);
    }
    let message = refused(&sandbox, "--state new --logs config.toml");
    assert!(message.contains("config.toml: is no directory"), "{message}");
    assert!(!sandbox.path("new").exists(), "nothing was begun");
    sandbox.succeed("bundle verify bundle");
}

#[test]
fn names_that_are_lost_are_missed_and_how_ids_are_written_is_not_forgotten() {
    let ids = "[columns]\nuser_id = \"text\"\nchannel_id = \"text\"\n";
    let sandbox = world_of(ids);
    let server = Server::begin(&sandbox, "");
    let start =
        json!({"event_id": 1, "ts": now_ms(), "kind": "stream_start", "channel_id": "sofa"});
    server.posted("/v1/events", &start);
    server.end();
    // A bundle that does not say it.
    fs_err::write(sandbox.path("logs/ids.toml"), UNKNOWN).unwrap();
    sandbox.succeed("export --run run --feeds world --logs logs --out bundle --force");
    let server = Server::begin(&sandbox, "");
    let known = server.get("/v1/admin/bundles").1;
    assert_eq!(known["ids"]["columns"]["channel_id"], "text", "{known}");
    let (status, problem) = server.post(
        "/v1/events",
        &json!({"event_id": 2, "ts": now_ms(), "kind": "stream_start", "channel_id": 5}),
    );
    assert_eq!((status, &problem["field"]), (422, &json!("channel_id")), "{problem}");
    server.end();
    let names = sandbox.path("state/names.redb");
    for lose in [|path: &Path| fs_err::write(path, ""), |path: &Path| fs_err::remove_file(path)] {
        lose(&names).unwrap();
        let message = refused(&sandbox, "--state state");
        assert!(message.contains("names.redb: is missing or empty"), "{message}");
    }
}

/// What a pipe gives comes never; a service neither waits for it nor is kept by it.
#[cfg(unix)]
#[test]
fn a_pipe_holds_nothing_up() {
    let sandbox = world(60);
    fs_err::write(sandbox.path("serve.toml"), "").unwrap();
    let pipe = |name: &str| {
        let made = std::process::Command::new("mkfifo").arg(sandbox.path(name)).status().unwrap();
        assert!(made.success());
    };
    fs_err::create_dir(sandbox.path("pipe")).unwrap();
    pipe("pipe/manifest.json");
    let server = told(&sandbox, "--watch");
    let activate =
        |path: &str| server.post("/v1/admin/bundles", &json!({"path": sandbox.path(path)}));
    let (status, problem) = activate("pipe");
    assert_eq!(status, 422, "{problem}");
    assert!(
        problem["detail"].as_str().unwrap().contains("manifest.json: is no regular file"),
        "{problem}"
    );
    assert_eq!(activate("bundle").0, 200);

    // The thread that moves days waits for ever; the end does not.
    server.posted("/v1/events", &click(1, BEGIN_MS));
    let schema = sandbox.path("state/days/schema.toml");
    fs_err::remove_file(&schema).unwrap();
    pipe("state/days/schema.toml");
    server.posted("/v1/events", &click(2, BEGIN_MS + 2 * DAY_MS));
    until("a day on its way", || sandbox.path("state/days/.lock").exists());
    server.end();
    fs_err::remove_file(&schema).unwrap();
    let message = fs_err::read_to_string(sandbox.path("told")).unwrap();
    assert!(message.contains("everything that was acknowledged is on disk"), "{message}");
    let snapshots = fs_err::read_dir(sandbox.path("state/snapshots")).unwrap();
    assert!(snapshots.count() > 1, "a snapshot is left: {message}");
}
