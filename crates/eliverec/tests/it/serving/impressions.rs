//! Answers that count as shown: they are in the log before they are given, and feeds are made of them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use arrow::array::{Array, AsArray};
use arrow::datatypes::{Float64Type, UInt64Type};
use eliverec_core::schema::Group;
use eliverec_run::explained::{fields, plain_ids};
use eliverec_tables::{FeedDirectory, Split};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::{Value, json};

use super::parity::{of_explanation, of_feed};
use super::server::{Server, context, until_while, world, written};

const BEGIN_MS: i64 = 20_000 * 86_400_000;

fn event(id: u64, at: i64, kind: &str, fields: Value) -> Value {
    let mut event = json!({"event_id": id, "ts": at, "available_at": at, "kind": kind});
    let Value::Object(fields) = fields else { panic!("fields by name") };
    event.as_object_mut().unwrap().extend(fields);
    event
}

/// The channels of an answer that were drawn, with their probabilities; `None` if there are none.
fn drawn_of(answer: &Value) -> Option<Value> {
    let of = |channel: &Value| {
        let sources = channel["sources"].as_array().unwrap();
        let propensity = sources.iter().find_map(|of| of["propensity"].as_f64())?;
        Some(json!({"channel_id": channel["channel_id"], "propensity": propensity}))
    };
    let drawn: Vec<Value> = answer["channels"].as_array().unwrap().iter().filter_map(of).collect();
    (!drawn.is_empty()).then(|| drawn.into())
}

/// The same of the answers in a day's folder, by request.
fn logged_drawn(folder: &Path) -> BTreeMap<u64, Value> {
    let file = fs_err::File::open(folder.join("_answers.parquet")).unwrap().into_parts().0;
    let mut found = BTreeMap::new();
    for rows in ParquetRecordBatchReaderBuilder::try_new(file).unwrap().build().unwrap() {
        let rows = rows.unwrap();
        let column = |name: &str| rows.column_by_name(name).unwrap();
        let requests = column("request_id").as_primitive::<UInt64Type>();
        let (channels, chances) =
            (column("channel_id").as_list::<i32>(), column("propensity").as_list::<i32>());
        for (row, request) in requests.values().iter().enumerate() {
            let (channels, chances) = (channels.value(row), chances.value(row));
            let channels = channels.as_primitive::<UInt64Type>().values().iter();
            let chances = chances.as_primitive::<Float64Type>().values().iter();
            let one = |(id, chance)| json!({"channel_id": id, "propensity": chance});
            assert!(column("layer").is_null(row), "there are no experiments");
            found.insert(*request, channels.zip(chances).map(one).collect());
        }
    }
    found
}

fn ask(user: u64, request: u64, at: i64) -> Value {
    json!({"user_id": user, "request_id": request, "at": at, "k": 4, "context": context()})
}

/// The folder of the first day, when it is over.
fn first_day(server: &Server, days: &Path) -> PathBuf {
    let end = BEGIN_MS + 3 * 86_400_000;
    server.posted("/v1/events", &event(4_000, end, "stream_end", json!({"channel_id": 1})));
    let folder = days.join(format!("events/date={}", eliverec_core::Day::of(BEGIN_MS).unwrap()));
    until_while("the day's folder", || written(days), || folder.is_dir());
    folder
}

#[test]
fn with_what_probability_channels_were_drawn_is_logged_where_callers_say_what_was_seen() {
    let sandbox = world(60);
    let server = Server::begin(&sandbox, "--clock callers");
    let start = |channel| event(channel, BEGIN_MS, "stream_start", json!({"channel_id": channel}));
    server.posted("/v1/events", &(1..=20).map(start).collect());
    let mut drawn = BTreeMap::new();
    for request in 1..=30 {
        let at = BEGIN_MS + request as i64 * 1_000;
        let answer = server.posted("/v1/recommend", &ask(1 + request % 3, request, at));
        drawn.extend(drawn_of(&answer).map(|of| (request, of)));
    }
    let folder = first_day(&server, &sandbox.path("state/days"));
    server.end();
    assert_eq!(logged_drawn(&folder), drawn);
    assert!(!drawn.is_empty());
}

#[test]
fn feeds_are_made_of_what_was_answered() {
    let sandbox = world(60);
    fs_err::write(sandbox.path("serve.toml"), "impressions = \"answers\"\n").unwrap();
    let begin = || Server::begin(&sandbox, "--clock callers --config serve.toml");
    let mut server = begin();
    let start = |channel| event(channel, BEGIN_MS, "stream_start", json!({"channel_id": channel}));
    server.posted("/v1/events", &(1..=20).map(start).collect());

    let (mut answered, mut drawn) = (BTreeMap::new(), BTreeMap::new());
    for request in 1..=30 {
        let (user, at) = (1 + request % 3, BEGIN_MS + request as i64 * 1_000);
        let answer = server.posted("/v1/recommend", &ask(user, request, at));
        let why = server.get(&format!("/v1/explain?request_id={request}")).1;
        let shown = answer["channels"][1]["channel_id"].clone();
        let of = json!({"user_id": user, "channel_id": shown, "request_id": request});
        let mut left = of.clone();
        left["value"] = json!(60);
        server.posted(
            "/v1/events",
            &json!([
                event(1_000 + request, at + 100, "watch", of),
                event(2_000 + request, at + 200, "leave", left)
            ]),
        );
        drawn.extend(drawn_of(&answer).map(|of| (request, of)));
        answered.insert(request, (answer, why));
        if request == 15 {
            server.kill();
            server = begin();
            // Known after a restart, too: a second answer would be another moment of the same request.
            let (status, problem) = server.post("/v1/recommend", &ask(user, request, at + 500));
            assert_eq!((status, &problem["field"]), (422, &json!("request_id")), "{problem}");
        }
    }
    let at = BEGIN_MS + 40_000;
    let log = server.posted("/v1/events", &event(30, at, "stream_start", json!({"channel_id": 1})));
    // A caller's own channels are scored, and nobody has seen them.
    let rank =
        json!({"user_id": 1, "request_id": 99, "at": at, "context": context(), "channels": [1, 2]});
    assert_eq!(server.posted("/v1/rank", &rank)["log_position"], log["log_position"]);
    let seen = json!({"user_id": 1, "channel_id": 1, "request_id": 5, "context": context()});
    let (status, problem) = server.post("/v1/events", &event(3_000, at, "impression", seen));
    assert_eq!((status, &problem["field"], &problem["row"]), (422, &json!("kind"), &json!(0)));
    for (id, status) in [(1_u64 << 63, 422), ((1 << 63) - 1, 200)] {
        let like = json!({"user_id": 1, "channel_id": 1});
        assert_eq!(server.post("/v1/events", &event(id, at, "like", like)).0, status, "{id}");
    }
    let folder = first_day(&server, &sandbox.path("state/days"));
    server.end();

    // With what probability some were drawn is in the folder; it makes no feed.
    assert_eq!(logged_drawn(&folder), drawn);
    assert!(!drawn.is_empty());

    sandbox.succeed("samples --logs state/days --out again --below-threshold negative");
    let again = FeedDirectory::open(sandbox.path("again")).unwrap();
    let schema = again.schema();
    let mut compared = 0;
    let splits = Split::ALL.into_iter().filter(|split| again.feeds(*split).unwrap() > 0);
    for feed in splits.flat_map(|split| again.read(split).unwrap()) {
        let feed = feed.unwrap();
        let (answer, why) = &answered[&feed.request_id];
        let ids = plain_ids(schema, &feed);
        let shown = |i| fields(schema, (&feed, &ids), Group::Candidate, i)["channel_id"].clone();
        let shown: Vec<String> = (0..feed.impressions()).map(shown).collect();
        let given = answer["channels"].as_array().unwrap().iter();
        let given: Vec<String> = given.map(|of| of["channel_id"].to_string()).collect();
        assert_eq!(shown, given, "{}", feed.request_id);
        assert_eq!(answer["at"], feed.ts_ms);
        let ([user, histories, _], [user_then, histories_then, _]) =
            (of_feed(schema, &feed, [50, 50]), of_explanation(why));
        assert_eq!((user, histories), (user_then, histories_then), "{}", feed.request_id);
        let labels = feed.candidates.labels.as_ref().unwrap();
        assert_eq!(labels.watched, [false, true, false, false], "{}", feed.request_id);
        compared += 1;
    }
    assert_eq!(compared, answered.len());
}
