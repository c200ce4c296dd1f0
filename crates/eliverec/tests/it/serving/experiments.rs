//! Experiments: who is answered by what, how that is logged, and what is refused.

use std::collections::BTreeMap;
use std::path::Path;

use arrow::array::{Array, AsArray};
use arrow::datatypes::{Int64Type, UInt64Type};
use eliverec_experiments::slot;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::{Value, json};

use super::bundles::mapped_files;
use super::server::{Server, context, serve, until, until_while, world, world_of, written};
use crate::sandbox::{Sandbox, text};

const BEGIN_MS: i64 = 20_000 * 86_400_000;
const DAY_MS: i64 = 86_400_000;
const SECOND: &str =
    "export --run run --feeds world --logs logs --rows int8 --out second --name second";
const USERS: std::ops::RangeInclusive<u64> = 1..=40;
/// A user who is where the file says, whatever their slot is.
const TESTER: u64 = 7;

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
fn ranker(user: &str, float: u16) -> &'static str {
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

fn file() -> String {
    let slots = ranker(&TESTER.to_string(), 5_000);
    FILE.replace("OVERRIDE", if slots == "float" { "int8" } else { "float" })
}

fn begin(sandbox: &Sandbox, words: &str) -> Server {
    let words = format!("--clock callers --experiments experiments.toml {words}");
    let server = Server::begin(sandbox, &words);
    let begun = |channel: u64| json!({"event_id": channel, "ts": BEGIN_MS, "available_at": BEGIN_MS, "kind": "stream_start", "channel_id": channel});
    server.posted("/v1/events", &(1..=20).map(begun).collect());
    server
}

fn ask(user: u64, request: u64) -> Value {
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
fn end_day(server: &Server, sandbox: &Sandbox) -> std::path::PathBuf {
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
    // What makes feeds passes both files over.
    let read = sandbox.succeed("samples --logs state/days --out again --json");
    assert!(!read.contains("experiments.jsonl"), "{read}");
}

#[test]
fn what_is_refused_changes_nothing_and_shares_move_nobody_else() {
    let sandbox = world(60);
    sandbox.succeed(SECOND);
    sandbox.succeed(
        "train --config config.toml --feeds world --out plain training.max_steps=1",
    );
    let export = SECOND.replace("--run run", "--run plain");
    sandbox.succeed(&export.replace("second", "plain"));
    fs_err::write(sandbox.path("experiments.toml"), file()).unwrap();
    let server = begin(&sandbox, "");
    let put =
        |name: &str| server.post("/v1/admin/experiments", &json!({"path": sandbox.path(name)}));
    let running = || server.get("/v1/admin/experiments").1;
    let before = running();
    assert_eq!(before["bundles"], json!({"second": "second"}));
    let shares = |layers: &Value| {
        [&layers[0]["buckets"][0]["share"], &layers[1]["buckets"][1]["share"]].map(Value::as_f64)
    };
    assert_eq!(shares(&before["layers"]), [Some(0.5), Some(0.6)]);

    for (from, to, words) in [
        (
            "stay_s",
            "stays",
            "layer \"order\", bucket \"stay\": utility: \"p_watch * (1 + 0.01 * stays) - 0.1 * p_bag_click\": a model has no output \"stays\"; it has p_watch, stay_s, p_bag_click",
        ),
        ("p_bag_click\"", "\"", "layer \"order\", bucket \"stay\": utility: "),
        (
            "bundle = \"second\"",
            "bundle = \"nowhere\"",
            "layer \"ranker\", bucket \"int8\": bundle: ",
        ),
        (
            "bundle = \"second\"",
            "bundle = \"plain\"",
            "needs tasks, and bundle \"plain\", which may answer there, has none",
        ),
        (
            "\"5000-9999\"",
            "\"4000-9999\"",
            "layer \"ranker\", bucket \"int8\": slots: 4000 is one of bucket \"float\", too",
        ),
        (
            "quota = 5",
            "quota = 50",
            "layer \"order\", bucket \"watch\": retrieval: exploration.quota: is 50",
        ),
        ("7 = \"", "7 = \"x", "layer \"ranker\": overrides: user \"7\": there is no bucket"),
        (
            "slots = [\"3000-8999\"]",
            "slots = [\"3000-8999\"]\nbundle = \"second\"",
            "layer \"order\": bundle: layer \"ranker\" has one, too",
        ),
        (
            "name = \"order\"",
            "name = \"order\"\naa = true",
            "layer \"order\": aa: buckets \"watch\" and \"stay\" differ in retrieval",
        ),
    ] {
        let wrong = file().replacen(from, to, 1);
        assert_ne!(wrong, file(), "{from}");
        fs_err::write(sandbox.path("wrong.toml"), wrong).unwrap();
        let (status, problem) = put("wrong.toml");
        assert_eq!((status, &problem["code"]), (422, &json!("experiments_refused")), "{problem}");
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains("wrong.toml: ") && detail.contains(words), "{detail}\n{words}");
        assert_eq!(running(), before, "{words}");
    }
    assert_eq!(put("none.toml").0, 422);
    let ended = sandbox
        .run("serve --bundle bundle --state other --listen 127.0.0.1:0 --experiments wrong.toml");
    assert_eq!(ended.status.code(), Some(2));
    let told = text(&ended.stderr);
    assert!(told.contains("error: --experiments: wrong.toml: layer \"order\": aa: "), "{told}");
    // A bundle without what a utility needs does not come into service either.
    let (status, problem) =
        server.post("/v1/admin/bundles", &json!({"path": sandbox.path("plain")}));
    assert_eq!((status, &problem["code"]), (422, &json!("bundle_refused")), "{problem}");
    assert!(problem["detail"].as_str().unwrap().contains("needs tasks"), "{problem}");

    let of_users = |at: u64| -> BTreeMap<u64, Value> {
        let of = |user| server.posted("/v1/recommend", &ask(user, at + user));
        USERS.map(|user| (user, of(user)["buckets"]["ranker"].clone())).collect()
    };
    let then = of_users(1_000);
    let told = sandbox
        .succeed("ab shares experiments.toml --layer ranker --set float=0.2 --set int8=0.8 --json");
    let told: Value = serde_json::from_str(&told).unwrap();
    assert_eq!(told["buckets"][0], json!({"bucket": "float", "before": 5000, "after": 2000}));
    let (status, answer) = put("experiments.toml");
    assert_eq!((status, shares(&answer["layers"])), (200, [Some(0.2), Some(0.6)]), "{answer}");
    let now = of_users(2_000);
    for user in USERS {
        let expected = ranker(&user.to_string(), 2_000);
        if user == TESTER {
            assert_eq!(now[&user], then[&user]);
        } else {
            assert_eq!(now[&user], expected, "user {user}");
            assert!(then[&user] == now[&user] || then[&user] == "float", "user {user}");
        }
    }
    assert_ne!(now, then);
    let refused = sandbox.fail("ab shares experiments.toml --layer order --set watch=0.5", 2);
    assert!(refused.contains("2000 more slots are wanted and 1000 are free"), "{refused}");
}

#[test]
fn the_services_bundle_is_swapped_and_rolled_back_beside_those_of_buckets() {
    let sandbox = world(60);
    sandbox.succeed(SECOND);
    sandbox.succeed(&SECOND.replace("second", "third"));
    fs_err::write(sandbox.path("experiments.toml"), file()).unwrap();
    let server = Server::of(&mut serve(
        &sandbox,
        "--state state --clock callers --experiments experiments.toml",
    ));
    let server = server.unwrap();
    let files = mapped_files(&server);
    let models = |request: u64| -> BTreeMap<String, String> {
        let of = |user: u64| {
            let rank = json!({"user_id": user, "at": BEGIN_MS + request as i64, "context": context(), "channels": [1, 2]});
            let answer = server.posted("/v1/rank", &rank);
            let text = |of: &Value| of.as_str().unwrap().to_owned();
            (text(&answer["buckets"]["ranker"]), text(&answer["model"]))
        };
        USERS.map(of).collect()
    };
    let first = server.get("/v1/admin/bundles").1["active"].as_str().unwrap().to_owned();
    let pair = |float: &str| {
        let of = [("float", float), ("int8", "second")];
        of.map(|(bucket, model)| (bucket.to_owned(), model.to_owned())).into()
    };
    assert_eq!(models(1), pair(&first));
    let path = |name: &str| json!({"path": sandbox.path(name)});
    server.posted("/v1/admin/bundles", &path("third"));
    assert_eq!(models(2), pair("third"));
    server.posted("/v1/admin/bundles/rollback", &json!({}));
    assert_eq!(models(3), pair(&first));
    // One that two have is loaded once.
    server.posted("/v1/admin/bundles", &path("second"));
    assert_eq!(models(4), pair("second"));
    if cfg!(target_os = "linux") {
        until("the third bundle to be let go", || mapped_files(&server) == files);
    }
    // Nor is one kept that nobody names any more.
    fs_err::write(sandbox.path("none.toml"), "").unwrap();
    server.posted("/v1/admin/bundles/rollback", &json!({}));
    server.posted("/v1/admin/bundles", &path("third"));
    let answer = server.posted("/v1/admin/experiments", &path("none.toml"));
    assert_eq!((&answer["layers"], &answer["bundles"]), (&json!([]), &json!({})));
    let rank = json!({"user_id": 1, "at": BEGIN_MS + 5, "context": context(), "channels": [1, 2]});
    let answer = server.posted("/v1/rank", &rank);
    assert_eq!((&answer["model"], &answer["buckets"]), (&json!("third"), &Value::Null));
    assert_eq!(server.get("/v1/admin/bundles").1["in_buckets"], json!([]));
    if cfg!(target_os = "linux") {
        until("the second bundle to be let go", || mapped_files(&server) == files);
    }
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
