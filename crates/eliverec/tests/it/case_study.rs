//! `eliverec case-study`: which users are looked at, what is said of them, and the page in a real browser.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema};
use serde_json::Value;

use crate::feed_files::{rows_of, write_foreign};
use crate::sandbox::{Sandbox, text};
use crate::serving::browser::browser;
use crate::serving::server::world;

/// A world with runs of two models.
fn two_models() -> Sandbox {
    let sandbox = world(60);
    sandbox.configure("eta");
    sandbox.succeed("train --config config.toml --feeds world --out eta training.max_steps=9");
    sandbox
}

/// Gives a table of a log a column of names, which are made of another column.
fn name(table: &Path, of: &str, column: &str, title: &str) {
    let rows = rows_of(table);
    let ids = rows.column_by_name(of).unwrap();
    let names = (0..ids.len()).map(|i| {
        let id = arrow::util::display::array_value_to_string(ids, i).unwrap();
        Some(format!("{title} {id}"))
    });
    let names: ArrayRef = Arc::new(names.collect::<StringArray>());
    let mut fields = rows.schema().fields().to_vec();
    fields.push(Arc::new(Field::new(column, DataType::Utf8, true)));
    let columns = [rows.columns(), &[names]].concat();
    let rows = RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).unwrap();
    write_foreign(table, &rows, 1_000);
}

#[test]
fn users_are_chosen_by_the_rule_and_shown_with_what_they_did() {
    let sandbox = two_models();
    let words = "case-study --run run --run eta --feeds world --logs logs --most 2 --chance 2";
    let output = sandbox.run(words);
    let note = text(&output.stderr);
    assert!(note.contains("have no names, so ids are shown"), "{note}");
    let shown = text(&output.stdout);
    assert!(shown.contains("the 2 for whom the first 5 of run and eta differ most"), "{shown}");
    name(&sandbox.path("logs/channels.parquet"), "channel_id", "channel_name", "Room");
    name(&sandbox.path("logs/channels.parquet"), "category_id", "category_name", "Goods");
    let words = format!("{words} --html case.html --json");
    let told = sandbox.succeed(&words);
    assert_eq!(told, sandbox.succeed(&words), "the seed decides");
    let study: Value = serde_json::from_str(&told).unwrap();
    assert_eq!(
        (&study["models"][0]["model"], &study["models"][1]["model"]),
        (&"elive".into(), &"eta".into())
    );
    let cases = study["cases"].as_array().unwrap();
    let by: Vec<&str> = cases.iter().map(|case| case["chosen_by"].as_str().unwrap()).collect();
    assert_eq!(by, ["distance", "distance", "chance", "chance"]);
    let distances: Vec<f64> = cases.iter().map(|case| case["distance"].as_f64().unwrap()).collect();
    assert!(
        distances[0] >= distances[1] && distances[2..].iter().all(|of| *of <= distances[1]),
        "{distances:?}"
    );
    assert!(study["read"]["left_out"].as_object().unwrap().len() > 1, "{}", study["read"]);

    for case in cases {
        let candidates = case["candidates"].as_array().unwrap();
        assert!(candidates.len() > 5, "a ranking that can be compared");
        let first = candidates[0]["name"].as_str().unwrap();
        assert_eq!(first, format!("Room {}", candidates[0]["id"].as_str().unwrap()));
        for of in case["by_model"].as_array().unwrap() {
            let ranking: Vec<usize> = serde_json::from_value(of["ranking"].clone()).unwrap();
            let p = |place: &usize| of["probabilities"][*place].as_f64().unwrap();
            assert!(ranking.is_sorted_by(|a, b| p(a) >= p(b)), "{of}");
            let sum: f64 = of["attention"]["live"]
                .as_object()
                .unwrap()
                .values()
                .next()
                .unwrap()
                .as_array()
                .unwrap()
                .iter()
                .map(|of| of.as_f64().unwrap())
                .sum();
            assert!((sum - 1.0).abs() < 1e-3, "attention sums to {sum}");
        }
        assert!(case["by_model"][0]["intents"]["live"].is_array());
        // What `explain` says of the same request.
        let words = format!(
            "explain --run eta --feeds world --request {} --json",
            case["request_id"].as_str().unwrap()
        );
        let explained: Value = serde_json::from_str(&sandbox.succeed(&words)).unwrap();
        assert_eq!(explained["user_id"].to_string(), case["user_id"].as_str().unwrap());
        assert_eq!(
            explained["histories"]["live"].as_array().unwrap().len(),
            case["histories"]["live"].as_array().unwrap().len()
        );
        for (candidate, of) in explained["candidates"].as_array().unwrap().iter().zip(candidates) {
            assert_eq!(candidate["watched"], of["watched"]);
            assert_eq!(candidate["fields"]["channel_id"], of["id"]);
        }
    }
    page(&sandbox, cases);
}

/// The page opens alone, fits a phone and a desk, and shows what the data say.
fn page(sandbox: &Sandbox, cases: &[Value]) {
    let page = fs_err::read_to_string(sandbox.path("case.html")).unwrap();
    assert!(page.starts_with("<!DOCTYPE html>"));
    assert!(
        !page.contains("src=") && !page.contains("http") && !page.contains("url("),
        "it opens offline"
    );
    let Some(mut browser) = browser() else { return };
    let folder = std::env::var_os("ELIVEREC_SCREENSHOTS").map(PathBuf::from);
    for (width, height) in [(360, 740), (1280, 900)] {
        for is_dark in [false, true] {
            browser.screen(width, height, is_dark);
            browser.open(&format!("file://{}", sandbox.path("case.html").display()));
            let wide = browser.run("document.documentElement.scrollWidth").as_u64().unwrap();
            assert!(wide <= u64::from(width), "{wide} pixels wide on {width}");
            if let Some(folder) = &folder {
                let light = if is_dark { "dark" } else { "light" };
                browser.picture(&folder.join(format!("case-study-{width}-{light}.png")));
            }
        }
    }
    assert_eq!(browser.count("section.case"), cases.len() as u64);
    for (i, case) in cases.iter().enumerate() {
        let section = format!("#case-{i}");
        assert!(browser.text(&format!("{section} h2")).contains(case["user_id"].as_str().unwrap()));
        assert_eq!(browser.count(&format!("{section} ol.top")), 2);
        assert_eq!(browser.count(&format!("{section} ol.top li")), 10);
        let first = case["by_model"][1]["ranking"][0].as_u64().unwrap() as usize;
        let title = case["candidates"][first]["name"].as_str().unwrap();
        let told = browser.text(&format!("{section} .models > :nth-child(2) li"));
        assert!(told.contains(title) && told.contains("Goods "), "{told}");
        // A ring for each repeated view, in the lane of each model; events of one channel are repeats of the first.
        let live = case["histories"]["live"].as_array().unwrap();
        let channels: std::collections::BTreeSet<&str> =
            live.iter().map(|of| of["id"].as_str().unwrap()).collect();
        let products = case["histories"]["product"].as_array().unwrap();
        let kinds: std::collections::BTreeSet<&str> =
            products.iter().map(|of| of["id"].as_str().unwrap()).collect();
        let repeats = live.len() - channels.len() + products.len() - kinds.len();
        assert_eq!(browser.count(&format!("{section} circle.again")), 2 * repeats as u64);
    }
    assert_eq!(browser.errors(), [""; 0]);
}

#[test]
fn what_cannot_be_compared_is_refused() {
    let sandbox = Sandbox::new();
    sandbox.succeed("train --config config.toml --feeds feeds --out run training.max_steps=1");
    let one = sandbox.fail("case-study --run run --feeds feeds", 2);
    assert!(one.contains("--run: 1 runs are given; a case study compares two"), "{one}");
    let few = sandbox.fail("case-study --run run --run run --feeds feeds --top 99", 2);
    assert!(few.contains("the test split has no request that can be compared: 30 requests with no more than 99 channels"), "{few}");
    // A model beside itself: nothing differs, and both are told apart by their paths.
    let same = sandbox.succeed("case-study --run run --run run --feeds feeds --top 1 --json");
    let same: Value = serde_json::from_str(&same).unwrap();
    assert_eq!((same["mean_distance"].as_f64(), same["alike"].as_f64()), (Some(0.0), Some(1.0)));
}
