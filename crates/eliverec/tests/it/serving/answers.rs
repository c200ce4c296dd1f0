//! What is answered follows from what was sent just before.

use serde_json::{Value, json};

use super::server::{Server, context, now_ms, serve, world};

fn event(id: u64, kind: &str, fields: Value) -> Value {
    let mut event = json!({"event_id": id, "ts": now_ms(), "kind": kind});
    let Value::Object(fields) = fields else { panic!("fields by name") };
    event.as_object_mut().unwrap().extend(fields);
    event
}

#[test]
fn an_event_changes_the_features_of_the_very_next_request() {
    let sandbox = world(60);
    let server = Server::begin(&sandbox, "");
    let ask = json!({"user_id": 1, "k": 4, "context": context()});
    assert_eq!(server.get("/readyz"), (200, "ready\n".into()));
    let nothing_live = server.posted("/v1/recommend", &ask);
    assert_eq!(nothing_live["channels"], json!([]));
    let begin = |channel: u64| event(channel, "stream_start", json!({"channel_id": channel}));
    let began = server.posted("/v1/events", &(1..=20).map(begin).collect());
    assert_eq!((&began["admitted"], &began["log_position"]), (&json!(20), &json!(20)));
    let answer = server.posted("/v1/recommend", &ask);
    assert_eq!(answer["channels"].as_array().unwrap().len(), 4);
    let p = |i: usize| answer["channels"][i]["p_watch"].as_f64().unwrap();
    assert!((1..4).all(|i| p(i - 1) >= p(i)), "{answer}");

    // A watch of channel 5 is in the history of the next request, and anchors bring it back.
    let before = server.get(&format!("/v1/explain?request_id={}", answer["request_id"])).1;
    assert_eq!(before["histories"], json!({}));
    let watch = event(101, "watch", json!({"user_id": 1, "channel_id": 5}));
    let leave = event(102, "leave", json!({"user_id": 1, "channel_id": 5, "value": 75.0}));
    let taken = server.posted("/v1/events", &json!([watch, leave]));
    let next = server.posted("/v1/recommend", &ask);
    let why = server.get(&format!("/v1/explain?request_id={}", next["request_id"])).1;
    let fields = &why["histories"]["live"][0]["fields"];
    assert_eq!((&fields["channel_id"], &fields["stay"]), (&json!("5"), &json!("75")));
    assert!(why["largest_difference"].as_f64().unwrap() < 1e-5, "{why}");
    assert!(next["channels"].to_string().contains("\"source\":\"anchors\""), "{next}");
    // What was drawn for the answer before is a record, too.
    assert!(taken["log_position"].as_u64() >= Some(22), "{taken}");
    assert!(next["log_position"].as_u64() >= taken["log_position"].as_u64(), "{next}");
    assert_eq!(why["candidates"].as_array().unwrap().len(), 20);

    // Sent again it is known; a row that changes is in the next request, too.
    let again = server.posted("/v1/events", &json!([watch, leave]));
    assert_eq!((&again["duplicate"], &again["admitted"]), (&json!(2), &json!(0)));
    let (status, _) = server.put("/v1/channels/5", &json!({"anchor_id": 77, "category_id": 3}));
    assert_eq!(status, 200);
    let ranked = json!({"user_id": 1, "context": context(), "channels": [5, 6], "request_id": 9});
    let ranked = server.posted("/v1/rank", &ranked);
    assert_eq!(ranked["request_id"], 9);
    assert_eq!(ranked["channels"][0]["tasks"].as_object().unwrap().len(), 3, "{ranked}");
    let why = server.get("/v1/explain?request_id=9").1;
    assert_eq!(why["candidates"][0]["fields"]["anchor_id"], "77");

    let (status, metrics) = server.get("/metrics");
    let metrics = metrics.as_str().unwrap();
    assert_eq!(status, 200);
    for line in
        ["eliverec_bundle{version=\"run-0000000", "stage=\"retrieval\"", "fate=\"duplicate\"} 2"]
    {
        assert!(metrics.contains(line), "{line}: {metrics}");
    }
    // An event ahead of the clock has no age below 0, and a snapshot knows the newest, too.
    let ahead = json!({"event_id": 105, "ts": now_ms() + 200_000, "kind": "like", "user_id": 1, "channel_id": 5});
    server.posted("/v1/events", &ahead);
    let is_new = |server: &Server| {
        let metrics = server.get("/metrics").1;
        metrics.as_str().unwrap().contains("eliverec_newest_event_age_seconds 0.0\n")
    };
    assert!(is_new(&server));
    server.end();
    let server = Server::begin(&sandbox, "");
    assert!(is_new(&server));
    // Of a state without events nothing is told.
    let empty = Server::of(&mut serve(&sandbox, "--state empty")).unwrap();
    assert!(!empty.get("/metrics").1.to_string().contains("newest_event_age"));
}

#[test]
fn what_is_wrong_is_said_with_field_and_row() {
    let sandbox = world(60);
    let server = Server::begin(&sandbox, "");
    let asked = |body: Value| server.post("/v1/recommend", &body);
    let mut context = context();
    for (body, status, field) in [
        (json!({"user_id": 1}), 422, "context.hour"),
        (json!({"context": context}), 422, "user_id"),
        (json!({"user_id": 1, "context": context, "k": 0}), 422, "k"),
        (json!({"user_id": 1, "context": context, "at": 5}), 422, "at"),
        (json!({"user_id": 1, "context": context, "K": 5}), 422, "K"),
    ] {
        let (got, problem) = asked(body.clone());
        assert_eq!(got, status, "{body}: {problem}");
        assert!(problem.to_string().contains(field), "{body}: {problem}");
    }
    // What a program does not say of itself: the values in their order, one twice, names of its types.
    for (body, status, code) in [
        (&b"[1, {}, 5]"[..], 422, "invalid"),
        (b"{\"user_id\": 1, \"user_id\": 2}", 422, "invalid"),
        (b"{\"user_id\": 1, \"context\": {\"hour\": 1, \"hour\": 2}}", 422, "invalid"),
        (b"{\"user_id\": 1, \"k\": -1}", 422, "invalid"),
        (b"{\"user_id\": 1, \"request_id\": \"\"}", 422, "invalid"),
        (b"{\"user_id\": 1", 400, "malformed"),
    ] {
        let (got, problem) = server.send("POST", "/v1/recommend", "application/json", body);
        assert_eq!((got, &problem["code"]), (status, &json!(code)), "{problem}");
        let told = problem["detail"].as_str().unwrap();
        assert!(!["struct", "usize", "u64"].iter().any(|word| told.contains(word)), "{told}");
    }
    let long = format!("/v1/explain?request_id={}", "5".repeat(9_000));
    let (status, problem) = server.get(&long);
    assert_eq!((status, &problem["code"]), (414, &json!("uri_too_long")), "{problem}");
    context["nobody"] = json!(1);
    let (_, problem) = asked(json!({"user_id": 1, "context": context}));
    assert_eq!(problem["field"], "context.nobody");
    let good = event(1, "stream_start", json!({"channel_id": 1}));
    let bad = event(2, "stream_start", json!({}));
    let (status, problem) = server.post("/v1/events", &json!([good, bad]));
    assert_eq!((status, &problem["row"]), (422, &json!(1)), "{problem}");
    // Nothing of the batch was taken.
    let taken = server.posted("/v1/events", &json!([good]));
    assert_eq!((&taken["admitted"], &taken["duplicate"]), (&json!(1), &json!(0)));
    let (status, problem) = server.get("/v1/explain?request_id=5");
    assert_eq!((status, &problem["code"]), (404, &json!("not_found")));
    for (query, field, words) in [
        ("", "request_id", "is missing"),
        ("request_id=1&request_id=2", "request_id", "is given twice"),
        ("request_id=1&kind=hash", "kind", "write integer or text"),
        ("request_id=1&nobody=1", "nobody", "is no field of this call; it has request_id or kind"),
    ] {
        let (status, problem) = server.get(&format!("/v1/explain?{query}"));
        assert_eq!((status, &problem["field"]), (422, &json!(field)), "{problem}");
        assert!(problem["detail"].as_str().unwrap().contains(words), "{problem}");
    }
    let (status, document) = server.get("/openapi.json");
    assert_eq!(status, 200);
    assert_eq!(document["components"]["securitySchemes"]["token"]["scheme"], "bearer");
    for (path, method, scope) in [
        ("/metrics", "get", "admin"),
        ("/v1/admin/bundles", "get", "admin"),
        ("/v1/events", "post", "ingest"),
        ("/v1/rank", "post", "read"),
    ] {
        let call = &document["paths"][path][method];
        assert_eq!(call["security"], json!([{"token": [scope]}]), "{path}");
        for status in ["401", "403"] {
            let body = &call["responses"][status]["content"]["application/problem+json"]["schema"];
            assert_eq!(body["$ref"], "#/components/schemas/ProblemBody", "{path}");
        }
    }
    assert_eq!(document["paths"]["/healthz"]["get"]["security"], Value::Null);
    for (path, method, row) in
        [("/v1/events", "post", "WireEvent"), ("/v1/{table}", "put", "TableRow")]
    {
        let content = &document["paths"][path][method]["requestBody"]["content"];
        let row = json!({"$ref": format!("#/components/schemas/{row}")});
        let either = &content["application/json"]["schema"]["oneOf"];
        assert_eq!((&either[0], &either[1]["items"]), (&row, &row), "{content}");
        assert_eq!(content["application/x-ndjson"]["schema"]["type"], "string");
    }
    let schemas = &document["components"]["schemas"];
    assert_eq!(schemas["RecommendRequest"]["properties"]["k"]["minimum"], 1);
    let kinds = &schemas["WireEvent"]["properties"]["kind"]["enum"];
    assert!(kinds.as_array().unwrap().contains(&json!("stream_start")), "{kinds}");
    let table = &document["paths"]["/v1/{table}"]["put"]["parameters"][0]["schema"]["enum"];
    assert_eq!(*table, json!(["users", "products", "channels"]));
    let paths: Vec<&String> = document["paths"].as_object().unwrap().keys().collect();
    for path in ["/v1/recommend", "/v1/rank", "/v1/events", "/v1/explain", "/v1/{table}/{id}"] {
        assert!(paths.iter().any(|known| *known == path), "{path}: {paths:?}");
    }
}

/// A limit below what is answered by default, and a body that says that it is too large.
#[test]
fn limits_hold_for_what_is_not_said_and_before_anything_is_sent() {
    use std::io::{Read, Write};
    let sandbox = world(60);
    let limits = "[limits]\ncandidates = 3\nbody_bytes = 1000\n";
    fs_err::write(sandbox.path("serve.toml"), limits).unwrap();
    let server = Server::begin(&sandbox, "--config serve.toml");
    for id in 1..=5 {
        let start =
            json!({"event_id": id, "ts": now_ms(), "kind": "stream_start", "channel_id": id});
        server.posted("/v1/events", &start);
    }
    let answer = server.posted("/v1/recommend", &json!({"user_id": 1, "context": context()}));
    assert_eq!(answer["channels"].as_array().unwrap().len(), 3);
    let (status, problem) =
        server.post("/v1/recommend", &json!({"user_id": 1, "context": context(), "k": 4}));
    assert_eq!((status, &problem["detail"]), (422, &json!("is 4; write 1 to 3")));
    // Nothing of the body is sent, and there is an answer.
    let address = server.address().strip_prefix("http://").unwrap();
    let mut caller = std::net::TcpStream::connect(address).unwrap();
    let head = "POST /v1/events HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 1001\r\n\r\n";
    caller.write_all(head.as_bytes()).unwrap();
    let mut answer = String::new();
    caller.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
    assert!(
        answer.contains("the body has 1001 bytes; this service takes at most 1000"),
        "{answer}"
    );
}

#[test]
fn what_is_refused_moves_no_clock_and_the_last_moment_is_not_taken() {
    let sandbox = world(60);
    let server = Server::begin(&sandbox, "--clock callers");
    let like = |id: u64, at: i64, user: Value| json!({"event_id": id, "ts": at, "available_at": at, "kind": "like", "user_id": user, "channel_id": 1});
    let now = now_ms();
    server.posted("/v1/events", &like(1, now, json!(1)));
    // In a batch that is refused for a user who is text, and at the end of the calendar.
    let far = now + 1_000_000_000;
    let (status, _) =
        server.post("/v1/events", &json!([like(2, far, json!(1)), like(3, far, json!("1"))]));
    assert_eq!(status, 422);
    let (status, problem) = server.post("/v1/events", &like(4, 253_402_300_799_999, json!(1)));
    assert_eq!((status, &problem["field"]), (422, &json!("available_at")), "{problem}");
    let (status, problem) =
        server.post("/v1/events", &json!([like(5, now + 9, json!(1)), like(6, now + 8, json!(1))]));
    assert_eq!((status, &problem["row"]), (422, &json!(1)), "{problem}");
    server.posted("/v1/events", &like(7, now + 1, json!(1)));
    server.end();
    Server::begin(&sandbox, "--clock callers").end();
}
