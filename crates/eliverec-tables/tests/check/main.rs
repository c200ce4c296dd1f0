//! Each check finds its fault where it is planted, and nothing is found in data that is as it should be.

#![expect(clippy::unwrap_used, reason = "a fixture that fails fails its test")]

#[path = "../feed_files/mod.rs"]
mod feed_files;
mod feeds;
mod log;
mod page;

use eliverec_tables::check::{Check, Checked, Finding, Level};

/// The findings of a check.
fn of<'a>(checked: &'a Checked, check: &str) -> Vec<&'a Finding> {
    checked.findings.iter().filter(|finding| finding.check == check).collect()
}

/// Asserts that a check found something at this level, in this place, and tells counts and advice of it.
fn assert_found(checked: &Checked, check: &str, level: Level, place: &str) {
    let findings = of(checked, check);
    let found = findings.iter().find(|f| f.level == level && f.place.contains(place));
    let found = found.unwrap_or_else(|| panic!("{check} at {place}: {:#?}", checked.findings));
    assert!(found.count <= found.of || found.of == 0, "{found:?}");
    assert!(!found.says.is_empty() && !found.advice.is_empty(), "{found:?}");
}

/// Asserts that nothing above a note was found.
fn assert_clean(checked: &Checked) {
    assert!(checked.worst() <= Some(Level::Note), "{:#?}", checked.findings);
}

/// Asserts that every check of a list has a test.
fn assert_all_planted(checks: &[&Check], planted: &[&str]) {
    for check in checks {
        assert!(planted.contains(&check.name), "no test plants {}", check.name);
    }
    assert_eq!(checks.len(), planted.len(), "a test plants what is no check");
}
