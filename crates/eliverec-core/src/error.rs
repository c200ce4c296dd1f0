//! The crate's errors: sentences that name the value.

/// What can be wrong with a schema, a feed or an event.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The schema file does not parse.
    #[error("schema: {0}")]
    SchemaSyntax(String),
    /// The schema parses but contradicts itself.
    #[error("schema: {field}: {reason}")]
    SchemaField {
        /// Group and field, for example `channel.anchor_id`.
        field: String,
        /// What is wrong and what to do.
        reason: String,
    },
    /// Two schemas that must agree do not.
    #[error("the schema of {found} differs from that of {expected}: {differences}")]
    SchemaMismatch {
        /// Where the expected schema came from.
        expected: String,
        /// Where the other one came from.
        found: String,
        /// The differing fields, separated by semicolons.
        differences: String,
    },
    /// A value of a feed cannot be used.
    #[error("{field}: {reason}")]
    Feed {
        /// Column, with list position where there is one, for example `candidates[3].stay_s`.
        field: String,
        /// What is wrong.
        reason: String,
    },
    /// A value of an event cannot be used.
    #[error("{field}: {reason}")]
    Event {
        /// Column of the log.
        field: &'static str,
        /// What is wrong.
        reason: String,
    },
    /// A table of users, products or channels cannot be used.
    #[error("{table}s: {}{field}: {reason}", place(*.row))]
    Table {
        /// Whose table: `user`, `product` or `channel`.
        table: &'static str,
        /// The row, from 0, if one is at fault.
        row: Option<u64>,
        /// The column.
        field: String,
        /// What is wrong.
        reason: String,
    },
}

/// Whether an error of the system is the fault of what was asked for: what stands at a place that somebody named is of another
/// kind than is needed, such as a file where a directory should be, or does not hold what it should. A missing file is no such
/// case, for it may be one of the program's own.
pub fn is_wrong_input(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{
        AlreadyExists, InvalidData, InvalidFilename, IsADirectory, NotADirectory, NotSeekable,
    };
    let kinds =
        [AlreadyExists, InvalidData, InvalidFilename, IsADirectory, NotADirectory, NotSeekable];
    kinds.contains(&error.kind())
}

/// An error and its causes in one line; a cause that the words before it have told already is not told again.
pub fn line(error: &dyn std::error::Error) -> String {
    let mut line = String::new();
    let mut next = Some(error);
    while let Some(cause) = next {
        let words = cause.to_string();
        let words = printable(&words.split_whitespace().collect::<Vec<_>>().join(" "));
        if line.is_empty() {
            line = words;
        } else if !line.contains(&words) {
            line = format!("{line}: {words}");
        }
        next = cause.source();
    }
    line
}

/// A text for a terminal: what could move its cursor or change its colours, such as a name out of somebody's data, as an escape.
pub fn printable(text: &str) -> String {
    let is_plain = |c: char| !c.is_control() || c == '\n' || c == '\t';
    let shown = |c: char| if is_plain(c) { c.to_string() } else { c.escape_default().to_string() };
    text.chars().map(shown).collect()
}

fn place(row: Option<u64>) -> String {
    row.map_or_else(|| "column ".into(), |row| format!("row {row}: "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_would_obey_is_escaped() {
        assert_eq!(printable("a\tb\nü"), "a\tb\nü");
        assert_eq!(printable("\u{1b}[31mred\r\u{7}"), "\\u{1b}[31mred\\r\\u{7}");
        let error = Error::Feed { field: "\u{1b}[2J".into(), reason: "is\n wrong".into() };
        assert_eq!(line(&error), "\\u{1b}[2J: is wrong");
    }
}
