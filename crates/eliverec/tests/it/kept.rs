//! Damage of what the program keeps has one code, 1, and names the file, whatever it is and however it was damaged.

use std::process::Command;

use crate::sandbox::Sandbox;

/// A file that is cut, of other content, no text, a folder in its place, gone.
const DAMAGES: [&str; 5] = ["cut", "other", "binary", "folder", "gone"];

/// Damages a file in one of these ways for as long as `told` looks at it.
fn damaged(sandbox: &Sandbox, file: &str, how: &str, told: impl FnOnce()) {
    let path = sandbox.path(file);
    let whole = fs_err::read(&path).unwrap();
    fs_err::remove_file(&path).unwrap();
    match how {
        "cut" => fs_err::write(&path, &whole[..whole.len() / 2]).unwrap(),
        "other" => fs_err::write(&path, "{ \"a\": nothing").unwrap(),
        "binary" => fs_err::write(&path, [0xff, 0xfe, 0x00]).unwrap(),
        "folder" => fs_err::create_dir(&path).unwrap(),
        _ => {}
    }
    told();
    if path.is_dir() {
        fs_err::remove_dir(&path).unwrap();
    }
    fs_err::write(&path, whole).unwrap();
}

fn assert_damaged(sandbox: &Sandbox, words: &str, file: &str, how: &str) {
    let told = sandbox.fail(words, 1);
    assert!(told.starts_with(&format!("error: {file}: ")), "{how} {file}: {told}");
    let advises = ["damaged", "refused"].iter().any(|word| told.contains(word));
    assert!(advises, "{how} {file}: {told}");
}

#[test]
fn a_damaged_run_bundle_or_result_is_one_kind_of_error() {
    let sandbox = Sandbox::new();
    sandbox.succeed("train --config config.toml --feeds feeds --out run training.max_steps=1");
    sandbox.succeed("export --run run --feeds feeds --out bundle");
    let evaluate = "evaluate --run run --feeds feeds";
    let weights = "run/checkpoints/step-00000001/dense.safetensors";
    let of_run = ["checkpoint.json", "normalization.json", "schema.toml", "feeds.toml"];
    let mut files: Vec<(String, &str)> =
        of_run.iter().map(|name| (format!("run/{name}"), evaluate)).collect();
    files.push((weights.into(), evaluate));
    for name in ["manifest.json", "config.toml", "schema.toml", "golden.parquet"] {
        if sandbox.path("bundle").join(name).exists() {
            files.push((format!("bundle/{name}"), "bundle verify bundle"));
        }
    }
    assert!(files.len() > 6, "{files:?}");
    for (file, words) in &files {
        for how in DAMAGES {
            // Without it there is no bundle.
            if how == "gone" && file.ends_with("manifest.json") {
                continue;
            }
            damaged(&sandbox, file, how, || assert_damaged(&sandbox, words, file, how));
        }
    }
    sandbox.succeed(evaluate);
    // A run of a program before kept no checksums: what does not parse is damage all the same.
    sandbox.change_commit("run", |commit| drop(commit.remove("checksums").unwrap()));
    for file in ["run/config.toml", "run/schema.toml", "run/normalization.json", weights] {
        for how in ["other", "binary"] {
            damaged(&sandbox, file, how, || {
                let output = sandbox.run(evaluate);
                let told = crate::sandbox::text(&output.stderr);
                let last = told.lines().last().unwrap();
                assert_eq!(output.status.code(), Some(1), "{how} {file}: {told}");
                assert!(last.starts_with(&format!("error: {file}: ")), "{how} {file}: {told}");
            });
        }
    }
}

/// Without its commit point a run of which there was one is damaged, and not begun anew; nor is its best checkpoint found damaged only
/// when it is asked for.
#[test]
fn a_run_that_has_lost_a_part_is_not_gone_on_with() {
    let sandbox = Sandbox::new();
    let train = "train --config config.toml --feeds feeds --out run --resume training.patience=0";
    sandbox.succeed(&format!("{train} training.max_steps=24"));
    let commit = fs_err::read_to_string(sandbox.path("run/checkpoint.json")).unwrap();
    let commit: serde_json::Value = serde_json::from_str(&commit).unwrap();
    let (current, best) = (commit["current"].as_str().unwrap(), commit["best"].as_str().unwrap());
    assert_ne!(current, best, "no run to test with; let it go on longer");
    let metrics = fs_err::read(sandbox.path("run/metrics.jsonl")).unwrap();
    let resume = "train --feeds feeds --out run --resume";
    damaged(&sandbox, "run/checkpoint.json", "gone", || {
        assert_damaged(&sandbox, resume, "run/checkpoint.json", "gone");
        assert!(
            sandbox.path("run").join(current).is_dir() && sandbox.path("run").join(best).is_dir()
        );
        assert_eq!(fs_err::read(sandbox.path("run/metrics.jsonl")).unwrap(), metrics);
    });
    let rows = sandbox.path(&format!("run/{best}/store"));
    let mut rows: Vec<_> =
        fs_err::read_dir(rows).unwrap().map(|entry| entry.unwrap().path()).collect();
    rows.sort();
    let rows = rows.iter().max_by_key(|path| fs_err::metadata(path).unwrap().len()).unwrap();
    let whole = fs_err::read(rows).unwrap();
    let mut flipped = whole.clone();
    let middle = flipped.len() / 2;
    flipped[middle] ^= 1;
    fs_err::write(rows, flipped).unwrap();
    let told = sandbox.fail(resume, 1);
    assert!(told.contains(best), "{told}");
    fs_err::write(rows, whole).unwrap();
    sandbox.succeed(resume);
}

/// What is no file is refused by name where a file is read, and not waited for.
#[test]
fn pipes_are_not_waited_for() {
    let sandbox = Sandbox::new();
    sandbox.succeed("train --config config.toml --feeds feeds --out run training.max_steps=1");
    sandbox.succeed("export --run run --feeds feeds --out bundle");
    sandbox.succeed("score --run run --feeds feeds --out s.parquet");
    sandbox.succeed("simulate --out logs --users 60 --days 3 --seed 1");
    sandbox.succeed("samples --logs logs --out world");
    fs_err::create_dir(sandbox.path("folder")).unwrap();
    fs_err::copy(sandbox.path("config.toml"), sandbox.path("folder/a.toml")).unwrap();
    let experiment = "experiment folder --feeds feeds --out results --seeds 1 training.max_steps=2";
    sandbox.succeed(experiment);
    let (evaluate, samples) =
        ("evaluate --run run --feeds feeds", "samples --logs logs --out world");
    let weights = "run/checkpoints/step-00000001/dense.safetensors";
    let rows = "run/checkpoints/step-00000001/store/store.json";
    let days = fs_err::read_dir(sandbox.path("world/train")).unwrap();
    let day = days.map(|entry| entry.unwrap().file_name()).min().unwrap();
    let day = format!("world/train/{}", day.to_string_lossy());
    let rows = if sandbox.path(rows).exists() { rows } else { weights };
    let resume = "train --feeds feeds --out run --resume";
    let verify = "bundle verify bundle";
    for (file, words, code) in [
        ("run/checkpoint.json", evaluate, 1),
        ("run/config.toml", evaluate, 1),
        ("run/schema.toml", evaluate, 1),
        ("run/normalization.json", evaluate, 1),
        ("run/feeds.toml", evaluate, 1),
        ("run/metrics.jsonl", resume, 1),
        ("run/lock", resume, 1),
        (weights, evaluate, 1),
        (rows, evaluate, 1),
        ("bundle/manifest.json", verify, 1),
        ("bundle/config.toml", verify, 1),
        ("s.parquet", "evaluate --scores s.parquet --feeds feeds", 2),
        ("world/samples.toml", samples, 2),
        ("world/samples-log.toml", samples, 2),
        ("world/schema.toml", samples, 2),
        (&day, samples, 2),
        ("folder/a.toml", experiment, 2),
        ("results/results.jsonl.zst", experiment, 1),
        ("results/feeds.toml", experiment, 1),
        ("results/.lock", experiment, 1),
    ] {
        let path = sandbox.path(file);
        let whole = fs_err::read(&path).unwrap();
        for pipe in [true, false] {
            fs_err::remove_file(&path).unwrap();
            if pipe {
                assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
            } else {
                fs_err::create_dir(&path).unwrap();
            }
            let output = sandbox.run(words);
            let told = crate::sandbox::text(&output.stderr);
            assert_eq!(output.status.code(), Some(code), "{file}, {words}: {told}");
            let says = if pipe {
                "is no regular file but a pipe"
            } else {
                "is a folder, where a file should be"
            };
            let start = format!("error: {file}: ");
            let last = told.lines().last().unwrap();
            // Of a file of a bundle or a store only that it is not there as a file.
            let is_told =
                last.starts_with(&start) && (last.contains(says) || last.contains("is missing"));
            assert!(is_told, "{file}, {words}: {told}");
            if pipe {
                fs_err::remove_file(&path).unwrap();
            } else {
                fs_err::remove_dir(&path).unwrap();
            }
            fs_err::write(&path, &whole).unwrap();
        }
    }
}

/// What lies beside the configs of a folder is told, and a config that is none is refused.
#[test]
fn a_folder_of_configs_is_read_whole_or_refused() {
    let sandbox = Sandbox::new();
    fs_err::create_dir(sandbox.path("folder")).unwrap();
    for name in ["a.toml", "_b.toml", ".c.toml", "notes.txt"] {
        fs_err::copy(sandbox.path("config.toml"), sandbox.path("folder").join(name)).unwrap();
    }
    let experiment = "experiment folder --feeds feeds --out results --seeds 1 training.max_steps=2";
    let told = crate::sandbox::text(&sandbox.run(experiment).stderr);
    let passed = "folder: passed over 3 that are no configs, or whose names begin with . or _: .c.toml, _b.toml, notes.txt";
    assert!(told.contains(passed) && !told.contains("b seed 1"), "{told}");
    let path = sandbox.path("folder/d.toml");
    std::os::unix::fs::symlink("nowhere", &path).unwrap();
    let told = sandbox.fail(experiment, 2);
    assert!(told.starts_with("error: folder/d.toml: is a link that leads nowhere"), "{told}");
    fs_err::remove_file(&path).unwrap();
    fs_err::create_dir(&path).unwrap();
    let told = sandbox.fail(experiment, 2);
    assert!(
        told.starts_with("error: folder/d.toml: is a folder, where a file should be"),
        "{told}"
    );
}

/// A day that was made and is gone is told by what trains on the others.
#[test]
fn a_missing_day_is_told() {
    let sandbox = Sandbox::new();
    sandbox.succeed("simulate --out logs --users 60 --days 4 --seed 1");
    sandbox.succeed("samples --logs logs --out world");
    let missing = |words: &str| {
        let json: serde_json::Value = serde_json::from_str(&sandbox.succeed(words)).unwrap();
        let findings = json["findings"].as_array().unwrap().clone();
        findings.iter().filter(|found| found["check"] == "days_missing").count()
    };
    assert_eq!(missing("check world --json"), 0);
    let days = fs_err::read_dir(sandbox.path("world/train")).unwrap();
    let first = days.map(|entry| entry.unwrap().path()).min().unwrap();
    fs_err::remove_file(first).unwrap();
    assert_eq!(missing("check world --json"), 1);
    let train =
        "train --config config.toml --feeds world --out run --json --quiet training.max_steps=1";
    assert_eq!(missing(train), 1);
    // Settings and days that do not parse are damage.
    for name in ["samples.toml", "samples-log.toml"] {
        let path = sandbox.path("world").join(name);
        let whole = fs_err::read(&path).unwrap();
        fs_err::write(&path, "a = [").unwrap();
        let told = sandbox.fail("samples --logs logs --out world", 1);
        assert!(told.starts_with(&format!("error: world/{name}: does not parse")), "{told}");
        assert!(told.contains("the file is damaged, remove it"), "{told}");
        fs_err::write(&path, whole).unwrap();
    }
}

#[test]
fn damaged_results_are_as_a_damaged_run() {
    let sandbox = Sandbox::new();
    fs_err::create_dir(sandbox.path("folder")).unwrap();
    fs_err::copy(sandbox.path("config.toml"), sandbox.path("folder/a.toml")).unwrap();
    let experiment = "experiment folder --feeds feeds --out results --seeds 1 training.max_steps=2";
    sandbox.succeed(experiment);
    let space = "seed = 1\nconfigurations = 2\neta = 2\nupdates = [2]\n[range]\ninput.width = { values = [4, 8] }\n";
    fs_err::write(sandbox.path("space.toml"), space).unwrap();
    let tune = "tune space.toml --config config.toml --feeds feeds --out tuned";
    sandbox.succeed(tune);
    for (file, words) in [
        ("results/results.jsonl.zst", experiment),
        ("results/results.jsonl.zst", "report results"),
        ("tuned/rung-1/002.json", tune),
    ] {
        for how in ["cut", "other", "binary", "folder"] {
            damaged(&sandbox, file, how, || assert_damaged(&sandbox, words, file, how));
        }
    }
    // What was kept of a search is a config, too.
    let path = sandbox.path("tuned/rung-1/002.json");
    let text = fs_err::read_to_string(&path).unwrap();
    assert!(text.contains("seed = "), "{text}");
    fs_err::write(&path, text.replace("seed = ", "sede = ")).unwrap();
    assert_damaged(&sandbox, tune, "tuned/rung-1/002.json", "misspelt");
}
