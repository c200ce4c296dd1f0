//! `eliverec ab`: a simulated log with answers beside it, and what such a log must not lack.

use std::path::{Path, PathBuf};

use eliverec_core::id::mix;
use eliverec_core::{Day, EventKind};
use eliverec_tables::events::{AnswerRow, AnswersWriter, EventLog, Store};
use serde_json::Value;

use crate::sandbox::Sandbox;

const EXPERIMENTS: &str = r#"{"at": 0, "experiments": {"layers": [{"name": "ranking", "salt": "s", "buckets": [{"name": "eta", "share": 0.5}, {"name": "elive", "share": 0.5}, {"name": "empty", "share": 0}]}]}}
"#;

/// The bucket of users who are in none.
const OUTSIDE: &str = "outside";

/// Writes answers beside a simulated log: the bucket of a user, `None` for one whose answers are lost. The days with
/// answers.
fn answer(logs: &Path, bucket: impl Fn(u64) -> Option<&'static str>) -> Vec<Day> {
    fs_err::write(logs.join("experiments.jsonl"), EXPERIMENTS).unwrap();
    let log = EventLog::open(&Store::local(logs).unwrap()).unwrap();
    let mut days = Vec::new();
    for day in log.days() {
        let mut answers = AnswersWriter::new(&logs.join(format!("events/date={day}")));
        for event in log.read(day..=day).unwrap().without_context().strict() {
            let event = event.unwrap();
            let is_first = event.kind == EventKind::Impression && event.position == Some(0);
            let (Some(request_id), Some(user_id), true) =
                (event.request_id, event.user_id, is_first)
            else {
                continue;
            };
            if let Some(bucket) = bucket(user_id) {
                let row = AnswerRow {
                    request_id,
                    user_id,
                    at_ms: event.ts_ms,
                    bucket: (bucket != OUTSIDE).then_some(("ranking", bucket)),
                    bundle: "sha",
                    drawn: &[(1, 0.5)],
                };
                answers.push(row).unwrap();
            }
        }
        if answers.finish().unwrap() {
            days.push(day);
        }
    }
    days
}

fn half(user: u64) -> &'static str {
    if mix(user) & 1 == 0 { "eta" } else { "elive" }
}

fn simulated() -> (Sandbox, PathBuf) {
    let sandbox = Sandbox::new();
    sandbox.succeed("simulate --out logs --users 800 --days 3");
    let logs = sandbox.path("logs");
    (sandbox, logs)
}

#[test]
fn buckets_of_a_simulated_log_are_compared() {
    let (sandbox, logs) = simulated();
    let days = answer(&logs, |user| Some(half(user)));
    let words = format!(
        "ab report --logs logs --from {} --pre 1 --markdown ab.md --html ab.html",
        days[days.len() - 2]
    );
    let text = sandbox.succeed(&words);
    for expected in [
        "Experiment: layer ranking, against eta",
        "Sample ratio: eta ",
        "All users",
        "Low-active users",
        "stay per watch, s",
        "CUPED",
        "What it takes to find +5.0 % with a probability of 80 %",
        "the log does not reach back far enough to know channels without exposure for 7 and 14 and 30 days",
        "read ",
    ] {
        assert!(text.contains(expected), "{expected}: {text}");
    }
    let markdown = fs_err::read_to_string(sandbox.path("ab.md")).unwrap();
    assert!(
        markdown.starts_with("# Experiment: layer ranking")
            && markdown.contains("\n## All users\n")
    );
    let page = fs_err::read_to_string(sandbox.path("ab.html")).unwrap();
    assert!(page.starts_with("<!DOCTYPE html>") && page.matches("<svg").count() >= 2);
    assert!(!page.contains("src=") && !page.contains("href="), "the page opens offline");

    let found: Value = serde_json::from_str(&sandbox.succeed(&format!("{words} --json"))).unwrap();
    assert_eq!(found["buckets"], serde_json::json!(["eta", "elive", "empty"]));
    assert_eq!(found["refused"], Value::Null);
    let users = found["population"]["in_bucket"].as_array().unwrap();
    assert!(users[0].as_u64().unwrap() > 100 && users[2] == 0, "{users:?}");
    let row = &found["tables"][0]["rows"][1];
    assert_eq!((row["metric"].as_str(), &row["values"][2]), (Some("ctr"), &Value::Null));
    let comparisons = row["comparisons"].as_array().unwrap();
    assert!(comparisons[0]["difference"]["interval"].is_array(), "{row}");
    // A bucket without users is there, and nothing is said of it.
    assert_eq!(
        (comparisons[1]["bucket"].as_str(), &comparisons[1]["difference"]),
        (Some("empty"), &Value::Null)
    );
    let parts = found["read"]["parts"].as_array().unwrap();
    assert!(parts.iter().any(|part| part["name"] == "answers" && part["files"] == 2), "{parts:?}");
    let skipped = found["read"]["skipped"].as_array().unwrap();
    assert_eq!(skipped.len(), days.len() - 2, "answers of other days are passed over: {skipped:?}");
}

#[test]
fn users_who_are_missing_refuse_the_table() {
    let (sandbox, logs) = simulated();
    answer(&logs, |user| Some(half(user)).filter(|name| *name == "eta" || mix(user) % 8 > 3));
    let output = sandbox.run("ab report --logs logs --json");
    assert_eq!(output.status.code(), Some(1));
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(found["mismatch"]["p"].as_f64().unwrap() < 0.001);
    assert!(
        found["refused"].as_str().unwrap().contains("users are not in the buckets by their shares")
    );
    assert_eq!(found["tables"], serde_json::json!([]));
    let text = String::from_utf8(sandbox.run("ab report --logs logs").stdout).unwrap();
    assert!(text.contains("\nRefused\n") && !text.contains("All users"), "{text}");
}

#[test]
fn what_a_log_lacks_is_refused_by_name() {
    let (sandbox, logs) = simulated();
    let message = sandbox.fail("ab report --logs logs", 2);
    assert!(
        message.contains("logs/experiments.jsonl: is not there; a service with experiments"),
        "{message}"
    );
    fs_err::write(logs.join("experiments.jsonl"), EXPERIMENTS).unwrap();
    let message = sandbox.fail("ab report --logs logs", 2);
    assert!(
        message.contains("/_answers.parquet: is not there, nor are those of the other days"),
        "{message}"
    );
    let days = answer(&logs, |user| Some(half(user)));
    for (words, expected) in [
        (
            "--layer other",
            "--layer other: logs/experiments.jsonl has no such layer; it has ranking",
        ),
        (
            "--control other",
            "--control other: the layer ranking has no such bucket; it has eta, elive, empty",
        ),
        ("--pre 300", "--pre 300: the log begins on"),
        ("--effect 0", "--effect 0: is a relative difference above 0"),
        ("--power 1", "--power 1: is a probability"),
        ("--stay-threshold NaN", "--stay-threshold NaN: is no number of seconds"),
        ("--from 1999-01-01 --to 1999-01-02", "the log has no events on these days"),
    ] {
        let message = sandbox.fail(&format!("ab report --logs logs {words}"), 2);
        assert!(message.contains(expected), "{words}: {message}");
    }
    fs_err::remove_file(logs.join(format!("events/date={}/_answers.parquet", days[1]))).unwrap();
    let message = sandbox.fail("ab report --logs logs", 2);
    let expected = format!("date={}/_answers.parquet: is not there, so that nobody knows", days[1]);
    assert!(message.contains(&expected), "{message}");
    // A log without a day has nothing to compare.
    fs_err::remove_dir_all(logs.join("events")).unwrap();
    let message = sandbox.fail("ab report --logs logs", 2);
    assert!(message.ends_with("logs: has no events"), "{message}");
}

#[test]
fn one_user_is_told_and_compared_with_nobody() {
    let (sandbox, logs) = simulated();
    let log = EventLog::open(&Store::local(&logs).unwrap()).unwrap();
    let mut events = log.read(..).unwrap().strict().map(Result::unwrap);
    let shown = events.find(|event| event.position == Some(0)).unwrap().user_id.unwrap();
    answer(&logs, |user| Some(if user == shown { "elive" } else { OUTSIDE }));
    let text = sandbox.succeed("ab report --logs logs");
    assert!(text.contains(" users: eta 0, elive 1, empty 0."), "{text}");
    assert!(text.contains("users were in no bucket"), "{text}");
    assert!(text.contains("Sample ratio: not tested, too few users."), "{text}");
}

/// The folder of the Open Bandit Dataset's sample; none, with a message, where the sets are not present. Where they are said to be, it
/// has to be there.
fn bandit() -> Option<PathBuf> {
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
    let named = std::env::var_os("ELIVEREC_DATA").map(PathBuf::from);
    let folder = named.clone().unwrap_or_else(beside).join("open-bandit-sample");
    if folder.is_dir() {
        return Some(folder);
    }
    assert!(named.is_none(), "ELIVEREC_DATA: {} is not there", folder.display());
    crate::sandbox::tell(&format!(
        "skipped: {} is not here; set ELIVEREC_DATA to the data folder",
        folder.display()
    ));
    None
}

/// Each policy's rate is estimated from the other's rows and compared with its own clicks. Values: NumPy 2.4.6 by the formulas of
/// `off_policy.rs`, on the same files.
#[test]
fn a_policy_is_estimated_from_the_others_log() {
    let Some(folder) = bandit() else { return };
    let sandbox = Sandbox::new();
    let estimate = |logged: &str, target: &str, campaign: &str| -> Value {
        let [logged, target] =
            [logged, target].map(|policy| folder.join(policy).join(campaign).display().to_string());
        let words = format!("ab off-policy --json --logged {logged} --target {target}");
        serde_json::from_str(&sandbox.succeed(&words)).unwrap()
    };
    let value = |found: &Value, name: &str| found["estimates"][name]["value"].as_f64().unwrap();
    for (logged, target, campaign, sound, golden) in [
        ("bts", "random", "all", true, GOLDEN[0]),
        ("random", "bts", "all", true, GOLDEN[1]),
        ("bts", "random", "men", true, GOLDEN[2]),
        ("random", "bts", "men", true, GOLDEN[3]),
        // One row in 10,000 has a propensity of a millionth.
        ("bts", "random", "women", false, GOLDEN[4]),
        ("random", "bts", "women", true, GOLDEN[5]),
    ] {
        let found = estimate(logged, target, campaign);
        let names = ["inverse_propensity", "self_normalised", "direct", "doubly_robust"];
        for (name, golden) in names.iter().zip(golden) {
            assert!(
                (value(&found, name) - golden).abs() < 1e-9,
                "{campaign} {logged}: {name} {found}"
            );
        }
        for name in ["inverse_propensity", "self_normalised", "doubly_robust"] {
            assert_eq!(found["agrees"][name], true, "{campaign} {logged}: {name} {found}");
        }
        assert_eq!(found["sound"], sound, "{campaign} {logged}: {found}");
        let direct = value(&found, "direct") - value(&found, "direct_bias");
        assert!((direct - value(&found, "doubly_robust")).abs() < 5e-4, "{found}");
    }
    let error = sandbox.fail("ab off-policy --logged nowhere --target nowhere", 2);
    assert!(error.contains("nowhere: is no folder"), "{error}");
}

const GOLDEN: [[f64; 4]; 6] = [
    [0.002_359_639_517, 0.002_333_713_893, 0.004_185_153_697, 0.002_386_904_114],
    [0.005_035_366_933, 0.005_253_072_196, 0.004_128_165_111, 0.005_175_925_540],
    [0.003_008_626_327, 0.003_189_423_162, 0.006_157_119_413, 0.003_354_101_231],
    [0.005_656_266_701, 0.005_739_864_702, 0.005_361_294_682, 0.005_776_485_018],
    [0.007_437_577_542, 0.002_373_046_143, 0.004_472_192_732, -0.000_978_054_033],
    [0.005_805_691_783, 0.005_833_036_087, 0.005_285_686_300, 0.005_868_856_109],
];
