//! Killed, interrupted and disturbed runs end with the numbers of an undisturbed one.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use eliverec_core::seed::{Random, stream};
use serde_json::Value;

use crate::sandbox::{Sandbox, text};

const TRAIN: &str =
    "train --config config.toml --feeds feeds --out run --resume training.max_steps=160";

/// Starts training and returns after it has told of so many updates and evaluations, or has ended.
fn start(sandbox: &Sandbox, words: &str, lines: usize) -> Child {
    let mut child = sandbox.command(words).stderr(Stdio::piped()).spawn().unwrap();
    let stderr = child.stderr.take().unwrap();
    let told = BufReader::new(stderr).lines().map(Result::unwrap);
    let told = told.filter(|line| !line.starts_with("override "));
    told.take(lines).for_each(drop);
    // Closing the pipe must not disturb the run: whoever watched it may go away.
    child
}

/// Every line of the log without the wall time.
pub(crate) fn log(run: &Path) -> Vec<Value> {
    let text = fs_err::read_to_string(run.join("metrics.jsonl")).unwrap();
    let line = |line| {
        let mut value: Value = serde_json::from_str(line).unwrap();
        value.as_object_mut().unwrap().remove("seconds");
        value
    };
    text.lines().map(line).collect()
}

/// Every file of the checkpoints.
pub(crate) fn checkpoints(run: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    let mut waiting = vec![run.join("checkpoints")];
    while let Some(directory) = waiting.pop() {
        for entry in fs_err::read_dir(&directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                waiting.push(path);
            } else {
                let name = path.strip_prefix(run).unwrap().display().to_string();
                files.insert(name, fs_err::read(&path).unwrap());
            }
        }
    }
    files
}

/// Whether a checkpoint is being written: one is newer than the commit.
fn is_saving(run: &Path) -> bool {
    let commit = fs_err::read(run.join("checkpoint.json")).unwrap_or_default();
    let commit: Value = serde_json::from_slice(&commit).unwrap_or_default();
    let current = commit["current"].as_str().unwrap_or_default();
    let mut names = fs_err::read_dir(run.join("checkpoints")).into_iter().flatten().flatten();
    names.any(|entry| format!("checkpoints/{}", entry.file_name().display()).as_str() > current)
}

/// Trains once undisturbed and once through so many kills, the moment of each given by `at`, and compares everything that is left.
fn kills_change_no_bit(
    kills: usize,
    settings: &str,
    mut at: impl FnMut(&Sandbox, &str, &mut Random) -> Child,
) {
    let train = format!("{TRAIN} {settings}");
    let unbroken = Sandbox::new();
    unbroken.succeed(&train);
    let killed = Sandbox::new();
    let mut random = Random::new(stream(11, "kills"));
    for kill in 0..kills {
        let mut child = at(&killed, &train, &mut random);
        child.kill().unwrap();
        let status = child.wait().unwrap();
        assert!(!status.success(), "kill {kill} came after the end; make the run longer");
        assert_eq!(status.code(), None, "kill {kill}: the run ended by itself with {status}");
    }
    let finished = killed.succeed(&train);
    assert!(finished.contains("max_steps"), "{finished}");
    let (ours, theirs) = (killed.path("run"), unbroken.path("run"));
    assert_eq!(log(&ours), log(&theirs));
    assert_eq!(checkpoints(&ours), checkpoints(&theirs));
    let evaluate = "evaluate --run run --feeds feeds --json";
    assert_eq!(killed.succeed(evaluate), unbroken.succeed(evaluate));
}

/// Anywhere between two lines of its log.
fn anywhere(sandbox: &Sandbox, train: &str, random: &mut Random) -> Child {
    start(sandbox, train, random.below(11))
}

#[test]
fn twenty_kills_change_no_bit() {
    kills_change_no_bit(20, "", anywhere);
}

#[test]
fn kills_inside_a_save_change_no_bit() {
    let mut inside = 0;
    kills_change_no_bit(20, "training.checkpoint_every_steps=2", |sandbox, train, random| {
        let run = sandbox.path("run");
        let mut child = start(sandbox, train, 2 + random.below(4));
        // A save is over in a moment: not every one that is seen is still going on when the kill arrives.
        while !is_saving(&run) && child.try_wait().unwrap().is_none() {
            std::hint::spin_loop();
        }
        child.kill().unwrap();
        child.wait().unwrap();
        inside += usize::from(is_saving(&run));
        child
    });
    assert!(inside >= 5, "{inside} of 20 kills came before the commit");
}

/// With the tasks inside the channel, their weights, and whatever else an update can do.
#[test]
fn kills_change_no_bit_with_everything_on() {
    const EVERYTHING: &str = "tasks.mode=adaptive model.target_product=true model.position=recency \
        model.separate_specific=true tower.intra_dynamic=true store.id_dropout=0.1 \
        store.max_rows=30 store.max_age_steps=20 training.clip_norm=5 training.warmup_steps=20";
    for scope in ["representation", "parameters"] {
        kills_change_no_bit(8, &format!("{EVERYTHING} tasks.gradient_scope={scope}"), anywhere);
    }
}

#[cfg(unix)]
#[test]
fn ctrl_c_writes_a_checkpoint_and_the_run_goes_on() {
    let unbroken = Sandbox::new();
    unbroken.succeed(TRAIN);
    let sandbox = Sandbox::new();
    for lines in [1, 9] {
        let child = start(&sandbox, &format!("{TRAIN} training.checkpoint_every_steps=0"), lines);
        let signal =
            Command::new("sh").args(["-c", &format!("kill -INT {}", child.id())]).status().unwrap();
        assert!(signal.success());
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(130), "{}", text(&output.stderr));
        assert!(sandbox.path("run/checkpoint.json").exists());
    }
    sandbox.succeed(TRAIN);
    assert_eq!(log(&sandbox.path("run")), log(&unbroken.path("run")));
}

#[test]
fn two_processes_never_share_a_run() {
    let sandbox = Sandbox::new();
    let mut first =
        start(&sandbox, &format!("{TRAIN} training.max_steps=100000 training.epochs=100000"), 1);
    let message = sandbox.fail("train --feeds feeds --out run --resume", 2);
    assert!(message.contains("another process is training this run"), "{message}");
    first.kill().unwrap();
    first.wait().unwrap();
}

#[test]
fn a_damaged_checkpoint_is_named() {
    let sandbox = Sandbox::new();
    sandbox.succeed("train --config config.toml --feeds feeds --out run training.max_steps=3");
    let weights = sandbox.path("run/checkpoints/step-00000003/dense.safetensors");
    let bytes = fs_err::read(&weights).unwrap();
    fs_err::write(&weights, &bytes[..100]).unwrap();
    let message = sandbox.fail("evaluate --run run --feeds feeds", 1);
    assert!(message.contains("dense.safetensors"), "{message}");
}

/// A flipped bit that parses as well as before is found, in whatever gives the numbers; and an older run is told apart.
#[test]
fn a_run_whose_files_have_changed_is_not_used() {
    let sandbox = Sandbox::new();
    sandbox.succeed("train --config config.toml --feeds feeds --out run training.max_steps=3");
    let evaluate = "evaluate --run run --feeds feeds --json";
    let told = sandbox.succeed(evaluate);
    let checkpoint = "checkpoints/step-00000003";
    let rows = fs_err::read_dir(sandbox.path("run").join(checkpoint).join("store")).unwrap();
    let rows = rows.map(|entry| entry.unwrap().path());
    let rows = rows.max_by_key(|path| fs_err::metadata(path).unwrap().len()).unwrap();
    let rows = format!("{checkpoint}/store/{}", rows.file_name().unwrap().display());
    for (file, (from, to)) in [
        // The sign bit of the last weight; a bit of a row; two moments; a number of the config that scoring goes by; what was read.
        (format!("{checkpoint}/dense.safetensors"), ("", "")),
        (rows.clone(), ("", "")),
        ("normalization.json".into(), ("0.", "1.")),
        ("config.toml".into(), ("seed = ", "seed = 1")),
        ("schema.toml".into(), ("10.0", "11.0")),
        ("feeds.toml".into(), ("bytes = ", "bytes = 1")),
        ("checkpoint.json".into(), ("\"training_feeds\": ", "\"training_feeds\": 1")),
    ] {
        let path = sandbox.path("run").join(&file);
        let whole = fs_err::read(&path).unwrap();
        let mut changed = whole.clone();
        if from.is_empty() {
            // The last eight bytes of rows are their checksum.
            let (from_end, bit) = if file == rows { (16, 1) } else { (1, 0x80) };
            changed[whole.len() - from_end] ^= bit;
        } else {
            let text = String::from_utf8(changed).unwrap();
            assert!(text.contains(from), "{file}: {text}");
            changed = text.replacen(from, to, 1).into_bytes();
        }
        fs_err::write(&path, changed).unwrap();
        for words in [
            evaluate,
            "train --feeds feeds --out run --resume",
            "train --config config.toml --feeds feeds --out next --init-from run",
            "export --run run --feeds feeds --out bundle",
        ] {
            let message = sandbox.fail(words, 1);
            let expected = format!("run/{file}: has changed since it was written");
            assert!(message.contains(&expected), "{message}");
            assert!(file == rows || message.contains("the run is damaged"), "{message}");
        }
        fs_err::write(&path, whole).unwrap();
    }
    assert_eq!(sandbox.succeed(evaluate), told);
    // A run of a program that kept none is read, and told.
    sandbox.change_commit("run", |commit| drop(commit.remove("checksums").unwrap()));
    let output = sandbox.run(evaluate);
    assert!(output.status.success());
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(told.matches("run: this run keeps no checksums").count(), 1, "{told}");
}
