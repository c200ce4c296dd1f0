//! Folders of configs: finished runs stay, failures stop nobody, and what was made can be read.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use eliverec_report::results::{RESULTS_FILE, Results, RunResult};
use serde_json::Value;

use crate::feed_files::{changed, rows_of, with_null, write_foreign};
use crate::sandbox::{CONFIG, Sandbox, text};

const COMMAND: &str = "experiment folder --feeds feeds --out results --seeds 2";

/// Two rows that train for a moment, `extra` with one more setting.
fn sandbox(extra: &str) -> Sandbox {
    let sandbox = Sandbox::new();
    let config = CONFIG.replace("epochs = 40", "epochs = 1");
    fs_err::create_dir(sandbox.path("folder")).unwrap();
    fs_err::write(sandbox.path("folder/plain.toml"), &config).unwrap();
    fs_err::write(sandbox.path("folder/tasks.toml"), config + extra).unwrap();
    sandbox
}

fn results(sandbox: &Sandbox) -> Results {
    Results::read(&sandbox.path("results")).unwrap().unwrap()
}

/// What is kept of a row under a seed.
fn result(sandbox: &Sandbox, row: &str, seed: u64) -> RunResult {
    results(sandbox).find(row, seed).unwrap().clone()
}

#[test]
fn a_folder_becomes_a_report_in_three_formats() {
    let sandbox = sandbox("[tasks]\nmode = \"adaptive\"\n");
    assert!(sandbox.succeed(COMMAND).contains("all runs are finished"));
    assert!(!sandbox.path("results/runs/plain-seed1").exists());
    let one = result(&sandbox, "tasks", 1);
    for part in ["weight.stay", "cosine.bag_click", "watch", "loss"] {
        assert!(!one.curves[part].values.is_empty(), "{part}");
    }
    // Those of the first seed are drawn.
    assert!(result(&sandbox, "tasks", 2).curves.is_empty() && !one.calibration.is_empty());
    let stay = one.report.tasks.as_ref().unwrap().get("stay_mae_s");
    assert!(stay.unwrap().unwrap() > 0.0);
    let kept: Vec<_> = fs_err::read_dir(sandbox.path("results")).unwrap().collect();
    assert_eq!(kept.len(), 4, "the results, their feeds, a lock and the folder of runs: {kept:?}");

    let files = "--title Mine --markdown report.md --html report.html";
    let shown = sandbox.succeed(&format!("report results {files}"));
    for part in
        ["plain", "tasks", "±", "Verdicts: gAUC", "too few seeds", "Bonferroni", "bag click AUC"]
    {
        assert!(shown.contains(part), "{part} is missing in {shown}");
    }
    let markdown = fs_err::read_to_string(sandbox.path("report.md")).unwrap();
    assert!(markdown.starts_with("# Mine\n") && markdown.contains("| plain"), "{markdown}");
    assert!(markdown.contains("## Configs and data"));
    let page = fs_err::read_to_string(sandbox.path("report.html")).unwrap();
    assert!(page.contains("<h1>Mine</h1>"));
    assert!(page.matches("<svg").count() >= 5, "{}", page.len());
    for outside in ["http://", "https://", "<script", "<link"] {
        let found = page.replace("http://www.w3.org/2000/svg", "").contains(outside);
        assert!(!found, "{outside}");
    }
    let unknown = sandbox.fail("report results --main nobody", 2);
    assert!(unknown.contains("it has plain, tasks"), "{unknown}");

    // A third seed is enough for a verdict.
    sandbox.succeed(&COMMAND.replace("--seeds 2", "--seeds 3"));
    let shown = sandbox.succeed("report results");
    assert!(!shown.contains("too few seeds"), "{shown}");
    assert!(shown.contains(", +") || shown.contains(", -"), "{shown}");
}

#[test]
fn finished_runs_are_kept_and_changed_ones_made_anew() {
    let sandbox = sandbox("");
    sandbox.succeed(COMMAND);
    let (plain, tasks) = (result(&sandbox, "plain", 1), result(&sandbox, "tasks", 1));
    let changed = CONFIG.replace("epochs = 40", "epochs = 2");
    fs_err::write(sandbox.path("folder/tasks.toml"), changed).unwrap();
    let output = sandbox.run(COMMAND);
    let told = text(&output.stderr);
    assert!(told.contains("tasks seed 1: the config has changed"), "{told}");
    assert!(told.contains("2 of 4 runs were finished before"), "{told}");
    assert_eq!(result(&sandbox, "plain", 1), plain);
    assert_ne!(result(&sandbox, "tasks", 1), tasks);

    sandbox.write_feeds("other", 90);
    let other = sandbox.fail("experiment folder --feeds other --out results", 2);
    assert!(other.contains("other feeds"), "{other}");
}

#[test]
fn a_failing_row_stops_nobody_and_jobs_change_no_number() {
    let sandbox = sandbox("\n[store]\nlearning_rate = 1e30\n");
    let output = sandbox.run(&format!("{COMMAND} --jobs 2"));
    let told = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(told.contains("error: tasks seed 1: step"), "{told}");
    assert!(text(&output.stdout).starts_with("results: 2 runs failed"), "{output:?}");
    let together = result(&sandbox, "plain", 2);
    fs_err::remove_file(sandbox.path("results").join(RESULTS_FILE)).unwrap();
    fs_err::remove_file(sandbox.path("folder/tasks.toml")).unwrap();
    sandbox.succeed(COMMAND);
    let mut alone = result(&sandbox, "plain", 2);
    alone.seconds = together.seconds;
    // Times, but for this.
    let numbers = |result: &RunResult| result.cost.unwrap().sparse_parameters;
    assert!(numbers(&alone) > 0 && numbers(&alone) == numbers(&together));
    alone.cost = together.cost;
    assert_eq!(alone, together);
}

/// What stops every run is one error: told once, with its prefix, and in the JSON for every run.
#[test]
fn what_every_run_fails_by_is_told_once() {
    let sandbox = sandbox("");
    let file = sandbox.path("feeds/train/part-00000.parquet");
    let rows = rows_of(&file);
    let bad = changed(&rows, &["user_id"], &|ids| Some(with_null(&ids, 17)));
    write_foreign(&file, &bad, 64);
    let reason = "feeds/train/part-00000.parquet: row 17: user_id: is null";
    for words in [COMMAND.to_owned(), format!("{COMMAND} --json")] {
        let output = sandbox.run(&words);
        let told = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{told}");
        assert!(told.contains(&format!("error: plain seed 1: {reason}")), "{told}");
        assert_eq!(
            (told.matches("error: ").count(), told.matches(reason).count()),
            (1, 1),
            "{told}"
        );
        assert!(told.contains("tasks seed 2: failed as plain seed 1 did"), "{told}");
        if words.ends_with("--json") {
            let json: Value = serde_json::from_slice(&output.stdout).unwrap();
            let failed = json["failed"].as_array().unwrap();
            assert_eq!((failed.len(), &failed[0]["run"]), (4, &"plain seed 1".into()), "{json}");
            assert!(failed.iter().all(|of| of["error"].as_str().unwrap().starts_with(reason)));
            assert_eq!(json["read"]["files"], 3);
        }
    }
}

#[test]
fn a_kill_costs_no_finished_run() {
    let sandbox = sandbox("");
    let mut command = sandbox.command(COMMAND);
    let mut child = command.stderr(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    let told = BufReader::new(child.stderr.take().unwrap());
    let finished = told.lines().map(Result::unwrap).find(|line| line.contains("finished in"));
    assert!(finished.unwrap().contains("plain seed 1"));
    child.kill().unwrap();
    child.wait().unwrap();
    let before = result(&sandbox, "plain", 1);
    let output = sandbox.run(COMMAND);
    let told = text(&output.stderr);
    assert!(output.status.success(), "{told}");
    assert!(told.contains("of 4 runs were finished before"), "{told}");
    assert!(!told.contains("plain seed 1: begun"), "{told}");
    assert_eq!(result(&sandbox, "plain", 1), before);
    assert_eq!(results(&sandbox).runs().count(), 4);
    assert!(sandbox.succeed("report results").contains("plain"));
}

/// What a search chose stands in the configs of its model's rows, below what is asked for on the command line; other models' rows stay.
#[test]
fn what_a_search_chose_is_put_into_the_rows_of_its_model() {
    let sandbox = sandbox("");
    let other = CONFIG.replace("epochs = 40", "epochs = 1").replace("elive", "linear");
    let other = other.replace("heads = 2\nblocks = 1\n", "");
    fs_err::write(sandbox.path("folder/linear.toml"), other).unwrap();
    fs_err::create_dir(sandbox.path("tuned")).unwrap();
    let tuned = "# of a search\n\nmodel.alignment_weight = 0.7\ntraining.learning_rate = 0.02\n";
    fs_err::write(sandbox.path("tuned/elive.toml"), tuned).unwrap();
    let words = "experiment folder --feeds feeds --out results --seeds 1 --tuned tuned";
    let output =
        sandbox.run(&format!("{words} --row plain --row linear training.learning_rate=0.03"));
    let told = text(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{told}");
    assert!(told.contains("tuned: has nothing for linear; their rows stay as they are"), "{told}");
    assert!(told.contains("2 runs are left, 1 at a time: at most about"), "{told}");
    assert!(results(&sandbox).find("tasks", 1).is_none());
    let config = result(&sandbox, "plain", 1).config;
    assert!(config.contains("alignment_weight = 0.7\n"), "{config}");
    assert!(config.contains("\nlearning_rate = 0.03\n"), "{config}");

    let unknown = sandbox.fail(&format!("{words} --row nobody"), 2);
    assert!(
        unknown.contains("has no row \"nobody\"; its rows are linear, plain, tasks"),
        "{unknown}"
    );
    let nowhere = sandbox.fail(&words.replace("--tuned tuned", "--tuned nowhere"), 2);
    assert!(nowhere.starts_with("error: nowhere: is no folder"), "{nowhere}");
    for (text, part) in [
        ("model.name = \"eta\"\n", "tuned/elive.toml: names a model"),
        ("model = ", "tuned/elive.toml: "),
        ("model.nothing = 1\n", "folder/plain.toml: override \"model.nothing=1\""),
    ] {
        fs_err::write(sandbox.path("tuned/elive.toml"), text).unwrap();
        let told = sandbox.fail(&format!("{words} --row plain"), 2);
        assert!(told.contains(part), "{part}: {told}");
    }
}

#[test]
fn wrong_folders_and_results_are_named() {
    let sandbox = sandbox("nonsense = 1\n");
    let unknown = sandbox.fail(COMMAND, 2);
    assert!(unknown.contains("tasks.toml") && unknown.contains("nonsense"), "{unknown}");
    let nothing = sandbox.fail("experiment nowhere --feeds feeds --out results", 2);
    assert!(nothing.contains("folder of experiment files"), "{nothing}");
    let none = sandbox.fail("report nowhere", 2);
    assert!(none.contains("holds no results"), "{none}");
    fs_err::create_dir(sandbox.path("broken")).unwrap();
    fs_err::write(sandbox.path("broken").join(RESULTS_FILE), "{").unwrap();
    let broken = sandbox.fail("report broken", 1);
    assert!(broken.contains(RESULTS_FILE), "{broken}");
}
