//! Logs at an S3-compatible server that the test starts: `moto_server`, from PyPI as `moto[server]`, found through the
//! variable `MOTO_SERVER` or on the path. Without it the test says so and passes.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};

use eliverec_core::Event;
use eliverec_tables::events::{EventLog, EventWriter, NewLog, Store};

use crate::logs::{events, first_day, on_disk, read_strictly, schema, sorted, write};

/// Set in the process that talks to the server: access comes from the environment, which a test's own must not change.
const SERVED: &str = "ELIVEREC_TEST_S3";

struct Server {
    process: Child,
    address: String,
}

impl Server {
    /// `None` if there is no such program, and nobody has named one.
    fn start() -> Option<Self> {
        let named = std::env::var("MOTO_SERVER");
        let program = named.clone().unwrap_or_else(|_| "moto_server".into());
        let process = Command::new(program)
            .args(["--host", "127.0.0.1", "--port", "0"])
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn();
        let mut process = match process {
            Ok(process) => process,
            Err(error) => {
                assert!(named.is_err(), "MOTO_SERVER: {error}");
                return None;
            }
        };
        // It says where it listens once it does.
        let mut lines = BufReader::new(process.stderr.take().unwrap()).lines();
        let address = lines.find_map(|line| {
            let line = line.unwrap();
            line.split_once("http://").map(|(_, rest)| rest.trim().to_owned())
        });
        // Its requests are logged there, too; a full pipe would stop it.
        std::thread::spawn(move || lines.for_each(drop));
        Some(Self { process, address: address.unwrap() })
    }

    fn make_bucket(&self, name: &str) {
        let mut connection = TcpStream::connect(&self.address).unwrap();
        let host = &self.address;
        write!(
            connection,
            "PUT /{name} HTTP/1.1\r\nHost: {host}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        )
        .unwrap();
        let mut answer = String::new();
        connection.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn logs_at_a_real_server() {
    let Some(server) = Server::start() else {
        let skipped = "skipped: there is no moto_server; `pip install 'moto[server]'` has it\n";
        std::io::stderr().write_all(skipped.as_bytes()).unwrap();
        return;
    };
    server.make_bucket("logs");
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "s3::with_the_server", "--ignored", "--nocapture"])
        .env(SERVED, "s3://logs")
        .env("AWS_ENDPOINT", format!("http://{}", server.address))
        .env("AWS_ALLOW_HTTP", "true")
        .env("AWS_REGION", "us-east-1")
        .env("AWS_ACCESS_KEY_ID", "eliverec")
        .env("AWS_SECRET_ACCESS_KEY", "eliverec")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&child.stdout) + String::from_utf8_lossy(&child.stderr);
    assert!(child.status.success() && text.contains("1 passed"), "{text}");
}

/// The part of [`logs_at_a_real_server`] that has the address in its environment.
#[test]
#[ignore = "run by logs_at_a_real_server, which sets its environment"]
fn with_the_server() {
    let root = std::env::var(SERVED).unwrap();
    let place = |name: &str| Store::open(format!("{root}/{name}")).unwrap();

    // What is written comes back, and a second writer adds to it.
    let store = place("small");
    assert!(read_strictly(&store).unwrap_err().to_string().contains("schema.toml"));
    let all = events(3_000, 1);
    write(&store, &all[..1_000]);
    let mut more = EventWriter::append(&store).unwrap();
    all[1_000..].iter().for_each(|event| more.push(event).unwrap());
    more.finish().unwrap();
    assert_eq!(sorted(read_strictly(&store).unwrap()), all);
    let files = EventLog::open(&store).unwrap().files(first_day());
    assert!(files.len() == 2 && files[0].starts_with(format!("{root}/small")), "{files:?}");

    // A file of several parts, which have 8 MiB.
    let store = place("large");
    let on_one_day = |mut event: Event| {
        event.ts_ms = first_day().start_ms() + event.event_id as i64;
        event.available_at_ms = event.ts_ms;
        // Ids that do not compress.
        event.event_id = event.event_id.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        event
    };
    let all = sorted(events(900_000, 2).into_iter().map(on_one_day).collect());
    write(&store, &all);
    let (_folder, local) = on_disk();
    write(&local, &all);
    let file = &EventLog::open(&local).unwrap().files(first_day())[0];
    let bytes = fs_err::metadata(file).unwrap().len();
    assert!(bytes > 8 << 20, "{bytes}");
    assert_eq!(EventLog::open(&store).unwrap().files(first_day()).len(), 1);
    assert_eq!(sorted(read_strictly(&store).unwrap()), all);

    // What a killed writer leaves is stepped over.
    let store = place("killed");
    let mut killed = EventWriter::create(&store, &schema()).unwrap();
    all.iter().for_each(|event| killed.push(event).unwrap());
    std::mem::forget(killed);
    write(&store, &all[..10]);
    assert_eq!(sorted(read_strictly(&store).unwrap()), all[..10]);

    // A whole log appears with its schema, and no second one takes its place.
    let store = place("whole");
    let log = NewLog::create(&store).unwrap();
    write(log.store(), &all[..100]);
    assert!(read_strictly(&store).is_err());
    log.publish().unwrap();
    assert_eq!(sorted(read_strictly(&store).unwrap()), all[..100]);
    assert!(NewLog::create(&store).is_err());

    // Errors name the address.
    let nowhere = Store::open("s3://no-such-bucket/logs").unwrap();
    let message = read_strictly(&nowhere).unwrap_err().to_string();
    assert!(message.contains("s3://no-such-bucket/logs"), "{message}");
}
