//! A directory with toy feeds and a small config, and the binary to run in it.

use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use eliverec_core::toy;
use eliverec_tables::{FeedWriter, Split};
use serde_json::{Map, Value};
use tempfile::TempDir;

/// Small enough that an update takes milliseconds.
pub(crate) const CONFIG: &str = r#"
seed = 5
[model]
name = "elive"
heads = 2
blocks = 1
[input]
width = 8
[tower]
widths = [12, 6]
[training]
batch_impressions = 64
epochs = 40
patience = 0
shuffle_buffer_feeds = 50
evaluate_every_steps = 7
checkpoint_every_steps = 3
log_every_steps = 1
threads = 1
"#;

#[derive(Debug)]
pub(crate) struct Sandbox {
    directory: TempDir,
}

impl Sandbox {
    /// With `feeds` (120 training feeds) and `config.toml`.
    pub(crate) fn new() -> Self {
        let sandbox = Self { directory: tempfile::tempdir().unwrap() };
        sandbox.write_feeds("feeds", 120);
        fs_err::write(sandbox.path("config.toml"), CONFIG).unwrap();
        sandbox
    }

    /// Makes `config.toml` that of another model, with its default options.
    pub(crate) fn configure(&self, model: &str) {
        let (_, rest) = CONFIG.split_once("[input]").unwrap();
        let config = format!("seed = 5\n[model]\nname = \"{model}\"\n[input]{rest}");
        fs_err::write(self.path("config.toml"), config).unwrap();
    }

    /// Changes the commit point of a run into one of a program that kept no checksum of it.
    pub(crate) fn change_commit(&self, run: &str, change: impl FnOnce(&mut Map<String, Value>)) {
        let path = self.path(run).join("checkpoint.json");
        let mut commit: Value = serde_json::from_slice(&fs_err::read(&path).unwrap()).unwrap();
        commit["checksums"].as_object_mut().unwrap().remove("checkpoint.json").unwrap();
        change(commit.as_object_mut().unwrap());
        fs_err::write(&path, commit.to_string()).unwrap();
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// A feed directory of toy feeds: so many for training, 30 for validation and 30 for test.
    pub(crate) fn write_feeds(&self, name: &str, training: usize) {
        let mut writer = FeedWriter::create(&self.path(name), &toy::schema()).unwrap();
        for (i, feed) in toy::feeds(training + 60, 3).iter().enumerate() {
            let split = match i {
                i if i < training => Split::Train,
                i if i < training + 30 => Split::Validation,
                _ => Split::Test,
            };
            writer.push(split, feed).unwrap();
        }
        writer.finish().unwrap();
    }

    /// The command, words split at spaces, run in this directory.
    pub(crate) fn command(&self, words: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_eliverec"));
        command.current_dir(self.directory.path()).args(words.split_whitespace());
        command.stdin(Stdio::null());
        command
    }

    pub(crate) fn run(&self, words: &str) -> Output {
        self.command(words).output().unwrap()
    }

    /// Standard output of a command that succeeds.
    pub(crate) fn succeed(&self, words: &str) -> String {
        let output = self.run(words);
        assert!(output.status.success(), "{words}: {}", text(&output.stderr));
        text(&output.stdout)
    }

    /// The one line of a command that fails with `code`; overrides are echoed before it.
    pub(crate) fn fail(&self, words: &str, code: i32) -> String {
        let output = self.run(words);
        let message = text(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{words}: {message}");
        let lines: Vec<&str> =
            message.lines().filter(|line| !line.starts_with("override ")).collect();
        assert_eq!(lines.len(), 1, "{words}: {message}");
        lines[0].to_string()
    }
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// Says what a test found, with `--nocapture`.
#[expect(
    clippy::print_stderr,
    reason = "the harness keeps what is printed like this for those who ask for it"
)]
pub(crate) fn tell(line: &str) {
    eprintln!("{line}");
}
