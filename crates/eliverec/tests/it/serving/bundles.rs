//! Another bundle while requests go on.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use serde_json::{Value, json};

use super::server::{Server, context, until, world};

#[test]
fn bundles_are_swapped_under_load_and_one_that_is_refused_changes_nothing() {
    let sandbox = world(60);
    let export = "export --run run --feeds world --logs logs --rows int8";
    sandbox.succeed(&format!("{export} --out second --name second"));
    sandbox.succeed(&format!("{export} --out broken --name broken"));
    let weights = sandbox.path("broken/weights.safetensors");
    let mut bytes = fs_err::read(&weights).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs_err::write(&weights, bytes).unwrap();
    let path = |name: &str| json!({"path": sandbox.path(name)});
    let server = Server::begin(&sandbox, "--watch");
    let first = server.get("/v1/admin/bundles").1;
    assert_eq!(first["previous"], Value::Null);

    let ended = AtomicBool::new(false);
    let asked = AtomicUsize::new(0);
    let ask = json!({"user_id": 1, "context": context(), "channels": [1, 2, 3]});
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !ended.load(Ordering::Relaxed) {
                let answer = server.posted("/v1/rank", &ask);
                let model = answer["model"].as_str().unwrap();
                assert!([first["active"].as_str().unwrap(), "second", "third"].contains(&model));
                asked.fetch_add(1, Ordering::Relaxed);
            }
        });
        for _ in 0..5 {
            let (status, bundles) = server.post("/v1/admin/bundles", &path("second"));
            assert_eq!((status, &bundles["active"]), (200, &json!("second")), "{bundles}");
            let (status, problem) = server.post("/v1/admin/bundles", &path("broken"));
            assert_eq!((status, &problem["code"]), (422, &json!("bundle_refused")), "{problem}");
            assert!(problem["detail"].as_str().unwrap().contains("weights.safetensors"));
            let (status, bundles) = server.post("/v1/admin/bundles/rollback", &json!({}));
            assert_eq!((status, &bundles["active"]), (200, &first["active"]), "{bundles}");
            let before = asked.load(Ordering::Relaxed);
            until("a request between swaps", || asked.load(Ordering::Relaxed) > before);
        }
        ended.store(true, Ordering::Relaxed);
    });
    let (status, problem) = server.post("/v1/admin/bundles", &path("nowhere"));
    assert_eq!((status, &problem["code"]), (422, &json!("bundle_refused")));

    // What takes the place of --bundle is put in service by itself.
    sandbox.succeed(&format!("{export} --out bundle --name third --force"));
    until("the third bundle", || server.get("/v1/admin/bundles").1["active"] == "third");
}

#[test]
fn a_bundle_of_another_schema_or_without_features_is_refused() {
    let sandbox = world(60);
    let train = "train --config config.toml --feeds feeds --out toy training.max_steps=9";
    sandbox.succeed(train);
    sandbox.succeed("export --run toy --feeds feeds --out toys");
    let refused = sandbox.fail("serve --bundle toys --state state --listen 127.0.0.1:0", 2);
    assert!(refused.contains("toys: has no settings of features"), "{refused}");
    let server = Server::begin(&sandbox, "");
    let (status, problem) =
        server.post("/v1/admin/bundles", &json!({"path": sandbox.path("toys")}));
    assert_eq!(status, 422, "{problem}");
    // Two processes never share a state.
    let taken = sandbox.fail("serve --bundle bundle --state state --listen 127.0.0.1:0", 2);
    assert!(taken.contains("state: another process"), "{taken}");
}
