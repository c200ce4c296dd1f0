//! Days, splits, threads, memory, and runs that end half-way.

use std::cell::{Cell, RefCell};
use std::process::Command;

use eliverec_samples::{LEAST_MEMORY_BYTES, Made, SampleConfig, SampleProgress, samples};
use eliverec_tables::Split;

use crate::logs::{Shape, Site, config, day, events, files, read};

const SHAPE: Shape = Shape { requests: 400, events: 2_000, days: 4, grain_ms: 1_000 };

fn names(site: &Site) -> Vec<String> {
    let names = files(&site.feeds()).into_iter().map(|(name, _)| name);
    names.filter(|name| name.ends_with(".parquet")).collect()
}

#[test]
fn the_last_days_are_held_out() {
    let site = Site::new(&events(SHAPE, 1));
    let summary = site.run(&config());
    assert_eq!(
        names(&site),
        [
            "test/2024-06-03.parquet",
            "train/2024-05-31.parquet",
            "train/2024-06-01.parquet",
            "validation/2024-06-02.parquet"
        ]
    );
    let feeds = read(&site.feeds());
    assert_eq!(feeds.len() as u64, summary.feeds());
    assert!(feeds.is_sorted_by_key(|(_, feed)| (feed.ts_ms, feed.request_id)));
    let of_test = feeds.iter().filter(|(split, _)| *split == Split::Test).count();
    assert_eq!(of_test as u64, summary.days[3].feeds);
    assert!(!site.feeds().join(".spill").exists());
}

/// The bytes are those of one thread whatever the number of threads and however little memory there is.
#[test]
fn threads_and_memory_change_no_byte() {
    let shape = Shape { requests: 30_000, events: 250_000, days: 4, grain_ms: 1_000 };
    let site = Site::new(&events(shape, 2));
    let run = |name: &str, threads, memory_limit_bytes| {
        let (feeds, spilled) = (site.other(name), Cell::new(0));
        let config = SampleConfig { threads, memory_limit_bytes, ..config() };
        let report =
            |progress: SampleProgress| spilled.set(spilled.get().max(progress.spilled_bytes));
        samples(&site.logs(), &feeds, &config, report).unwrap();
        (files(&feeds), spilled.get())
    };
    let (one, spilled) = run("one", 1, 8 << 30);
    assert_eq!(spilled, 0);
    for (name, threads) in [("three", 3), ("two", 2)] {
        assert!(run(name, threads, 8 << 30).0 == one, "{name} threads differ");
        let little =
            run(&format!("{name} with little memory"), threads, threads * LEAST_MEMORY_BYTES);
        assert!(little.0 == one, "{name} threads with little memory differ");
        assert!(little.1 > 0, "{name} threads had memory enough: the test is too small");
    }
}

/// Later days are added to what is there, and the splits move on; the result is that of one run.
#[test]
fn days_can_be_added() {
    let site = Site::new(&events(SHAPE, 3));
    let whole = site.other("whole");
    site.run_to(&whole, &config());
    let first = site.run(&SampleConfig { to: Some(day(1)), ..config() });
    assert_eq!(
        first.days.iter().map(|day| day.split).collect::<Vec<_>>(),
        [Split::Validation, Split::Test]
    );
    let second = site.run(&SampleConfig { from: Some(day(1)), ..config() });
    let made: Vec<Made> = second.days.iter().map(|day| day.made).collect();
    assert_eq!(made, [Made::NotAsked, Made::Before, Made::Now, Made::Now]);
    assert!(files(&site.feeds()) == files(&whole));
    // All there is nothing to do.
    let third = site.run(&config());
    assert!(third.days.iter().all(|day| day.made == Made::Before), "{third}");
    assert!(files(&site.feeds()) == files(&whole));
}

/// A log that has lost its days is refused, and what is known of the feeds stays known.
#[test]
fn a_log_without_days_changes_nothing() {
    let site = Site::new(&events(SHAPE, 4));
    site.run(&config());
    let whole = files(&site.feeds());
    let (days, away) = (site.logs().join("events"), site.other("away"));
    fs_err::rename(&days, &away).unwrap();
    fs_err::create_dir(&days).unwrap();
    samples(&site.logs(), &site.feeds(), &config(), |_| ()).unwrap_err();
    assert!(files(&site.feeds()) == whole);
    fs_err::remove_dir(&days).unwrap();
    fs_err::rename(&away, &days).unwrap();
    let again = site.run(&config());
    assert!(again.days.iter().all(|day| day.made == Made::Before), "{again}");
}

/// Whichever files a killed run left, the next makes the others.
#[test]
fn a_missing_day_is_made_again() {
    let site = Site::new(&events(SHAPE, 4));
    site.run(&config());
    let whole = files(&site.feeds());
    for name in names(&site) {
        let file = site.feeds().join(&name);
        let (folder, day) = (file.parent().unwrap(), file.file_name().unwrap().to_str().unwrap());
        fs_err::write(folder.join(format!(".{day}.partial")), b"half").unwrap();
        fs_err::create_dir(site.feeds().join(".spill")).unwrap();
        fs_err::remove_file(&file).unwrap();
        site.run(&config());
        assert!(files(&site.feeds()) == whole, "without {name}");
    }
}

/// Hidden names are somebody's, and stay; what a killed run of this program left of a day is not.
#[test]
fn hidden_names_among_the_feeds_stay() {
    let site = Site::new(&events(SHAPE, 4));
    site.run(&config());
    let train = site.feeds().join("train");
    let kept = [".keep", "_SUCCESS", ".notes.partial"];
    kept.iter().for_each(|name| fs_err::write(train.join(name), "mine").unwrap());
    fs_err::create_dir(train.join(".cache")).unwrap();
    let left = train.join(".2024-05-31.parquet.partial");
    fs_err::write(&left, "half").unwrap();
    site.run(&config());
    assert!(!left.exists() && train.join(".cache").exists());
    for name in kept {
        assert_eq!(fs_err::read_to_string(train.join(name)).unwrap(), "mine", "{name}");
    }
}

/// The name by which this binary runs itself to be killed.
const VICTIM: &str = "days::victim";

/// Makes the feeds that the environment names; without it there is nothing to test.
#[test]
fn victim() {
    let Ok(folder) = std::env::var("ELIVEREC_SAMPLES_VICTIM") else { return };
    let folder = std::path::Path::new(&folder);
    samples(&folder.join("logs"), &folder.join("feeds"), &config(), |_| ()).unwrap();
}

/// Killed after any number of its files have changed, a run leaves whole days, and the next completes them.
#[test]
fn a_killed_run_leaves_whole_days() {
    let shape = Shape { requests: 3_000, events: 3_000, days: 6, grain_ms: 1_000 };
    let site = Site::new(&events(shape, 5));
    let whole = site.other("whole");
    site.run_to(&whole, &config());
    let whole = files(&whole);
    let mut landed = 0;
    for step in 0..20 {
        let folder = site.feeds().parent().unwrap().to_owned();
        let _ = fs_err::remove_dir_all(site.feeds());
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args([VICTIM, "--exact", "--test-threads=1"])
            .env("ELIVEREC_SAMPLES_VICTIM", &folder)
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap();
        // Not after a time but after so many files, whatever the machine's speed.
        let status = loop {
            if let Some(status) = child.try_wait().unwrap() {
                break status;
            }
            if count_files(&site.feeds()) > step / 2 {
                child.kill().unwrap();
            }
            std::thread::yield_now();
        };
        // Without a code it ended by the signal, in the middle of its work.
        landed += usize::from(status.code().is_none());
        if site.feeds().exists() {
            for (name, bytes) in files(&site.feeds()) {
                let day = name.ends_with(".parquet").then(|| name.rsplit('/').next().unwrap());
                if let Some(day) = day {
                    let same =
                        whole.iter().any(|(name, whole)| name.ends_with(day) && *whole == bytes);
                    assert!(same, "{name} is no whole day at step {step}");
                }
            }
        }
        site.run(&config());
        assert!(files(&site.feeds()) == whole, "step {step}");
    }
    assert!(landed >= 15, "only {landed} of 20 kills came before the end");
}

/// Files of all kinds below a folder that may be changing.
fn count_files(folder: &std::path::Path) -> usize {
    let Ok(entries) = fs_err::read_dir(folder) else { return 0 };
    let entries = entries.flatten().map(|entry| entry.path());
    entries.map(|path| if path.is_dir() { count_files(&path) } else { 1 }).sum()
}

/// Feeds of another directory, with the same name and perhaps the same size, are not those of this log.
#[test]
fn a_day_whose_file_is_another_is_made_again() {
    let site = Site::new(&events(SHAPE, 5));
    site.run(&config());
    let whole = files(&site.feeds());
    let day_file = |name: &str| site.feeds().join(format!("train/{name}.parquet"));
    let first = day(0).to_string();
    let bytes = fs_err::read(day_file(&first)).unwrap();
    let mut flipped = bytes.clone();
    flipped[bytes.len() / 2] ^= 1;
    fs_err::write(day_file(&first), flipped).unwrap();
    let summary = site.run(&config());
    let told =
        format!("{first}: made again, for its file of feeds is not the one that was written");
    assert_eq!(summary.notes[0], told);
    let again: Vec<_> = summary.days.iter().filter(|of| of.made == Made::Again).collect();
    assert_eq!(again.iter().map(|of| of.day).collect::<Vec<_>>(), [day(0)]);
    assert!(files(&site.feeds()) == whole);
}

#[test]
fn other_feeds_are_refused() {
    let site = Site::new(&events(SHAPE, 6));
    site.run(&config());
    let fails = |config: &SampleConfig| {
        samples(&site.logs(), &site.feeds(), config, |_| ()).unwrap_err().to_string()
    };
    let message = fails(&SampleConfig { attribution_window_ms: 5, ..config() });
    assert!(message.contains("other settings (attribution_window_ms = 1800000)"), "{message}");
    // A setting that they were made without is named, too, and so is one that is left out.
    let limited = SampleConfig { from: Some(day(1)), history_days: Some(1), ..config() };
    let message = fails(&limited);
    assert!(message.contains("other settings (no history_days, no from); choose"), "{message}");
    let other = site.other("limited");
    site.run_to(&other, &limited);
    let message = samples(&site.logs(), &other, &config(), |_| ()).unwrap_err().to_string();
    assert!(message.contains("(history_days = 1, from = \"2024-06-01\")"), "{message}");
    fs_err::write(site.feeds().join("train/part-00000.parquet"), b"?").unwrap();
    let message = fails(&config());
    assert!(message.contains("part-00000.parquet: no day's feeds"), "{message}");
    let message = fails(&SampleConfig { threads: 0, ..config() });
    assert!(message.contains("threads is 0"), "{message}");
}

#[test]
fn two_processes_do_not_write_one_directory() {
    let site = Site::new(&events(SHAPE, 8));
    fs_err::create_dir_all(site.feeds()).unwrap();
    let other = fs_err::File::open(site.feeds()).unwrap().into_parts().0;
    other.lock().unwrap();
    let message = samples(&site.logs(), &site.feeds(), &config(), |_| ()).unwrap_err().to_string();
    assert!(message.contains("another process makes feeds there"), "{message}");
    drop(other);
    assert!(site.run(&config()).feeds() > 0);
}

#[test]
fn progress_ends_at_the_end() {
    let site = Site::new(&events(SHAPE, 7));
    let reports = RefCell::new(Vec::new());
    let summary =
        samples(&site.logs(), &site.feeds(), &config(), |p| reports.borrow_mut().push(p)).unwrap();
    let last = *reports.borrow().last().unwrap();
    assert_eq!(last.feeds, summary.feeds());
    assert_eq!(last.days_read, last.days_to_read);
    // Three passes: that for channels takes in every row, those for users and products pass over impressions.
    let others = summary.rows_in - summary.impressions_in;
    assert_eq!(last.rows_read, summary.rows_in + 2 * others);
}
