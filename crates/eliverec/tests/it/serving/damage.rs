//! A bundle or a state that is damaged is refused by name or recovered, by the program, too, and never a panic. The libraries' own
//! tests do a thousand of them (`eliverec-serve/tests/bundle.rs`, `eliverec-state/tests/state/corruption.rs`).

use std::path::{Path, PathBuf};

use eliverec_core::seed::{Random, numbered, stream};
use serde_json::{Value, json};

use super::server::{Server, UNKNOWN, context, number, serve, world_of};
use crate::sandbox::{tell, text};

const BEGIN_MS: i64 = 20_000 * 86_400_000;

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs_err::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found.sort();
    found
}

fn copy(from: &Path, to: &Path) {
    for path in files(from) {
        let target = to.join(path.strip_prefix(from).unwrap());
        fs_err::create_dir_all(target.parent().unwrap()).unwrap();
        fs_err::copy(&path, &target).unwrap();
    }
}

/// Changes a file of a directory that is now `hurt`: another bit, an end that is missing, or zeros.
fn damage(hurt: &Path, random: &mut Random) -> String {
    let all: Vec<PathBuf> = files(hurt)
        .into_iter()
        // Locks are empty, and what they hold nobody reads.
        .filter(|path| !path.ends_with("lock") && path.metadata().is_ok_and(|of| of.len() > 0))
        .collect();
    let path = &all[random.below(all.len())];
    let mut bytes = fs_err::read(path).unwrap();
    let place = random.below(bytes.len());
    let way = random.below(3);
    match way {
        0 => bytes[place] ^= 1 << random.below(8),
        1 => bytes.truncate(place),
        _ => {
            let end = (place + 1 + random.below(4_000)).min(bytes.len());
            bytes[place..end].fill(0);
        }
    }
    fs_err::write(path, bytes).unwrap();
    format!("{} in way {way} at {place}", path.strip_prefix(hurt).unwrap().display())
}

/// `ELIVEREC_CORRUPTIONS` makes more of them.
#[test]
fn damage_is_refused_by_name_or_makes_no_difference() {
    let rounds = number("ELIVEREC_CORRUPTIONS", 6);
    let sandbox = world_of(UNKNOWN);
    fs_err::rename(sandbox.path("bundle"), sandbox.path("whole")).unwrap();
    fs_err::write(sandbox.path("serve.toml"), "[state]\nsegment_records = 150\n").unwrap();
    let (mut refused, mut made_no_difference) = (0, 0);
    let of = stream(rounds, "corruptions");
    for round in 0..rounds {
        let mut random = Random::new(numbered(of, round));
        let hurt = sandbox.path("hurt");
        copy(&sandbox.path("whole"), &hurt);
        let what = damage(&hurt, &mut random);
        let output = sandbox.run("bundle verify hurt");
        let message = text(&output.stderr);
        match output.status.code() {
            // Zeros in the place of zeros.
            Some(0) => made_no_difference += 1,
            Some(1 | 2) => {
                assert!(message.contains("hurt"), "{what}: {message}");
                refused += 1;
            }
            code => panic!("{what}: {code:?} {message}"),
        }
        fs_err::remove_dir_all(&hurt).unwrap();
    }
    tell(&format!("bundle: {refused} refused by name, {made_no_difference} without a difference"));
    assert!(refused > 0);
    fs_err::rename(sandbox.path("whole"), sandbox.path("bundle")).unwrap();

    let words = "--clock callers --config serve.toml";
    for life in 0..2 {
        let server = Server::begin(&sandbox, words);
        for event in life * 200..(life + 1) * 200 {
            let at = json!({"event_id": event, "ts": BEGIN_MS, "available_at": BEGIN_MS});
            let of = if event % 10 == 0 {
                json!({"kind": "stream_start", "channel_id": format!("channel {event}")})
            } else {
                json!({"kind": "product_click", "user_id": event % 9, "product_id": event})
            };
            let (Value::Object(mut at), Value::Object(of)) = (at, of) else { unreachable!() };
            at.extend(of);
            server.posted("/v1/events", &at.into());
        }
        server.end();
    }
    fs_err::rename(sandbox.path("state"), sandbox.path("whole")).unwrap();
    // What the server knows, and what it calls the channels that are live.
    let known = |server: &Server| {
        let at = BEGIN_MS + 5_000;
        let ask = json!({"user_id": 1, "request_id": 1, "at": at, "context": context(), "k": 100});
        let answer = server.posted("/v1/recommend", &ask);
        json!([answer, server.get("/v1/explain?request_id=1").1])
    };
    let mut expected = None;
    let (mut refused, mut recovered) = (0, 0);
    for round in 0..=rounds {
        let mut random = Random::new(numbered(of, rounds + round));
        let hurt = sandbox.path("state");
        copy(&sandbox.path("whole"), &hurt);
        // The first round has no damage.
        let what = if round == 0 { "no damage".into() } else { damage(&hurt, &mut random) };
        let told = fs_err::File::create(sandbox.path("told")).unwrap().into_parts().0;
        let mut command = serve(&sandbox, &format!("--state state {words}"));
        match Server::of(command.stderr(told)) {
            Ok(server) => {
                let found = known(&server);
                assert_eq!(&found, expected.get_or_insert(found.clone()), "{what}");
                recovered += 1;
            }
            Err(status) => {
                let message = fs_err::read_to_string(sandbox.path("told")).unwrap();
                assert!(matches!(status.code(), Some(1 | 2)), "{what}: {status} {message}");
                let last = message.lines().last().unwrap_or_default();
                assert!(last.contains("state/"), "{what}: {message}");
                refused += 1;
            }
        }
        fs_err::remove_dir_all(&hurt).unwrap();
    }
    tell(&format!("state: {refused} refused by name, {recovered} recovered"));
}
