//! What was made on some feeds does not go on with others, wherever they lie.

use eliverec_tables::{FeedDirectory, FeedWriter, Split};

use crate::sandbox::{Sandbox, text};

const TRAIN: &str = "train --config config.toml --feeds feeds --out run training.max_steps=6";
const RESUME: &str = "train --feeds feeds --out run --resume";

/// Takes the place of `feeds`: the same with every label of some splits turned round.
fn flip(sandbox: &Sandbox, flipped: &[Split]) {
    let feeds = FeedDirectory::open(sandbox.path("feeds")).unwrap();
    let mut writer = FeedWriter::create(&sandbox.path("flipped"), feeds.schema()).unwrap();
    for split in Split::ALL {
        for feed in feeds.read(split).unwrap() {
            let mut feed = feed.unwrap();
            if flipped.contains(&split) {
                let labels = feed.candidates.labels.as_mut().unwrap();
                labels.watched.iter_mut().for_each(|watched| *watched = !*watched);
            }
            writer.push(split, &feed).unwrap();
        }
    }
    writer.finish().unwrap();
    fs_err::remove_dir_all(sandbox.path("feeds")).unwrap();
    fs_err::rename(sandbox.path("flipped"), sandbox.path("feeds")).unwrap();
}

#[test]
fn a_run_goes_on_with_its_own_feeds_only() {
    let sandbox = Sandbox::new();
    sandbox.succeed(TRAIN);
    // Moved, written anew with the same content, and with another test split, which training does not read.
    fs_err::rename(sandbox.path("feeds"), sandbox.path("moved")).unwrap();
    assert!(
        sandbox.succeed(&RESUME.replace("feeds feeds", "feeds moved")).contains("finished already")
    );
    fs_err::rename(sandbox.path("moved"), sandbox.path("feeds")).unwrap();
    flip(&sandbox, &[Split::Test]);
    assert!(sandbox.succeed(RESUME).contains("finished already"));
    // As many feeds, with other labels.
    flip(&sandbox, &[Split::Validation]);
    let message = sandbox.fail(RESUME, 2);
    for part in [
        "not the feeds that the run run was begun with",
        "validation/part-00000.parquet has other content",
    ] {
        assert!(message.contains(part), "{part} is missing in {message}");
    }
    flip(&sandbox, &[Split::Train, Split::Validation]);
    let message = sandbox.fail(RESUME, 2);
    assert!(message.contains("train/part-00000.parquet has other content"), "{message}");
    // Without its list of files a run is damaged.
    fs_err::remove_file(sandbox.path("run/feeds.toml")).unwrap();
    let message = sandbox.fail(RESUME, 1);
    assert!(
        message.starts_with("error: run/feeds.toml: is missing; the run is damaged"),
        "{message}"
    );
    // A run from before the files were kept goes on, and says what it cannot tell.
    sandbox.change_commit("run", |commit| {
        commit["checksums"].as_object_mut().unwrap().remove("feeds.toml").unwrap();
    });
    let output = sandbox.run("evaluate --run run --feeds feeds --json");
    let told = text(&output.stderr);
    assert!(told.contains("run: does not say which files it was begun with"), "{told}");
    let output = sandbox.run(RESUME);
    let told = text(&output.stderr);
    assert!(output.status.success(), "{told}");
    assert!(told.contains("run: does not say which files it was begun with"), "{told}");
}

#[test]
fn kept_results_name_the_other_file() {
    let sandbox = Sandbox::new();
    fs_err::create_dir(sandbox.path("folder")).unwrap();
    fs_err::copy(sandbox.path("config.toml"), sandbox.path("folder/a.toml")).unwrap();
    let command = "experiment folder --feeds feeds --out results --seeds 1 training.max_steps=2";
    sandbox.succeed(command);
    flip(&sandbox, &[Split::Test]);
    let message = sandbox.fail(command, 2);
    assert!(
        message.contains("results/results.jsonl.zst: was made on other feeds (test/part-00000.parquet has other content)"),
        "{message}"
    );
    // Results from before the files were kept.
    fs_err::remove_file(sandbox.path("results/feeds.toml")).unwrap();
    let message = sandbox.fail(command, 2);
    assert_eq!(
        message,
        "error: results/results.jsonl.zst: was made on other feeds; choose another --out"
    );
}

/// Results from elsewhere are known by their own feeds, whatever stands beside them.
#[test]
fn results_from_elsewhere_are_named() {
    let sandbox = Sandbox::new();
    fs_err::create_dir(sandbox.path("folder")).unwrap();
    fs_err::copy(sandbox.path("config.toml"), sandbox.path("folder/a.toml")).unwrap();
    let command = |out: &str| {
        format!("experiment folder --feeds feeds --out {out} --seeds 1 training.max_steps=2")
    };
    sandbox.succeed(&command("others"));
    flip(&sandbox, &[Split::Test]);
    sandbox.succeed(&command("results"));
    let file = "results.jsonl.zst";
    fs_err::copy(sandbox.path("others").join(file), sandbox.path("results").join(file)).unwrap();
    let message = sandbox.fail(&command("results"), 2);
    let expected = "error: results/results.jsonl.zst: was made on other feeds (schema.toml or a file that is not read is another, or \
                    the result is from elsewhere); choose another --out";
    assert_eq!(message, expected);
}

/// What was begun on other feeds is refused before a row goes on, also if none has a result yet.
#[test]
fn an_experiment_begun_on_other_feeds_is_refused_at_once() {
    let sandbox = Sandbox::new();
    sandbox.write_feeds("others", 100);
    fs_err::create_dir(sandbox.path("folder")).unwrap();
    fs_err::copy(sandbox.path("config.toml"), sandbox.path("folder/a.toml")).unwrap();
    let command = |feeds: &str| {
        format!("experiment folder --feeds {feeds} --out results --seeds 1 training.max_steps=2")
    };
    sandbox.succeed(&command("feeds"));
    // As it is while the first row goes on.
    fs_err::remove_file(sandbox.path("results/results.jsonl.zst")).unwrap();
    let message = sandbox.fail(&command("others"), 2);
    let begun = "error: results/feeds.toml: what is here was begun on other feeds (t";
    assert!(message.starts_with(begun), "{message}");
    assert!(
        !sandbox.path("results/runs").exists() || {
            fs_err::read_dir(sandbox.path("results/runs")).unwrap().next().is_none()
        }
    );
    sandbox.succeed(&command("feeds"));
}

/// Figures against the truth of one log do not stand for those against another's, and a log that is not that of the feeds is told.
#[test]
fn results_know_the_truth_that_they_were_compared_with() {
    let sandbox = Sandbox::new();
    for (log, seed) in [("logs", 1), ("others", 2)] {
        sandbox.succeed(&format!("simulate --out {log} --users 60 --days 4 --seed {seed}"));
    }
    sandbox.succeed("samples --logs logs --out world");
    fs_err::create_dir(sandbox.path("folder")).unwrap();
    fs_err::copy(sandbox.path("config.toml"), sandbox.path("folder/a.toml")).unwrap();
    let command = |out: &str, logs: &str| {
        format!(
            "experiment folder --feeds world --out {out} --seeds 1 training.max_steps=2{logs} --json"
        )
    };
    let json: serde_json::Value =
        serde_json::from_str(&sandbox.succeed(&command("results", " --logs logs"))).unwrap();
    let parts = json["read"]["parts"].as_array().unwrap();
    let truth = parts.iter().find(|part| part["name"] == "truth").unwrap();
    assert!(truth["files"] == 1 && truth["rows"].as_u64() > Some(0), "{json}");
    let message = sandbox.fail(&command("results", " --logs others"), 2);
    let expected = "error: results/results.jsonl.zst: was compared with the truth of another log; choose another --out, or give that log";
    assert_eq!(message, expected);
    sandbox.succeed(&command("results", ""));
    // Without a log nothing is compared, which a log that is given later does not mend untold.
    sandbox.succeed(&command("bare", ""));
    let output = sandbox.run(&command("bare", " --logs logs"));
    let told = text(&output.stderr);
    let line = "a seed 1: was compared with no log's truth; choose another --out than that of bare/results.jsonl.zst to have that made anew";
    assert!(output.status.success() && told.contains(line), "{told}");
    let output = sandbox.run(&command("of-others", " --logs others"));
    let told = text(&output.stderr);
    assert!(told.contains("the log is not as it was when the feeds were made: "), "{told}");
}

/// A log that is another one than the feeds were made of is told by what draws on both.
#[test]
fn another_log_than_that_of_the_feeds_is_told() {
    let sandbox = Sandbox::new();
    for (log, seed) in [("logs", 1), ("others", 2)] {
        sandbox.succeed(&format!("simulate --out {log} --users 60 --days 3 --seed {seed}"));
    }
    sandbox.succeed("samples --logs logs --out world");
    for words in ["replay --feeds world", "retrieval --feeds world --k 5"] {
        for (log, expected) in [("logs", 0), ("others", 1)] {
            let output = sandbox.run(&format!("{words} --logs {log}"));
            let told = text(&output.stderr);
            let line = "the log is not as it was when the feeds were made: ";
            // Of a day, and of a table.
            assert_eq!(told.matches(line).count(), 2 * expected, "{words} {log}: {told}");
            // Another log has other values, too.
            let differs = words.starts_with("replay") && expected == 1;
            assert_eq!(output.status.code(), Some(i32::from(differs)), "{words} {log}: {told}");
        }
    }
    // So is one that has lost its beginning, and of which a table is another.
    let mut days: Vec<_> = fs_err::read_dir(sandbox.path("logs/events"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    days.sort();
    fs_err::remove_dir_all(&days[0]).unwrap();
    fs_err::copy(sandbox.path("others/users.parquet"), sandbox.path("logs/users.parquet")).unwrap();
    let tells = |words: &str| {
        let told = text(&sandbox.run(&format!("{words} --logs logs")).stderr);
        for why in [" is gone", "users.parquet has changed"] {
            let lines = told.lines().filter(|line| line.contains("the log is not as it was"));
            assert_eq!(lines.filter(|line| line.contains(why)).count(), 1, "{words}: {told}");
        }
    };
    tells("replay --feeds world");
    tells("retrieval --feeds world --k 5");
    for _ in 0..2 {
        let json = sandbox.succeed("samples --logs logs --out world --json");
        let json: serde_json::Value = serde_json::from_str(&json).unwrap();
        let findings = json["findings"].as_array().unwrap();
        assert!(findings.iter().any(|found| found["check"] == "log_differs"), "{json}");
    }
    let told = text(&sandbox.run("replay --feeds world --logs logs").stderr);
    assert!(told.contains(" is gone"), "{told}");
}
