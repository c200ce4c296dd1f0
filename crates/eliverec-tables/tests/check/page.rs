//! The page of the documentation that lists the checks.

use std::path::Path;

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
