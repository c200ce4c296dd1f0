//! An id is an integer or text, never both: 5 and "5" would be two users who never meet.

use eliverec_core::id::text_id;
use serde_json::{Value, json};

use super::server::{Server, UNKNOWN, context, now_ms, serve, world, world_of};
use crate::sandbox::text;

fn event(id: u64, kind: &str, user: Value, channel: Value) -> Value {
    json!({"event_id": id, "ts": now_ms(), "kind": kind, "user_id": user, "channel_id": channel})
}

/// A call is refused for what a field has, in words that name what is expected.
fn refused((status, problem): (u16, Value), field: &str, expected: &str) {
    assert_eq!((status, &problem["field"]), (422, &json!(field)), "{problem}");
    assert!(problem["detail"].as_str().unwrap().contains(expected), "{problem}");
}

fn channels(answer: &Value) -> Vec<&Value> {
    answer["channels"].as_array().unwrap().iter().map(|of| &of["channel_id"]).collect()
}

#[test]
fn where_ids_are_integers_text_is_refused() {
    let sandbox = world(60);
    let server = Server::begin(&sandbox, "");
    let ids = &server.get("/v1/admin/bundles").1["ids"];
    assert_eq!(
        ids["columns"],
        json!({"channel_id": "integer", "product_id": "integer", "user_id": "integer"})
    );
    let integers = "ids are integers here";
    let asked = |user: Value, context: Value| {
        server.post("/v1/recommend", &json!({"user_id": user, "context": context}))
    };
    refused(asked(json!("5"), context()), "user_id", integers);
    let mut other = context();
    other["city"] = json!("2");
    refused(asked(json!(5), other), "context.city", integers);
    let rank = json!({"user_id": 5, "context": context(), "channels": [1, "2"]});
    refused(server.post("/v1/rank", &rank), "channels[1]", integers);
    for (i, field) in ["user_id", "channel_id", "product_id"].into_iter().enumerate() {
        let mut click = event(1, "product_click", json!(1), json!(2));
        click["product_id"] = json!(3);
        let good = click.clone();
        click[field] = json!("3");
        let answer = server.post("/v1/events", &json!([good, click]));
        assert_eq!(answer.1["row"], 1, "{i}: {answer:?}");
        refused(answer, field, integers);
    }
    let row = json!({"anchor_id": 7, "category_id": 2});
    for id in ["+7", "007", "-0", "18446744073709551616", "-9223372036854775809", "sofa", "7.0"] {
        refused(server.put(&format!("/v1/channels/{id}"), &row), "id", integers);
    }
    for id in ["7", "18446744073709551615", "-7"] {
        assert_eq!(server.put(&format!("/v1/channels/{id}"), &row).0, 200, "{id}");
    }
    let other = json!({"anchor_id": "7", "category_id": 2});
    refused(server.put("/v1/channels/7", &other), "channels.anchor_id", integers);
    let rows = json!([{"id": 7, "values": row}, {"id": "7", "values": row}]);
    refused(server.put("/v1/channels", &rows), "id", integers);

    // Below 0 they come back as they were written, and so they do after a restart.
    let live = [json!(-5), json!(5), json!(-6)];
    let start = |(i, channel): (usize, &Value)| {
        event(10 + i as u64, "stream_start", Value::Null, channel.clone())
    };
    server.posted("/v1/events", &live.iter().enumerate().map(start).collect());
    let ask = json!({"user_id": -1, "k": 30, "context": context()});
    let rank = json!({"user_id": -1, "context": context(), "channels": [-5, -9]});
    let sorted = |answer: &Value| {
        let mut ids: Vec<i64> = channels(answer).iter().map(|id| id.as_i64().unwrap()).collect();
        ids.sort_unstable();
        ids
    };
    assert_eq!(sorted(&server.posted("/v1/rank", &rank)), [-9, -5]);
    assert_eq!(sorted(&server.posted("/v1/recommend", &ask)), [-6, -5, 5]);
    server.end();
    let server = Server::begin(&sandbox, "");
    assert_eq!(sorted(&server.posted("/v1/recommend", &ask)), [-6, -5, 5]);
}

#[test]
fn where_ids_are_text_integers_are_refused() {
    let ids = "[columns]\nuser_id = \"text\"\nchannel_id = \"text\"\n[vocabularies]\nchannel = \"text\"\nanchor = \"text\"\n";
    let sandbox = world_of(ids);
    let server = Server::begin(&sandbox, "");
    let expected = "ids are text here";
    refused(
        server.post("/v1/recommend", &json!({"user_id": 5, "context": context()})),
        "user_id",
        expected,
    );
    refused(
        server.post("/v1/events", &event(1, "like", json!("a"), json!(5))),
        "channel_id",
        expected,
    );
    let row = json!({"anchor_id": 7, "category_id": 2});
    refused(server.put("/v1/channels/7", &row), "channels.anchor_id", expected);

    // What looks like a number in an address is the text that it is.
    let row = json!({"anchor_id": "anna", "category_id": 3});
    for id in ["5", "007", "sofa"] {
        assert_eq!(server.put(&format!("/v1/channels/{id}"), &row).0, 200, "{id}");
    }
    let start = |(i, id): (u64, &str)| event(10 + i, "stream_start", Value::Null, json!(id));
    server.posted("/v1/events", &(0..).zip(["5", "007", "sofa"]).map(start).collect());
    let ask = json!({"user_id": "5", "k": 30, "context": context(), "request_id": "77"});
    let all = |answer: &Value| {
        let mut ids: Vec<String> =
            channels(answer).iter().map(|id| id.as_str().unwrap().to_owned()).collect();
        ids.sort();
        ids
    };
    let answer = server.posted("/v1/recommend", &ask);
    assert_eq!(
        (all(&answer), &answer["request_id"]),
        (vec!["007".into(), "5".into(), "sofa".into()], &json!("77"))
    );
    let (status, why) = server.get("/v1/explain?request_id=77&kind=text");
    assert_eq!((status, &why["user_id"]), (200, &json!(text_id("5"))), "{why}");
    assert_eq!(why["request_id"], "77");
    // The row of the very channel that was written under its address.
    let anchor = |of: &Value| of["fields"]["anchor_id"].clone();
    let anchors: Vec<Value> = why["candidates"].as_array().unwrap().iter().map(anchor).collect();
    assert_eq!(anchors, vec![json!(text_id("anna").to_string()); 3]);
    let (status, problem) = server.get("/v1/explain?request_id=77");
    assert_eq!(status, 404, "{problem}");
    assert!(problem["detail"].as_str().unwrap().contains("kind=text"), "{problem}");
    refused(
        server.get("/v1/explain?request_id=x&kind=integer"),
        "request_id",
        "ids are integers here",
    );
    refused(server.get("/v1/explain?request_id="), "request_id", "no characters");
    server.end();

    // The service's own log says so, too: the numbers in its folders are not what callers write.
    let ids = fs_err::read_to_string(sandbox.path("state/days/ids.toml")).unwrap();
    assert!(ids.contains("channel_id = \"text\""), "{ids}");
    sandbox.succeed("export --run run --feeds world --logs state/days --out again");
    let again = sandbox.succeed("bundle verify again --json");
    let again: Value = serde_json::from_str(&again).unwrap();
    assert_eq!(again["manifest"]["ids"]["columns"]["user_id"], "text", "{again}");
    // A bundle whose callers write integers cannot take its place, nor begin with that log.
    fs_err::remove_file(sandbox.path("logs/ids.toml")).unwrap();
    sandbox.succeed("export --run run --feeds world --logs logs --out integers");
    let server = Server::begin(&sandbox, "");
    let (status, problem) =
        server.post("/v1/admin/bundles", &json!({"path": sandbox.path("integers")}));
    assert_eq!(status, 422, "{problem}");
    let told = "user_id (integers, not text)";
    assert!(problem["detail"].as_str().unwrap().contains(told), "{problem}");
    server.end();
    let refused = sandbox.run("serve --bundle integers --state state --listen 127.0.0.1:0");
    let told = text(&refused.stderr);
    assert_eq!(refused.status.code(), Some(2), "{told}");
    assert!(
        told.contains("state/days: its ids are") && told.contains("user_id (text, not integers)"),
        "{told}"
    );
}

#[test]
fn where_nobody_says_both_are_taken_and_told_apart() {
    let sandbox = world_of(UNKNOWN);
    let told = fs_err::File::create(sandbox.path("told")).unwrap().into_parts().0;
    let server = Server::of(serve(&sandbox, "--state state").stderr(told)).unwrap();
    let told = fs_err::read_to_string(sandbox.path("told")).unwrap();
    assert!(
        told.contains("user_id, product_id, channel_id") && told.contains("both are taken"),
        "{told}"
    );
    let like = |id: u64, user: Value| event(id, "like", user, json!("sofa"));
    server.posted("/v1/events", &json!([like(1, json!(5)), like(2, json!("5"))]));
    let row = json!({"anchor_id": "anna", "category_id": 3});
    for id in ["5", "+7", "007", "18446744073709551616"] {
        assert_eq!(server.put(&format!("/v1/channels/{id}"), &row).0, 200, "{id}");
    }
    let rank = json!({"user_id": 1, "request_id": 3, "context": context(), "channels": [5, "5", 7, "+7", "007", "18446744073709551616"]});
    server.posted("/v1/rank", &rank);
    let why = server.get("/v1/explain?request_id=3").1;
    let anna = text_id("anna").to_string();
    let knows = |of: &Value| of["fields"]["anchor_id"].as_str() == Some(&anna);
    let known: Vec<bool> = why["candidates"].as_array().unwrap().iter().map(knows).collect();
    assert_eq!(known, [true, false, false, true, true, true], "{why}");
}
