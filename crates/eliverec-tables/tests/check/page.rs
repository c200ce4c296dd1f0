//! The pages of the documentation that list the checks, and what is promised of the data.

use std::path::Path;

use eliverec_core::event::CLOCK_TOLERANCE_MS;
use eliverec_core::no_row::{NO_ROW_ID, is_no_number};
use eliverec_tables::check::{self, Check};
use eliverec_tables::events;

#[test]
fn the_page_lists_every_check() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/checks.md");
    let page = fs_err::read_to_string(page).unwrap();
    for (of, checks) in [("feeds", check::CHECKS), ("logs", events::check::CHECKS)] {
        let table = table(checks);
        let block = format!("<!-- checks of {of} -->\n{table}<!-- end -->\n");
        assert!(page.contains(&block), "docs/checks.md must have this table of {of}:\n{table}");
    }
}

fn table(checks: &[&Check]) -> String {
    let row = |check: &&Check| {
        let Check { name, finds, advice } = check;
        format!("| `{name}` | {finds} | {advice} |\n")
    };
    let rows: String = checks.iter().map(row).collect();
    format!("| check | finds | what to do |\n| --- | --- | --- |\n{rows}")
}

/// The pages' tables of promises name checks that there are, and those of broken identity and order are all named.
#[test]
fn the_promises_name_checks_that_there_are() {
    for (page, checks, named) in [
        (
            "feeds",
            check::CHECKS,
            &[
                "request_twice",
                "splits_share_requests",
                "splits_out_of_order",
                "time_unit",
                "not_oldest_first",
                "age_unit",
                "log_below_zero",
                "ids_never_meet",
                "field_tells_label",
                "position_tells_label",
                "split_empty",
            ][..],
        ),
        (
            "logs",
            events::check::CHECKS,
            &["ids_without_row", "ids_not_kept", "events_late", "event_twice"],
        ),
    ] {
        let path = format!("{}/../../docs/{page}.md", env!("CARGO_MANIFEST_DIR"));
        let page = fs_err::read_to_string(path).unwrap();
        let table =
            page.split("## What is promised").nth(1).unwrap().split("\n## ").next().unwrap();
        let rows =
            table.lines().filter(|line| line.contains("check `") || line.contains("checks `"));
        let checked: Vec<&str> = rows.filter_map(|line| line.split('|').nth(2)).collect();
        let names = checked.iter().flat_map(|cell| cell.split('`').skip(1).step_by(2));
        let names: Vec<&str> = names.collect();
        for name in &names {
            assert!(checks.iter().any(|check| check.name == *name), "no check {name}");
        }
        assert_eq!(names, named);
        // What is checked by name is told as a finding, what is refused or told otherwise has no such name.
        for line in table.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| -"))
        {
            let cells: Vec<&str> = line.split('|').collect();
            let has_check = cells[2].contains("check `") || cells[2].contains("checks `");
            assert!(!has_check || cells[3].contains("finding"), "{line}");
            let known = ["refused", "told", "the same", "dropped", "if it is broken"];
            assert!(has_check || known.iter().any(|word| cells[3].contains(word)), "{line}");
        }
        // Those that every command makes are said to be, and no others.
        for row in &checked {
            let of_each = row.trim_start().starts_with("each command");
            for name in row.split('`').skip(1).step_by(2) {
                let is_promised = check::PROMISED.iter().any(|check| check.name == name);
                assert!(of_each == is_promised, "{row}");
            }
        }
    }
    let page = format!("{}/../../docs/feeds.md", env!("CARGO_MANIFEST_DIR"));
    let page = fs_err::read_to_string(page).unwrap();
    assert!(page.contains(&format!("the id {NO_ROW_ID} ")) && page.contains("| -3.4028235e38, "));
    assert!(is_no_number(-3.402_823_5e38));
    let page = format!("{}/../../docs/logs.md", env!("CARGO_MANIFEST_DIR"));
    let tolerance = format!("not more than {} minutes, by which", CLOCK_TOLERANCE_MS / 60_000);
    assert!(fs_err::read_to_string(page).unwrap().contains(&tolerance));
}
