//! `explain --tensors`: the file has everything that the logits are computed from and by, in shapes that follow from the feed.
//! That they come out of it again is checked by `reference/recompute.py`, which runs here where there is a Python with numpy and
//! safetensors: `python3`, or what `ELIVEREC_REFERENCE_PYTHON` names, with which a missing package fails.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::Path;
use std::process::Command;

use eliverec_core::{Feed, toy};
use serde_json::Value;

use crate::sandbox::{Sandbox, text};

/// The header of a file: each tensor's shape by name, and the texts.
fn header(sandbox: &Sandbox, file: &str) -> (BTreeMap<String, Vec<u64>>, Value) {
    let bytes = fs_err::read(sandbox.path(file)).unwrap();
    let (length, rest) = bytes.split_first_chunk::<8>().unwrap();
    let length = u64::from_le_bytes(*length) as usize;
    let mut header: BTreeMap<String, Value> = serde_json::from_slice(&rest[..length]).unwrap();
    let texts = header.remove("__metadata__").unwrap();
    let shape = |tensor: &Value| serde_json::from_value(tensor["shape"].clone()).unwrap();
    (header.iter().map(|(name, tensor)| (name.clone(), shape(tensor))).collect(), texts)
}

/// A feed of the test split with or without watches and clicks.
fn test_feed(watches: bool, clicks: bool) -> Feed {
    let feeds = toy::feeds(180, 3).into_iter().skip(150);
    let mut wanted = feeds.filter(|feed| {
        (feed.channels.age_s.is_empty(), feed.products.age_s.is_empty()) == (!watches, !clicks)
    });
    wanted.next().unwrap()
}

/// Trains a model for an update, and explains a feed with it.
fn explained(
    sandbox: &Sandbox,
    run: &str,
    model: &str,
    feed: &Feed,
    more: &str,
) -> BTreeMap<String, Vec<u64>> {
    if !sandbox.path(run).exists() {
        let words = format!(
            "train --config config.toml --feeds feeds --out {run} training.max_steps=1 {model}"
        );
        sandbox.succeed(&words);
    }
    let words = format!(
        "explain --run {run} --feeds feeds --request {} --tensors {run}.safetensors {more}",
        feed.request_id
    );
    sandbox.succeed(&words);
    header(sandbox, &format!("{run}.safetensors")).0
}

#[test]
fn the_file_of_tensors_has_all_that_a_model_computes_with() {
    let sandbox = Sandbox::new();
    let feed = test_feed(true, true);
    let (c, l) = (feed.impressions() as u64, feed.channels.age_s.len() as u64);
    let n = feed.products.age_s.len() as u64;
    let check = |found: &BTreeMap<String, Vec<u64>>, expected: &[(&str, Vec<u64>)]| {
        for (name, shape) in expected {
            assert_eq!(found.get(*name), Some(shape), "{name}");
        }
    };

    let found = explained(&sandbox, "elive", "tasks.mode=vanilla", &feed, "--regularisers");
    check(
        &found,
        &[
            ("places/candidate.channel_id", vec![c]),
            ("numbers/target.clicks_60m", vec![c]),
            ("lengths/dynamic.on_sale", vec![c]),
            ("age_s/live", vec![l]),
            ("labels/watched", vec![c]),
            ("trace/live.bare", vec![l, 8]),
            ("trace/live.block0.attention", vec![1, 2, l, l]),
            ("trace/live.block0.encoded", vec![l, 8]),
            ("trace/product.block0.attention", vec![1, 2, n, n]),
            ("trace/product.intention", vec![n, 8]),
            ("trace/product.specific_attention", vec![1, c, n]),
            ("trace/field.z_s_product", vec![c, 8]),
            ("trace/gate.z_s_product", vec![c, 1]),
            ("trace/logits", vec![c]),
            ("term/correlation", vec![1]),
            ("term/alignment", vec![1]),
            ("term_weight/alignment", vec![1]),
        ],
    );
    let feeds = found["batch/request_id"][0];
    check(&found, &[("batch/sampled", vec![feeds]), ("batch/user_id", vec![feeds])]);
    assert!(feeds > 1, "the terms are those of a batch");
    let (_, texts) = header(&sandbox, "elive.safetensors");
    assert!(texts["config.toml"].as_str().unwrap().contains("[model]"));
    assert!(texts["schema.toml"].as_str().unwrap().contains("channel_event"));
    let without = explained(&sandbox, "elive", "", &feed, "");
    assert!(without.keys().all(|name| !name.starts_with("term") && !name.starts_with("batch/")));
    let first = fs_err::read(sandbox.path("elive.safetensors")).unwrap();
    explained(&sandbox, "elive", "", &feed, "");
    assert!(first == fs_err::read(sandbox.path("elive.safetensors")).unwrap(), "the same bytes");

    for encoder in ["din", "hgn", "gru"] {
        let model = format!("model.encoder={encoder}");
        let found = explained(&sandbox, encoder, &model, &feed, "");
        let own: &[(&str, Vec<u64>)] = match encoder {
            "din" => &[
                ("trace/live.scores", vec![1, c, l]),
                ("trace/live.encoder_attention", vec![1, c, l]),
                ("trace/live.encoded", vec![c * l, 8]),
            ],
            "hgn" => {
                &[("trace/live.feature_gate", vec![l, 8]), ("trace/live.instance_gate", vec![l, 1])]
            }
            _ => &[("trace/live.encoded", vec![l, 8])],
        };
        check(&found, own);
    }
}

/// What comes next as a further signal, and the means of histories in the tower.
const NEXT_EVENT: &str = "input.maps=vocabulary tower.history_means=true \
    training.next_event.negatives=7 training.next_event.weight=0.2";

/// Toy feeds have lists, which no importer's and no simulated set has.
#[test]
fn the_script_computes_the_logits_again() {
    let named = std::env::var("ELIVEREC_REFERENCE_PYTHON");
    let python = named.clone().unwrap_or_else(|_| "python3".into());
    let packages =
        Command::new(&python).args(["-c", "import numpy, safetensors, tomllib"]).output();
    if named.is_err() && !packages.is_ok_and(|output| output.status.success()) {
        let told = "recompute.py: skipped, python3 has no numpy and safetensors\n";
        std::io::stderr().write_all(told.as_bytes()).unwrap();
        return;
    }
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../reference/recompute.py");
    let sandbox = Sandbox::new();
    let compute = |file: &str| {
        let command = &mut Command::new(&python);
        command.arg(&script).arg(sandbox.path(file)).output().unwrap()
    };
    let models = [
        ("elive", "tasks.mode=vanilla model.heads=2 model.blocks=1"),
        (
            "elive",
            "input.domain=live model.heads=2 model.prototypes=learned model.position=recency",
        ),
        ("elive", "model.encoder=din model.prototypes=matched model.target_product=true"),
        ("elive", "model.encoder=hgn input.maps=vocabulary tower.intra_dynamic=true"),
        ("elive", "model.encoder=gru"),
        ("din", "tasks.mode=vanilla"),
        ("elive", NEXT_EVENT),
        ("din", NEXT_EVENT),
        ("linear", "training.next_event.weight=0 training.next_event.negatives=3"),
        ("eta", "model.heads=2"),
    ];
    for (i, (model, keys)) in models.into_iter().enumerate() {
        sandbox.configure(model);
        for feed in [test_feed(true, true), test_feed(false, true)] {
            explained(&sandbox, &format!("run{i}"), keys, &feed, "--regularisers");
            let output = compute(&format!("run{i}.safetensors"));
            let found = text(&output.stdout);
            let of = format!("{model} {keys}: {found} {}", text(&output.stderr));
            assert!(output.status.success(), "{of}");
            assert!(found.contains("trace/logits") && !found.contains("not computed"), "{of}");
            assert_eq!(found.contains("term/correlation"), model == "elive", "{of}");
            for term in ["term/next_live", "term/next_product", "trace/field.live_mean_target"] {
                assert_eq!(found.contains(term), keys == NEXT_EVENT, "{term}: {of}");
            }
            for term in ["term/watched_live", "term/watched_product"] {
                assert_eq!(found.contains(term), keys.contains("next_event"), "{term}: {of}");
            }
        }
    }

    // A file that says something else than its parameters is told from one that does not.
    let path = sandbox.path("run9.safetensors");
    let mut bytes = fs_err::read(&path).unwrap();
    let end = bytes.len();
    bytes[end - 1] ^= 0x40;
    fs_err::write(&path, bytes).unwrap();
    assert_eq!(compute("run9.safetensors").status.code(), Some(1));
}

/// Places of padding are no events.
#[test]
fn without_history_attention_in_the_file_is_over_no_events() {
    let sandbox = Sandbox::new();
    let feed = test_feed(false, true);
    let c = feed.impressions() as u64;
    let elive = ["consistent_attention", "specific_attention"];
    for (run, traces) in [("elive", elive.as_slice()), ("hgn", &elive), ("unit", &elive)] {
        let encoder = match run {
            "hgn" => "model.encoder=hgn",
            "unit" => "model.encoder=din",
            _ => "",
        };
        let found = explained(&sandbox, run, encoder, &feed, "");
        for name in traces {
            assert_eq!(found[&format!("trace/live.{name}")], [1, c, 0], "{run} {name}");
        }
        assert_eq!(found["trace/live.encoded"], [0, 8]);
    }
    sandbox.configure("eta");
    let found = explained(&sandbox, "eta", "", &feed, "");
    assert_eq!(found["trace/live.attention"], [1, c, 0]);
    assert_eq!(found["trace/live.heads"], [1, 8, c, 0]);
    sandbox.configure("din");
    let found = explained(&sandbox, "din", "", &feed, "");
    assert_eq!(found["trace/live.attention"], [1, c, 0]);
    assert_eq!(found["trace/live.scores"], [1, c, 0]);
}
