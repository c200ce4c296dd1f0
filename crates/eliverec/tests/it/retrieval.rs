//! Recall of retrieval: on toy feeds alone, on a simulated log, with runs that have intents and runs that have none.

use eliverec_core::toy;
use eliverec_tables::{FeedWriter, Split};
use serde_json::Value;

use crate::sandbox::Sandbox;

fn measure(sandbox: &Sandbox, words: &str) -> Value {
    serde_json::from_str(&sandbox.succeed(&format!("retrieval {words} --json"))).unwrap()
}

fn row<'a>(measured: &'a Value, name: &str) -> &'a Value {
    let rows = measured["sources"].as_array().unwrap();
    rows.iter().find(|row| row["name"] == name).unwrap()
}

fn recall(row: &Value, k: usize) -> f64 {
    let recall = row["recall"][k.to_string()].as_f64().unwrap();
    assert!((0.0..=1.0).contains(&recall), "{row}");
    recall
}

#[test]
fn feeds_alone_tell_what_is_live_and_what_is_found() {
    let sandbox = Sandbox::new();
    let words = "--feeds feeds --k 50,2 --window 120";
    let measured = measure(&sandbox, words);
    assert_eq!(measure(&sandbox, words), measured);
    assert_eq!(measured["live"], serde_json::json!({"from": "feeds", "window_minutes": 120}));
    let counts = ["requests", "requests_without_watch", "watched", "watched_not_live"];
    let [requests, without, watched, not_live] =
        counts.map(|name| measured[name].as_u64().unwrap());
    assert_eq!(requests + without, 30);
    assert!(watched >= requests && not_live == 0);
    assert!(measured["neighbours"]["users"].as_u64().unwrap() > 10);
    let names =
        measured["sources"].as_array().unwrap().iter().map(|row| row["name"].as_str().unwrap());
    let all = ["collaborative", "embedding", "anchors", "trending", "category", "exploration"];
    assert_eq!(names.collect::<Vec<_>>(), all);
    for name in ["collaborative", "trending", "category"] {
        let row = row(&measured, name);
        assert!(recall(row, 50) >= recall(row, 2) && recall(row, 50) > 0.1, "{row}");
    }
    let embedding = row(&measured, "embedding");
    assert!(embedding["left_out"].as_str().unwrap().contains("--run RUN"), "{embedding}");
    assert!(recall(&measured["together"], 50) > recall(&measured["together"], 2));

    // Everything that is live fits into lists as long as that.
    let live = measured["live_channels"].as_f64().unwrap();
    let longest = measure(&sandbox, "--feeds feeds --k 10000 --window 120");
    assert_eq!(recall(&longest["random"], 10_000), 1.0);
    assert!((longest["random"]["candidates"].as_f64().unwrap() - live).abs() < 1e-9);

    let table = sandbox.succeed("retrieval --feeds feeds --k 2");
    for words in
        ["recall@2", "live: channels that any request showed in the last 30 minutes", "left out"]
    {
        assert!(table.contains(words), "{table}");
    }
}

#[test]
fn runs_with_intents_have_embeddings_and_others_say_why_not() {
    let sandbox = Sandbox::new();
    let train = "train --config config.toml --feeds feeds training.epochs=1 --out";
    sandbox.succeed(&format!("{train} run"));
    let measured = measure(&sandbox, "--feeds feeds --run run --k 5");
    let embedding = row(&measured, "embedding");
    assert!(embedding["left_out"].is_null() && recall(embedding, 5) > 0.0, "{embedding}");
    assert_eq!(measured["live_without_vector"], 0.0);
    assert_eq!(measure(&sandbox, "--feeds feeds --run run --k 5"), measured);

    sandbox.configure("eta");
    sandbox.succeed(&format!("{train} plain"));
    let measured = measure(&sandbox, "--feeds feeds --run plain --k 5");
    let reason = row(&measured, "embedding")["left_out"].as_str().unwrap();
    assert!(reason.contains("eta"), "{reason}");
}

#[test]
fn a_log_tells_which_streams_are_live() {
    let sandbox = Sandbox::new();
    sandbox.succeed("simulate --out logs --users 60 --days 4 --seed 3");
    sandbox.succeed("samples --logs logs --out world");
    let measured = measure(&sandbox, "--feeds world --logs logs --k 20,200");
    assert_eq!(measured["live"], serde_json::json!({"from": "log"}));
    let [watched, not_live] =
        ["watched", "watched_not_live"].map(|name| measured[name].as_u64().unwrap());
    assert!(watched > 10 && not_live * 20 <= watched, "{measured}");
    assert!(recall(&measured["together"], 200) > 0.9, "{measured}");
    assert!(recall(&measured["together"], 20) > recall(&measured["random"], 20), "{measured}");
    assert!(recall(row(&measured, "anchors"), 20) > 0.0);

    // What a watch is stands with the feeds.
    sandbox.succeed("samples --logs logs --out longer --stay-threshold 60");
    let words = "--feeds longer --logs logs --k 20";
    let of_feeds = measure(&sandbox, words);
    assert_eq!(measure(&sandbox, &format!("{words} --stay-threshold 60")), of_feeds);
    assert_ne!(measure(&sandbox, &format!("{words} --stay-threshold 3")), of_feeds);

    let message = sandbox.fail("retrieval --feeds feeds --logs logs", 2);
    assert!(message.contains("differs from that of the log"), "{message}");
}

#[test]
fn wrong_settings_and_feeds_without_labels_are_refused() {
    let sandbox = Sandbox::new();
    for (text, words) in [
        ("[trending]\nquota = 5\nhalf_life_minutes = -1\n", "trending.half_life_minutes: is -1"),
        ("[trendy]\n", "trendy"),
    ] {
        fs_err::write(sandbox.path("retrieval.toml"), text).unwrap();
        let message = sandbox.fail("retrieval --feeds feeds --config retrieval.toml", 2);
        assert!(message.contains("retrieval.toml") && message.contains(words), "{message}");
    }
    let message = sandbox.fail("retrieval --feeds feeds --config nowhere.toml", 2);
    assert!(message.contains("nowhere.toml: cannot be read"), "{message}");

    let mut writer = FeedWriter::create(&sandbox.path("asked"), &toy::schema()).unwrap();
    for mut feed in toy::feeds(20, 8) {
        feed.candidates.labels = None;
        writer.push(Split::Test, &feed).unwrap();
    }
    writer.finish().unwrap();
    let message = sandbox.fail("retrieval --feeds asked", 2);
    assert!(message.contains("recall needs labels"), "{message}");

    // Quotas of nothing give nothing, and say so.
    let none = "fill = false\n[collaborative]\nquota = 0\n[anchors]\nquota = 0\n[trending]\nquota = 0\n\
                [category]\nquota = 0\n[exploration]\nquota = 0\n";
    fs_err::write(sandbox.path("retrieval.toml"), none).unwrap();
    let measured = measure(&sandbox, "--feeds feeds --config retrieval.toml --k 9");
    assert_eq!(recall(&measured["together"], 9), 0.0);
    assert!(recall(row(&measured, "trending"), 9) > 0.0);
}
