//! Several processes that train one model, started by a real `mpirun` (OpenMPI from the packages), named by the variable `MPIRUN` or on the
//! path. Without it the tests say so and pass; where the variable names it, it has to be there.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Output, Stdio};

use eliverec_core::seed::{Random, stream};
use serde_json::Value;

use crate::interruption::{checkpoints, log};
use crate::sandbox::{Sandbox, tell, text};

/// With the tasks inside the channel, their weights, and whatever else an update can do.
const TRAIN: &str = "train --config config.toml --feeds feeds --out run --resume training.shards=4 training.max_steps=200 \
    training.batch_impressions=48 tasks.mode=adaptive model.target_product=true model.position=recency \
    model.separate_specific=true tower.intra_dynamic=true store.id_dropout=0.1 store.max_rows=60 \
    store.max_age_steps=20 training.clip_norm=5 training.warmup_steps=20";

/// The command on so many ranks; `None` where there is no mpirun.
fn on_ranks(sandbox: &Sandbox, ranks: usize, words: &str) -> Option<Command> {
    let named = std::env::var("MPIRUN");
    let program = named.clone().unwrap_or_else(|_| "mpirun".into());
    if let Err(error) = Command::new(&program).arg("--version").stdout(Stdio::null()).status() {
        assert!(named.is_err(), "MPIRUN: {error}");
        tell("skipped: there is no mpirun; install openmpi-bin, or name one by MPIRUN");
        return None;
    }
    let alone = sandbox.command(words);
    let mut command = Command::new(program);
    command.args(["-n", &ranks.to_string()]).arg(alone.get_program()).args(alone.get_args());
    command.current_dir(sandbox.path("")).stdin(Stdio::null());
    // More ranks than cores, in a container, as its only user.
    command.env("OMPI_MCA_rmaps_base_oversubscribe", "1");
    command.env("OMPI_ALLOW_RUN_AS_ROOT", "1").env("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1");
    command.env("OMPI_MCA_btl_vader_single_copy_mechanism", "none");
    Some(command)
}

fn succeed(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    text(&output.stdout)
}

/// One process without mpirun, and its evaluation.
fn alone() -> (Sandbox, String) {
    let sandbox = Sandbox::new();
    sandbox.succeed(TRAIN);
    let evaluated = sandbox.succeed(EVALUATE);
    (sandbox, evaluated)
}

const EVALUATE: &str = "evaluate --run run --feeds feeds --json";

fn assert_same(ours: &Sandbox, (one, evaluated): &(Sandbox, String)) {
    assert_eq!(log(&ours.path("run")), log(&one.path("run")));
    assert!(checkpoints(&ours.path("run")) == checkpoints(&one.path("run")));
    assert_eq!(&ours.succeed(EVALUATE), evaluated);
}

#[test]
fn two_and_four_ranks_have_the_bits_of_one() {
    let sandbox = Sandbox::new();
    let Some(mut two) = on_ranks(&sandbox, 2, &format!("{TRAIN} --json")) else { return };
    let one = alone();
    let told: Value = serde_json::from_str(&succeed(&mut two)).unwrap();
    assert_same(&sandbox, &one);
    let evaluated = on_ranks(&sandbox, 3, EVALUATE).map(|mut command| succeed(&mut command));
    assert_eq!(evaluated.as_ref(), Some(&one.1));

    let four = Sandbox::new();
    let words = succeed(&mut on_ranks(&four, 4, TRAIN).unwrap());
    assert_same(&four, &one);
    assert!(words.contains("rank 0 of 4 sent per update, a mean over 200: "), "{words}");

    // Half of the dense gradients to the other rank, and the sum of the other half.
    let weights = checkpoints(&sandbox.path("run"));
    let (_, weights) =
        weights.iter().find(|(name, _)| name.ends_with("dense.safetensors")).unwrap();
    let header = u64::from_le_bytes(weights[..8].try_into().unwrap()) as usize;
    let header: Value = serde_json::from_slice(&weights[8..8 + header]).unwrap();
    let bytes = |(name, tensor): (&String, &Value)| {
        let of = |i: usize| tensor["data_offsets"][i].as_u64().unwrap();
        if name.starts_with("weight/") { of(1) - of(0) } else { 0 }
    };
    let dense = header.as_object().unwrap().iter().map(bytes).sum::<u64>() as f64;
    let sent = &told["sent_per_update"];
    let all_reduce = sent["all_reduce_bytes"].as_f64().unwrap();
    assert!((all_reduce / dense - 1.0).abs() < 0.05, "{all_reduce} for {dense}");
    assert_eq!((&told["ranks"], &sent["updates"]), (&Value::from(2), &Value::from(200)));
}

/// Starts training and returns once it has told of so many updates and evaluations, or has ended.
fn start(command: &mut Command, lines: usize) -> Child {
    let mut child = command.stderr(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    let mut told = 0;
    while told < lines && stderr.read_line(&mut line).unwrap() > 0 {
        told += usize::from(!line.starts_with("override "));
        line.clear();
    }
    child.stderr = Some(stderr.into_inner());
    child
}

/// Kills one rank of a job, if it is still there.
fn kill(job: &Child, rank: usize) {
    let children = format!("/proc/{0}/task/{0}/children", job.id());
    let children = fs_err::read_to_string(children).unwrap_or_default();
    let variable = format!("OMPI_COMM_WORLD_RANK={rank}");
    for process in children.split_whitespace() {
        let environment = fs_err::read(format!("/proc/{process}/environ")).unwrap_or_default();
        if environment.split(|byte| *byte == 0).any(|entry| entry == variable.as_bytes()) {
            Command::new("sh").args(["-c", &format!("kill -KILL {process}")]).status().unwrap();
        }
    }
}

#[test]
fn a_killed_rank_ends_the_job_which_goes_on_with_any_number() {
    let sandbox = Sandbox::new();
    if on_ranks(&sandbox, 2, "--version").is_none() {
        return;
    }
    let mut random = Random::new(stream(17, "ranks"));
    for (ranks, killed) in [(4, 2), (2, 1), (3, 0), (1, 0), (4, 3)] {
        let mut job = start(&mut on_ranks(&sandbox, ranks, TRAIN).unwrap(), 5 + random.below(20));
        kill(&job, killed);
        let mut told = String::new();
        job.stderr.take().unwrap().read_to_string(&mut told).unwrap();
        assert!(!job.wait().unwrap().success(), "the job ended before; make the run longer");
        let named = told.contains(&format!("process rank {killed} "));
        assert!(named && told.contains("signal 9"), "{ranks} ranks: {told}");
    }
    succeed(&mut on_ranks(&sandbox, 3, TRAIN).unwrap());
    assert_same(&sandbox, &alone());
}

#[test]
fn what_is_wrong_is_told_once_with_the_rank() {
    let sandbox = Sandbox::new();
    let fail = |ranks, words: &str| -> Option<Output> {
        Some(on_ranks(&sandbox, ranks, words)?.output().unwrap())
    };
    let Some(output) = fail(5, TRAIN) else { return };
    let told = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{told}");
    let line = "error: rank 0 of 5: training.shards: is 4, and there are 5 ranks";
    assert_eq!(told.matches(line).count(), 1, "{told}");
    assert_eq!(told.matches("error: ").count(), 1, "{told}");
    assert!(!sandbox.path("run").exists());

    let output = fail(3, "train --config none.toml --feeds feeds --out run").unwrap();
    let told = text(&output.stderr);
    assert_eq!(told.matches("error: rank 0 of 3: none.toml: cannot be read").count(), 1, "{told}");
}
