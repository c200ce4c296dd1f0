//! Channels found by the user's intents, from the run to the answer.

use std::collections::BTreeSet;
use std::fmt::Write;

use eliverec_retrieval::ChannelVectors;
use eliverec_run::Scorer;
use eliverec_serve::bundle::Manifest;
use eliverec_tables::FeedDirectory;
use eliverec_train::retrieval::channel_vectors;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::server::{Server, context, now_ms, world};
use crate::sandbox::Sandbox;

/// Streams of the channels begin.
fn go_live(server: &Server, channels: impl IntoIterator<Item = u64>) {
    let begin =
        |id: u64| json!({"event_id": id, "ts": now_ms(), "kind": "stream_start", "channel_id": id});
    server.posted("/v1/events", &channels.into_iter().map(begin).collect());
}

/// The channels of an answer that a source gave, with its scores.
pub(super) fn given_by(answer: &Value, source: &str) -> Vec<(u64, f64)> {
    let channels = answer["channels"].as_array().unwrap().iter();
    let given = channels.flat_map(|channel| {
        let sources = channel["sources"].as_array().unwrap().iter();
        let of_source = sources.filter(|given| given["source"] == source);
        of_source.map(|given| {
            (channel["channel_id"].as_u64().unwrap(), given["score"].as_f64().unwrap())
        })
    });
    given.collect()
}

fn ask(user_id: u64) -> Value {
    json!({"user_id": user_id, "k": 200, "context": context()})
}

#[test]
fn a_channel_is_found_by_what_the_user_watched() {
    let sandbox = world(60);
    // What recall is measured with is what is served.
    let vectors = ChannelVectors::open(&sandbox.path("bundle/vectors.bin")).unwrap();
    let (scorer, _) = Scorer::open(&sandbox.path("run")).unwrap();
    let feeds = FeedDirectory::open(sandbox.path("world")).unwrap();
    assert_eq!(vectors, channel_vectors(&scorer.scoring(), &feeds).unwrap());

    let server = Server::begin(&sandbox, "");
    let bundles = server.get("/v1/admin/bundles").1;
    assert_eq!(bundles["left_out"], json!({}));
    assert_eq!(server.posted("/v1/recommend", &ask(1))["channels"], json!([]));
    // One more than the bundle knows.
    let unknown = 1_u64 << 40;
    go_live(&server, vectors.channels().iter().copied().chain([unknown]));
    let cold = server.posted("/v1/recommend", &ask(1));
    assert_eq!(given_by(&cold, "embedding"), []);
    assert!(!given_by(&cold, "trending").is_empty(), "{cold}");

    let watched = vectors.channels()[0];
    let event = |id: u64, kind: &str, channel: u64| json!({"event_id": id, "ts": now_ms(), "kind": kind, "user_id": 1, "channel_id": channel, "value": (kind == "leave").then_some(75.0)});
    let stay =
        |id: u64, channel: u64| [event(id, "watch", channel), event(id + 1, "leave", channel)];
    server.posted("/v1/events", &stay(unknown + 1, watched).into_iter().collect());
    let warm = server.posted("/v1/recommend", &ask(1));
    let found = given_by(&warm, "embedding");
    assert!(!found.is_empty(), "{warm}");
    assert!(found.iter().all(|(channel, score)| *channel != unknown && score.abs() <= 1.001));
    // The very next request asks with what is known then, and the one after it with the same.
    server.posted("/v1/events", &stay(unknown + 3, vectors.channels()[1]).into_iter().collect());
    let next = given_by(&server.posted("/v1/recommend", &ask(1)), "embedding");
    assert_ne!(next, found);
    assert_eq!(given_by(&server.posted("/v1/recommend", &ask(1)), "embedding"), next);

    let metrics = server.get("/metrics").1;
    let metrics = metrics.as_str().unwrap();
    let counted = metrics
        .lines()
        .find_map(|line| line.strip_prefix("eliverec_candidates_total{source=\"embedding\"} "));
    assert!(counted.unwrap().parse::<u64>().unwrap() > 0, "{metrics}");
}

/// Makes the bundle one from before it had a file.
fn remove(sandbox: &Sandbox, bundle: &str, file: &str) {
    let path = sandbox.path(bundle).join("manifest.json");
    let mut manifest: Manifest = serde_json::from_slice(&fs_err::read(&path).unwrap()).unwrap();
    manifest.files.retain(|entry| entry.name != file);
    let text = serde_json::to_string_pretty(&manifest).unwrap();
    let body = text.strip_suffix("\n}").unwrap();
    let digits = Sha256::digest(body).iter().fold(String::new(), |mut digits, byte| {
        write!(digits, "{byte:02x}").unwrap();
        digits
    });
    fs_err::write(path, format!("{body},\n  \"sha256\": \"{digits}\"\n}}\n")).unwrap();
    fs_err::remove_file(sandbox.path(bundle).join(file)).unwrap();
}

#[test]
fn without_vectors_a_bundle_serves_and_says_what_it_lacks() {
    let sandbox = world(60);
    let train = "train --config config.toml --feeds world --out plain training.max_steps=9";
    sandbox.configure("eta");
    sandbox.succeed(train);
    let told =
        sandbox.run("export --run plain --feeds world --logs logs --out plain-bundle --json");
    let exported: Value = serde_json::from_slice(&told.stdout).unwrap();
    assert_eq!(exported["indexes"]["vectors"], Value::Null);
    assert!(exported["indexes"]["neighbours"].as_u64().unwrap() > 0);
    assert!(exported["notes"].to_string().contains("eta"), "{exported}");
    remove(&sandbox, "bundle", "vectors.bin");
    sandbox.succeed("bundle verify bundle");

    let server = Server::begin(&sandbox, "");
    let left_out = |bundles: &Value| -> BTreeSet<String> {
        bundles["left_out"].as_object().unwrap().values().map(ToString::to_string).collect()
    };
    let before = left_out(&server.get("/v1/admin/bundles").1);
    assert_eq!(before, BTreeSet::from(["\"the bundle has no vectors.bin\"".into()]));
    go_live(&server, 1..=20);
    assert_eq!(given_by(&server.posted("/v1/recommend", &ask(1)), "embedding"), []);
    let (status, bundles) =
        server.post("/v1/admin/bundles", &json!({"path": sandbox.path("plain-bundle")}));
    assert_eq!(status, 200, "{bundles}");
    assert!(left_out(&bundles).first().unwrap().contains("eta"), "{bundles}");
    assert_eq!(server.posted("/v1/recommend", &ask(1))["channels"].as_array().unwrap().len(), 20);
}
