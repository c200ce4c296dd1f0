//! A run becomes a bundle, which is whole whatever happens and is refused when it is not what was exported.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use eliverec_core::seed::{Random, stream};
use serde_json::Value;

use crate::sandbox::Sandbox;

const EXPORT: &str = "export --run run --feeds feeds --out bundle";

/// With a short run of the paper's tasks.
fn trained() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.succeed(
        "train --config config.toml --feeds feeds --out run training.max_steps=9 tasks.mode=vanilla",
    );
    sandbox
}

fn json(sandbox: &Sandbox, words: &str) -> Value {
    serde_json::from_str(&sandbox.succeed(&format!("{words} --json"))).unwrap()
}

/// Names in the sandbox that begin with a dot.
fn hidden(sandbox: &Sandbox) -> Vec<String> {
    let names = fs_err::read_dir(sandbox.path("")).unwrap();
    let names = names.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned());
    names.filter(|name| name.starts_with('.')).collect()
}

#[test]
fn a_run_becomes_a_bundle_that_stands_alone() {
    let sandbox = trained();
    let exported = json(&sandbox, EXPORT);
    let manifest = &exported["manifest"];
    let commit = fs_err::read(sandbox.path("run/checkpoint.json")).unwrap();
    let commit: Value = serde_json::from_slice(&commit).unwrap();
    let best = commit["best"].as_str().unwrap();
    let step = best.replace("checkpoints/step", "run");
    let version = manifest["version"].as_str().unwrap().to_owned();
    assert!(version.starts_with(&format!("{step}-")), "{version}");
    // Another content has another name, and the same has the same.
    for (rows, is_same) in [("float32", true), ("float16", false), ("int8", false)] {
        let words = format!("export --run run --feeds feeds --out {rows} --rows {rows}");
        let other = &json(&sandbox, &words)["manifest"]["version"];
        assert_eq!(*other == *version, is_same, "{rows}: {other} and {version}");
        fs_err::remove_dir_all(sandbox.path(rows)).unwrap();
    }
    assert_eq!(manifest["made_of"]["checkpoint"], best);
    assert_eq!(manifest["model"], "elive");
    assert_eq!(manifest["golden"]["requests"], 30);
    assert_eq!(manifest["rows"]["precision"], "float32");
    assert!(manifest["created_ms"].as_i64().unwrap() > 1_700_000_000_000);
    for index in ["neighbours", "vectors"] {
        assert!(exported["indexes"][index].as_u64().unwrap() > 0, "{exported}");
        let file = format!("{index}.bin");
        let files = manifest["files"].as_array().unwrap();
        assert!(files.iter().any(|entry| entry["name"] == *file), "{manifest}");
    }
    let metrics = &exported["metrics"];
    assert_eq!(metrics["changes"]["p_watch"]["max"], 0.0);
    assert_eq!(exported["auc_change"], 0.0);
    let evaluated = json(&sandbox, "evaluate --run run --feeds feeds");
    assert_eq!(metrics["bundle"]["auc"], evaluated["auc"]);
    let notes = exported["notes"].to_string();
    for words in ["without settings of features", "no tables of users"] {
        assert!(notes.contains(words), "{notes}");
    }

    for gone in ["feeds", "run"] {
        fs_err::remove_dir_all(sandbox.path(gone)).unwrap();
    }
    let verified = json(&sandbox, "bundle verify bundle");
    assert_eq!(verified["manifest"], *manifest);
    assert_eq!(verified["metrics"]["changes"], metrics["changes"]);
    assert_eq!(verified["metrics"]["impressions"], metrics["impressions"]);
    assert_eq!(verified["features"], Value::Null);
    let text = sandbox.succeed("bundle verify bundle");
    for words in [&version, "elive", "30 requests of the test split", "none by its rows"] {
        assert!(text.contains(words), "{text}");
    }
    assert_eq!(hidden(&sandbox), [""; 0]);
}

#[test]
fn fewer_bits_other_feeds_and_a_name_are_told() {
    let sandbox = trained();
    sandbox.write_feeds("others", 90);
    let words =
        "export --run run --feeds others --out bundle --rows int8 --split validation --name autumn";
    let exported = json(&sandbox, words);
    assert_eq!(exported["manifest"]["version"], "autumn");
    assert_eq!(exported["manifest"]["golden"]["split"], "validation");
    let change = &exported["metrics"]["changes"]["stay_s"];
    assert!(change["max"].as_f64().unwrap() > 0.0, "{change}");
    let notes = exported["notes"].to_string();
    assert!(notes.contains("other feeds") && notes.contains("train/"), "{notes}");
    assert!(exported["manifest"]["made_of"]["other_feeds"].is_string());
    let text = sandbox.succeed("bundle verify bundle");
    assert!(text.contains("change of p_bag_click") && text.contains("in int8"), "{text}");
}

#[test]
fn what_is_there_is_replaced_only_if_asked_and_only_if_it_is_a_bundle() {
    let sandbox = trained();
    sandbox.succeed(&format!("{EXPORT} --name first"));
    let message = sandbox.fail(EXPORT, 2);
    assert!(message.contains("is there already") && message.contains("--force"), "{message}");
    sandbox.succeed(&format!("{EXPORT} --name second --force"));
    assert_eq!(json(&sandbox, "bundle verify bundle")["manifest"]["version"], "second");
    assert_eq!(hidden(&sandbox), [""; 0]);
    let message = sandbox.fail("export --run run --feeds feeds --out feeds --force", 2);
    assert!(message.contains("holds no bundle"), "{message}");
    for (words, found) in [
        ("export --run nowhere --feeds feeds --out x", "holds no run"),
        ("bundle verify run", "holds no bundle (no manifest.json)"),
        ("bundle verify nowhere", "holds no bundle (no manifest.json)"),
    ] {
        let message = sandbox.fail(words, 2);
        assert!(message.contains(found), "{message}");
    }
    assert!(!sandbox.path("x").exists());

    let weights = sandbox.path("bundle/weights.safetensors");
    let mut bytes = fs_err::read(&weights).unwrap();
    bytes[700] ^= 4;
    fs_err::write(&weights, bytes).unwrap();
    let message = sandbox.fail("bundle verify bundle", 1);
    assert!(message.contains("bundle/weights.safetensors: has changed"), "{message}");
    sandbox.succeed(&format!("{EXPORT} --force"));
    sandbox.succeed("bundle verify bundle");
}

/// Starts an export and kills it after it has told so many lines and a little later; whether that came before its end.
fn kill(sandbox: &Sandbox, words: &str, random: &mut Random) -> bool {
    let mut command = sandbox.command(words);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let told = BufReader::new(child.stderr.take().unwrap()).lines();
    told.take(random.below(6)).for_each(drop);
    // Any moment will do, and what must hold holds at any.
    (0..random.below(3_000_000)).for_each(|_| std::hint::spin_loop());
    child.kill().unwrap();
    child.wait().unwrap().code().is_none()
}

#[test]
fn twenty_kills_leave_no_bundle_or_a_whole_one() {
    let sandbox = trained();
    let mut random = Random::new(stream(12, "kills"));
    let (mut kills, mut absent) = (0, 0);
    while kills < 10 {
        kills += usize::from(kill(&sandbox, EXPORT, &mut random));
        if sandbox.path("bundle").exists() {
            sandbox.succeed("bundle verify bundle");
            fs_err::remove_dir_all(sandbox.path("bundle")).unwrap();
        } else {
            absent += 1;
        }
    }
    assert!(absent > 0, "every kill came too late");
    sandbox.succeed(&format!("{EXPORT} --name 0"));
    let mut current = 0;
    for export in 1.. {
        let killed = kill(&sandbox, &format!("{EXPORT} --force --name {export}"), &mut random);
        let found = json(&sandbox, "bundle verify bundle");
        let version: u64 = found["manifest"]["version"].as_str().unwrap().parse().unwrap();
        assert!(version == current || version == export, "{version} after {current}, at {export}");
        current = version;
        kills += usize::from(killed);
        if kills == 20 {
            break;
        }
    }
    sandbox.succeed(&format!("{EXPORT} --force --name last"));
    assert_eq!(json(&sandbox, "bundle verify bundle")["manifest"]["version"], "last");
    assert_eq!(hidden(&sandbox), [""; 0]);
}
