//! A run in shards is one like any other to whoever reads it: to evaluation, scores, bundles, and to a run that begins with it.

use crate::interruption::checkpoints;
use crate::sandbox::Sandbox;

#[test]
fn what_reads_a_run_reads_one_in_shards() {
    let sandbox = Sandbox::new();
    let train = |out: &str, more: &str| {
        format!("train --config config.toml --feeds feeds --out {out} training.max_steps=9 {more}")
    };
    sandbox.succeed(&train("run", "training.shards=3"));
    let files = checkpoints(&sandbox.path("run"));
    for shard in 0..3 {
        let folder = format!("store/shard-{shard:04}-of-0003/store.json");
        assert!(files.keys().any(|name| name.ends_with(&folder)), "{folder}");
    }
    let evaluate = "evaluate --run run --feeds feeds --json";
    let measured = sandbox.succeed(evaluate);
    sandbox.succeed("score --run run --feeds feeds --out scores.parquet");
    let by_scores = sandbox.succeed("evaluate --scores scores.parquet --feeds feeds --json");
    let auc = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap()["auc"].clone();
    assert!(auc(&measured).is_f64());
    assert_eq!(auc(&measured), auc(&by_scores));
    sandbox.succeed("export --run run --feeds feeds --out bundle --rows float16");
    sandbox.succeed("bundle verify bundle");

    // The shards of a run are those of whatever goes on from it.
    sandbox.succeed(&train("next", "training.shards=3 --init-from run"));
    let message = sandbox.fail(&train("other", "training.shards=2 --init-from run"), 2);
    assert!(message.contains("training.shards (3 to 2)"), "{message}");
}

#[test]
fn settings_that_shards_do_not_go_with_are_refused() {
    let sandbox = Sandbox::new();
    let train = "train --config config.toml --feeds feeds --out run training.shards=2";
    let message =
        sandbox.fail(&format!("{train} tasks.mode=adaptive tasks.gradient_scope=parameters"), 2);
    assert!(message.contains("set training.shards=1"), "{message}");
    let message =
        sandbox.fail("train --config config.toml --feeds feeds --out run training.shards=0", 2);
    assert!(message.contains("training.shards must be at least 1"), "{message}");
}
