//! The README's calls do what it says, as they stand there.

use std::process::Command;

use serde_json::Value;

use super::server::{Server, world};
use crate::sandbox::text;

const README: &str = include_str!("../../../../../README.md");

/// The block of shell lines that calls the service.
fn calls() -> &'static str {
    let blocks = README.split("```sh\n").skip(1).filter_map(|rest| rest.split("```").next());
    let mut calls = blocks.filter(|block| block.lines().any(|line| line.starts_with("curl ")));
    let found = calls.next().expect("the README calls the service");
    assert_eq!(calls.next(), None, "two blocks of calls");
    found
}

#[test]
fn its_calls_answer_as_it_says() {
    let curl = Command::new("curl").arg("--version").output();
    assert!(curl.is_ok(), "curl, which the README's lines call, cannot be run: {curl:?}");
    let sandbox = world(60);
    let server = Server::begin(&sandbox, "");
    let script = calls().replace("localhost:8088", server.address());
    assert_eq!(script.matches(server.address()).count(), 5, "{script}");
    let output = Command::new("sh").args(["-e", "-c", &script]).output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    let answers = text(&output.stdout);
    let answers = serde_json::Deserializer::from_str(&answers).into_iter::<Value>();
    let answers: Vec<Value> = answers.map(Result::unwrap).collect();
    let [began, first, watched, second, why] = answers.as_slice() else {
        panic!("{answers:?}");
    };
    assert_eq!((&began["admitted"], &watched["admitted"]), (&2.into(), &2.into()));
    for answer in [first, second] {
        assert_eq!(answer["channels"].as_array().unwrap().len(), 2, "{answer}");
    }
    // The watch is in the features of the next request.
    assert_eq!(second["request_id"], 11);
    let event = &why["histories"]["live"][0]["fields"];
    assert_eq!((&event["channel_id"], &event["stay"]), (&"5".into(), &"42".into()), "{why}");
}
