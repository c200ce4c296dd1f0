//! A set whose tasks have other names than the paper's trains, scores and reports them by theirs.

use eliverec_core::task::{Task, TaskKind};
use eliverec_core::toy;
use eliverec_tables::{FeedWriter, Split};
use serde_json::Value;

use crate::sandbox::Sandbox;

fn task(name: &str, label: Option<&str>, kind: TaskKind) -> Task {
    Task { name: name.into(), label: label.map(Into::into), kind, weight: 0.2 }
}

#[test]
fn tasks_go_by_the_schema() {
    let sandbox = Sandbox::new();
    let mut schema = toy::schema();
    schema.task = vec![
        task("long_view", None, TaskKind::Binary),
        task("reading", Some("read_s"), TaskKind::Duration),
    ];
    let mut writer = FeedWriter::create(&sandbox.path("own"), &schema).unwrap();
    for (i, mut feed) in toy::feeds(180, 3).into_iter().enumerate() {
        let labels = feed.candidates.labels.as_mut().unwrap();
        // The toy's stay and its click, the other way round.
        labels.tasks = vec![labels.tasks[1].clone(), labels.tasks[0].clone()];
        let split = [Split::Train, Split::Validation, Split::Test]
            [usize::from(i >= 120) + usize::from(i >= 150)];
        writer.push(split, &feed).unwrap();
    }
    writer.finish().unwrap();

    for mode in ["vanilla", "adaptive", "uncertainty", "meta_balance"] {
        let run = format!("--feeds own --out {mode} training.epochs=1 tasks.mode={mode}");
        sandbox.succeed(&format!("train --config config.toml {run}"));
        let log = fs_err::read_to_string(sandbox.path(mode).join("metrics.jsonl")).unwrap();
        let first: Value = serde_json::from_str(log.lines().next().unwrap()).unwrap();
        assert!(first["tasks"]["long_view"]["weight"].is_number(), "{first}");
        assert!(first["tasks"]["reading"]["loss"].is_number(), "{first}");
        assert!(first["tasks"].get("stay").is_none(), "{first}");
    }
    let table = sandbox.succeed("evaluate --run vanilla --feeds own");
    for title in ["long view AUC", "reading MAE s", "reading RMSE s"] {
        assert!(table.contains(title), "{table}");
    }
    let run: Value =
        serde_json::from_str(&sandbox.succeed("evaluate --run vanilla --feeds own --json"))
            .unwrap();
    assert!(run["tasks"]["long_view_auc"].is_number(), "{run}");
    sandbox.succeed("score --run vanilla --feeds own --out scores.parquet");
    let file = sandbox.succeed("evaluate --scores scores.parquet --feeds own --json");
    let file: Value = serde_json::from_str(&file).unwrap();
    assert_eq!(file["tasks"], run["tasks"]);

    let weights =
        "train --config config.toml --feeds own --out other training.epochs=1 tasks.mode=vanilla";
    let message = sandbox.fail(&format!("{weights} tasks.weights.long_veiw=0.5"), 2);
    assert!(
        message.contains("tasks.weights.long_veiw") && message.contains("did you mean `long_view`"),
        "{message}"
    );
}

#[test]
fn a_schema_without_tasks_has_none_to_train() {
    let sandbox = Sandbox::new();
    let mut schema = toy::schema();
    schema.task.clear();
    let mut writer = FeedWriter::create(&sandbox.path("none"), &schema).unwrap();
    for mut feed in toy::feeds(60, 3) {
        feed.candidates.labels.as_mut().unwrap().tasks.clear();
        writer.push(Split::Train, &feed).unwrap();
    }
    writer.finish().unwrap();
    sandbox.succeed("train --config config.toml --feeds none --out run training.epochs=1");
    let adaptive = "train --config config.toml --feeds none --out other tasks.mode=adaptive";
    let message = sandbox.fail(adaptive, 2);
    assert!(message.contains("tasks.mode") && message.contains("declares none"), "{message}");
}
