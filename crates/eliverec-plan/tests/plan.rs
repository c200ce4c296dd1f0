//! Plans of made-up measurements whose results are worked out by hand, and what is refused.

#![expect(clippy::unwrap_used, reason = "a fixture that fails fails its test")]

use eliverec_plan::scaling::{MOST_RANKS, WORTH_DOUBLING};
use eliverec_plan::{Asked, Error, Files, Line, Measured, Plan};

/// 100 impressions take 0.3 s and 400 take 0.6: 0.2 s an update, 1 ms an impression; four times the feeds have twice the rows.
fn train(feeds: u32, seconds: f64, rows: f64) -> String {
    let impressions = f64::from(feeds) * 4.0;
    format!(
        r#"{{"model": "elive", "width": 8, "threads": 2, "median": {}, "other": "is passed over",
        "sizes": {{"feeds": {feeds}, "candidates": 4, "length": 50, "ids": 1000, "steps": 3}},
        "extent": {{"dense_parameters": 1000, "row_bytes": 100.0, "tables": [
            {{"name": "user", "width": 8, "rows_per_batch": {rows}}}, {{"name": "channel", "width": 8, "rows_per_batch": {rows}}}]}}}}"#,
        impressions / seconds
    )
}

/// 1,000 impressions, 2,000 events. A pass takes 1 s of one thread; the two tasks of a phase share 4 s by channel and 8 s by user.
const SAMPLES: &str = r#"{"threads": 2, "timings": [{"impressions": 10, "events": 20, "read_s": 1, "log_bytes": 1, "feeds_bytes": 1},
    {"impressions": 1000, "events": 2000, "read_s": 1.0, "log_bytes": 20000, "feeds_bytes": 40000, "peak_memory_mib": 512,
     "job": {"shards": 2, "channels_s": 5.0, "users_s": 8.5, "feeds_s": 2.0, "impressions_bytes": 10000, "requests_bytes": 20000}}]}"#;

const SERVE: &str = r#"{"events_per_s": null, "processor_ms_per_call": 5.0, "filled": {"users": 1024, "resident_mib": [100.0, 105.0]}}"#;

fn file(name: &str, text: &str) -> (std::path::PathBuf, String) {
    (name.into(), text.into())
}

fn files() -> Files {
    Files {
        train: vec![
            file("large.json", &train(100, 0.6, 80.0)),
            file("small.json", &train(25, 0.3, 40.0)),
        ],
        samples: Some(file("samples.json", SAMPLES)),
        serve: Some(file("serve.json", SERVE)),
        events: Some(file("events.json", r#"{"events_per_s": 1000.0}"#)),
        network: Some(file("network.json", r#"{"alpha_s": 0.001, "beta_s_per_byte": 1e-8}"#)),
    }
}

fn asked() -> Asked {
    Asked {
        impressions_per_day: 1e6,
        days: 2.0,
        users: 1e6,
        channels: 1e5,
        products: 9e5,
        requests_per_second: 100.0,
        impressions_per_request: 5.0,
        batch: 400.0,
        epochs: 3.0,
        sample_hours: 8.0,
        train_hours: 2.0,
        utilisation: 0.5,
        cores_per_process: 2.0,
        rank_memory_gib: 0.1,
        redis_memory_gib: 1.0,
        bytes_per_number: 2.0,
    }
}

fn plan() -> Plan {
    Plan::new(asked(), &Measured::new(&files()).unwrap()).unwrap()
}

fn line<'a>(plan: &'a Plan, stage: &str, what: &str) -> &'a Line {
    let found = plan.lines.iter().find(|line| line.stage == stage && line.what == what);
    found.unwrap_or_else(|| panic!("no line {what} of {stage}"))
}

#[test]
fn lines_are_what_their_formulas_say() {
    let plan = plan();
    let gib = f64::from(1 << 30);
    for (stage, what, expected) in [
        ("log", "events a day", 2e6),
        ("log", "disk a day", 2e7 / gib),
        ("log", "events a second, at the busiest moment", 1_000.0),
        // An impression: 0.5 ms and 0.25 ms of reading, 4 ms and 8 ms that tasks share, 2 ms to feeds; 14,400 s are there.
        ("samples", "tasks of each phase", 3.0),
        ("samples", "time of the job", 2e3 * (0.75 + 12.0 / 3.0 + 2.0) / 3_600.0),
        ("samples", "cores", 6.0),
        ("samples", "memory", 1.5),
        ("samples", "disk that tasks leave for one another", 6e7 / gib),
        ("samples", "network, all of the job", (6.0 * 4e7 + 12e7) / gib),
        ("samples", "disk of the feeds", 8e7 / gib),
        ("training", "impressions a second", 6e6 / 3_600.0),
        ("training", "rows", 2e6),
        ("training", "ranks that hold the rows", 2.0),
        ("training", "disk of a checkpoint", 2e6 * 88.0 / gib),
        ("serving", "cores", 1.0),
        ("serving", "processes", 1.0),
        ("serving", "rows of a bundle, on the disk of every process and mapped", 2e6 * 24.0 / gib),
        ("state", "memory of the folds of users", 1e6 * 5_120.0 / gib),
        ("state", "shards by memory", 5.0),
        ("state", "shards by events", 2.0),
        ("state", "Redis shards, each with a writer and a server", 5.0),
        ("state", "processes that answer, of a shard", 1.0),
    ] {
        let found = line(&plan, stage, what).value.unwrap();
        assert!(
            (found - expected).abs() <= 1e-9 * expected,
            "{stage}, {what}: {found}, {expected}"
        );
    }
    // Every line says how it is computed, and constants where they come from.
    for line in &plan.lines {
        assert!(!line.formula.is_empty() && !line.unit.is_empty(), "{line:?}");
        for constant in &line.constants {
            assert!(constant.command.starts_with("eliverec bench "), "{constant:?}");
            assert!(!constant.files.is_empty() && !constant.from.is_empty(), "{constant:?}");
        }
    }
}

#[test]
fn curves_are_measured_computing_and_reckoned_messages() {
    let plan = plan();
    let [whole, per_rank] = &plan.curves;
    let ranks: Vec<u32> = whole.points.iter().map(|point| point.ranks).collect();
    // 100 feeds: no more ranks than feeds.
    assert_eq!(ranks, [1, 2, 4, 8, 16, 32, 64]);
    assert_eq!(per_rank.points.last().unwrap().ranks, MOST_RANKS);
    let (one, four) = (whole.points[0], whole.points[2]);
    let close = |found: f64, expected: f64| {
        assert!((found - expected).abs() <= 1e-9 * expected.max(1e-9), "{found}, {expected}");
    };
    close(one.update_s(), 0.6);
    close(one.impressions_per_s, 400.0 / 0.6);
    assert_eq!((one.efficiency, one.traffic.total()), (1.0, 0.0));
    close(four.compute_s, 0.2 + 0.1);
    close(four.traffic.dense, 1.5 * 4_000.0);
    close(four.all_reduce_s, 6e-3 + 6e-5);
    // 25 feeds of a rank, the smallest batch that was measured: 80 rows of 8 numbers.
    close(four.traffic.rows, 0.75 * 8.0 * 640.0);
    close(four.exchange_s, 6e-3 + 1e-8 * four.traffic.rows);
    close(four.traffic.zs, 3.0 * 16.0 * 25.0 * 8.0);
    close(four.zs_s, 3e-3 + 1e-8 * four.traffic.zs);
    close(four.impressions_per_s, 400.0 / four.update_s());
    // Of 100 feeds twice as many rows, with the batch on each rank.
    close(per_rank.points[2].traffic.rows, 2.0 * four.traffic.rows);
    for curve in &plan.curves {
        let bends = curve.bends_at.unwrap_or(u32::MAX);
        for pair in curve.points.windows(2) {
            assert!(pair[1].efficiency < pair[0].efficiency);
            let worth = pair[1].impressions_per_s >= WORTH_DOUBLING * pair[0].impressions_per_s;
            assert!(worth || pair[1].ranks >= bends, "{curve:?}");
        }
    }
    assert_eq!(whole.bends_at, Some(2));
}

/// What no number is enough for is said, not left out.
#[test]
fn what_is_too_much_is_told() {
    let asked = Asked { sample_hours: 0.01, train_hours: 0.0001, ..asked() };
    let plan = Plan::new(asked, &Measured::new(&files()).unwrap()).unwrap();
    let tasks = line(&plan, "samples", "tasks of each phase");
    assert!(
        tasks.value.is_none() && tasks.note.as_ref().unwrap().contains("256 tasks, the most, take")
    );
    let ranks = line(&plan, "training", "ranks, the batch of all ranks as on one");
    assert!(
        ranks.value.is_none() && ranks.note.as_ref().unwrap().contains("none up to 512 is enough")
    );
    let chosen = line(&plan, "training", "ranks, fast enough and with room for the rows");
    assert!(chosen.note.as_ref().unwrap().starts_with("not enough"), "{chosen:?}");
}

/// A constant that no file tells is refused with the command that measures it, and a wrong file by its name.
#[test]
fn missing_constants_are_refused_with_the_command() {
    let refused = |change: &dyn Fn(&mut Files), words: &[&str]| {
        let mut files = files();
        change(&mut files);
        let message = Measured::new(&files).unwrap_err().to_string();
        for word in words {
            assert!(message.contains(word), "{word}: {message}");
        }
    };
    refused(&|of| of.train.clear(), &["eliverec bench train --feeds 32 --json", "--train"]);
    refused(&|of| drop(of.train.pop()), &["one number of feeds", "another number of --feeds"]);
    refused(&|of| of.samples = None, &["eliverec bench samples --shards 2 --json", "--samples"]);
    refused(
        &|of| of.serve = None,
        &["eliverec bench serve --call recommend --histories 50 --load 0.5 --json", "--serve"],
    );
    refused(&|of| of.events = None, &["eliverec bench serve --call events --json", "--events"]);
    refused(
        &|of| of.network = None,
        &["alpha and beta", "eliverec bench network --json", "--network"],
    );
    let without_job = SAMPLES.split_once(",\n     \"job\"").unwrap().0.to_owned() + "}]}";
    refused(
        &|of| of.samples = Some(file("samples.json", &without_job)),
        &["the tasks of samples", "--shards 2"],
    );
    refused(
        &|of| of.serve = Some(file("serve.json", r#"{"processor_ms_per_call": 5.0}"#)),
        &["the memory of a user", "--histories"],
    );
    refused(
        &|of| of.events = of.serve.clone(),
        &["how many events a writer takes in", "--call events"],
    );
    refused(
        &|of| of.network = Some(file("other.json", "{}")),
        &["other.json", "alpha_s", "bench network"],
    );
    refused(
        &|of| of.network = Some(file("zero.json", r#"{"alpha_s": 0, "beta_s_per_byte": 1}"#)),
        &["zero.json: alpha (alpha_s) is 0, and has to be above 0"],
    );
    refused(
        &|of| {
            of.train[0].1 =
                of.train[0].1.replace("\"width\": 8, \"threads\"", "\"width\": 9, \"threads\"");
        },
        &["large.json: is of another model, width"],
    );
    // 400 impressions took more than four times as long as 100.
    refused(&|of| of.train[0].1 = train(100, 2.0, 80.0), &["less than no time", "quiet machine"]);
}

#[test]
fn what_cannot_be_asked_is_named() {
    let measured = Measured::new(&files()).unwrap();
    for (asked, words) in [
        (Asked { users: 0.0, ..asked() }, "plan: users is 0; write a number above 0"),
        (Asked { days: f64::NAN, ..asked() }, "plan: days is NaN"),
        (Asked { utilisation: 1.5, ..asked() }, "plan: utilisation is 1.5; it is a share"),
        (
            Asked { bytes_per_number: 3.0, ..asked() },
            "plan: bytes-per-number is 3; write 4, 2 or 1",
        ),
    ] {
        let error = Plan::new(asked, &measured).unwrap_err();
        assert!(matches!(error, Error::Asked { .. }));
        assert!(error.to_string().starts_with(words), "{error}");
    }
}
