//! How every command that reads feeds or a log ends: with what it read, what it left out and why, and what of the data is not as
//! the documents promise.

use eliverec_tables::check::Checked;
use serde::Serialize;

use super::{print, print_json, tell};

/// Prints the result of a command and what it read: one JSON object, or `text`, what the checks cover in part only, and a line. What was found is told on standard
/// error, too, a line each.
pub(super) fn end(
    json: bool,
    checked: &Checked,
    result: &impl Serialize,
    text: impl FnOnce() -> anyhow::Result<String>,
) -> anyhow::Result<()> {
    if json {
        print_json(&Ending { result, checked })?;
    } else {
        let text = text()?;
        let mut lines = vec![text.trim_end().to_owned()];
        lines.extend(checked.partly_covered().map(|part| format!("covered in part: {part}")));
        lines.push(checked.read.to_string());
        print(&lines.join("\n"))?;
    }
    checked.findings.iter().for_each(|finding| tell(&finding.to_string()));
    Ok(())
}

/// The keys of a command's result, and `read`, `covers` and `findings`.
#[derive(Debug, Serialize)]
struct Ending<'a, T> {
    #[serde(flatten)]
    result: &'a T,
    #[serde(flatten)]
    checked: &'a Checked,
}
