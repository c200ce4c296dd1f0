//! The page of experiments, in a real browser: what the calls say, who is in which bucket, the running report, other shares.

use std::path::PathBuf;

use serde_json::{Value, json};

use super::browser::browser;
use super::experiments::{BEGIN_MS, SECOND, TESTER, USERS, ask, begin, end_day, file, ranker};
use super::server::{context, world};

#[test]
fn the_page_of_experiments_shows_buckets_users_and_the_report() {
    let Some(mut browser) = browser() else { return };
    let sandbox = world(60);
    sandbox.succeed(SECOND);
    fs_err::write(sandbox.path("experiments.toml"), file()).unwrap();
    let server = begin(&sandbox, "");
    for user in USERS {
        server.posted("/v1/recommend", &ask(user, user));
    }
    browser.screen(1280, 900, false);
    browser.open(&format!("{}/console", server.address()));
    // One click from the first page.
    browser.click(".questions li:nth-child(3) a");
    assert_eq!(browser.text("h1"), "Experiments");
    let running = server.get("/v1/admin/experiments").1;
    let layers = running["layers"].as_array().unwrap();
    assert_eq!(browser.count("section.layer"), layers.len() as u64);
    let buckets = layers.iter().flat_map(|layer| layer["buckets"].as_array().unwrap());
    let names: Vec<&str> = buckets.map(|bucket| bucket["name"].as_str().unwrap()).collect();
    let shown = browser.run(
        "[...document.querySelectorAll('section.layer tbody tr')].map(r => r.cells[0].textContent.trim())",
    );
    assert_eq!(shown, json!(names));
    let cells = "document.querySelectorAll('section.layer tbody tr')[1].cells";
    let of_second = browser.run(&format!("[...{cells}].map(c => c.textContent.trim())"));
    assert_eq!((&of_second[1], &of_second[3]), (&json!("50.00 %"), &json!("second")));
    let answered = USERS.filter(|user| {
        let slots = ranker(&user.to_string(), 5_000);
        (slots == "int8") != (*user == TESTER)
    });
    assert_eq!(of_second[6], json!(answered.count().to_string()));
    assert!(browser.text("#reports").contains("No day with answers is over yet"));

    // The bucket of a user by the slot, and of the tester by the override.
    for (user, because) in [(1, "the slot"), (TESTER, "an override")] {
        browser.write("input[name=user]", &user.to_string());
        browser.click("#assignment button");
        let row = browser.run(
            "[...document.querySelectorAll('#assigned tbody tr')[0].cells].map(c => c.textContent.trim())",
        );
        let ask =
            json!({"user_id": user, "at": BEGIN_MS + 100, "context": context(), "channels": [1]});
        let answer = server.posted("/v1/rank", &ask);
        assert_eq!((&row[2], &row[3]), (&answer["buckets"]["ranker"], &json!(because)));
        assert!(row[4].as_str().unwrap().starts_with(answer["model"].as_str().unwrap()), "{row}");
    }

    // Bundles of buckets stand beside the service's own.
    let bundles = server.get("/v1/bundles").1;
    assert_eq!(
        (&bundles[1]["version"], &bundles[1]["role"], &bundles[1]["buckets"]),
        (&json!("second"), &json!("bucket"), &json!(["ranker/int8"]))
    );
    let drift = server.get("/v1/features").1["drift_in_buckets"].clone();
    assert_eq!((&drift[0]["model"], drift.as_array().unwrap().len()), (&json!("second"), 1));
    assert!(drift[0]["answers"].as_u64().unwrap() > 0, "{drift}");
    browser.click("nav a[href='/console/bundles']");
    assert!(browser.text("#verdict").contains("second"), "{}", browser.text("#verdict"));
    assert!(browser.text("#metrics thead").contains("ranker/int8"));
    browser.click("nav a[href='/console/features']");
    assert_eq!(browser.count("p.drifted"), 2);

    // The report comes with the first day that is over, and says what the command says.
    end_day(&server, &sandbox);
    let page = format!("{}/console/experiments", server.address());
    browser.open(&page);
    browser.until("document.querySelectorAll('#reports p.ratio').length === 2");
    let words = "ab report --logs state/days --layer ranker --json";
    let output = sandbox.run(words);
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let told = browser.text("#reports");
    assert!(
        told.contains(&format!("p = {:.4}", report["mismatch"]["p"].as_f64().unwrap())),
        "{told}"
    );
    assert!(told.contains(&format!("{} answers", report["answers"])), "{told}");
    let rows = report["tables"][0]["rows"].as_array().unwrap().len();
    assert_eq!(browser.count("#reports table.compared tbody tr"), 2 * rows as u64);

    // Other shares, by the same file read again; what is wrong with one is said.
    sandbox.succeed("ab shares experiments.toml --layer ranker --set float=0.2 --set int8=0.8");
    browser.click("form[action$=put] button");
    assert!(browser.text("[role=status]").contains("2 layers"));
    let share =
        || server.get("/v1/admin/experiments").1["layers"][0]["buckets"][0]["share"].clone();
    assert_eq!(share(), 0.2);
    assert_eq!(browser.errors(), [""; 0]);
    browser.write("input[name=path]", "nowhere.toml");
    browser.click("form[action$=put] button");
    assert!(browser.text("[role=alert]").contains("nowhere.toml"));
    assert_eq!(share(), 0.2);

    let folder = std::env::var_os("ELIVEREC_SCREENSHOTS").map(PathBuf::from);
    browser.errors();
    for (width, height) in [(360, 740), (1280, 900)] {
        for is_dark in [false, true] {
            browser.screen(width, height, is_dark);
            browser.open(&format!("{page}?user={TESTER}"));
            let wide = browser.run("document.documentElement.scrollWidth").as_u64().unwrap();
            assert!(wide <= u64::from(width), "{wide} pixels wide on {width}");
            if let Some(folder) = &folder {
                let of = [width.to_string(), if is_dark { "dark" } else { "light" }.into()];
                browser.picture(&folder.join(format!("running-{}.png", of.join("-"))));
            }
        }
    }
    assert_eq!(browser.errors(), [""; 0]);
}
