//! A run that goes on from another one.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use eliverec_core::toy;
use eliverec_tables::{FeedWriter, Split};
use serde_json::Value;

use crate::sandbox::Sandbox;

const FIRST: &str =
    "train --config config.toml --feeds feeds --out first --quiet training.max_steps=14";
const NEXT: &str =
    "train --config config.toml --out next --quiet --init-from first training.max_steps=9";

/// Small, but enough for a simulated world.
const WORLD: &str = r#"
seed = 1
[model]
name = "elive"
heads = 2
blocks = 1
[input]
width = 8
[tower]
widths = [12, 6]
[training]
batch_impressions = 512
epochs = 2
patience = 0
threads = 1
"#;

fn evaluations(sandbox: &Sandbox, run: &str) -> Vec<Value> {
    let log = fs_err::read_to_string(sandbox.path(run).join("metrics.jsonl")).unwrap();
    let lines = log.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    lines.filter(|line| line["kind"] == "evaluation").collect()
}

#[test]
fn it_begins_where_the_best_checkpoint_was_and_learns_on() {
    let sandbox = Sandbox::new();
    sandbox.succeed(FIRST);
    let first = evaluations(&sandbox, "first");
    let best = first.iter().rfind(|line| line["best"] == true).unwrap();
    sandbox.succeed(&format!("{NEXT} --feeds feeds"));
    let next = evaluations(&sandbox, "next");
    assert_eq!(next[0]["report"], best["report"]);
    assert_eq!(next[0]["step"], best["step"]);
    assert_eq!(next.last().unwrap()["step"].as_u64(), best["step"].as_u64().map(|step| step + 9));
    assert_ne!(next.last().unwrap()["report"], best["report"]);

    // Killed before its first own checkpoint it is still the other's child, and ends with the same numbers.
    // The length of the log is left out: its lines tell wall times.
    let commit = || {
        let text = fs_err::read_to_string(sandbox.path("next/checkpoint.json")).unwrap();
        let mut commit: Value = serde_json::from_str(&text).unwrap();
        commit.as_object_mut().unwrap().remove("metrics_bytes");
        commit["checksums"].as_object_mut().unwrap().remove("checkpoint.json").unwrap();
        commit
    };
    let (unbroken, reports) = (commit(), evaluations(&sandbox, "next"));
    fs_err::remove_dir_all(sandbox.path("next")).unwrap();
    let loud = NEXT.replace(" --quiet", "") + " --feeds feeds";
    let mut child = sandbox.command(&loud).stderr(Stdio::piped()).spawn().unwrap();
    let told = BufReader::new(child.stderr.take().unwrap());
    assert!(told.lines().map(Result::unwrap).any(|line| line.starts_with("step ")));
    child.kill().unwrap();
    child.wait().unwrap();
    sandbox.succeed("train --feeds feeds --out next --resume --quiet");
    assert_eq!(commit(), unbroken);
    assert_eq!(evaluations(&sandbox, "next"), reports);
    assert!(
        sandbox.succeed("train --feeds feeds --out next --resume").contains("was finished already")
    );
}

#[test]
fn feeds_of_another_day_bring_new_ids() {
    let sandbox = Sandbox::new();
    sandbox.succeed(FIRST);
    let mut writer = FeedWriter::create(&sandbox.path("later"), &toy::schema()).unwrap();
    for (i, feed) in toy::feeds(90, 77).iter_mut().enumerate() {
        let split = [Split::Train, Split::Train, Split::Validation][i % 3];
        let eliverec_core::feed::Column::Ids(ids) = &mut feed.candidates.channel[0] else {
            panic!()
        };
        ids.iter_mut().for_each(|id| *id += 1_000_000);
        writer.push(split, feed).unwrap();
    }
    writer.finish().unwrap();
    sandbox.succeed(&format!("{NEXT} --feeds later"));
    let rows = |run: &str| {
        let log = fs_err::read_to_string(sandbox.path(run).join("metrics.jsonl")).unwrap();
        let lines = log.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        lines.filter_map(|line| line["rows"].as_u64()).next_back().unwrap()
    };
    assert!(rows("next") > rows("first"));
}

/// One more day in a world whose first days are known: on the same feeds and in as many updates, going on is worth more than
/// beginning anew, and the new day is worth something.
#[test]
fn a_day_more_is_worth_more_to_those_who_go_on() {
    let sandbox = Sandbox::new();
    fs_err::write(sandbox.path("world.toml"), WORLD).unwrap();
    sandbox.succeed("simulate --out logs --users 300 --days 6 --seed 1");
    sandbox.succeed("samples --logs logs --out before --to 2022-09-05");
    sandbox.succeed("samples --logs logs --out day --from 2022-09-04");
    sandbox.succeed("train --config world.toml --feeds before --out first --quiet");
    let train = "train --config world.toml --feeds day --quiet training.epochs=1";
    sandbox.succeed(&format!("{train} --out warm --init-from first"));
    sandbox.succeed(&format!("{train} --out scratch"));
    let measured = |run: &str, metric: &str| {
        let report = sandbox.succeed(&format!("evaluate --run {run} --feeds day --json"));
        serde_json::from_str::<Value>(&report).unwrap()[metric].as_f64().unwrap()
    };
    for metric in ["auc", "gauc_user"] {
        let (warm, scratch) = (measured("warm", metric), measured("scratch", metric));
        assert!(warm > scratch + 0.01, "{metric}: {warm} warm, {scratch} from scratch");
    }
    let (warm, stale) = (measured("warm", "logloss"), measured("first", "logloss"));
    assert!(warm < stale, "logloss: {warm} with the new day, {stale} without");
}

#[test]
fn what_does_not_fit_is_named() {
    let sandbox = Sandbox::new();
    sandbox.succeed(FIRST);
    let model = sandbox.fail(&format!("{NEXT} --feeds feeds model.heads=1"), 2);
    assert!(model.contains("model.heads (2 to 1)"), "{model}");
    let seed = sandbox.fail(&format!("{NEXT} --feeds feeds seed=6"), 2);
    assert!(seed.contains("seed (5 to 6)"), "{seed}");
    let nowhere = sandbox.fail(&format!("{} --feeds feeds", NEXT.replace("first", "nowhere")), 2);
    assert!(nowhere.contains("holds no run"), "{nowhere}");
    assert!(!sandbox.path("next/config.toml").exists());
}
