//! Other experiments, shares and bundles while a service runs.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::bundles::mapped_files;
use super::experiments::{BEGIN_MS, SECOND, TESTER, USERS, ask, begin, file, ranker};
use super::server::{Server, context, serve, until, world};
use crate::sandbox::text;

#[test]
fn what_is_refused_changes_nothing_and_shares_move_nobody_else() {
    let sandbox = world(60);
    sandbox.succeed(SECOND);
    sandbox.succeed("train --config config.toml --feeds world --out untasked training.max_steps=1");
    let export = SECOND.replace("--run run", "--run untasked");
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
