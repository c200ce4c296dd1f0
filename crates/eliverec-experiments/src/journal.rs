//! Which experiments ran when: a line of JSON for each change, beside the log of events, so that whoever reports knows which shares
//! were meant at any moment.

use std::io::{ErrorKind, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::error::Error;
use crate::file::Experiments;

/// A line.
#[derive(Serialize, Deserialize)]
struct Line<'a> {
    /// From when, milliseconds since 1970 UTC.
    at: i64,
    #[serde(borrow)]
    experiments: &'a RawValue,
}

/// Keeps that these experiments run from `at_ms` on (milliseconds since 1970 UTC) in the file at `path`, on disk when this returns;
/// whether they are others than those before. Lines are `{"at":MS,"experiments":{"layers":[...]}}`, the oldest first, none earlier than
/// the one before it. No experiments where there were none make no line.
///
/// # Errors
/// [`Error::Journal`], and what the file system refuses; the journal stays as it is.
pub fn keep(path: &Path, at_ms: i64, experiments: &Experiments) -> Result<bool, Error> {
    let mut text = match fs_err::read_to_string(path) {
        Err(e) if e.kind() == ErrorKind::NotFound => String::new(),
        read => read?,
    };
    let failed = |line: usize, e: serde_json::Error| Error::Journal {
        path: path.into(),
        line,
        reason: e.to_string(),
    };
    let mut last: Option<Line<'_>> = None;
    for (i, line) in text.lines().enumerate() {
        last = Some(serde_json::from_str(line).map_err(|e| failed(i + 1, e))?);
    }
    let next = text.lines().count() + 1;
    let now = serde_json::value::to_raw_value(experiments).map_err(|e| failed(next, e))?;
    let is_as_before = match &last {
        Some(last) => last.experiments.get() == now.get(),
        None => experiments.is_empty(),
    };
    if is_as_before {
        return Ok(false);
    }
    let at = last.map_or(0, |last| last.at).max(at_ms);
    let line = Line { at, experiments: &now };
    let line = serde_json::to_string(&line).map_err(|e| failed(next, e))?;
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    text.push_str(&line);
    text.push('\n');
    let mut partial = std::ffi::OsString::from(".");
    partial.push(path.file_name().unwrap_or_default());
    partial.push(".partial");
    let partial = path.with_file_name(partial);
    let mut file = fs_err::File::create(&partial)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs_err::rename(&partial, path)?;
    // Only Unix can open a directory as a file; elsewhere the rename itself is durable enough.
    if let Some(folder) = path.parent().filter(|_| cfg!(unix)) {
        fs_err::File::open(folder)?.sync_all()?;
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use eliverec_retrieval::RetrievalConfig;
    use serde_json::Value;

    use super::*;

    fn experiments(slots: &str) -> Experiments {
        let text = format!(
            "[[layers]]\nname = \"a\"\nsalt = \"a\"\n[[layers.buckets]]\nname = \"b\"\nslots = [\"{slots}\"]"
        );
        Experiments::parse(&text, Path::new("x"), &RetrievalConfig::default()).unwrap()
    }

    #[test]
    fn a_change_is_a_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("experiments.jsonl");
        let none = Experiments::default();
        assert!(!keep(&path, 5, &none).unwrap());
        assert!(!path.exists());
        assert!(keep(&path, 10, &experiments("0-32")).unwrap());
        assert!(!keep(&path, 20, &experiments("0-32")).unwrap());
        assert!(keep(&path, i64::MIN, &experiments("0-33")).unwrap());
        assert!(keep(&path, 30, &none).unwrap());
        let text = fs_err::read_to_string(&path).unwrap();
        let lines: Vec<Value> = text.lines().map(|of| serde_json::from_str(of).unwrap()).collect();
        let of = |line: &Value| {
            (line["at"].clone(), line["experiments"]["layers"][0]["buckets"][0]["share"].clone())
        };
        let found: Vec<_> = lines.iter().map(of).collect();
        assert_eq!(
            found,
            [(10.into(), 0.0033.into()), (10.into(), 0.0034.into()), (30.into(), Value::Null)]
        );
        fs_err::write(&path, format!("{text}x")).unwrap();
        let damaged = keep(&path, 40, &none).unwrap_err().to_string();
        assert!(damaged.contains("experiments.jsonl: line 4 is no line of a journal"), "{damaged}");
    }
}
