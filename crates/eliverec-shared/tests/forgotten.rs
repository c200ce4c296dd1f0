//! What stands at the server, by a real one: `redis-server` from the packages, or the program that `REDIS_SERVER` names. Without it the
//! test says so and passes; where the variable names it, it has to be there.

#![expect(clippy::print_stderr, reason = "a test that looked at nothing says so")]
#![expect(clippy::unwrap_used, reason = "a fixture that fails fails its test")]

use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use eliverec_core::{Dimensions, Event, EventKind, Schema};
use eliverec_features::FeatureConfig;
use eliverec_shared::Sharing;
use eliverec_state::{State, StateConfig};
use redis::Connection;

const BEGIN_MS: i64 = 20_000 * 86_400_000;
const HOUR_MS: i64 = 3_600_000;

/// Killed when it is dropped.
struct Redis {
    process: Child,
    url: String,
}

impl Redis {
    /// `None` if there is no such program.
    fn begin() -> Option<Self> {
        let named = std::env::var("REDIS_SERVER");
        let program = named.clone().unwrap_or_else(|_| "redis-server".into());
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let process = Command::new(program)
            .args(["--bind", "127.0.0.1", "--port", &port.to_string()])
            .args(["--save", "", "--appendonly", "no"])
            .stdout(Stdio::null())
            .spawn();
        match process {
            Ok(process) => Some(Self { process, url: format!("redis://127.0.0.1:{port}") }),
            Err(error) => {
                assert!(named.is_err(), "REDIS_SERVER: {error}");
                None
            }
        }
    }

    fn connect(&self) -> Connection {
        let client = redis::Client::open(self.url.as_str()).unwrap();
        let begun = Instant::now();
        loop {
            match client.get_connection() {
                Ok(connection) => return connection,
                Err(error) => assert!(begun.elapsed() < Duration::from_mins(1), "{error}"),
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// The users whose folds are there, in order.
    fn users(&self) -> Vec<u64> {
        let mut connection = self.connect();
        let keys: Vec<String> =
            redis::cmd("KEYS").arg("test:*:users:*").query(&mut connection).unwrap();
        let mut users: Vec<u64> = Vec::new();
        for key in keys {
            let of: Vec<u64> = redis::cmd("HKEYS").arg(key).query(&mut connection).unwrap();
            users.extend(of);
        }
        users.sort_unstable();
        users
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn open(path: &Path) -> State {
    let schema = Schema::default();
    let features = FeatureConfig { history_age_days: Some(1), ..FeatureConfig::default() };
    let config = StateConfig { features, gather_ms: 0, ..StateConfig::default() };
    State::open(path, config, &schema, &Dimensions::empty(&schema).unwrap()).unwrap()
}

fn share(redis: &Redis, state: &State) -> Arc<Sharing> {
    let sharing = Sharing::begin(&redis.url, "test", 1_000, state).unwrap();
    let begun = Instant::now();
    while let Some(reason) = sharing.behind() {
        assert!(begun.elapsed() < Duration::from_mins(1), "{reason}");
        sharing.look(state, || BEGIN_MS, Vec::new);
    }
    sharing
}

fn click(state: &State, user: u64, hours: i64) {
    let at_ms = BEGIN_MS + hours * HOUR_MS;
    let click = Event::new(user * 1_000 + hours.unsigned_abs(), at_ms, EventKind::ProductClick);
    let click = Event { user_id: Some(user), product_id: Some(1), ..click };
    assert_eq!(state.ingest(vec![click], at_ms).unwrap().applied, 1);
}

#[test]
fn who_was_forgotten_while_nothing_was_shared_leaves_the_server() {
    let Some(redis) = Redis::begin() else {
        eprintln!("there is no redis-server: nothing was looked at");
        return;
    };
    drop(redis.connect());
    let folder = tempfile::tempdir().unwrap();
    let state = open(folder.path());
    let sharing = share(&redis, &state);
    click(&state, 1, 0);
    click(&state, 2, 0);
    assert_eq!(redis.users(), [1, 2]);
    sharing.end();
    drop(state);
    // Nothing is shared here: user 1 is forgotten, 2 goes on, and 3 begins.
    let state = open(folder.path());
    for (user, hours) in [(2, 20), (3, 40), (3, 42), (3, 43)] {
        click(&state, user, hours);
    }
    assert_eq!([1, 2, 3].map(|user| state.knows_user(user)), [false, true, true]);
    assert_eq!(redis.users(), [1, 2]);
    let sharing = share(&redis, &state);
    assert_eq!(redis.users(), [2, 3]);
    // Under the same epoch, which was not brought anew.
    let mut connection = redis.connect();
    let closed: Vec<String> =
        redis::cmd("KEYS").arg("test:*:closed").query(&mut connection).unwrap();
    assert_eq!(closed.len(), 1);
    click(&state, 1, 44);
    assert_eq!(redis.users(), [1, 2, 3]);
    sharing.end();
}
