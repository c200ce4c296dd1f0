//! A world with a bundle, and a server of it.

use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::sandbox::Sandbox;

/// A simulated log, feeds, a run and a bundle of it.
pub(crate) fn world(users: u32) -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.succeed(&format!("simulate --out logs --users {users} --days 4 --seed 3"));
    sandbox.succeed("samples --logs logs --out world");
    let train = "train --config config.toml --feeds world --out run training.max_steps=9 tasks.mode=vanilla";
    sandbox.succeed(train);
    sandbox.succeed("export --run run --feeds world --logs logs --out bundle");
    sandbox
}

/// A server, killed when it is dropped.
pub(crate) struct Server {
    child: Child,
    address: String,
    agent: ureq::Agent,
    token: Option<String>,
}

/// A status and a body.
pub(crate) type Answer = (u16, Value);

impl Server {
    /// `eliverec serve --listen` on a free port with these words more.
    pub(crate) fn begin(sandbox: &Sandbox, words: &str) -> Self {
        Self::run(sandbox, &format!("--bundle bundle --state state {words}"))
    }

    /// `eliverec serve --listen` on a free port with these words alone.
    pub(crate) fn run(sandbox: &Sandbox, words: &str) -> Self {
        let mut command = sandbox.command(&format!("serve --listen 127.0.0.1:0 {words}"));
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim().strip_prefix("listening on ").expect("it listens").to_owned();
        let agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
        Self { child, address, agent, token: None }
    }

    /// Calls with this token from now on.
    pub(crate) fn with_token(&mut self, token: &str) {
        self.token = Some(format!("Bearer {token}"));
    }

    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        let mut request = self.agent.get(format!("{}{path}", self.address));
        if let Some(token) = &self.token {
            request = request.header("authorization", token);
        }
        answer(request.call().unwrap())
    }

    pub(crate) fn post(&self, path: &str, body: &Value) -> Answer {
        let mut request = self.agent.post(format!("{}{path}", self.address));
        if let Some(token) = &self.token {
            request = request.header("authorization", token);
        }
        answer(request.send_json(body).unwrap())
    }

    pub(crate) fn put(&self, path: &str, body: &Value) -> Answer {
        answer(self.agent.put(format!("{}{path}", self.address)).send_json(body).unwrap())
    }

    /// A call as it is given, right or wrong.
    pub(crate) fn send(&self, method: &str, path: &str, kind: &str, body: &[u8]) -> Answer {
        let once = || {
            let request = ureq::http::Request::builder().method(method);
            let request = request.uri(format!("{}{path}", self.address));
            let request = request.header("content-type", kind);
            if method == "GET" {
                self.agent.run(request.body(()).unwrap())
            } else {
                self.agent.run(request.body(body).unwrap())
            }
        };
        // A refusal whose body was not read ends the connection, which a client notices with its next call.
        answer(once().or_else(|_| once()).unwrap())
    }

    /// The body of a call that succeeds.
    pub(crate) fn posted(&self, path: &str, body: &Value) -> Value {
        let (status, answer) = self.post(path, body);
        assert_eq!(status, 200, "{path}: {answer}\n{body}");
        answer
    }

    /// Asks the server to end, and waits for it.
    pub(crate) fn end(mut self) {
        let pid = self.child.id().to_string();
        let asked = std::process::Command::new("kill").args(["-TERM", &pid]).status().unwrap();
        assert!(asked.success());
        assert!(self.child.wait().unwrap().success());
    }

    /// SIGKILL.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn answer(mut response: ureq::http::Response<ureq::Body>) -> Answer {
    let status = response.status().as_u16();
    let text = response.body_mut().read_to_string().unwrap();
    (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
}

/// Looks until it is so; what a service does beside requests is done within seconds.
pub(crate) fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < Duration::from_mins(1), "{what}: not within a minute");
        std::thread::yield_now();
    }
}

/// A context of the world's schema.
pub(crate) fn context() -> Value {
    json!({"hour": 20, "weekday": 3, "scene": 1, "city": 2})
}

/// Milliseconds since 1970 UTC.
#[expect(clippy::disallowed_methods, reason = "a caller of a service has a clock")]
pub(crate) fn now_ms() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    i64::try_from(since.unwrap().as_millis()).unwrap()
}
