//! Folders of configs: finished runs stay, failures stop nobody, and what was made can be read.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

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

fn result(sandbox: &Sandbox, name: &str) -> Vec<u8> {
    fs_err::read(sandbox.path("results").join(name)).unwrap()
}

#[test]
fn a_folder_becomes_a_report_in_three_formats() {
    let sandbox = sandbox("[tasks]\nmode = \"adaptive\"\n");
    assert!(sandbox.succeed(COMMAND).contains("all runs are finished"));
    assert!(!sandbox.path("results/runs/plain-seed1").exists());
    let one: Value = serde_json::from_slice(&result(&sandbox, "tasks-seed2.json")).unwrap();
    assert_eq!(one["seed"], 2);
    for part in ["weight.stay", "cosine.bag_click", "watch", "loss"] {
        assert!(!one["curves"][part]["values"].as_array().unwrap().is_empty(), "{part}");
    }
    assert!(one["report"]["tasks"]["stay_mae_s"].as_f64().unwrap() > 0.0);

    let files = "--title Mine --markdown report.md --html report.html";
    let shown = sandbox.succeed(&format!("report results {files}"));
    for part in ["plain", "tasks", "±", "95 % interval", "gAUC per user", "bag click AUC"] {
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

    // Without the side files there is a report, but no comparison.
    fs_err::remove_dir_all(sandbox.path("results/users")).unwrap();
    assert!(sandbox.succeed("report results").contains("No comparison"));
}

#[test]
fn finished_runs_are_kept_and_changed_ones_made_anew() {
    let sandbox = sandbox("");
    sandbox.succeed(COMMAND);
    let (plain, tasks) =
        (result(&sandbox, "plain-seed1.json"), result(&sandbox, "tasks-seed1.json"));
    let changed = CONFIG.replace("epochs = 40", "epochs = 2");
    fs_err::write(sandbox.path("folder/tasks.toml"), changed).unwrap();
    let output = sandbox.run(COMMAND);
    let told = text(&output.stderr);
    assert!(told.contains("tasks seed 1: the config has changed"), "{told}");
    assert!(told.contains("2 of 4 runs were finished before"), "{told}");
    assert_eq!(result(&sandbox, "plain-seed1.json"), plain);
    assert_ne!(result(&sandbox, "tasks-seed1.json"), tasks);

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
    let report = |name: &str| -> Value {
        serde_json::from_slice::<Value>(&result(&sandbox, name)).unwrap()["report"].clone()
    };
    let together = report("plain-seed2.json");
    fs_err::remove_file(sandbox.path("results/plain-seed2.json")).unwrap();
    fs_err::remove_file(sandbox.path("folder/tasks.toml")).unwrap();
    sandbox.succeed(COMMAND);
    assert_eq!(report("plain-seed2.json"), together);
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
    let before = result(&sandbox, "plain-seed1.json");
    let output = sandbox.run(COMMAND);
    let told = text(&output.stderr);
    assert!(output.status.success(), "{told}");
    assert!(told.contains("of 4 runs were finished before"), "{told}");
    assert!(!told.contains("plain seed 1: begun"), "{told}");
    assert_eq!(result(&sandbox, "plain-seed1.json"), before);
    assert!(sandbox.succeed("report results").contains("plain"));
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
    fs_err::write(sandbox.path("broken/a-seed1.json"), "{").unwrap();
    let broken = sandbox.fail("report broken", 1);
    assert!(broken.contains("a-seed1.json"), "{broken}");
}
