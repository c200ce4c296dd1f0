//! Experiments: who is answered by what, how that is logged, and what is refused.

use std::collections::BTreeMap;
use std::path::Path;

use arrow::array::{Array, AsArray};
use arrow::datatypes::{Int64Type, UInt64Type};
use eliverec_experiments::slot;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::{Value, json};

use super::server::{Server, context, until_while, world, world_of, written};
use crate::sandbox::Sandbox;

pub(super) const BEGIN_MS: i64 = 20_000 * 86_400_000;
const DAY_MS: i64 = 86_400_000;
pub(super) const SECOND: &str =
    "export --run run --feeds world --logs logs --rows int8 --out second --name second";
pub(super) const USERS: std::ops::RangeInclusive<u64> = 1..=40;
/// A user who is where the file says, whatever their slot is.
pub(super) const TESTER: u64 = 7;

const FILE: &str = r#"
[[layers]]
name = "ranker"
salt = "ranker-1"
[[layers.buckets]]
name = "float"
slots = ["0-4999"]
[[layers.buckets]]
name = "int8"
slots = ["5000-9999"]
bundle = "second"
[layers.overrides]
7 = "OVERRIDE"

[[layers]]
name = "order"
salt = "order-1"
[[layers.buckets]]
name = "watch"
slots = ["0-2999"]
retrieval = { candidates = 12, exploration = { quota = 5 } }
[[layers.buckets]]
name = "stay"
slots = ["3000-8999"]
utility = "p_watch * (1 + 0.01 * stay_s) - 0.1 * p_bag_click"
"#;

/// The bucket of the layer `ranker` in which a user is by their slot, `float` having those below `float`.
pub(super) fn ranker(user: &str, float: u16) -> &'static str {
    if slot("ranker-1", user) < float { "float" } else { "int8" }
}

/// All buckets of a user by their slots.
fn buckets_of(user: u64) -> Value {
    let text = user.to_string();
    let other = if ranker(&text, 5_000) == "float" { "int8" } else { "float" };
    let of_ranker = if user == TESTER { other } else { ranker(&text, 5_000) };
    match slot("order-1", &text) {
        0..3_000 => json!({"ranker": of_ranker, "order": "watch"}),
        3_000..9_000 => json!({"ranker": of_ranker, "order": "stay"}),
        _ => json!({"ranker": of_ranker}),
    }
}

pub(super) fn file() -> String {
    let slots = ranker(&TESTER.to_string(), 5_000);
    FILE.replace("OVERRIDE", if slots == "float" { "int8" } else { "float" })
}

pub(super) fn begin(sandbox: &Sandbox, words: &str) -> Server {
    let words = format!("--clock callers --experiments experiments.toml {words}");
    let server = Server::begin(sandbox, &words);
    let begun = |channel: u64| json!({"event_id": channel, "ts": BEGIN_MS, "available_at": BEGIN_MS, "kind": "stream_start", "channel_id": channel});
    server.posted("/v1/events", &(1..=20).map(begun).collect());
    server
}

pub(super) fn ask(user: u64, request: u64) -> Value {
    let at = BEGIN_MS + request as i64;
    json!({"user_id": user, "request_id": request, "at": at, "k": 20, "context": context()})
}

fn utility(channel: &Value) -> f64 {
    let number = |value: &Value| value.as_f64().unwrap();
    let tasks = &channel["tasks"];
    number(&channel["p_watch"]) * (1.0 + 0.01 * number(&tasks["stay"]))
        - 0.1 * number(&tasks["bag_click"])
}

/// Looks whether the answer's channels stand in the order of its buckets.
fn check_order(answer: &Value) {
    let channels = answer["channels"].as_array().unwrap();
    let by: Vec<f64> = if answer["buckets"]["order"] == "stay" {
        for channel in channels {
            let (told, expected) = (channel["utility"].as_f64().unwrap(), utility(channel));
            assert!((told - expected).abs() < 1e-5 * expected.abs().max(1.0), "{channel}");
        }
        channels.iter().map(|of| of["utility"].as_f64().unwrap()).collect()
    } else {
        assert!(channels.iter().all(|of| of["utility"].is_null()), "{answer}");
        channels.iter().map(|of| of["p_watch"].as_f64().unwrap()).collect()
    };
    assert!(by.is_sorted_by(|a, b| a >= b), "{answer}");
}

/// Request to user, moment, bundle and buckets.
type Logged = BTreeMap<u64, (u64, i64, String, BTreeMap<String, String>)>;

fn logged(folder: &Path) -> Logged {
    let file = fs_err::File::open(folder.join("_answers.parquet")).unwrap().into_parts().0;
    let mut found = Logged::new();
    for rows in ParquetRecordBatchReaderBuilder::try_new(file).unwrap().build().unwrap() {
        let rows = rows.unwrap();
        let number = |name: &str, row| {
            rows.column_by_name(name).unwrap().as_primitive::<UInt64Type>().value(row)
        };
        let text = |name: &str, row| {
            let column = rows.column_by_name(name).unwrap().as_string::<i32>();
            (!column.is_null(row)).then(|| column.value(row).to_owned())
        };
        for row in 0..rows.num_rows() {
            let at = rows.column_by_name("at").unwrap().as_primitive::<Int64Type>().value(row);
            let of = (number("user_id", row), at, text("bundle", row).unwrap(), BTreeMap::new());
            let answer = found.entry(number("request_id", row)).or_insert(of);
            answer.3.extend(text("layer", row).zip(text("bucket", row)));
        }
    }
    found
}

fn expected(answer: &Value, user: u64) -> (u64, i64, String, BTreeMap<String, String>) {
    let buckets = serde_json::from_value(answer["buckets"].clone()).unwrap_or_default();
    let bundle = answer["model"].as_str().unwrap().to_owned();
    (user, answer["at"].as_i64().unwrap(), bundle, buckets)
}

/// Goes on to a day behind the next, and waits for the folder of the first.
pub(super) fn end_day(server: &Server, sandbox: &Sandbox) -> std::path::PathBuf {
    let end = BEGIN_MS + 3 * DAY_MS;
    let event = json!({"event_id": 99, "ts": end, "available_at": end, "kind": "stream_end", "channel_id": 1});
    server.posted("/v1/events", &event);
    let days = sandbox.path("state/days");
    let folder = days.join(format!("events/date={}", eliverec_core::Day::of(BEGIN_MS).unwrap()));
    until_while("the day's folder", || written(&days), || folder.is_dir());
    folder
}

#[test]
fn users_are_answered_by_their_buckets_and_the_log_says_so() {
    let sandbox = world(60);
    sandbox.succeed(SECOND);
    fs_err::write(sandbox.path("experiments.toml"), file()).unwrap();
    let mut server = begin(&sandbox, "");
    let bundles = server.get("/v1/admin/bundles").1;
    assert_eq!(bundles["in_buckets"], json!(["second"]));
    let first = bundles["active"].as_str().unwrap().to_owned();

    let mut answers: BTreeMap<u64, (u64, Value)> = BTreeMap::new();
    for user in USERS {
        let answer = server.posted("/v1/recommend", &ask(user, user));
        assert_eq!(answer["buckets"], buckets_of(user), "user {user}");
        let model = if answer["buckets"]["ranker"] == "int8" { "second" } else { &first };
        assert_eq!(answer["model"], model, "user {user}");
        let most = if answer["buckets"]["order"] == "watch" { 12 } else { 20 };
        assert_eq!(answer["channels"].as_array().unwrap().len(), most, "user {user}");
        check_order(&answer);
        let why = server.get(&format!("/v1/explain?request_id={user}")).1;
        assert_eq!((&why["buckets"], &why["model"]), (&answer["buckets"], &answer["model"]));
        answers.insert(user, (user, answer));
    }
    let of_orders = answers.values().filter(|(_, of)| of["buckets"]["order"] == "stay");
    assert!(of_orders.count() > 10, "few users of a bucket");
    // Of a caller's own channels, and of the probability of a watch alone, by the same buckets.
    let mut rank = json!({"user_id": 1, "at": BEGIN_MS + 100, "context": context(), "channels": [1, 2, 3], "tasks": false});
    for request in 101..=140 {
        let user = request - 100;
        (rank["user_id"], rank["request_id"]) = (json!(user), json!(request));
        let answer = server.posted("/v1/rank", &rank);
        assert_eq!(answer["buckets"], buckets_of(user));
        let channels = answer["channels"].as_array().unwrap();
        assert!(channels.iter().all(|of| of["tasks"].is_null()), "{answer}");
        let has_utility = answer["buckets"]["order"] == "stay";
        assert!(channels.iter().all(|of| of["utility"].is_number() == has_utility), "{answer}");
        answers.insert(request, (user, answer));
    }
    let metrics = server.get("/metrics").1;
    let counted = metrics.as_str().unwrap();
    assert!(counted.contains("eliverec_experiment_answers_total{layer=\"order\",bucket=\"stay\"}"));
    assert!(counted.contains("eliverec_bundle{version=\"second\"} 1"));

    // What waits for the log stands before what is acknowledged later, and is there after a kill.
    let at = BEGIN_MS + 200;
    let event = json!({"event_id": 50, "ts": at, "available_at": at, "kind": "like", "user_id": 1, "channel_id": 1});
    server.posted("/v1/events", &event);
    server.kill();
    let server = begin(&sandbox, "");
    let folder = end_day(&server, &sandbox);
    let found = logged(&folder);
    let expected: Logged =
        answers.iter().map(|(request, (user, of))| (*request, expected(of, *user))).collect();
    assert_eq!(found, expected);
    server.end();

    // The journal has the file once, for nothing has changed; without experiments they end.
    let journal = sandbox.path("state/days/experiments.jsonl");
    let lines = || {
        let text = fs_err::read_to_string(&journal).unwrap();
        text.lines().map(|of| serde_json::from_str(of).unwrap()).collect::<Vec<Value>>()
    };
    let [line] = &lines()[..] else { panic!("{:?}", lines()) };
    let layer = &line["experiments"]["layers"][0];
    assert_eq!((&line["at"], &layer["name"]), (&json!(0), &json!("ranker")));
    assert_eq!(
        (&layer["buckets"][1]["name"], &layer["buckets"][1]["share"]),
        (&json!("int8"), &json!(0.5))
    );
    let server = Server::begin(&sandbox, "--clock callers");
    assert_eq!(lines()[1]["experiments"], json!({"layers": []}));
    assert!(server.get("/v1/admin/experiments").1["file"].is_null());
    drop(server);
    // What reads events passes both files over.
    let read = sandbox.succeed("check state/days --json");
    assert!(!read.contains("experiments.jsonl"), "{read}");
}

#[test]
fn answers_that_are_impressions_stand_with_their_buckets() {
    let sandbox = world_of(
        "[columns]\nuser_id = \"text\"\nproduct_id = \"integer\"\nchannel_id = \"integer\"\n",
    );
    sandbox.succeed(SECOND);
    let text = file().replace("7 = ", "user-7 = ");
    fs_err::write(sandbox.path("experiments.toml"), text).unwrap();
    fs_err::write(sandbox.path("serve.toml"), "impressions = \"answers\"\n").unwrap();
    let mut server = begin(&sandbox, "--config serve.toml");
    let mut answers = Logged::new();
    for user in USERS {
        let name = format!("user-{user}");
        let mut asked = ask(user, user);
        asked["user_id"] = json!(name);
        let answer = server.posted("/v1/recommend", &asked);
        // The text itself is hashed, not what stands for it.
        if user != TESTER {
            assert_eq!(answer["buckets"]["ranker"], ranker(&name, 5_000), "{name}");
        }
        answers.insert(user, expected(&answer, eliverec_core::id::text_id(&name)));
    }
    // Every one of them was on disk before it was given.
    server.kill();
    let server = begin(&sandbox, "--config serve.toml");
    let folder = end_day(&server, &sandbox);
    assert_eq!(logged(&folder), answers);
}
