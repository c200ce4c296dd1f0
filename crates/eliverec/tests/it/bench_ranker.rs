//! `eliverec bench ranker`: what it prints, and that both paths agree on the requests that it times.

use serde_json::Value;

use crate::sandbox::Sandbox;

fn measured(sandbox: &Sandbox, words: &str) -> Value {
    let json = sandbox.succeed(&format!("bench ranker --requests 8 --json {words}"));
    serde_json::from_str(&json).unwrap()
}

#[test]
fn requests_are_timed_and_both_paths_agree() {
    let sandbox = Sandbox::new();
    sandbox.succeed(
        "train --config config.toml --feeds feeds --out run training.epochs=1 tasks.mode=vanilla",
    );
    for words in [
        "--run run --feeds feeds --split validation",
        "--config config.toml --candidates 20 --length 3 --ids 50 tasks.mode=vanilla",
    ] {
        let timing = measured(&sandbox, words);
        let ways = timing["ways"].as_array().unwrap();
        let names: Vec<&str> = ways.iter().map(|way| way["name"].as_str().unwrap()).collect();
        assert_eq!(
            names,
            [
                "general path",
                "p(watch) alone",
                "p(watch) alone, histories kept",
                "all tasks",
                "all tasks, histories kept",
            ]
        );
        for way in ways {
            let of = |key: &str| way[key].as_f64().unwrap();
            assert!(of("p50_ms") > 0.0 && of("p50_ms") <= of("p90_ms"), "{way}");
            assert!(of("p90_ms") <= of("p99_ms"), "{way}");
        }
        let (alone, all) = (&ways[1]["mflop"], &ways[3]["mflop"]);
        assert!(alone.as_f64().unwrap() < all.as_f64().unwrap(), "{timing}");
        for of in ["probability", "duration"] {
            assert!(timing["difference"][of].as_f64().unwrap() < 1e-5, "{timing}");
        }
        assert!(timing["general"].is_null());
    }
    let general = measured(&sandbox, "--config config.toml --length 3 model.encoder=hgn");
    assert!(general["general"].as_str().unwrap().contains("model.encoder"), "{general}");
    assert_eq!(general["ways"].as_array().unwrap().len(), 1);
    let untrained = "bench ranker --config config.toml --length 3 --requests 4";
    let message = sandbox.run(&format!("{untrained} --at-least 1000"));
    assert_eq!(message.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&message.stderr).contains("1000 % were asked for"));
    let text = sandbox.succeed(&format!("{untrained} --at-least 0"));
    for part in ["GFLOP/s", "p99", "histories kept", "greatest difference"] {
        assert!(text.contains(part), "{text}");
    }
}

#[test]
fn feeds_that_cannot_be_asked_are_refused() {
    let sandbox = Sandbox::new();
    sandbox.succeed("train --config config.toml --feeds feeds --out run training.epochs=1");
    let message = sandbox.fail("bench ranker --run run --feeds nowhere", 2);
    assert!(message.contains("nowhere"), "{message}");
}
