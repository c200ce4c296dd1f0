//! `eliverec plan` of what the benchmarks print: their output is what it reads.

use serde_json::{Value, json};

use super::server::{Server, world};

#[test]
fn a_plan_is_made_of_what_the_benchmarks_print() {
    let sandbox = world(60);
    let keep = |name: &str, words: &str, change: &dyn Fn(&mut Value)| {
        let mut printed =
            serde_json::from_str(&sandbox.succeed(&format!("bench {words} --json"))).unwrap();
        // What depends on how quiet this machine is at the moment.
        change(&mut printed);
        fs_err::write(sandbox.path(name), printed.to_string()).unwrap();
    };
    let train =
        "train --config config.toml --candidates 2 --length 3 --ids 20 --steps 1 --repeats 1";
    for (name, feeds, rate) in [("small.json", 2, 100.0), ("large.json", 8, 200.0)] {
        keep(name, &format!("{train} --feeds {feeds}"), &|of| of["median"] = json!(rate));
    }
    keep("samples.json", "samples --work work --shards 2 3000", &|of| {
        let job = of["timings"][0]["job"].clone();
        for phase in ["channels_s", "users_s", "feeds_s"] {
            assert!(job[phase].as_f64().unwrap() > 0.0, "{of}");
        }
        assert!(of["timings"][0]["log_bytes"].as_u64() > Some(10_000), "{of}");
        of["timings"][0]["read_s"] = json!(1e-3);
    });
    keep("network.json", "network --repeats 20", &|of| {
        assert!(of["alpha_s"].as_f64().unwrap() > 0.0 && of["peer"] == "loopback", "{of}");
    });
    let server = Server::begin(&sandbox, "");
    let serve = format!("serve --url {} --feeds world --seconds 1 --rate 20", server.address());
    keep("serve.json", &format!("{serve} --histories 2"), &|of| {
        assert!(of["processor_ms_per_call"].as_f64().unwrap() > 0.0, "{of}");
        assert!(of["filled"]["users"].as_u64().unwrap() > 0 && of["filled"]["events_each"] == 4);
        of["filled"]["resident_mib"] = json!([10.0, 11.0]);
    });
    keep("events.json", &format!("{serve} --call events"), &|_| ());

    let asked = "plan --impressions-per-day 1e9 --users 3e8 --channels 1e6 --products 1e8 --requests-per-second 50000";
    let given = "--train small.json --train large.json --samples samples.json --serve serve.json --events events.json";
    let message = sandbox.fail(&format!("{asked} {given}"), 2);
    let expected = "plan: nothing tells alpha and beta of the network; measure with `eliverec bench network --json` and give the file by --network";
    assert!(message.contains(expected), "{message}");
    let message = sandbox.fail(&format!("{asked} {given} --network small.json"), 2);
    assert!(message.contains("small.json: cannot be read: missing field `alpha_s`"), "{message}");
    let message = sandbox.fail(&format!("{asked} {given} --network nowhere.json"), 2);
    assert!(message.contains("nowhere.json"), "{message}");

    let words = format!("{asked} {given} --network network.json");
    let plan: Value = serde_json::from_str(&sandbox.succeed(&format!("{words} --json"))).unwrap();
    assert_eq!(plan["asked"]["batch"], 2048.0);
    assert_eq!(plan["read"].as_array().unwrap().len(), 6);
    let stages = ["log", "samples", "training", "serving", "state"];
    let lines = plan["lines"].as_array().unwrap();
    for stage in stages {
        assert!(lines.iter().any(|line| line["stage"] == stage), "{stage}");
    }
    let dense = &lines
        .iter()
        .flat_map(|line| line["constants"].as_array().unwrap())
        .find(|constant| constant["name"] == "dense_parameters")
        .unwrap()["value"];
    assert!(dense.as_f64().unwrap() > 100.0, "{dense}");
    let points = plan["curves"][1]["points"].as_array().unwrap();
    assert_eq!(points.last().unwrap()["ranks"], 512);
    let text = sandbox.succeed(&words);
    for words in [
        "asked: 1.00e9 impressions_per_day",
        "measured:",
        "bench network --json: network.json",
        "ranks",
        "efficiency",
    ] {
        assert!(text.contains(words), "{words}: {text}");
    }
    assert!(text.contains("bends at") || text.contains("does not bend"), "{text}");
}
