//! The pages of a service, in a real browser. `ELIVEREC_SCREENSHOTS` names a folder for pictures of all of them.

use std::path::PathBuf;

use serde_json::{Value, json};

use super::browser::{Browser, browser};
use super::server::{Client, Server, context, serve, world};
use crate::sandbox::Sandbox;

const READER: &str = "0123456789abcdef-reader";
const OPERATOR: &str = "0123456789abcdef-operator";
const TOKENS: &str = r#"
[[token]]
name = "reader"
token = "0123456789abcdef-reader"
scopes = ["read"]

[[token]]
name = "operator"
token = "0123456789abcdef-operator"
scopes = ["read", "ingest", "admin"]
"#;

const DAY_MS: i64 = 86_400_000;
const BEGIN_MS: i64 = 20_000 * DAY_MS;
const USER: u64 = 7;

/// A world with a second bundle, and a server of it that was asked.
fn asked() -> (Sandbox, Server) {
    let sandbox = world(60);
    sandbox.succeed(
        "export --run run --feeds world --logs logs --rows int8 --out second --name second",
    );
    fs_err::write(sandbox.path("tokens.toml"), TOKENS).unwrap();
    let mut command = serve(&sandbox, "--state state --clock callers --tokens tokens.toml");
    let mut server = Server::of(&mut command).expect("it listens");
    server.with_token(OPERATOR);
    live(&server);
    (sandbox, server)
}

/// Two weeks of one user among channels that are live, then requests of some users.
fn live(server: &Client) {
    let mut events = Vec::new();
    let mut event = |at: i64, kind: &str, more: Value| {
        let mut event =
            json!({"event_id": events.len() + 1, "ts": at, "available_at": at, "kind": kind});
        event.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        events.push(event);
    };
    for channel in 1..=25 {
        event(BEGIN_MS, "stream_start", json!({"channel_id": channel}));
    }
    for i in 0..40_i64 {
        // Ever closer to the end.
        let at = BEGIN_MS + 14 * DAY_MS - (14.0 * DAY_MS as f64 * 0.8_f64.powi(i as i32)) as i64;
        let channel = i * i % 23 + 1;
        let (user, stay) = (json!({"user_id": USER, "channel_id": channel}), 20 + i);
        event(at, "watch", user.clone());
        let mut leave = user.clone();
        leave["value"] = json!(stay);
        event(at + 1_000 * stay, "leave", leave);
        event(
            at + 1_000 * stay + 1,
            "product_click",
            json!({"user_id": USER, "product_id": i * 7 % 60 + 1}),
        );
    }
    events.sort_by_key(|event| event["available_at"].as_i64());
    // A batch arrives with the last of its events, so those of another moment come by themselves.
    for event in &events {
        server.posted("/v1/events", event);
    }
    let at = BEGIN_MS + 14 * DAY_MS + 600_000;
    for i in 0..30 {
        let user = if i % 3 == 0 { USER } else { i };
        let ask = json!({"user_id": user, "k": 6, "at": at + i as i64, "context": context()});
        server.posted("/v1/recommend", &ask);
    }
    server.posted(
        "/v1/rank",
        &json!({"user_id": USER, "request_id": 4711, "at": at + 60_000, "context": context(), "channels": [3, 9, 12]}),
    );
    assert_eq!(server.post("/v1/rank", &json!({"user_id": 1})).0, 422);
}

/// Opens a page and signs in by the form that stands before it.
fn sign_in(browser: &mut Browser, server: &Client, token: &str) {
    browser.open(&format!("{}/console", server.address()));
    assert_eq!(browser.text("h1"), "Sign in");
    browser.write("input[name=token]", token);
    browser.click("main form button");
    assert_eq!(browser.text("h1"), "Traffic");
}

fn of_call(server: &Client, path: &str) -> Value {
    let (status, answer) = server.get(path);
    assert_eq!(status, 200, "{path}: {answer}");
    answer
}

/// A row of a table, by what stands in its first cell.
fn row(browser: &mut Browser, table: &str, first: &str) -> Vec<String> {
    let cells = browser.run(&format!(
        "[...document.querySelectorAll('{table} tbody tr')].map(r => [...r.cells].map(c => c.textContent.trim())).find(r => r[0].startsWith('{first}'))"
    ));
    let cells = cells.as_array().unwrap_or_else(|| panic!("no row {first} in {table}"));
    cells.iter().map(|of| of.as_str().unwrap().to_owned()).collect()
}

#[test]
fn every_page_shows_what_the_calls_say() {
    let Some(mut browser) = browser() else { return };
    let (_sandbox, server) = asked();
    browser.screen(1280, 900, false);
    sign_in(&mut browser, &server, READER);
    assert_eq!(browser.count("nav a[aria-current=page]"), 1);
    let traffic = of_call(&server, "/v1/traffic");
    for call in ["/v1/recommend", "/v1/rank", "/v1/events"] {
        let told = traffic["last_minute"]["answers"][call].to_string();
        assert_eq!(row(&mut browser, "#now", call)[1], told);
    }
    assert_eq!(row(&mut browser, "#now", "invalid")[1], "1");
    browser.until("document.querySelectorAll('.chart canvas').length === 3");
    // What is counted meanwhile comes to the page by itself.
    let at = BEGIN_MS + 15 * DAY_MS;
    server.posted("/v1/recommend", &json!({"user_id": USER, "at": at, "context": context()}));
    browser.until("[...document.querySelectorAll('#now tbody tr')].some(r => r.cells[0].textContent === '/v1/recommend' && r.cells[1].textContent === '31')");

    // Two clicks from the first page: why a channel was shown, and which model showed it.
    browser.click(".questions li:nth-child(1) a");
    let requests = of_call(&server, "/v1/requests");
    let requests = requests.as_array().unwrap();
    assert_eq!(browser.count("#newest tbody tr"), requests.len() as u64);
    let newest = row(&mut browser, "#newest", &requests[0]["request_id"].to_string());
    assert_eq!(newest[2], requests[0]["model"].as_str().unwrap());
    browser.click("#newest tbody a");
    explained(&mut browser, &server, &requests[0]["request_id"]);
    // The caller's own channels have no sources.
    browser.open(&format!("{}/console/request?id=4711&channel=9", server.address()));
    assert!(browser.text("#why").contains("Why channel 9?"), "{}", browser.text("#why"));
    assert!(browser.text("#why").contains("The caller named it."));

    browser.click("nav a[href='/console/bundles']");
    let bundles = of_call(&server, "/v1/bundles");
    let (active, metrics) = (&bundles[0]["version"], &bundles[0]["metrics"]["bundle"]);
    assert_eq!(browser.text(".card h3"), format!("In service: {}", active.as_str().unwrap()));
    let auc = format!("{:.4}", metrics["auc"].as_f64().unwrap());
    assert!(row(&mut browser, "#metrics", "AUC")[1].starts_with(&auc));
    assert_eq!(browser.count("main form"), 0, "a reader changes nothing");

    browser.click("nav a[href='/console/experiments']");
    assert!(browser.text("main").contains("No experiment runs"));

    browser.click("nav a[href='/console/features']");
    let drift = of_call(&server, "/v1/features")["drift"].clone();
    let told = browser.text(".drifted");
    assert!(told.starts_with(&format!("{} answers of the last hour", drift["answers"])), "{told}");
    let quantities =
        drift["features"].as_array().unwrap().len() + drift["scores"].as_array().unwrap().len();
    assert_eq!(browser.count("table.drift tbody tr"), quantities as u64);
    browser.write("input[name=user]", &USER.to_string());
    browser.click(".forms form:nth-child(1) button");
    let user = of_call(&server, &format!("/v1/state/users/{USER}"));
    let events = ["live", "product"].map(|of| user["histories"][of].as_array().unwrap().len());
    assert!(events.iter().all(|events| *events > 10), "{events:?}");
    assert_eq!(browser.count("#known svg .bar"), events.iter().sum::<usize>() as u64);
    browser.write("input[name=channel]", "3");
    browser.click(".forms form:nth-child(2) button");
    let channel = of_call(&server, "/v1/state/channels/3");
    assert!(browser.text("#known").contains("Live since"), "{channel}");

    browser.click("nav a[href='/console/retrieval']");
    let sources = of_call(&server, "/v1/sources");
    assert!(
        browser.text("#found").contains(&format!("found {} candidates", sources["candidates"]))
    );
    for source in sources["sources"].as_array().unwrap() {
        let cells = row(&mut browser, "#sources", source["source"].as_str().unwrap());
        assert_eq!(
            [&cells[2], &cells[4]],
            [&source["gave"].to_string(), &source["first"].to_string()]
        );
    }

    assert_eq!(browser.errors(), [""; 0]);
    browser.open(&format!("{}/console/nowhere", server.address()));
    assert_eq!(browser.text("h1"), "Refused");
    let is_own = |address: &String| {
        address.starts_with(server.address())
            || address.starts_with("data:")
            || address == "about:blank"
    };
    let others: Vec<String> = browser.asked_for().into_iter().filter(|of| !is_own(of)).collect();
    assert_eq!(others, [""; 0]);
}

/// The page of a request says what its explanation says.
fn explained(browser: &mut Browser, server: &Client, id: &Value) {
    let why = of_call(server, &format!("/v1/explain?request_id={id}"));
    assert!(browser.text("main p").contains(why["model"].as_str().unwrap()));
    let candidates = why["candidates"].as_array().unwrap();
    let first = candidates.iter().max_by(|a, b| {
        a["probability"].as_f64().unwrap().total_cmp(&b["probability"].as_f64().unwrap())
    });
    let first = first.unwrap();
    let channel = first["fields"]["channel_id"].as_str().unwrap();
    let told = browser.text("#why");
    assert!(told.contains(&format!("Why channel {channel}?")), "{told}");
    let source = why["sources"][channel][0]["source"].as_str().unwrap();
    assert!(told.contains(&format!("Found by {source}")), "{told}");
    let events = ["live", "product"].map(|of| why["histories"][of].as_array().unwrap().len());
    let kinds = ["live", "product"].map(|of| first["attention"][of].as_object().unwrap().len());
    let bars: usize = events.iter().zip(kinds).map(|(events, kinds)| events * kinds).sum();
    assert_eq!(browser.count("#looks svg .bar"), bars as u64);
    assert_eq!(browser.count("#looks svg .point"), events.iter().sum::<usize>() as u64);
    // Another channel of the same request, at one click.
    browser.click("tr.chosen + tr a");
    let other = browser.text("tr.chosen td:nth-child(2)");
    assert!(browser.text("#why").contains(&format!("Why channel {other}?")));
}

#[test]
fn a_bundle_is_swapped_by_a_page() {
    let Some(mut browser) = browser() else { return };
    let (sandbox, server) = asked();
    sign_in(&mut browser, &server, OPERATOR);
    let first = of_call(&server, "/v1/admin/bundles")["active"].as_str().unwrap().to_owned();
    let active = || of_call(&server, "/v1/admin/bundles")["active"].as_str().unwrap().to_owned();
    // One click from the first page: whether the new model is better.
    browser.click(".questions li:nth-child(3) a");
    assert!(browser.text("main").contains("One bundle is loaded"));
    browser.write("input[name=path]", sandbox.path("second").to_str().unwrap());
    browser.click("form[action$=activate] button");
    assert!(browser.text("[role=status]").contains("second"));
    assert_eq!(active(), "second");
    let verdict = browser.text("#verdict");
    assert!(verdict.contains("on the same") && verdict.contains(&first), "{verdict}");
    assert_eq!(browser.count("#metrics th code"), 2);
    browser.click("form[action$=roll-back] button");
    assert!(browser.text("[role=status]").contains(&first));
    assert_eq!(active(), first);
    assert_eq!(browser.errors(), [""; 0]);

    browser.write("input[name=path]", "nowhere");
    browser.click("form[action$=activate] button");
    assert!(browser.text("[role=alert]").contains("nowhere"), "{}", browser.text("[role=alert]"));
    assert_eq!(active(), first);
    browser.click("header form button");
    assert_eq!(browser.text("h1"), "Sign in");
    browser.open(&format!("{}/console/bundles", server.address()));
    assert_eq!(browser.text("h1"), "Sign in");
    browser.write("input[name=token]", "0123456789abcdef-nobody");
    browser.click("main form button");
    assert_eq!(browser.text(".refused"), "nobody has this token");
}

#[test]
fn pages_fit_a_phone_and_a_desk_by_day_and_by_night() {
    const PHONE: u32 = 360;
    let Some(mut browser) = browser() else { return };
    let (sandbox, server) = asked();
    let folder = std::env::var_os("ELIVEREC_SCREENSHOTS").map(PathBuf::from);
    sign_in(&mut browser, &server, OPERATOR);
    let second = json!({"path": sandbox.path("second")});
    let requests = of_call(&server, "/v1/requests");
    let recommended = |of: &&Value| of["user_id"] == USER && of["answered"] == 6;
    let request = requests.as_array().unwrap().iter().find(recommended).unwrap();
    let id = request["request_id"].to_string();
    assert_eq!(server.post("/v1/admin/bundles", &second).0, 200);
    let at = BEGIN_MS + 15 * DAY_MS;
    for user in 0..20 {
        let ask = json!({"user_id": user, "k": 6, "at": at, "context": context()});
        server.posted("/v1/recommend", &ask);
    }
    for (name, path) in [
        ("traffic", "/console"),
        ("requests", "/console/requests"),
        ("request", &*format!("/console/request?id={id}")),
        ("bundles", "/console/bundles"),
        ("experiments", "/console/experiments"),
        ("features", "/console/features"),
        ("user", &*format!("/console/features?user={USER}")),
        ("channel", "/console/features?channel=3"),
        ("retrieval", "/console/retrieval"),
    ] {
        for (width, height) in [(PHONE, 740), (1280, 900)] {
            for is_dark in [false, true] {
                browser.screen(width, height, is_dark);
                browser.open(&format!("{}{path}", server.address()));
                browser.until("document.querySelectorAll('[data-chart]').length === document.querySelectorAll('.chart canvas').length");
                let wide = browser.run("document.documentElement.scrollWidth").as_u64().unwrap();
                assert!(wide <= u64::from(width), "{path} is {wide} pixels wide on {width}");
                let paper = browser.run("getComputedStyle(document.body).backgroundColor");
                assert_eq!(paper == "rgb(255, 255, 255)", !is_dark, "{path}: {paper}");
                if let Some(folder) = &folder {
                    let (size, light) = (
                        if width == PHONE { "phone" } else { "desk" },
                        if is_dark { "dark" } else { "light" },
                    );
                    browser.picture(&folder.join(format!("{name}-{size}-{light}.png")));
                }
            }
        }
    }
    assert_eq!(browser.errors(), [""; 0]);
}

/// A call as a browser makes it: status, headers, body.
fn as_a_browser(
    address: &str,
    method: &str,
    headers: &[(&str, &str)],
    form: &str,
) -> (u16, ureq::http::HeaderMap, String) {
    let agent: ureq::Agent =
        ureq::Agent::config_builder().http_status_as_error(false).max_redirects(0).build().into();
    let mut request = ureq::http::Request::builder().method(method).uri(address);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let mut response = if method == "GET" {
        agent.run(request.body(()).unwrap()).unwrap()
    } else {
        let request = request.header("content-type", "application/x-www-form-urlencoded");
        agent.run(request.body(form).unwrap()).unwrap()
    };
    let text = response.body_mut().read_to_string().unwrap();
    (response.status().as_u16(), response.headers().clone(), text)
}

#[test]
fn pages_need_a_token_and_changes_come_from_the_console_itself() {
    let (sandbox, server) = asked();
    let address = |path: &str| format!("{}{path}", server.address());
    let own = ("sec-fetch-site", "same-origin");
    let (status, headers, _) = as_a_browser(&address("/console/bundles"), "GET", &[], "");
    assert_eq!(
        (status, &headers["location"]),
        (303, &"/console/sign-in?to=%2Fconsole%2Fbundles".parse().unwrap())
    );
    assert_eq!(as_a_browser(&address("/console/traffic.json"), "GET", &[], "").0, 401);
    let sign_in = |token: &str| {
        let form = format!("token={token}&to=/console/bundles");
        as_a_browser(&address("/console/sign-in"), "POST", &[own], &form)
    };
    let (status, headers, text) = sign_in("0123456789abcdef-nobody");
    assert_eq!((status, headers.contains_key("set-cookie")), (401, false));
    assert!(text.contains("nobody has this token"));
    let cookie = |token: &str| {
        let (status, headers, _) = sign_in(token);
        assert_eq!((status, &headers["location"]), (303, &"/console/bundles".parse().unwrap()));
        let set = headers["set-cookie"].to_str().unwrap().to_owned();
        assert!(set.contains("; HttpOnly; SameSite=Strict") && !set.contains(token), "{set}");
        set.split(';').next().unwrap().to_owned()
    };
    let [reader, operator] = [cookie(READER), cookie(OPERATOR)];
    let (status, headers, page) =
        as_a_browser(&address("/console"), "GET", &[("cookie", &reader)], "");
    assert_eq!(status, 200);
    let policy = headers["content-security-policy"].to_str().unwrap();
    assert!(policy.contains("script-src 'self'") && !policy.contains("unsafe"), "{policy}");
    assert_eq!(headers["cache-control"], "no-store");
    assert!(!page.contains("style=") && !page.contains("<script>"), "nothing within the page");
    // A cookie is for pages alone, and a token that reads changes nothing.
    assert_eq!(as_a_browser(&address("/v1/traffic"), "GET", &[("cookie", &operator)], "").0, 401);
    let form = format!("path={}", sandbox.path("second").display());
    let activate = |headers: &[(&str, &str)]| {
        as_a_browser(&address("/console/bundles/activate"), "POST", headers, &form).0
    };
    assert_eq!(activate(&[own]), 401);
    assert_eq!(activate(&[own, ("cookie", &reader)]), 403);
    assert_eq!(activate(&[("cookie", &operator)]), 403, "nobody says where it comes from");
    assert_eq!(activate(&[("sec-fetch-site", "cross-site"), ("cookie", &operator)]), 403);
    assert_eq!(activate(&[("origin", "http://evil.example"), ("cookie", &operator)]), 403);
    assert_eq!(server.get("/v1/bundles").1[0]["role"], "active");
    assert_ne!(server.get("/v1/bundles").1[0]["version"], "second");
    assert_eq!(activate(&[own, ("cookie", &operator)]), 303);
    assert_eq!(server.get("/v1/bundles").1[0]["version"], "second");
    // Where the form leads to is a page of the console, whatever it says.
    let elsewhere = format!("token={READER}&to=//evil.example");
    let (_, headers, _) = as_a_browser(&address("/console/sign-in"), "POST", &[own], &elsewhere);
    assert_eq!(headers["location"], "/console");
}

#[test]
fn without_tokens_pages_are_shown_under_the_names_of_this_machine() {
    let sandbox = world(60);
    let server = Server::begin(&sandbox, "");
    let page = |host: &str| {
        let address = format!("{}/console", server.address());
        as_a_browser(&address, "GET", &[("host", host)], "")
    };
    assert_eq!(page("localhost:8088").0, 200);
    let (status, _, text) = page("evil.example");
    assert_eq!(status, 403);
    assert!(text.contains("localhost, 127.0.0.1"), "{text}");
}
