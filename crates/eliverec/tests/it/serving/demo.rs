//! `eliverec demo --serve`: a page with traffic of simulated users, until it is ended.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use super::browser::browser;
use super::server::until;
use crate::sandbox::{Sandbox, text};

/// The demo, killed when it is dropped.
struct Demo(Child);

impl Drop for Demo {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Runs a demo, whose steps may have been done before, to its page: users are answered by both models, pages show it, and a signal
/// ends it.
pub(crate) fn ends_at_a_page(sandbox: &Sandbox, words: &str) {
    let told = fs_err::File::create(sandbox.path("told.txt")).unwrap().into_parts().0;
    let mut command = sandbox.command(&format!("{words} --serve --listen 127.0.0.1:0 --pace 100"));
    let mut demo = Demo(command.stdout(Stdio::piped()).stderr(told).spawn().unwrap());
    let mut lines = BufReader::new(demo.0.stdout.take().unwrap()).lines().map(Result::unwrap);
    let pages = lines.find(|line| line.ends_with("/console")).expect("it tells its pages");
    assert!(lines.next().unwrap().contains("40 simulated users are at work"));
    let service = pages.strip_suffix("/console").unwrap();
    let get = |path: &str| -> Value {
        let mut answer = ureq::get(format!("{service}{path}")).call().unwrap();
        serde_json::from_str(&answer.body_mut().read_to_string().unwrap()).unwrap()
    };
    until("users of both buckets to be answered", || {
        let requests = get("/v1/requests");
        let by = |model: &str| {
            let of = requests.as_array().unwrap().iter();
            of.filter(|of| of["model"] == model && of["answered"] != 0).count()
        };
        let bundles = get("/v1/bundles");
        let versions = bundles.as_array().unwrap().iter().map(|of| of["version"].as_str().unwrap());
        let answered: Vec<usize> = versions.map(by).collect();
        answered.len() == 2 && answered.iter().all(|requests| *requests > 0)
    });
    // What was shown is watched now and then, and comes back as events.
    let events =
        || get("/v1/traffic")["last_minute"]["answers"]["/v1/events"].as_u64().unwrap_or(0);
    let before = events();
    until("events", || events() > before);
    let experiments = get("/v1/admin/experiments");
    let buckets = experiments["layers"][0]["buckets"].as_array().unwrap();
    assert_eq!([&buckets[0]["name"], &buckets[1]["name"]], ["eta", "elive"]);

    if let Some(mut browser) = browser() {
        browser.open(&pages);
        browser.until("[...document.querySelectorAll('#now tbody tr')].some(r => r.cells[0].textContent === '/v1/recommend' && r.cells[1].textContent !== '0')");
        // Each within three clicks from the first page: whether the new model is better, why a channel was shown and which model showed it.
        browser.click(".questions li:nth-child(3) a");
        assert!(browser.text("main").contains("What users do in layer ranker"));
        browser.click("nav a[href='/console']");
        browser.click(".questions li:nth-child(1) a");
        browser.click("#newest tbody a");
        assert!(browser.text("main p").contains("of layer ranker"), "{}", browser.text("main p"));
        assert_eq!(browser.errors(), [""; 0]);
    }

    let asked = Command::new("kill").args(["-TERM", &demo.0.id().to_string()]).status().unwrap();
    assert!(asked.success());
    let ended = demo.0.wait().unwrap();
    let told = text(&fs_err::read(sandbox.path("told.txt")).unwrap());
    assert!(ended.success(), "{told}");
    assert!(told.contains("ended; everything that was acknowledged is on disk"), "{told}");
    assert!(!told.contains("users have left") && !told.contains("interrupted"), "{told}");
}
