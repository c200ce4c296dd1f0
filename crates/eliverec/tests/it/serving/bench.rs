//! `eliverec bench serve` against a real server: what it counts, whatever it takes.

use serde_json::{Value, json};

use super::server::{Server, world};

#[test]
fn every_call_of_a_load_is_counted() {
    let sandbox = world(60);
    let server = Server::begin(&sandbox, "");
    let bench = |words: &str| {
        let words = format!("bench serve --url {} --feeds world --json {words}", server.address());
        let printed = sandbox.succeed(&words);
        let objects = serde_json::Deserializer::from_str(&printed).into_iter::<Value>();
        objects.map(Result::unwrap).collect::<Vec<Value>>()
    };
    let sum =
        |of: &Value| of.as_object().unwrap().values().map(|n| n.as_u64().unwrap()).sum::<u64>();

    let measured = bench("--histories 2 --rate 40 --seconds 1 --candidates 7");
    let [measured] = measured.as_slice() else { panic!("{measured:?}") };
    // One is due every 25 ms, from the beginning on.
    let under = &measured["under_load"];
    assert_eq!((sum(&under["statuses"]), &measured["rate"]), (40, &json!(40.0)), "{measured}");
    let answered = &under["latency"]["count"];
    assert_eq!(*answered, under["statuses"]["200"], "{measured}");
    for stage in ["wait", "features", "rank", "total"] {
        assert_eq!(measured["stages"][stage]["count"], *answered, "{stage}: {measured}");
    }
    assert_eq!(measured["beyond_rank"]["count"], *answered);
    assert_eq!(
        (&measured["calibration"]["count"], &measured["swaps"]),
        (&json!(1000), &Value::Null)
    );
    for latency in [&under["latency"], &measured["calibration"]] {
        let of = |key: &str| latency[key].as_f64().unwrap();
        assert!(0.0 < of("p50") && of("p50") <= of("p99") && of("p99") <= of("max"), "{latency}");
    }
    // Every user has two events of each kind, at least.
    let metrics = server.get("/metrics").1;
    let admitted = "eliverec_events_total{fate=\"admitted\"} ";
    let admitted = metrics.as_str().unwrap().lines().find_map(|line| line.strip_prefix(admitted));
    assert!(admitted.unwrap().parse::<u64>().unwrap() >= 4, "{metrics}");

    let measured = bench("--call events --batch 5 --rate 20 --seconds 1 --connections 2");
    let before = measured[0]["under_load"]["latency"]["count"].as_u64().unwrap();
    assert_eq!(sum(&measured[0]["under_load"]["statuses"]), 20);
    assert!(before > 0 && measured[0]["events_per_s"].as_f64().unwrap() > 0.0, "{measured:?}");

    // Far more than is answered: it ends all the same, and tells what it did not do.
    let measured = bench("--rate 100000 --seconds 0.5 --connections 1");
    let under = &measured[0]["under_load"];
    let not_made = under["not_made"].as_u64().unwrap();
    assert!(not_made > 0, "{under}");
    assert_eq!(sum(&under["statuses"]) + not_made, 50_000, "{under}");

    // An object for every minute, and one for all of it; a bundle that is put in service meanwhile.
    let swap = "--call recommend --rate 20 --seconds 1 --soak --swap bundle --swaps 2";
    let measured = bench(swap);
    let [part, all] = measured.as_slice() else { panic!("{measured:?}") };
    assert_eq!(part["under_load"]["statuses"], all["under_load"]["statuses"]);
    let swaps = &all["swaps"];
    assert_eq!((&swaps["done"], &swaps["refused"]), (&json!(2), &json!(0)), "{swaps}");
    let both = ["during", "without"].map(|of| swaps[of]["count"].as_u64().unwrap());
    assert_eq!(json!(both.iter().sum::<u64>()), all["under_load"]["latency"]["count"]);

    let told = sandbox.fail("bench serve --url http://127.0.0.1:9 --feeds nowhere", 2);
    assert!(told.contains("nowhere"), "{told}");
}
