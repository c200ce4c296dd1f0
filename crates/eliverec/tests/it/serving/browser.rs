//! Chromium without a window, asked over its own pipe: the Debian package `chromium`, named by the variable `CHROMIUM` or on the path.
//! Without it the tests say so and pass; where the variable names it, it has to be there.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;

/// A browser with one page, killed when it is dropped.
pub(crate) struct Browser {
    process: Child,
    commands: ChildStdin,
    answers: Receiver<Value>,
    session: Option<String>,
    commands_sent: u64,
    /// What the page told of itself, in order.
    events: Vec<Value>,
    _profile: TempDir,
}

/// Longer than any answer takes.
const PATIENCE: Duration = Duration::from_mins(2);

/// Its pipe is at 3 and 4, where no standard library puts one.
const SCRIPT: &str = r#"exec "$0" "$@" 3<&0 4>&1 </dev/null >/dev/null 2>&1"#;

/// What it does beside showing pages is left out, and no name leads anywhere: there is no network but this machine.
const WORDS: [&str; 13] = [
    "--headless=new",
    "--remote-debugging-pipe",
    "--no-sandbox",
    "--no-first-run",
    "--no-proxy-server",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-extensions",
    "--disable-sync",
    "--disable-background-networking",
    "--disable-component-update",
    "--hide-scrollbars",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
];

/// A browser, or none and a word about it.
pub(crate) fn browser() -> Option<Browser> {
    let named = std::env::var("CHROMIUM");
    let program = named.clone().unwrap_or_else(|_| "chromium".into());
    if let Err(error) = Command::new(&program).arg("--version").output() {
        assert!(named.is_err(), "CHROMIUM: {error}");
        let told = "skipped: there is no chromium; the Debian package chromium has it\n";
        std::io::stderr().write_all(told.as_bytes()).unwrap();
        return None;
    }
    Some(Browser::begin(&program))
}

impl Browser {
    fn begin(program: &str) -> Self {
        let profile = tempfile::tempdir().unwrap();
        let mut command = Command::new("sh");
        command.args(["-c", SCRIPT, program]).args(WORDS);
        command.arg(format!("--user-data-dir={}", profile.path().display()));
        command.arg("about:blank").stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = command.spawn().unwrap();
        let commands = process.stdin.take().unwrap();
        let mut pipe = BufReader::new(process.stdout.take().unwrap());
        let (tell, answers) = channel();
        std::thread::spawn(move || {
            let mut message = Vec::new();
            while pipe.read_until(0, &mut message).is_ok_and(|bytes| bytes > 0) {
                message.pop();
                let told = tell.send(serde_json::from_slice(&message).unwrap());
                message.clear();
                if told.is_err() {
                    return;
                }
            }
        });
        let mut browser = Self {
            process,
            commands,
            answers,
            session: None,
            commands_sent: 0,
            events: Vec::new(),
            _profile: profile,
        };
        let page = browser.call("Target.createTarget", json!({"url": "about:blank"}));
        let attach = json!({"targetId": page["targetId"], "flatten": true});
        let attached = browser.call("Target.attachToTarget", attach);
        browser.session = attached["sessionId"].as_str().map(str::to_owned);
        for domain in ["Page", "Runtime", "Log", "Network"] {
            browser.call(&format!("{domain}.enable"), json!({}));
        }
        browser
    }

    /// The result of a command of the DevTools protocol.
    pub(crate) fn call(&mut self, method: &str, parameters: Value) -> Value {
        self.commands_sent += 1;
        let id = self.commands_sent;
        let mut command = json!({"id": id, "method": method, "params": parameters});
        if let Some(session) = &self.session {
            command["sessionId"] = session.as_str().into();
        }
        let mut bytes = serde_json::to_vec(&command).unwrap();
        bytes.push(0);
        self.commands.write_all(&bytes).unwrap();
        loop {
            let told = self.answers.recv_timeout(PATIENCE).expect("the browser answers");
            if told["id"] == id {
                assert!(told["error"].is_null(), "{method}: {}", told["error"]);
                return told["result"].clone();
            }
            self.events.push(told);
        }
    }

    /// Does what leads to another page, and waits until that is there.
    fn leading(&mut self, go: impl FnOnce(&mut Self)) {
        let before = self.loaded();
        go(self);
        while self.loaded() == before {
            let told = self.answers.recv_timeout(PATIENCE).expect("the page is loaded");
            self.events.push(told);
        }
    }

    fn loaded(&self) -> usize {
        self.events.iter().filter(|of| of["method"] == "Page.loadEventFired").count()
    }

    /// Opens an address.
    pub(crate) fn open(&mut self, address: &str) {
        self.leading(|browser| {
            let answer = browser.call("Page.navigate", json!({"url": address}));
            assert!(answer["errorText"].is_null(), "{address}: {answer}");
        });
    }

    /// Clicks what leads to another page.
    pub(crate) fn click(&mut self, selector: &str) {
        self.leading(|browser| {
            browser.run(&format!("document.querySelector({}).click()", quoted(selector)));
        });
    }

    /// Writes into a field.
    pub(crate) fn write(&mut self, selector: &str, text: &str) {
        self.run(&format!("document.querySelector({}).value = {}", quoted(selector), quoted(text)));
    }

    /// The value of an expression in the page.
    pub(crate) fn run(&mut self, expression: &str) -> Value {
        let asked = json!({"expression": expression, "returnByValue": true, "awaitPromise": true});
        let answer = self.call("Runtime.evaluate", asked);
        assert!(answer["exceptionDetails"].is_null(), "{expression}: {answer}");
        answer["result"]["value"].clone()
    }

    /// The text of what a selector finds first, white space as one space.
    pub(crate) fn text(&mut self, selector: &str) -> String {
        let text =
            self.run(&format!("document.querySelector({})?.textContent ?? null", quoted(selector)));
        let text = text.as_str().unwrap_or_else(|| panic!("no {selector} on the page"));
        text.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    /// How much a selector finds.
    pub(crate) fn count(&mut self, selector: &str) -> u64 {
        self.run(&format!("document.querySelectorAll({}).length", quoted(selector)))
            .as_u64()
            .unwrap()
    }

    /// Looks until an expression is true.
    pub(crate) fn until(&mut self, expression: &str) {
        super::server::until(expression, || self.run(expression) == true);
    }

    /// A screen of that size, light or dark.
    pub(crate) fn screen(&mut self, width: u32, height: u32, is_dark: bool) {
        let metrics = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600});
        self.call("Emulation.setDeviceMetricsOverride", metrics);
        let scheme = if is_dark { "dark" } else { "light" };
        let features = json!([{"name": "prefers-color-scheme", "value": scheme}]);
        self.call("Emulation.setEmulatedMedia", json!({"features": features}));
    }

    /// The whole page as a picture.
    pub(crate) fn picture(&mut self, path: &Path) {
        let size = self.call("Page.getLayoutMetrics", json!({}))["cssContentSize"].clone();
        let clip =
            json!({"x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1});
        let asked = json!({"format": "png", "captureBeyondViewport": true, "clip": clip});
        let picture = self.call("Page.captureScreenshot", asked);
        fs_err::write(path, base64(picture["data"].as_str().unwrap())).unwrap();
    }

    /// What the console has of errors and warnings since this was asked last.
    pub(crate) fn errors(&mut self) -> Vec<String> {
        let is_error = |of: &Value| {
            let parameters = &of["params"];
            let is_bad =
                |level: &Value| ["error", "warning", "assert"].iter().any(|bad| level == bad);
            match of["method"].as_str() {
                Some("Runtime.exceptionThrown") => true,
                Some("Runtime.consoleAPICalled") => is_bad(&parameters["type"]),
                Some("Log.entryAdded") => is_bad(&parameters["entry"]["level"]),
                _ => false,
            }
        };
        let errors = self.events.iter().filter(|of| is_error(of));
        let errors = errors.map(|of| of["params"].to_string()).collect();
        self.events.retain(|of| !is_error(of));
        errors
    }

    /// Every address that pages asked for.
    pub(crate) fn asked_for(&self) -> Vec<String> {
        let requests = self.events.iter().filter(|of| of["method"] == "Network.requestWillBeSent");
        requests.map(|of| of["params"]["request"]["url"].as_str().unwrap().to_owned()).collect()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

/// The bytes of a text in base 64 as the protocol has it.
fn base64(text: &str) -> Vec<u8> {
    let digits = text.bytes().filter_map(|byte| match byte {
        b'A'..=b'Z' => Some(byte - b'A'),
        b'a'..=b'z' => Some(byte - b'a' + 26),
        b'0'..=b'9' => Some(byte - b'0' + 52),
        b'+' => Some(62),
        b'/' => Some(63),
        _ => None,
    });
    let digits: Vec<u8> = digits.collect();
    let bytes = digits.chunks(4).flat_map(|four| {
        let bits = four.iter().fold(0_u32, |bits, digit| bits << 6 | u32::from(*digit));
        let bits = bits << (6 * (4 - four.len()));
        bits.to_be_bytes()[1..four.len()].to_vec()
    });
    bytes.collect()
}
