//! `eliverec samples --phase`: tasks in processes of their own, one of which is killed, give the feeds of one process.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::Stdio;

use serde_json::Value;

use crate::sandbox::{Sandbox, text};

/// The names and bytes of all files below a folder.
fn files(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut all = Vec::new();
    for entry in fs_err::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() {
            let below = files(&path).into_iter();
            all.extend(below.map(|(below, bytes)| (format!("{name}/{below}"), bytes)));
        } else {
            all.push((name, fs_err::read(&path).unwrap()));
        }
    }
    all.sort();
    all
}

/// Runs a job of two tasks a phase; `set` gives every command what it needs besides.
fn job(sandbox: &Sandbox, logs: &str, exchange: &str, set: impl Fn(&mut std::process::Command)) {
    let command = |words: &str| {
        let mut command =
            sandbox.command(&format!("samples --logs {logs} --exchange {exchange} {words}"));
        set(&mut command);
        command
    };
    let succeed = |words: &str| {
        let output = command(words).output().unwrap();
        assert!(output.status.success(), "{words}: {}", text(&output.stderr));
        text(&output.stdout)
    };
    let mut handed_on = 0;
    for phase in ["channels", "users"] {
        // Killed once it has told of its first day of the log, wherever it is by then; one that is killed half-way for certain is in
        // `crates/eliverec-samples/tests/samples/job.rs`.
        let words = format!("--phase {phase} --shard 1/2 --threads 1");
        let mut child =
            command(&words).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let told = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap).next();
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(told.is_some_and(|line| line.contains("days read")), "{phase}");

        let mut taken_in = 0;
        let mut left_out = 0;
        for shard in ["0/2", "1/2"] {
            let task: Value =
                serde_json::from_str(&succeed(&format!("--phase {phase} --shard {shard} --json")))
                    .unwrap();
            let count = |key: &str| task[key].as_u64().unwrap();
            assert_eq!(
                count("impressions_in"),
                count("impressions_out") + count("impressions_refused"),
                "{task}"
            );
            taken_in += count("impressions_in");
            left_out += count("impressions_refused");
        }
        if phase == "users" {
            assert_eq!(taken_in, handed_on);
        }
        handed_on = taken_in - left_out;
    }
    let printed: Value =
        serde_json::from_str(&succeed("--phase feeds --shards 2 --out of-job --json")).unwrap();
    assert_eq!(printed["impressions_in_feeds"], handed_on);
    assert!(succeed("--phase users --shard 1/2").contains("was done already"));
}

#[test]
fn tasks_give_the_feeds_of_one_process() {
    let sandbox = Sandbox::new();
    sandbox.succeed("simulate --out logs --users 300 --days 5 --seed 4");
    sandbox.succeed("samples --logs logs --out whole");
    job(&sandbox, "logs", "exchange", |_| ());
    assert!(files(&sandbox.path("of-job")) == files(&sandbox.path("whole")));
}

#[test]
fn what_a_task_needs_is_asked_for() {
    let sandbox = Sandbox::new();
    sandbox.succeed("simulate --out logs --users 20 --days 2 --seed 4");
    let at = "samples --logs logs --exchange exchange --phase";
    for (words, expected) in [
        (
            "users --shard 0/2",
            "channels/0-of-2.json: is not there; run `eliverec samples --phase channels --shard 0/2`",
        ),
        ("channels", "--shard is missing: write which task this is, as 0/4"),
        ("channels --shard 0/2 --out feeds", "--out is for the phase feeds"),
        ("feeds --out feeds", "--shards is missing"),
        ("feeds --shards 2", "--out is missing"),
        ("feeds --shards 2 --out exchange", "exchange"),
        ("products --shard 0/2", "the schema asks for no popularity of products"),
    ] {
        let message = sandbox.fail(&format!("{at} {words}"), 2);
        assert!(message.contains(expected), "{words}: {message}");
    }
    let message = sandbox.fail("samples --logs logs --out feeds --shard 0/2", 2);
    assert!(message.contains("go with --phase"), "{message}");
    let output = sandbox.run(&format!("{at} channels --shard 2/2"));
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("is no shard; write one of 0/N"));
    let message =
        sandbox.fail("samples --logs logs --exchange logs --phase channels --shard 0/2", 2);
    assert!(message.contains("is the log, or within its events"), "{message}");
}

/// Log and exchange at a real server: the log lies there, the tasks meet there.
#[cfg(feature = "s3")]
#[test]
fn tasks_meet_at_a_real_server() {
    let Some(server) = crate::moto::Server::start() else {
        crate::sandbox::tell(crate::moto::SKIPPED);
        return;
    };
    server.make_bucket("place");
    let sandbox = Sandbox::new();
    let set = |command: &mut std::process::Command| {
        command.envs(server.access());
    };
    sandbox.succeed("simulate --out logs --users 300 --days 5 --seed 4");
    for (name, bytes) in files(&sandbox.path("logs")) {
        server.put(&format!("place/logs/{name}"), &bytes);
    }
    let mut command = sandbox.command("samples --logs s3://place/logs --out whole");
    set(&mut command);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    job(&sandbox, "s3://place/logs", "s3://place/exchange", set);
    assert!(files(&sandbox.path("of-job")) == files(&sandbox.path("whole")));
}
