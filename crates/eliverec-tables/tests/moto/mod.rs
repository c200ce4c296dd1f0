//! An S3-compatible server that a test starts: `moto_server`, from PyPI as `moto[server]`, found through the variable `MOTO_SERVER` or on
//! the path.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};

/// What a test says that passes without it.
pub(crate) const SKIPPED: &str =
    "skipped: there is no moto_server; `pip install 'moto[server]'` has it";

/// A server, ended when it is dropped.
pub(crate) struct Server {
    process: Child,
    address: String,
}

impl Server {
    /// `None` if there is no such program, and nobody has named one.
    pub(crate) fn start() -> Option<Self> {
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

    /// Makes a bucket.
    pub(crate) fn make_bucket(&self, name: &str) {
        self.put(name, b"");
    }

    /// Puts an object into a bucket, `BUCKET/KEY`.
    pub(crate) fn put(&self, name: &str, content: &[u8]) {
        let mut connection = TcpStream::connect(&self.address).unwrap();
        let (host, length) = (&self.address, content.len());
        write!(
            connection,
            "PUT /{name} HTTP/1.1\r\nHost: {host}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
        )
        .unwrap();
        connection.write_all(content).unwrap();
        let mut answer = String::new();
        connection.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }

    /// The environment of a process that uses it.
    pub(crate) fn access(&self) -> [(&'static str, String); 5] {
        [
            ("AWS_ENDPOINT", format!("http://{}", self.address)),
            ("AWS_ALLOW_HTTP", "true".into()),
            ("AWS_REGION", "us-east-1".into()),
            ("AWS_ACCESS_KEY_ID", "eliverec".into()),
            ("AWS_SECRET_ACCESS_KEY", "eliverec".into()),
        ]
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
