//! Jobs: the feeds of tasks by shard are those of one process, whatever becomes of the tasks.

use std::path::{Path, PathBuf};
use std::process::Command;

use eliverec_core::event::{Event, EventKind};
use eliverec_samples::{
    Job, Made, Phase, Refusal, SampleConfig, Shard, Summary, Task, TaskSummary, samples,
};

use crate::bad_input::misplaced;
use crate::logs::{Shape, Site, USERS, config, day, events, files};

const SHAPE: Shape = Shape { requests: 600, events: 3_000, days: 4, grain_ms: 1_000 };

/// Events among which some requests are two users', who are in different shards more often than not.
fn contradicting(shape: Shape, seed: u64) -> Vec<Event> {
    let mut all = events(shape, seed);
    let next = all.iter().map(|event| event.event_id).max().unwrap() + 1;
    let shown = all.iter().filter(|event| event.kind == EventKind::Impression);
    let others: Vec<Event> = (next..)
        .zip(shown.step_by(40))
        .map(|(event_id, event)| Event {
            event_id,
            user_id: event.user_id.map(|user| user % USERS + 1),
            ..event.clone()
        })
        .collect();
    all.extend(others);
    all
}

/// A job over a site's log.
struct At<'a> {
    site: &'a Site,
    exchange: PathBuf,
    program: &'a str,
    config: SampleConfig,
}

impl<'a> At<'a> {
    fn new(site: &'a Site, name: &str) -> Self {
        Self { site, exchange: site.other(name), program: "tests", config: config() }
    }

    fn try_task(&self, phase: Phase, shard: Shard) -> Result<TaskSummary, String> {
        let logs = self.site.logs();
        let Self { exchange, program, config, .. } = self;
        let task = Task { logs: &logs, exchange, phase, shard, config, program };
        task.run(|_| ()).map_err(|e| e.to_string())
    }

    fn tasks(&self, phase: Phase, shards: u32) -> Vec<TaskSummary> {
        Shard::all(shards).map(|shard| self.try_task(phase, shard).unwrap()).collect()
    }

    fn try_gather(&self, shards: u32, feeds: &Path) -> Result<Summary, String> {
        let logs = self.site.logs();
        let Self { exchange, program, config, .. } = self;
        let job = Job { logs: &logs, exchange, shards, config, program };
        job.gather(feeds, |_| ()).map_err(|e| e.to_string())
    }

    /// All of it, into a directory of its own.
    fn run(&self, shards: u32) -> (Summary, Vec<(String, Vec<u8>)>) {
        for phase in [Phase::Channels, Phase::Products, Phase::Users] {
            self.tasks(phase, shards);
        }
        let feeds = self.exchange.with_extension("feeds");
        let summary = self.try_gather(shards, &feeds).unwrap();
        (summary, files(&feeds))
    }
}

fn shard(text: &str) -> Shard {
    text.parse().unwrap()
}

#[test]
fn shards_change_no_byte_and_no_count() {
    let site = Site::new(&contradicting(SHAPE, 1));
    let whole = site.run(&config());
    assert!(whole.refused.contains_key(&Refusal::UsersDiffer), "{whole}");
    for shards in [1, 2, 4] {
        let (summary, made) = At::new(&site, &format!("job-{shards}")).run(shards);
        assert!(made == files(&site.feeds()), "{shards} shards differ");
        assert_eq!(summary, whole, "{shards} shards");
    }
}

/// Nothing is done twice, and a task's record says so.
#[test]
fn a_task_that_is_done_is_not_done_again() {
    let site = Site::new(&events(SHAPE, 2));
    let at = At::new(&site, "job");
    let first = at.tasks(Phase::Channels, 2);
    assert!(first.iter().all(|task| !task.was_done && task.log_rows > 0));
    let before = files(&at.exchange);
    let again = at.tasks(Phase::Channels, 2);
    assert!(again.iter().all(|task| task.was_done && task.log_rows == 0), "{again:?}");
    assert!(files(&at.exchange) == before);
    let out: u64 = first.iter().map(|task| task.impressions_out).sum();
    let products = at.tasks(Phase::Products, 2);
    for task in &products {
        let parts = task.checked.read.parts.iter();
        let of = |name: &str| parts.clone().find(|part| part.name == name).unwrap().rows;
        assert_eq!((of("events"), of("tasks")), (task.log_rows, task.rows_in));
    }
    assert_eq!(products.iter().map(|task| task.impressions_in).sum::<u64>(), out);
}

/// The name by which this binary runs itself to be killed.
const VICTIM: &str = "job::victim";

/// Does the task that the environment names; without it there is nothing to test.
#[test]
fn victim() {
    let Ok(words) = std::env::var("ELIVEREC_TASK_VICTIM") else { return };
    let words: Vec<&str> = words.split('|').collect();
    let [logs, exchange, phase, shard] = words[..] else { panic!("{words:?}") };
    let phases = [Phase::Channels, Phase::Products, Phase::Users];
    let phase = *phases.iter().find(|of| of.name() == phase).unwrap();
    let (logs, exchange, shard) = (Path::new(logs), Path::new(exchange), shard.parse().unwrap());
    Task { logs, exchange, phase, shard, config: &config(), program: "tests" }.run(|_| ()).unwrap();
}

/// Runs a task in a process of its own and kills it when it has written its first bytes; whether that was before its end.
fn kill_half_way(at: &At<'_>, phase: Phase, shard: &str) -> bool {
    let folder = at.exchange.join(format!("{phase}/{}", shard.replace('/', "-of-")));
    let (logs, exchange) = (at.site.logs(), at.exchange.display());
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args([VICTIM, "--exact", "--test-threads=1"])
        .env("ELIVEREC_TASK_VICTIM", format!("{}|{exchange}|{phase}|{shard}", logs.display()))
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let has_bytes = |file: std::io::Result<fs_err::DirEntry>| {
        file.is_ok_and(|file| file.metadata().is_ok_and(|file| file.len() > 0))
    };
    // Not after a time but with its first bytes, whatever the machine's speed.
    let has_begun = || fs_err::read_dir(&folder).is_ok_and(|mut files| files.any(has_bytes));
    while !has_begun() && child.try_wait().unwrap().is_none() {
        std::thread::yield_now();
    }
    child.kill().unwrap();
    // Without a code it ended by the signal, in the middle of its work.
    let record = folder.with_extension("json");
    if child.wait().unwrap().code().is_none() && !record.exists() {
        return true;
    }
    fs_err::remove_file(record).unwrap();
    false
}

/// A task of each phase is killed with its files on their way, and run again.
#[test]
fn killed_tasks_change_no_byte() {
    let shape = Shape { requests: 20_000, events: 20_000, days: 4, grain_ms: 1_000 };
    let site = Site::new(&contradicting(shape, 3));
    site.run(&config());
    let at = At::new(&site, "job");
    for phase in [Phase::Channels, Phase::Products, Phase::Users] {
        let killed = (0..10).any(|_| kill_half_way(&at, phase, "1/2"));
        assert!(killed, "{phase}: every kill came after the end; make the log larger");
        if phase == Phase::Channels {
            let message = at.try_task(Phase::Products, shard("0/2")).unwrap_err();
            assert!(message.contains("channels/0-of-2.json: is not there; run"), "{message}");
        }
        assert!(at.tasks(phase, 2).iter().all(|task| !task.was_done));
    }
    let feeds = site.other("of-job");
    at.try_gather(2, &feeds).unwrap();
    assert!(files(&feeds) == files(&site.feeds()));
}

#[test]
fn what_does_not_belong_together_is_refused() {
    let site = Site::new(&events(SHAPE, 4));
    let at = At::new(&site, "job");
    for phase in [Phase::Channels, Phase::Products, Phase::Users] {
        at.tasks(phase, 2);
    }
    let feeds = site.other("of-job");
    let refused = |at: &At<'_>, shards, words: &str| {
        let message = at.try_gather(shards, &feeds).unwrap_err();
        assert!(message.contains(words), "{message}");
        assert!(!feeds.exists(), "{words}");
    };
    refused(
        &at,
        4,
        "channels/0-of-4.json: is not there; run `eliverec samples --phase channels --shard 0/4`",
    );
    let other = At { program: "another", ..At::new(&site, "job") };
    refused(&other, 2, "was made by another program (tests; this is another)");
    let mut other = At::new(&site, "job");
    other.config.attribution_window_ms = 5;
    refused(&other, 2, "was made with other settings or for other days");
    let message = other.try_task(Phase::Users, shard("0/2")).unwrap_err();
    assert!(message.contains("products 0/2 was made with other settings"), "{message}");
    // A task is done again when the log has changed, and those after it are refused until they are, too.
    let from = site.logs().join("events/date=2024-06-01/part-00000.parquet");
    fs_err::copy(&from, site.logs().join("events/date=2024-06-02/_hidden")).unwrap();
    at.try_gather(2, &site.other("of-job-2")).unwrap();
    fs_err::remove_file(&from).unwrap();
    refused(
        &at,
        2,
        "of another state of the log (events/date=2024-06-01/part-00000.parquet is gone)",
    );
    let again = at.tasks(Phase::Channels, 2);
    assert!(again[0].notes[0].contains("done again, for what it had made was made of another"));
    refused(&at, 2, "the task products 0/2 was made of another state of the log");
    // Files that are not what was written.
    at.tasks(Phase::Products, 2);
    at.tasks(Phase::Users, 2);
    let of_users = files(&at.exchange.join("users/1-of-2"));
    for (name, bytes) in of_users {
        let half = &bytes[..bytes.len() / 2];
        fs_err::write(at.exchange.join("users/1-of-2").join(name), half).unwrap();
    }
    refused(&at, 2, "it is damaged: remove the record of the task that made it");
    let record = at.exchange.join("users/1-of-2.json");
    fs_err::write(&record, "{").unwrap();
    refused(&at, 2, "users/1-of-2.json: does not parse");
    fs_err::remove_file(&record).unwrap();
    at.tasks(Phase::Users, 2);
    at.try_gather(2, &feeds).unwrap();
}

/// Rows that are no events are set aside and counted as by one process.
#[test]
fn lenient_jobs_set_wrong_rows_aside() {
    let site = Site::new(&events(SHAPE, 1));
    misplaced(&site);
    let message = At::new(&site, "strict").try_task(Phase::Channels, shard("1/2")).unwrap_err();
    let expected = samples(&site.logs(), &site.feeds(), &config(), |_| ()).unwrap_err().to_string();
    assert_eq!(message, expected);
    let lenient = SampleConfig { lenient: true, ..config() };
    let whole = site.run(&lenient);
    let at = At { config: lenient, ..At::new(&site, "job") };
    let (summary, made) = at.run(3);
    assert_eq!(summary, whole);
    assert!(made == files(&site.feeds()));
}

/// A job completes a directory like one process does, and one that was killed goes on.
#[test]
fn days_that_are_there_are_kept() {
    let site = Site::new(&events(SHAPE, 5));
    site.run(&config());
    let feeds = site.other("of-job");
    site.run_to(&feeds, &SampleConfig { to: Some(day(1)), ..config() });
    let at = At::new(&site, "job");
    for phase in [Phase::Channels, Phase::Products, Phase::Users] {
        at.tasks(phase, 2);
    }
    let first = at.try_gather(2, &feeds).unwrap();
    assert!(first.adds_up() && first.refused.contains_key(&Refusal::DayKept), "{first}");
    let made: Vec<Made> = first.days.iter().map(|day| day.made).collect();
    assert_eq!(made, [Made::Before, Made::Before, Made::Now, Made::Now]);
    assert!(files(&feeds) == files(&site.feeds()));
    fs_err::remove_file(feeds.join(format!("train/{}.parquet", day(1)))).unwrap();
    at.try_gather(2, &feeds).unwrap();
    assert!(files(&feeds) == files(&site.feeds()));
}
