//! Train, evaluate, explain, inspect; simulate and samples.

use eliverec_report::Results;
use serde_json::Value;

use crate::sandbox::Sandbox;

const TRAIN: &str = "train --config config.toml --feeds feeds --out run training.epochs=4";

#[test]
fn train_evaluate_explain() {
    let sandbox = Sandbox::new();
    sandbox.succeed(TRAIN);

    let report: Value =
        serde_json::from_str(&sandbox.succeed("evaluate --run run --feeds feeds --json")).unwrap();
    for metric in [
        "auc",
        "gauc_user",
        "gauc_feed",
        "ndcg_at_10",
        "recall_at_10",
        "precision_at_10",
        "logloss",
        "ece",
    ] {
        let value = report[metric].as_f64().unwrap_or(-1.0);
        assert!((0.0..=10.0).contains(&value), "{metric} is {}", report[metric]);
    }
    assert_eq!(report["feeds"], 30);
    assert!(report["impressions"].as_u64().unwrap() > 30);
    let table = sandbox.succeed("evaluate --run run --feeds feeds --split validation");
    assert!(table.contains("gAUC feed"), "{table}");

    let request = 2;
    let words = format!(
        "explain --run run --feeds feeds --request {request} --json --tensors out.safetensors"
    );
    let explanation: Value = serde_json::from_str(&sandbox.succeed(&words)).unwrap();
    assert_eq!(explanation["request_id"], request);
    let events = explanation["histories"]["live"].as_array().unwrap();
    assert!(!events.is_empty());
    for event in events {
        assert!((0.0..=1.0).contains(&event["intent"].as_f64().unwrap()), "{event}");
    }
    for candidate in explanation["candidates"].as_array().unwrap() {
        for kind in ["consistent_attention", "specific_attention"] {
            let weights = candidate["attention"]["live"][kind].as_array().unwrap();
            assert_eq!(weights.len(), events.len());
            let sum: f64 = weights.iter().map(|w| w.as_f64().unwrap()).sum();
            assert!((sum - 1.0).abs() < 1e-4, "{kind} sums to {sum}");
        }
    }
    let bytes = fs_err::read(sandbox.path("out.safetensors")).unwrap();
    let header = String::from_utf8_lossy(&bytes);
    for name in ["trace/e_vt", "trace/live.intention", "parameter/", "rows/channel"] {
        assert!(header.contains(name), "{name} is missing");
    }
    let readable = sandbox.succeed(&format!("explain --run run --feeds feeds --request {request}"));
    assert!(readable.contains("p_c") && readable.contains("channel_id"), "{readable}");
}

#[test]
fn the_same_seed_gives_the_same_bytes_and_threads_change_nothing() {
    let sandbox = Sandbox::new();
    let train = |run: &str, rest: &str| {
        let words = format!(
            "train --config config.toml --feeds feeds --out {run} training.epochs=2 {rest}"
        );
        sandbox.succeed(&words);
        sandbox.succeed(&format!("evaluate --run {run} --feeds feeds --json"))
    };
    let first = train("first", "");
    assert_eq!(first, train("second", ""));
    assert_eq!(first, train("threads", "training.threads=2"));
    assert_ne!(first, train("other", "seed=6"));
}

#[test]
fn a_run_is_never_overwritten_and_a_finished_one_says_so() {
    let sandbox = Sandbox::new();
    sandbox.succeed(&format!("{TRAIN} training.epochs=1"));
    let message = sandbox.fail("train --config config.toml --feeds feeds --out run", 2);
    assert!(message.contains("--resume"), "{message}");
    let again = sandbox.succeed("train --feeds feeds --out run --resume");
    assert!(again.contains("finished already"), "{again}");
    let message = sandbox.fail("train --config config.toml --feeds feeds --out run --resume", 2);
    assert!(message.contains("training.epochs"), "{message}");
    sandbox.write_feeds("more", 121);
    let message = sandbox.fail("train --feeds more --out run --resume", 2);
    assert!(message.contains("train/part-00000.parquet has 121 feeds, it had 120"), "{message}");
}

#[test]
fn early_stopping_keeps_the_best_checkpoint() {
    let sandbox = Sandbox::new();
    let words = "train --config config.toml --feeds feeds --out run training.patience=2 store.learning_rate=0.5";
    let finished = sandbox.succeed(words);
    assert!(finished.contains("patience"), "{finished}");
    let log = fs_err::read_to_string(sandbox.path("run/metrics.jsonl")).unwrap();
    let lines: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let best = lines.iter().rfind(|line| line["best"] == true).unwrap();
    let mut report: Value = serde_json::from_str(
        &sandbox.succeed("evaluate --run run --feeds feeds --split validation --json"),
    )
    .unwrap();
    for of_reading in ["read", "covers", "findings"] {
        assert!(report.as_object_mut().unwrap().remove(of_reading).is_some(), "{of_reading}");
    }
    assert_eq!(report, best["report"]);
    assert_eq!(fs_err::read_dir(sandbox.path("run/checkpoints")).unwrap().count(), 2);
}

#[test]
fn a_loss_that_is_no_number_stops_with_step_term_and_batch() {
    let sandbox = Sandbox::new();
    let words = "train --config config.toml --feeds feeds --out run --quiet store.learning_rate=1e30 training.learning_rate=1e30";
    let output = sandbox.run(words);
    let message = crate::sandbox::text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{message}");
    for part in ["error: step ", " is NaN", "epoch 0, batch ", "requests "] {
        let infinite = part == " is NaN" && message.contains(" is inf");
        assert!(infinite || message.contains(part), "{message}");
    }
}

#[test]
fn inspect_counts_the_feeds() {
    let sandbox = Sandbox::new();
    let table: Value = serde_json::from_str(&sandbox.succeed("inspect feeds --json")).unwrap();
    assert_eq!(table["train"]["feeds"], 120);
    assert_eq!(table["test"]["feeds"], 30);
    assert!(sandbox.succeed("inspect feeds").contains("product sequence length"));
}

#[test]
fn completions_and_help() {
    let sandbox = Sandbox::new();
    assert!(sandbox.succeed("completions bash").contains("eliverec"));
    let help = sandbox.succeed("--help");
    assert!(help.contains("Exit codes") && help.contains("130"), "{help}");
    assert!(sandbox.succeed("train --help").contains("training.epochs=1"));
    let small = "bench train --feeds 4 --candidates 2 --length 3 --ids 20 --steps 1 --repeats 1 --json input.width=8 model.heads=2";
    let timing: Value = serde_json::from_str(&sandbox.succeed(small)).unwrap();
    assert!(timing["median"].as_f64().unwrap() > 0.0 && timing["profile"].is_null(), "{timing}");
    let small = format!("{small} --profile");
    let timing: Value = serde_json::from_str(&sandbox.succeed(&small)).unwrap();
    let shares = timing["profile"]["shares"].as_array().unwrap();
    let of = |work: &str| {
        let share = shares.iter().find(|share| share["work"] == work);
        share.unwrap_or_else(|| panic!("{work}: {timing}"))["share"].as_f64().unwrap()
    };
    for work in ["products", "attention", "elements", "gather", "rows", "optimiser", "copies"] {
        assert!(of(work) > 0.0 && of(work) < 1.0, "{work}: {timing}");
    }
    assert_eq!((of("recurrence"), &timing["profile"]["updates"]), (0.0, &1.into()));
}

#[test]
fn a_simulated_platform_becomes_feeds_that_a_model_trains_on() {
    let sandbox = Sandbox::new();
    let simulated = sandbox.succeed("simulate --out logs --users 60 --days 4 --seed 3");
    assert!(simulated.contains("the world's own probabilities"), "{simulated}");
    let taken = sandbox.fail("simulate --out logs --users 60 --days 4 --seed 3", 2);
    assert!(taken.contains("exists and is not empty"), "{taken}");

    let words = "samples --logs logs --out world --from 2022-09-01 --to 2022-09-04";
    let made = sandbox.succeed(words);
    assert!(made.contains("2022-09-04 test") && !made.contains("kept"), "{made}");
    assert!(sandbox.succeed(words).contains("kept"), "a rerun keeps what is there");
    let replayed = sandbox.succeed("replay --logs logs --feeds world");
    assert!(replayed.contains("0 differ") && replayed.contains("duplicate"), "{replayed}");
    let table: Value = serde_json::from_str(&sandbox.succeed("inspect world --json")).unwrap();
    for split in ["train", "validation", "test"] {
        assert!(table[split]["impressions_per_feed"].as_f64().unwrap() > 1.0, "{table}");
    }

    sandbox
        .succeed("train --config config.toml --feeds world --out run seed=1 training.max_steps=3");
    let report = sandbox.succeed("evaluate --run run --feeds world --json");
    let report: Value = serde_json::from_str(&report).unwrap();
    assert_eq!(report["feeds"], table["test"]["feeds"]);

    let words = "disentangling --run run --feeds world --logs logs --json";
    let found: Value = serde_json::from_str(&sandbox.succeed(words)).unwrap();
    for domain in ["live", "product"] {
        assert!(found[domain]["behaviours"].as_u64().unwrap() > 100, "{found}");
        for share in ["shared", "auc", "consistent_attention", "specific_attention"] {
            assert!((0.0..=1.0).contains(&found[domain][share].as_f64().unwrap()), "{found}");
        }
    }
    fs_err::create_dir(sandbox.path("folder")).unwrap();
    fs_err::copy(sandbox.path("config.toml"), sandbox.path("folder/row.toml")).unwrap();
    let words = "experiment folder --feeds world --logs logs --out results --seeds 1";
    sandbox.succeed(&format!("{words} training.max_steps=3"));
    let kept = Results::read(&sandbox.path("results")).unwrap().unwrap();
    let truth = &kept.find("row", 1).unwrap().truth;
    assert_eq!(Some(truth["live.auc_of_p_c"]), found["live"]["auc"].as_f64());
    assert!(sandbox.succeed("report results").contains("Intents against the truth"));

    sandbox.succeed("samples --logs logs --out short --product-history 5");
    let short: Value = serde_json::from_str(&sandbox.succeed("inspect short --json")).unwrap();
    let length = |table: &Value| table["test"]["product_sequence_length"].as_f64().unwrap();
    assert!(length(&short) <= 5.0 && length(&table) > 5.0, "{short}");

    let backwards = "samples --logs logs --out w2 --from 2022-09-04 --to 2022-09-01";
    let backwards = sandbox.fail(backwards, 2);
    assert!(backwards.contains("which is after to"), "{backwards}");
    let nowhere = sandbox.fail("samples --logs nothing --out w2", 2);
    assert!(nowhere.contains("nothing"), "{nowhere}");
}

#[test]
fn the_demo_goes_from_nothing_to_an_explained_request_and_goes_on_where_it_was() {
    let sandbox = Sandbox::new();
    let words = "demo --out demo --users 40 --days 4 --seed 3";
    let shown = sandbox.succeed(words);
    for part in [
        "$ eliverec simulate",
        "impressions per feed",
        "the world's own",
        "gAUC feed",
        "p_c",
        "$ eliverec export",
    ] {
        assert!(shown.contains(part), "{part} is missing in {shown}");
    }
    let table = |shown: &str| {
        let start = shown.find("Test split").unwrap();
        // The bundle is made again, and says when.
        let lines = shown[start..].lines().filter(|line| !line.starts_with(" made "));
        lines.collect::<Vec<_>>().join("\n")
    };
    let again = sandbox.succeed(words);
    assert!(again.contains("finished already") && !again.contains("$ eliverec simulate"));
    assert_eq!(table(&again), table(&shown));
    // Of a log, the bundle has everything that requests need.
    let verified = sandbox.succeed("bundle verify demo/bundle");
    assert!(verified.contains("it answers requests; 40 users"), "{verified}");
    let other = sandbox.fail("demo --out demo --users 41 --days 4 --seed 3", 2);
    assert!(other.contains("users = 40"), "{other}");
    // The same command ends at a page, if it is asked to.
    crate::serving::demo::ends_at_a_page(&sandbox, words);
}
