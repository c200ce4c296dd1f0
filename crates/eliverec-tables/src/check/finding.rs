//! What can be found, and what was.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use serde::Serialize;

use super::sample::ONE_IN;
use crate::listing::is_hidden;

/// What is said of requests that could not be compared.
pub(super) const NOT_COMPARED: &str = "not compared, for they cannot be read";

/// Something that can be found.
#[derive(Debug, PartialEq, Eq)]
pub struct Check {
    /// What a finding is called.
    pub name: &'static str,
    /// What it finds, for the documentation.
    pub finds: &'static str,
    /// What to do about it.
    pub advice: &'static str,
}

/// How much a finding matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// Worth knowing; often as it should be.
    Note,
    /// Training learns less than it could.
    Warning,
    /// Training, or what is measured after it, is of no use.
    Severe,
}

impl Level {
    /// Its name in tables.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Severe => "severe",
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Something that was found.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Finding {
    /// The name of its [`Check`].
    pub check: &'static str,
    /// How much it matters.
    pub level: Level,
    /// Where: a split and a field, a vocabulary, a table.
    pub place: String,
    /// What is so, with the figures.
    pub says: String,
    /// How many are so.
    pub count: u64,
    /// Of how many.
    pub of: u64,
    /// What to do.
    pub advice: &'static str,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { check, level, place, says, advice, .. } = self;
        write!(f, "{level} {check}: {place}: {says}; {advice}")
    }
}

impl Finding {
    /// `count / of`; 0 of none.
    pub fn share(&self) -> f64 {
        share(self.count, self.of)
    }
}

/// A part of the data that was read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Part {
    /// A split, or a folder or table of a log.
    pub name: String,
    /// Its files.
    pub files: u64,
    /// Their rows.
    pub rows: u64,
    /// Channels shown in them, where they were counted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub impressions: Option<u64>,
}

/// What a command read, and what it left out and why.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Read {
    /// Files of all parts.
    pub files: u64,
    /// Rows of all parts.
    pub rows: u64,
    /// Splits of feeds, events and tables of a log.
    pub parts: Vec<Part>,
    /// Files and folders that were passed over, for their names begin with `.` or `_`, or for they lie beside what is read and
    /// hold no data.
    pub skipped: Vec<PathBuf>,
    /// Rows that were read and not used, by reason.
    pub left_out: BTreeMap<String, u64>,
}

impl Read {
    /// What was read of some parts.
    pub fn of(parts: Vec<Part>, skipped: Vec<PathBuf>) -> Self {
        Self {
            files: parts.iter().map(|part| part.files).sum(),
            rows: parts.iter().map(|part| part.rows).sum(),
            parts,
            skipped,
            left_out: BTreeMap::new(),
        }
    }

    /// Counts more rows that were read and not used, by reason.
    pub(crate) fn leave_out(&mut self, reasons: &BTreeMap<String, u64>) {
        for (reason, rows) in reasons {
            *self.left_out.entry(reason.clone()).or_default() += rows;
        }
    }
}

impl fmt::Display for Read {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "read {} files, {} rows", self.files, self.rows)?;
        let parts = self.parts.iter().filter(|part| part.rows > 0);
        let parts: Vec<String> = parts.map(|part| format!("{} {}", part.name, part.rows)).collect();
        if parts.len() > 1 {
            write!(f, " ({})", parts.join(", "))?;
        }
        if !self.left_out.is_empty() {
            let reasons = self.left_out.iter().map(|(reason, rows)| format!("{reason} {rows}"));
            write!(f, "; left out: {}", reasons.collect::<Vec<_>>().join(", "))?;
        }
        let is_hidden =
            |path: &&PathBuf| is_hidden(&path.file_name().unwrap_or_default().to_string_lossy());
        let (hidden, others): (Vec<&PathBuf>, Vec<&PathBuf>) =
            self.skipped.iter().partition(is_hidden);
        for (paths, why) in
            [(hidden, "whose names begin with . or _"), (others, "that are no part of the data")]
        {
            if !paths.is_empty() {
                let names: Vec<String> =
                    paths.iter().map(|path| path.display().to_string()).collect();
                write!(f, "; passed over {} {why}: {}", names.len(), names.join(", "))?;
            }
        }
        Ok(())
    }
}

/// What was read and what was found, worst first: how every command that reads feeds or a log ends.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Checked {
    /// What was read.
    pub read: Read,
    /// What the checks that remember ids cover.
    pub covers: Vec<String>,
    /// By level, the worst first; within one, in the order of the checks.
    pub findings: Vec<Finding>,
}

impl Checked {
    /// With the findings of some checks in the order of their list.
    pub(crate) fn new(
        read: Read,
        covers: Vec<String>,
        findings: Findings,
        checks: &[&Check],
    ) -> Self {
        let mut findings = findings.0;
        let place = |name: &str| checks.iter().position(|check| check.name == name);
        findings.sort_by_key(|finding| (Reverse(finding.level), place(finding.check)));
        Self { read, covers, findings }
    }

    /// With what was read, and found, elsewhere.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        let Read { files, rows, parts, skipped, left_out } = other.read;
        self.read.files += files;
        self.read.rows += rows;
        self.read.parts.extend(parts);
        self.read.skipped.extend(skipped);
        self.read.leave_out(&left_out);
        self.covers.extend(other.covers);
        self.findings.extend(other.findings);
        self.findings.sort_by_key(|finding| Reverse(finding.level));
        self
    }

    /// Of what the checks cover, that which they do not wholly.
    pub fn partly_covered(&self) -> impl Iterator<Item = &String> {
        self.covers.iter().filter(|line| line.contains(ONE_IN) || line.contains(NOT_COMPARED))
    }

    /// The worst level; `None` if nothing was found.
    pub fn worst(&self) -> Option<Level> {
        self.findings.first().map(|finding| finding.level)
    }
}

/// The findings so far.
#[derive(Debug, Default)]
pub(crate) struct Findings(Vec<Finding>);

impl Findings {
    /// Adds that `count` of `of` are as `says` has it.
    pub(crate) fn add(
        &mut self,
        check: &'static Check,
        level: Level,
        place: impl Into<String>,
        (count, of): (u64, u64),
        says: String,
    ) {
        let (check, advice) = (check.name, check.advice);
        self.0.push(Finding { check, level, place: place.into(), says, count, of, advice });
    }
}

/// `count / of`; 0 of none.
pub(crate) fn share(count: u64, of: u64) -> f64 {
    count as f64 / of.max(1) as f64
}

/// A share for people: whole per cent, but never 0 % or 100 % for some.
pub(crate) fn percent(count: u64, of: u64) -> String {
    match share(count, of) {
        share if count > 0 && share < 0.01 => "less than 1 %".into(),
        share if count < of && share > 0.99 => "more than 99 %".into(),
        share => format!("{:.0} %", share * 100.0),
    }
}

/// The level that a share has, by the shares above which it is one; `None` below all of them.
pub(crate) fn level_of(share: f64, note: f64, warning: f64, severe: f64) -> Option<Level> {
    let levels = [(severe, Level::Severe), (warning, Level::Warning), (note, Level::Note)];
    levels.into_iter().find(|(above, _)| share > *above).map(|(_, level)| level)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn some_are_never_told_as_none_or_all() {
        assert_eq!(percent(1, 1_000), "less than 1 %");
        assert_eq!(percent(999, 1_000), "more than 99 %");
        assert_eq!(percent(0, 10), "0 %");
        assert_eq!(percent(10, 10), "100 %");
        assert_eq!(percent(1, 3), "33 %");
        assert_eq!(share(0, 0), 0.0);
    }

    #[test]
    fn a_share_has_the_worst_level_that_it_passes() {
        assert_eq!(level_of(0.1, 0.1, 0.5, 0.9), None);
        assert_eq!(level_of(0.2, 0.1, 0.5, 0.9), Some(Level::Note));
        assert_eq!(level_of(0.6, 0.1, 0.5, 0.9), Some(Level::Warning));
        assert_eq!(level_of(1.0, 0.1, 0.5, 0.9), Some(Level::Severe));
    }
}
