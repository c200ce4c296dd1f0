//! Who may call what.

use std::process::Stdio;

use serde_json::{Value, json};

use super::server::{Server, world};

const TOKENS: &str = r#"
[[token]]
name = "app"
token = "0123456789abcdef-read"
scopes = ["read"]

[[token]]
name = "collector"
token = "0123456789abcdef-ingest"
scopes = ["ingest"]

[[token]]
name = "operator"
token = "0123456789abcdef-admin"
scopes = ["admin"]
"#;

type Call<'a> = &'a dyn Fn(&Server, &str) -> u16;

#[test]
fn every_call_has_its_scope() {
    let sandbox = world(60);
    fs_err::write(sandbox.path("tokens.toml"), TOKENS).unwrap();
    let mut server = Server::begin(&sandbox, "--tokens tokens.toml");
    let body = json!({});
    let post = |server: &Server, path: &str| server.post(path, &body).0;
    let get = |server: &Server, path: &str| server.get(path).0;
    let put = |server: &Server, path: &str| server.put(path, &body).0;
    let calls: [(&str, &str, Call<'_>); 19] = [
        ("read", "/v1/recommend", &post),
        ("read", "/v1/rank", &post),
        ("read", "/v1/explain?request_id=1", &get),
        ("read", "/v1/traffic", &get),
        ("read", "/v1/requests", &get),
        ("read", "/v1/bundles", &get),
        ("read", "/v1/features", &get),
        ("read", "/v1/sources", &get),
        ("read", "/v1/state/users/1", &get),
        ("read", "/v1/state/channels/1", &get),
        ("ingest", "/v1/events", &post),
        ("ingest", "/v1/channels/1", &put),
        ("ingest", "/v1/channels", &put),
        ("admin", "/v1/admin/bundles", &get),
        ("admin", "/v1/admin/bundles", &post),
        ("admin", "/v1/admin/bundles/rollback", &post),
        ("admin", "/v1/admin/experiments", &get),
        ("admin", "/v1/admin/experiments", &post),
        ("admin", "/metrics", &get),
    ];
    // All that there are.
    let document = server.get("/openapi.json").1;
    let described = document["paths"].as_object().unwrap().values();
    let scoped = described.flat_map(|path| path.as_object().unwrap().values());
    let scoped = scoped.filter(|call| call.get("security").is_some()).count();
    assert_eq!(scoped, calls.len(), "every call that the document gives a scope");
    for (_, path, call) in &calls {
        assert_eq!(call(&server, path), 401, "{path} without a token");
    }
    for open in ["/healthz", "/readyz", "/openapi.json"] {
        assert_eq!(server.get(open).0, 200, "{open}");
    }
    for scope in ["read", "ingest", "admin"] {
        server.with_token(&format!("0123456789abcdef-{scope}"));
        for (of, path, call) in &calls {
            let status = call(&server, path);
            assert_eq!(*of != scope, status == 403, "{path} with {scope}: {status}");
        }
    }
    server.with_token("0123456789abcdef-nobody");
    assert_eq!(server.get("/metrics").0, 401);
    let (_, problem) = server.get("/metrics");
    assert_eq!(problem["code"], Value::from("unauthenticated"));
}

#[test]
fn without_tokens_only_this_machine_may_call() {
    let sandbox = world(60);
    let words = "serve --bundle bundle --state state --listen 0.0.0.0:0";
    let output = sandbox.command(words).stdout(Stdio::piped()).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(told.contains("there are no tokens: give --tokens FILE"), "{told}");
    assert!(!sandbox.path("state").exists(), "nothing was begun");
}
