//! `eliverec ab simulate` and `ab splits`: small worlds, models of a few updates.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::process::Stdio;

use arrow::array::AsArray;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::Value;

use crate::sandbox::Sandbox;

const SMALL: &str = "--users 150 --days 2 --before 8 --history 5";
const QUICK: &str = "training.max_steps=4";

/// Which bundles gave the answers of a day, by the log that the experiment's service wrote.
fn bundles(sandbox: &Sandbox, day: &str) -> BTreeSet<String> {
    let file = format!("ab/arms/both/1/state/days/events/date={day}/_answers.parquet");
    let file = fs_err::File::open(sandbox.path(&file)).unwrap().into_parts().0;
    let mut found = BTreeSet::new();
    for rows in ParquetRecordBatchReaderBuilder::try_new(file).unwrap().build().unwrap() {
        let rows = rows.unwrap();
        let names = rows.column_by_name("bundle").unwrap().as_string::<i32>();
        found.extend(names.iter().flatten().map(str::to_owned));
    }
    found
}

#[test]
fn two_models_play_two_days_and_the_truth_is_told_after_a_kill_too() {
    let sandbox = Sandbox::new();
    let words = format!("ab simulate --out ab {SMALL} --json {QUICK}");
    // Killed in the second day, when the night's bundles are there.
    let mut child = sandbox.command(&words).stderr(Stdio::piped()).spawn().unwrap();
    let told = BufReader::new(child.stderr.take().unwrap());
    assert!(told.lines().map(Result::unwrap).any(|line| line.starts_with("night 1: trained")));
    child.kill().unwrap();
    child.wait().unwrap();
    let outcome: Value = serde_json::from_str(&sandbox.succeed(&words)).unwrap();

    let report = &outcome["report"];
    assert_eq!(report["buckets"], serde_json::json!(["eta", "elive"]));
    assert_eq!(report["control"], "eta");
    assert!(report["refused"].is_null(), "{}", report["refused"]);
    let tables = report["tables"].as_array().unwrap();
    assert_eq!(tables.len(), 3, "all users, low- and high-active ones");
    let in_both: u64 = (0..2).map(|i| tables[0]["users"][i].as_u64().unwrap()).sum();
    assert!(in_both > 75, "{in_both} users");
    // Every comparison has its truth, made of all users in the one bucket and in the other.
    let rows: usize = tables.iter().map(|table| table["rows"].as_array().unwrap().len()).sum();
    let truth = outcome["truth"].as_array().unwrap();
    assert_eq!(truth.len(), rows);
    let ctr = &truth.iter().find(|of| of["metric"] == "ctr").unwrap();
    let value = |name: &str| ctr[name].as_f64().unwrap();
    let relative = value("bucket_value") / value("control_value") - 1.0;
    assert!((relative - value("relative")).abs() < 1e-12 && relative.abs() < 1.0, "{ctr}");
    assert!(value("control_value") > 0.01 && ctr["is_inside"].is_boolean(), "{ctr}");
    let needs = outcome["needs_of_seen"].as_array().unwrap();
    let of_ctr = needs.iter().find(|need| need["metric"] == "ctr").unwrap();
    assert_eq!(of_ctr["effect"].as_f64().unwrap(), value("seen").abs());

    // The second day was answered by other bundles than the first, of both models, from four in the morning on.
    let (first, second) = (bundles(&sandbox, "2022-09-09"), bundles(&sandbox, "2022-09-10"));
    assert_eq!(first.len(), 2, "{first:?}");
    let swapped: Vec<&String> = second.difference(&first).collect();
    assert_eq!(swapped.len(), 2, "{second:?}");
    let feeds = sandbox.path("ab/nights/0/feeds/train/2022-09-09.parquet");
    assert!(feeds.exists(), "what was trained on at night");
    assert!(!sandbox.path("ab/arms/eta/0/state").exists(), "only the last state stays");

    // All of it is there: the same again, without another life; and for people.
    let again: Value = serde_json::from_str(&sandbox.succeed(&words)).unwrap();
    assert_eq!(again, outcome);
    let text = sandbox.succeed(&format!("ab simulate --out ab {SMALL} --markdown ab.md {QUICK}"));
    for expected in [
        "Experiment: layer ranker, against eta",
        "Table V: elive against eta",
        "Channels without exposure before",
        "The truth",
        "How long for the effect that was seen",
    ] {
        assert!(text.contains(expected), "no {expected:?} in {text}");
    }
    assert!(fs_err::read_to_string(sandbox.path("ab.md")).unwrap().contains("## The truth"));
    // Rankings of another life are refused, and so are other settings.
    let rankings = sandbox.path("ab/arms/eta/1/rankings");
    let lines = fs_err::read_to_string(&rankings).unwrap();
    fs_err::write(&rankings, lines.split_once('\n').unwrap().1).unwrap();
    let output = sandbox.run(&words);
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && told.contains("does not fit to this world"), "{told}");
    let other = sandbox.fail(&words.replace("--users 150", "--users 160"), 2);
    assert!(other.contains("users = 150"), "{other}");
}

#[test]
fn the_truth_of_several_seeds_is_counted_and_a_finished_seed_is_not_repeated() {
    let sandbox = Sandbox::new();
    let words = format!(
        "ab simulate --out ab --users 60 --days 1 --before 3 --history 2 --seeds 2 {QUICK}"
    );
    let text = sandbox.succeed(&words);
    assert!(text.contains("How often the truth lay within the intervals: all users"), "{text}");
    assert!(text.contains("2 experiments, seeds from 1"), "{text}");
    assert!(text.contains("\ntogether"), "{text}");
    assert!(!sandbox.path("ab/seed-2").exists() && sandbox.path("ab/seed-2.json").exists());
    let output = sandbox.run(&words);
    assert_eq!(String::from_utf8(output.stdout).unwrap(), text);
    assert!(!String::from_utf8(output.stderr).unwrap().contains("$ eliverec"));
}

#[test]
fn splits_find_what_is_planted_and_refuse_a_loss() {
    let sandbox = Sandbox::new();
    sandbox.succeed("simulate --out logs --users 700 --days 3 --seed 1");
    let words = "ab splits --logs logs --from 2022-09-01 --splits 12 --effect 0.6 --lost 0.6 --markdown splits.md --json";
    let found: Value = serde_json::from_str(&sandbox.succeed(words)).unwrap();
    let number = |name: &str| found[name].as_u64().unwrap();
    assert_eq!(number("splits"), 12);
    assert!(found["power"].as_f64().unwrap() > 0.9, "{found}");
    assert!(number("effect_found") >= 10 && number("lost_refused") == 12, "{found}");
    assert!(number("corrected") <= 3 && number("refused") <= 1, "{found}");
    assert!(found["found"].as_array().unwrap().len() > 5);
    assert!(fs_err::read_to_string(sandbox.path("splits.md")).unwrap().contains("## Planted"));
    let wrong = sandbox.fail("ab splits --logs logs --lost 2", 2);
    assert!(wrong.contains("--lost 2: is a share from 0 to 1"), "{wrong}");
}
