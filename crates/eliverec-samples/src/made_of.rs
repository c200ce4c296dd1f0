//! What the days of a feed directory were made of, kept beside them, so that a rerun knows which of them would come out
//! otherwise now.
//!
//! The feeds of a day are a function of the folders of the log up to that of the day after ([`crate::scan`] leaves out what
//! arrives later). So a day stays as it is while those folders have the files that it was made of, and is made again when one of
//! them has come, changed or gone, and when its own file is not the one that was written. This is the rule for the days whose labels are still arriving, too: the folder of
//! the day after comes or grows, and they are made again until it is followed by another. Folders that the log has dropped at its
//! beginning change nothing; the days made of them stay. Days that were made while they were away are made again when they are back.
//!
//! And a day stays only if it was made with the settings that are asked for: they stand here, too, so that days are not taken for those
//! of other settings when `samples.toml` is gone or was edited.
//!
//! Not by the clock: which arrivals are there says the log, whatever time it is.

use std::collections::BTreeMap;
use std::path::Path;

use eliverec_core::checksum::Checksum;
use eliverec_core::regular;
use eliverec_tables::events::{Day, Marks};
use eliverec_tables::layout::SAMPLES_FILES;
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::log_files::LogFiles;
use crate::text_file::{read, write};

/// What the feeds of a directory were made of.
pub const MADE_OF_FILE: &str = SAMPLES_FILES[1];

const HEAD: &str = "\
# What the feeds of these days were made of, as `eliverec samples` found it: the log's tables, and its files by day of arrival.
# A day is made again when a file up to the day after it has come, changed or gone, or when its own file of feeds is not the one that
# was written.
";

/// Days of feeds, and the files that they were made of.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct MadeOf {
    /// Those whose feeds are what the files give.
    pub(crate) days: BTreeMap<Day, MadeDay>,
    pub(crate) files: LogFiles,
    /// What they were made with, as `samples.toml` has it; `None` of a program that did not keep it here.
    pub(crate) settings: Option<String>,
}

/// A day's feeds, and what of the log is not the same for all days.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct MadeDay {
    /// What its own file is known by.
    pub(crate) mark: String,
    /// The first day that the log had then.
    pub(crate) log_from: Option<Day>,
    /// By what the tables of then are known.
    pub(crate) tables: String,
}

/// By what a file of feeds is known.
pub(crate) fn mark_of(path: &Path) -> Result<String, Error> {
    let (bytes, checksum) = Checksum::of(regular::open(path)?)?;
    Ok(format!("{bytes} bytes, content {:016x}", checksum.value()))
}

impl MadeOf {
    /// Reads it; `None` if it is not there. Days without a mark get that of the file that is `there`.
    pub(crate) fn read(path: &Path, there: &BTreeMap<Day, String>) -> Result<Option<Self>, Error> {
        let Some(text) = read(path)? else { return Ok(None) };
        let wrong = |reason: String| Error::Damaged { path: path.into(), reason };
        let file: Text =
            toml::from_str(&text).map_err(|e| wrong(format!("does not parse: {}", e.message())))?;
        let day = |text: &str| text.parse::<Day>().map_err(wrong);
        let mut days = BTreeMap::new();
        for (of, files) in file.files {
            days.insert(day(&of)?, files);
        }
        let files = LogFiles { tables: file.tables, days };
        let (first, tables) = (files.first(), files.known_tables());
        // A program before did not mark them: what is there is taken for what was written.
        let mut made = BTreeMap::new();
        for text in file.days {
            let of = day(&text)?;
            let mark = file.feeds.get(&text).or_else(|| there.get(&of)).cloned();
            let log_from = file.log_from.get(&text).map(|text| day(text)).transpose()?.or(first);
            let tables = file.tables_then.get(&text).unwrap_or(&tables).clone();
            made.extend(mark.map(|mark| (of, MadeDay { mark, log_from, tables })));
        }
        Ok(Some(Self { days: made, files, settings: file.settings }))
    }

    /// Puts it on disk, whole.
    pub(crate) fn write(&self, path: &Path) -> Result<(), Error> {
        let (first, tables) = (self.files.first(), self.files.known_tables());
        let other_from = |(day, made): (&Day, &MadeDay)| {
            let from = made.log_from.filter(|from| Some(*from) != first)?;
            Some((day.to_string(), from.to_string()))
        };
        let other_tables = |(day, made): (&Day, &MadeDay)| {
            (made.tables != tables).then(|| (day.to_string(), made.tables.clone()))
        };
        let mark = |(day, made): (&Day, &MadeDay)| (day.to_string(), made.mark.clone());
        let text = Text {
            settings: self.settings.clone(),
            days: self.days.keys().map(Day::to_string).collect(),
            feeds: self.days.iter().map(mark).collect(),
            log_from: self.days.iter().filter_map(other_from).collect(),
            tables_then: self.days.iter().filter_map(other_tables).collect(),
            tables: self.files.tables.clone(),
            files: self.files.days.iter().map(|(day, of)| (day.to_string(), of.clone())).collect(),
        };
        let text = toml::to_string(&text).map_err(|e| Error::Feeds {
            path: path.into(),
            reason: format!("cannot be written: {e}"),
        })?;
        write(path, &format!("{HEAD}{text}"))
    }
}

/// The file's content.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Text {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    settings: Option<String>,
    days: Vec<String>,
    /// By day.
    #[serde(default)]
    feeds: Marks,
    /// The log's first day by day of feeds, where it was another than that of the files.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    log_from: BTreeMap<String, String>,
    /// By what the tables were known by day of feeds, where they were others than the tables.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    tables_then: BTreeMap<String, String>,
    #[serde(default)]
    tables: Marks,
    #[serde(default)]
    files: BTreeMap<String, Marks>,
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn day(number: i32) -> Day {
        "2024-05-31".parse::<Day>().unwrap().plus(number).unwrap()
    }

    /// A log with one file on each of some days.
    pub(crate) fn files(days: &[i32]) -> LogFiles {
        let marks = |of: i32| Marks::from([(format!("file {of}"), "as it was".to_owned())]);
        LogFiles {
            tables: Marks::from([("users.parquet".into(), "as it was".into())]),
            days: days.iter().map(|of| (day(*of), marks(*of))).collect(),
        }
    }

    /// Files of feeds as they were written.
    pub(crate) fn made(of: &[i32]) -> BTreeMap<Day, String> {
        of.iter().map(|of| (day(*of), format!("feeds {of}"))).collect()
    }

    /// The same as days that were made of a log.
    fn made_of(of: &[i32], log: &LogFiles) -> BTreeMap<Day, MadeDay> {
        let (log_from, tables) = (log.first(), log.known_tables());
        let day = |(day, mark)| (day, MadeDay { mark, log_from, tables: tables.clone() });
        made(of).into_iter().map(day).collect()
    }

    pub(crate) fn before(of: &[i32], log: &[i32]) -> MadeOf {
        let files = files(log);
        MadeOf { days: made_of(of, &files), files, settings: None }
    }

    #[test]
    fn days_of_a_program_that_did_not_mark_them_are_taken_as_they_are() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(MADE_OF_FILE);
        fs_err::write(&path, "days = [\"2024-05-31\", \"2024-06-01\"]").unwrap();
        let read = MadeOf::read(&path, &made(&[0])).unwrap().unwrap();
        assert_eq!(read.days, made_of(&[0], &LogFiles::default()));
    }

    #[test]
    fn the_file_comes_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(MADE_OF_FILE);
        assert_eq!(MadeOf::read(&path, &BTreeMap::new()).unwrap(), None);
        let settings = Some("stay_threshold_s = 3\n[features]\n".to_owned());
        let made_of = MadeOf { settings, ..before(&[0, 1], &[0, 1, 2]) };
        made_of.write(&path).unwrap();
        assert_eq!(MadeOf::read(&path, &BTreeMap::new()).unwrap(), Some(made_of));
        fs_err::write(&path, "days = [1]").unwrap();
        let message = MadeOf::read(&path, &BTreeMap::new()).unwrap_err().to_string();
        assert!(
            message.contains("remove it and let `eliverec samples` make all days again"),
            "{message}"
        );
    }
}
