//! Searches: chosen by validation alone, never repeated, disturbed by neither kills nor failures.

use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};

use crate::sandbox::{CONFIG, Sandbox, text};

const SPACE: &str = r#"
seed = 1
configurations = 4
eta = 2
updates = [5, 10]
[range]
training.learning_rate = { low = 0.001, high = 0.1, scale = "log" }
[models.elive]
model.alignment_weight = { values = [0.001, 0.01, 0.1] }
"#;

const COMMAND: &str = "tune space.toml --config config.toml --feeds feeds --out tuned";

fn sandbox(space: &str) -> Sandbox {
    let sandbox = Sandbox::new();
    fs_err::write(sandbox.path("space.toml"), space).unwrap();
    sandbox
}

fn tuned(sandbox: &Sandbox) -> String {
    fs_err::read_to_string(sandbox.path("tuned/tuned.toml")).unwrap()
}

/// What is told on standard error by a command that ends with `code`.
fn told(sandbox: &Sandbox, words: &str, code: i32) -> String {
    let output = sandbox.run(words);
    let told = text(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{words}: {told}");
    told
}

/// Starts a command and returns when it has told a line with `part`.
fn start(sandbox: &Sandbox, words: &str, part: &str) -> Child {
    let mut command = sandbox.command(words);
    let mut child = command.stderr(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
    assert!(lines.any(|line| line.contains(part)), "{part} was never told");
    child
}

#[test]
fn a_search_chooses_a_config_that_trains() {
    let sandbox = sandbox(SPACE);
    fs_err::remove_dir_all(sandbox.path("feeds/test")).unwrap();
    let shown = sandbox.succeed(&format!("{COMMAND} seed=3 --write chosen/toy/elive.toml"));
    for part in
        ["rung 1 of 2, 5 updates", "rung 2 of 2, 10 updates", "1 (base)", "model.alignment_weight"]
    {
        assert!(shown.contains(part), "{part} is missing in {shown}");
    }
    let written = tuned(&sandbox);
    for part in [
        "# elive, chosen on the validation split by",
        "#   eliverec tune space.toml --config config.toml --feeds feeds --out tuned --write chosen/toy/elive.toml seed=3\n",
        "4 configurations tried: 4 for 5 updates, then 2 for 10 updates.",
        "validation gauc_feed 0.",
        "seed = 3\n",
        "epochs = 40\n",
    ] {
        assert!(written.contains(part), "{part} is missing in {written}");
    }
    let chosen = fs_err::read_to_string(sandbox.path("chosen/toy/elive.toml")).unwrap();
    let (comment, values) = chosen.split_once("\n\n").unwrap();
    assert!(written.starts_with(comment), "{chosen}");
    let values: toml::Table = values.parse().unwrap();
    assert_eq!(values.keys().collect::<Vec<_>>(), ["model", "training"]);
    let whole: toml::Table = written.parse().unwrap();
    assert_eq!(values["training"]["learning_rate"], whole["training"]["learning_rate"]);
    assert_eq!(fs_err::read_dir(sandbox.path("tuned/rung-1")).unwrap().count(), 4);
    assert_eq!(fs_err::read_dir(sandbox.path("tuned/rung-2")).unwrap().count(), 2);
    assert_eq!(fs_err::read_dir(sandbox.path("tuned/runs")).unwrap().count(), 0);
    sandbox.succeed(
        "train --config tuned/tuned.toml --feeds feeds --out run --quiet training.max_steps=3",
    );
}

#[test]
fn nothing_finished_is_repeated_and_more_rungs_build_on_it() {
    let sandbox = sandbox(SPACE);
    let first = sandbox.succeed(COMMAND);
    let before = tuned(&sandbox);
    let again = sandbox.run(COMMAND);
    assert_eq!(text(&again.stdout), first);
    assert!(!text(&again.stderr).contains("begun"), "{}", text(&again.stderr));
    assert_eq!(tuned(&sandbox), before);

    let longer = SPACE.replace("[5, 10]", "[5, 10, 15]") + "# one rung more\n";
    fs_err::write(sandbox.path("space.toml"), longer).unwrap();
    let told = told(&sandbox, COMMAND, 0);
    assert_eq!(told.matches("begun").count(), 1, "{told}");
    assert!(told.contains("rung 3 config"), "{told}");
}

#[test]
fn kills_and_jobs_change_no_number() {
    let unbroken = sandbox(SPACE);
    let shown = unbroken.succeed(&format!("{COMMAND} --jobs 2"));
    let killed = sandbox(SPACE);
    let mut child = start(&killed, COMMAND, "rung 1 config 1: finished in");
    child.kill().unwrap();
    child.wait().unwrap();
    let first = fs_err::read(killed.path("tuned/rung-1/001.json")).unwrap();
    let again = killed.run(COMMAND);
    let told = text(&again.stderr);
    assert!(told.contains("of 4 runs were finished before"), "{told}");
    assert!(!told.contains("rung 1 config 1: begun"), "{told}");
    assert_eq!(text(&again.stdout), shown);
    assert_eq!(tuned(&killed), tuned(&unbroken));
    assert_eq!(fs_err::read(killed.path("tuned/rung-1/001.json")).unwrap(), first);
}

#[cfg(unix)]
#[test]
fn ctrl_c_ends_a_search_that_goes_on_later() {
    let sandbox = sandbox(&SPACE.replace("[5, 10]", "[1000000]"));
    let child = start(&sandbox, COMMAND, "rung 1 config 1: begun");
    let id = child.id();
    let mut kill = std::process::Command::new("sh");
    assert!(kill.args(["-c", &format!("kill -INT {id}")]).status().unwrap().success());
    assert_eq!(child.wait_with_output().unwrap().status.code(), Some(130));
    let runs = fs_err::read_dir(sandbox.path("tuned/runs")).unwrap();
    let run = runs.map(|entry| entry.unwrap().path()).next().unwrap();
    assert!(run.join("checkpoint.json").exists());
    assert!(!sandbox.path("tuned/tuned.toml").exists());
}

#[test]
fn a_failing_configuration_ranks_last_and_only_all_of_them_fail_a_search() {
    let sandbox = sandbox(&SPACE.replace(
        "{ low = 0.001, high = 0.1, scale = \"log\" }",
        "{ values = [1e30, 0.01, 0.02] }",
    ));
    let output = sandbox.run(COMMAND);
    let (shown, told_first) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{told_first}");
    assert!(told_first.contains("failed: rung 1 config "), "{told_first}");
    let rung = shown.split("rung 2").next().unwrap();
    assert!(rung.trim_end().ends_with("failed"), "{rung}");
    assert!(tuned(&sandbox).contains("4 for 5 updates (1 failed), then 2"), "{}", tuned(&sandbox));
    assert!(!told(&sandbox, COMMAND, 0).contains("begun"));

    let all = COMMAND.replace("--out tuned", "--out all store.learning_rate=1e30");
    for _ in 0..2 {
        let told = told(&sandbox, &all, 1);
        for part in ["rung 1 of 2: all 4 configurations failed", "step ", "space.toml"] {
            assert!(told.lines().last().unwrap().contains(part), "{told}");
        }
    }
    assert!(!sandbox.path("all/tuned.toml").exists());
}

#[test]
fn results_of_something_else_are_refused() {
    let sandbox = sandbox(SPACE);
    sandbox.succeed(COMMAND);
    let before = tuned(&sandbox);
    fs_err::write(sandbox.path("space.toml"), SPACE.replace("seed = 1", "seed = 2")).unwrap();
    let space = sandbox.fail(COMMAND, 2);
    for part in ["tuned/rung-1/002.json", "another space", "training.learning_rate (", "--out"] {
        assert!(space.contains(part), "{part} is missing in {space}");
    }
    fs_err::write(sandbox.path("space.toml"), SPACE).unwrap();
    let base = sandbox.fail(&format!("{COMMAND} input.width=4"), 2);
    assert!(base.contains("input.width (8 to 4)"), "{base}");
    sandbox.write_feeds("other", 90);
    let other = sandbox.fail(&COMMAND.replace("--feeds feeds", "--feeds other"), 2);
    assert!(other.contains("other feeds"), "{other}");
    fs_err::write(sandbox.path("tuned/rung-2/001.json"), "{").unwrap();
    let damaged = sandbox.fail(COMMAND, 1);
    assert!(damaged.contains("001.json") && damaged.contains("remove the file"), "{damaged}");
    assert_eq!(tuned(&sandbox), before);
}

#[test]
fn what_cannot_be_searched_is_named() {
    let sandbox = sandbox(SPACE);
    let missing = sandbox.fail(&COMMAND.replace("space.toml", "nowhere.toml"), 2);
    assert!(missing.contains("nowhere.toml: cannot be read"), "{missing}");
    let unknown = SPACE.replace("[models.elive]", "");
    fs_err::write(sandbox.path("space.toml"), unknown).unwrap();
    fs_err::write(
        sandbox.path("eta.toml"),
        CONFIG.replace("elive", "eta").replace("blocks = 1", ""),
    )
    .unwrap();
    let unknown = sandbox.fail(&COMMAND.replace("config.toml", "eta.toml"), 2);
    for part in [
        "space.toml: model.alignment_weight",
        "override \"model.alignment_weight=",
        "unknown field",
    ] {
        assert!(unknown.contains(part), "{part} is missing in {unknown}");
    }
    fs_err::remove_dir_all(sandbox.path("feeds/validation")).unwrap();
    let feeds = sandbox.fail(COMMAND, 2);
    assert!(feeds.contains("no validation feeds"), "{feeds}");
}
