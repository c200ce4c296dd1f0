//! Another bundle while requests go on.

use std::collections::BTreeMap;
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use eliverec_core::seed::{Random, stream};
use serde_json::{Value, json};

use super::server::{Client, Server, context, number, serve, spin, until, world};
use crate::sandbox::tell;

const EXPORT: &str = "export --run run --feeds world --logs logs --rows int8";
/// A model of some MiB: a dozen that are not let go take more than [`TOLERANCE_KIB`].
const WIDE: &str = "train --config config.toml --feeds world --out wide training.max_steps=1 tasks.mode=vanilla tower.widths=[4096,512]";
const BEGIN_MS: i64 = 20_000 * 86_400_000;

/// `ELIVEREC_SWAPS` makes more of them.
#[test]
fn bundles_are_swapped_under_load_and_one_that_is_refused_changes_nothing() {
    let rounds = number("ELIVEREC_SWAPS", 12).div_ceil(2);
    let sandbox = world(60);
    sandbox.succeed(WIDE);
    let export = EXPORT.replace("--run run", "--run wide");
    sandbox.succeed(&export.replace("int8", "float32 --out bundle --force"));
    sandbox.succeed(&format!("{export} --out second --name second"));
    sandbox.succeed(&format!("{export} --out broken --name broken"));
    let weights = sandbox.path("broken/weights.safetensors");
    let kib = fs_err::metadata(&weights).unwrap().len() >> 10;
    assert!(
        2 * (rounds - BEFORE) * kib > TOLERANCE_KIB * 3 / 2,
        "{kib} KiB are too few to be missed"
    );
    let mut bytes = fs_err::read(&weights).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs_err::write(&weights, bytes).unwrap();
    let path = |name: &str| json!({"path": sandbox.path(name)});
    let mut command = serve(&sandbox, "--state state --clock callers --watch");
    // The heap of one thread is that of all: what others hold back would look like a bundle.
    let server = Server::of(command.env("MALLOC_ARENA_MAX", "1")).unwrap();
    let bundles = server.get("/v1/admin/bundles").1;
    assert_eq!(bundles["previous"], Value::Null);
    let first = bundles["active"].as_str().unwrap();
    let of_one = mapped_files(&server);
    assert!(of_one > 3 || cfg!(not(target_os = "linux")), "{of_one} files of a bundle");
    let ask = json!({"user_id": 1, "at": BEGIN_MS, "context": context(), "channels": [1, 2, 3]});
    let scores = |answer: &Value| {
        (answer["model"].as_str().unwrap().to_owned(), answer["channels"].to_string())
    };
    // Nothing happens meanwhile, so each version has its scores.
    let mut of_version = BTreeMap::from([scores(&server.posted("/v1/rank", &ask))]);
    server.post("/v1/admin/bundles", &path("second"));
    of_version.extend([scores(&server.posted("/v1/rank", &ask))]);
    server.post("/v1/admin/bundles/rollback", &json!({}));
    let both: Vec<&String> = of_version.values().collect();
    assert!(both.len() == 2 && both[0] != both[1], "{both:?}");

    let ended = AtomicBool::new(false);
    let asked = AtomicUsize::new(0);
    let mut memory = Vec::new();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !ended.load(Ordering::Relaxed) {
                let (model, channels) = scores(&server.posted("/v1/rank", &ask));
                assert_eq!(of_version.get(&model), Some(&channels), "an answer of two versions");
                asked.fetch_add(1, Ordering::Relaxed);
            }
        });
        for round in 1..=rounds {
            let (status, bundles) = server.post("/v1/admin/bundles", &path("second"));
            assert_eq!((status, &bundles["active"]), (200, &json!("second")), "{bundles}");
            let (status, problem) = server.post("/v1/admin/bundles", &path("broken"));
            assert_eq!((status, &problem["code"]), (422, &json!("bundle_refused")), "{problem}");
            assert!(problem["detail"].as_str().unwrap().contains("weights.safetensors"));
            let (status, bundles) = server.post("/v1/admin/bundles/rollback", &json!({}));
            assert_eq!((status, &bundles["active"]), (200, &json!(first)), "{bundles}");
            let before = asked.load(Ordering::Relaxed);
            until("a request between swaps", || asked.load(Ordering::Relaxed) > before);
            if round == BEFORE || round == rounds {
                memory.push(memory_kib(&server));
            }
        }
        ended.store(true, Ordering::Relaxed);
    });
    let (status, problem) = server.post("/v1/admin/bundles", &path("nowhere"));
    assert_eq!((status, &problem["code"]), (422, &json!("bundle_refused")));
    let (before, after) = (memory[0], memory[memory.len() - 1]);
    tell(&format!(
        "bundles: {} swaps, {} requests; {before} KiB after {}, {after} KiB after all",
        2 * rounds,
        asked.into_inner(),
        2 * BEFORE
    ));
    assert!(after <= before + TOLERANCE_KIB, "{before} KiB, then {after} KiB");
    // The files of two bundles are mapped, and of none that was let go; a request that still holds one ends.
    until("bundles to be let go", || mapped_files(&server) == 2 * of_one);

    // The same once more is nothing to roll back to.
    sandbox.succeed(&export.replace("int8", "int8 --out again --name second"));
    for name in ["second", "again"] {
        let (status, bundles) = server.post("/v1/admin/bundles", &path(name));
        assert_eq!((status, &bundles["previous"]), (200, &json!(first)), "{name}: {bundles}");
    }
    server.post("/v1/admin/bundles/rollback", &json!({}));

    // What takes the place of --bundle is put in service by itself.
    sandbox.succeed(&format!("{EXPORT} --out bundle --name third --force"));
    until("the third bundle", || server.get("/v1/admin/bundles").1["active"] == "third");
}

/// Rounds after which memory is what it stays: both bundles were loaded again and again.
const BEFORE: u64 = 2;

/// What memory may differ by between two moments, whatever is loaded: what is let go leaves gaps in the heap, which differ by 40 MiB
/// between 4 swaps and 60 as between 4 and 12.
const TOLERANCE_KIB: u64 = 48 << 10;

/// Files of bundles that the process has mapped; 0 where no file says it.
pub(super) fn mapped_files(server: &Server) -> usize {
    let maps = fs_err::read_to_string(format!("/proc/{}/maps", server.id())).unwrap_or_default();
    maps.lines().filter(|line| line.contains(".safetensors") || line.contains(".rows")).count()
}

#[cfg(target_os = "linux")]
fn memory_kib(server: &Server) -> u64 {
    server.memory_kib()
}

/// There is no file that says it.
#[cfg(not(target_os = "linux"))]
fn memory_kib(_: &Server) -> u64 {
    0
}

/// `ELIVEREC_KILLS` makes more of them.
#[test]
fn a_kill_while_bundles_are_exchanged_leaves_one_that_serves() {
    let kills = number("ELIVEREC_KILLS", 3);
    let sandbox = world(60);
    let version = || {
        let verified = sandbox.succeed("bundle verify bundle --json");
        let verified: Value = serde_json::from_str(&verified).unwrap();
        verified["manifest"]["version"].as_str().unwrap().to_owned()
    };
    let mut random = Random::new(stream(kills, "kills"));
    let mut current = version();
    let mut exchanged = 0;
    let mut server = Server::begin(&sandbox, "--watch");
    for kill in 0..kills {
        let next = format!("kill-{kill}");
        let export = format!("{EXPORT} --out bundle --force --name {next}");
        if kill % 3 < 2 {
            // The one that writes, and every other time the one that watches, too.
            let mut exporter = sandbox.command(&export);
            let mut exporter =
                exporter.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
            spin(&mut random, 10_000_000);
            exporter.kill().unwrap();
            exporter.wait().unwrap();
            if kill % 3 == 1 {
                server.kill();
            }
        } else {
            // The one that loads.
            sandbox.succeed(&export);
            let client = Client::clone(&server);
            std::thread::scope(|scope| {
                let path = json!({"path": sandbox.path("bundle")});
                scope.spawn(move || client.try_post("/v1/admin/bundles", &path));
                spin(&mut random, 5_000_000);
                server.kill();
            });
        }
        let found = version();
        assert!(found == current || found == next, "{found} after {current}, at {next}");
        exchanged += usize::from(found == next);
        current = found;
        if kill % 3 > 0 {
            server = Server::begin(&sandbox, "--watch");
        }
        until("the bundle that is there", || {
            server.get("/v1/admin/bundles").1["active"] == current
        });
        let ask = json!({"user_id": 1, "context": context(), "channels": [1, 2, 3]});
        assert_eq!(server.posted("/v1/rank", &ask)["model"], current);
    }
    tell(&format!("bundles: {kills} kills, {exchanged} of them behind the exchange"));
}

#[test]
fn a_bundle_of_another_schema_or_without_features_is_refused() {
    let sandbox = world(60);
    let train = "train --config config.toml --feeds feeds --out toy training.max_steps=9";
    sandbox.succeed(train);
    sandbox.succeed("export --run toy --feeds feeds --out toys");
    let refused = sandbox.fail("serve --bundle toys --state state --listen 127.0.0.1:0", 2);
    assert!(refused.contains("toys: has no settings of features"), "{refused}");
    let server = Server::begin(&sandbox, "");
    let (status, problem) =
        server.post("/v1/admin/bundles", &json!({"path": sandbox.path("toys")}));
    assert_eq!(status, 422, "{problem}");
    // Two processes never share a state.
    let taken = sandbox.fail("serve --bundle bundle --state state --listen 127.0.0.1:0", 2);
    assert!(taken.contains("state: another process"), "{taken}");
}
