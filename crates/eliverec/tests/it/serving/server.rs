//! A world with a bundle, and a server of it.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use eliverec_core::seed::Random;
use serde_json::{Value, json};

use crate::sandbox::Sandbox;

/// A simulated log, whose ids are integers, feeds, a run and a bundle of it.
pub(crate) fn world(users: u32) -> Sandbox {
    made(users, None)
}

/// The same as of callers who write ids as this `ids.toml` of the log says.
pub(crate) fn world_of(ids: &str) -> Sandbox {
    made(60, Some(ids))
}

/// What says nothing of ids, so that integers and text are taken.
pub(crate) const UNKNOWN: &str = "";

fn made(users: u32, ids: Option<&str>) -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.succeed(&format!("simulate --out logs --users {users} --days 4 --seed 3"));
    if let Some(ids) = ids {
        fs_err::write(sandbox.path("logs/ids.toml"), ids).unwrap();
    }
    sandbox.succeed("samples --logs logs --out world");
    let train = "train --config config.toml --feeds world --out run training.max_steps=9 tasks.mode=vanilla";
    sandbox.succeed(train);
    sandbox.succeed("export --run run --feeds world --logs logs --out bundle");
    sandbox
}

/// A server, killed when it is dropped.
pub(crate) struct Server {
    child: Child,
    client: Client,
}

/// Who calls a server.
#[derive(Clone)]
pub(crate) struct Client {
    address: String,
    agent: ureq::Agent,
    token: Option<String>,
}

/// A status and a body.
pub(crate) type Answer = (u16, Value);

/// `eliverec serve --listen` on a free port with these words more.
pub(crate) fn serve(sandbox: &Sandbox, words: &str) -> Command {
    let words = format!("serve --bundle bundle --listen 127.0.0.1:0 {words}");
    let mut command = sandbox.command(&words);
    command.stdout(Stdio::piped());
    command
}

impl Server {
    /// A server whose state is in `state`.
    pub(crate) fn begin(sandbox: &Sandbox, words: &str) -> Self {
        Self::of(&mut serve(sandbox, &format!("--state state {words}"))).expect("it listens")
    }

    /// Begins with a command of [`serve`]; how it ended, if it does not come to listen.
    pub(crate) fn of(command: &mut Command) -> Result<Self, ExitStatus> {
        let mut child = command.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let Some(address) = line.trim().strip_prefix("listening on ") else {
            return Err(child.wait().unwrap());
        };
        let agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
        let client = Client { address: address.to_owned(), agent, token: None };
        Ok(Self { child, client })
    }

    /// Calls with this token from now on.
    pub(crate) fn with_token(&mut self, token: &str) {
        self.client.token = Some(format!("Bearer {token}"));
    }

    /// Asks the server to end, and waits for it.
    pub(crate) fn end(mut self) {
        let pid = self.child.id().to_string();
        let asked = Command::new("kill").args(["-TERM", &pid]).status().unwrap();
        assert!(asked.success());
        assert!(self.child.wait().unwrap().success());
    }

    /// SIGKILL.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Of the process.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// KiB of memory that are in use.
    #[cfg(target_os = "linux")]
    pub(crate) fn memory_kib(&self) -> u64 {
        let status = fs_err::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }
}

impl std::ops::Deref for Server {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}

impl Client {
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        let mut request = self.agent.get(format!("{}{path}", self.address));
        if let Some(token) = &self.token {
            request = request.header("authorization", token);
        }
        answer(request.call().unwrap()).unwrap()
    }

    pub(crate) fn post(&self, path: &str, body: &Value) -> Answer {
        answer(self.posting(path, body).unwrap()).unwrap()
    }

    /// The same of a server that may have died; `None` if there is no answer, or not the whole of it.
    pub(crate) fn try_post(&self, path: &str, body: &Value) -> Option<Answer> {
        self.posting(path, body).and_then(answer).ok()
    }

    /// A status and `Retry-After`.
    pub(crate) fn post_for_headers(&self, path: &str, body: &Value) -> (u16, Option<String>) {
        let mut response = self.posting(path, body).unwrap();
        // The connection is used again only when the body was read.
        response.body_mut().read_to_string().unwrap();
        let after = response.headers().get("retry-after");
        let after = after.map(|after| after.to_str().unwrap().to_owned());
        (response.status().as_u16(), after)
    }

    fn posting(
        &self,
        path: &str,
        body: &Value,
    ) -> Result<ureq::http::Response<ureq::Body>, ureq::Error> {
        let mut request = self.agent.post(format!("{}{path}", self.address));
        if let Some(token) = &self.token {
            request = request.header("authorization", token);
        }
        request.send_json(body)
    }

    pub(crate) fn put(&self, path: &str, body: &Value) -> Answer {
        let mut request = self.agent.put(format!("{}{path}", self.address));
        if let Some(token) = &self.token {
            request = request.header("authorization", token);
        }
        answer(request.send_json(body).unwrap()).unwrap()
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
        answer(once().or_else(|_| once()).unwrap()).unwrap()
    }

    /// The body of a call that succeeds.
    pub(crate) fn posted(&self, path: &str, body: &Value) -> Value {
        let (status, answer) = self.post(path, body);
        assert_eq!(status, 200, "{path}: {answer}\n{body}");
        answer
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn answer(mut response: ureq::http::Response<ureq::Body>) -> Result<Answer, ureq::Error> {
    let status = response.status().as_u16();
    let text = response.body_mut().read_to_string()?;
    Ok((status, serde_json::from_str(&text).unwrap_or(Value::String(text))))
}

/// Looks until it is so; what a service does beside requests is done within seconds.
pub(crate) fn until(what: &str, is_so: impl FnMut() -> bool) {
    until_while(what, || (), is_so);
}

/// Looks until it is so, for as long as `progress` becomes another at least every five minutes: days are looked at once a minute, and a large one takes a while.
pub(crate) fn until_while<T: PartialEq>(
    what: &str,
    mut progress: impl FnMut() -> T,
    mut is_so: impl FnMut() -> bool,
) {
    let mut last = (progress(), Instant::now());
    while !is_so() {
        let now = progress();
        if now != last.0 {
            last = (now, Instant::now());
        }
        let waited = last.1.elapsed();
        assert!(waited < Duration::from_mins(5), "{what}: nothing has come of it for five minutes");
        std::thread::yield_now();
    }
}

/// Files below a directory and their bytes, as far as they stay while they are looked at.
pub(crate) fn written(directory: &Path) -> (u64, u64) {
    let mut sum = (0, 0);
    for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            let (files, bytes) = written(&path);
            sum = (sum.0 + files, sum.1 + bytes);
        } else {
            sum = (sum.0 + 1, sum.1 + entry.metadata().map_or(0, |of| of.len()));
        }
    }
    sum
}

/// Any moment will do, and what must hold holds at any.
pub(crate) fn spin(random: &mut Random, most: usize) {
    (0..random.below(most)).for_each(|_| std::hint::spin_loop());
}

/// The number that a variable of the environment gives, of kills, swaps, damages: few in the suite.
pub(crate) fn number(name: &str, in_suite: u64) -> u64 {
    std::env::var(name).map_or(in_suite, |number| number.parse().unwrap())
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
