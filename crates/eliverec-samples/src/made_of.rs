//! What the days of a feed directory were made of, kept beside them, so that a rerun knows which of them would come out
//! otherwise now.
//!
//! The feeds of a day are a function of the folders of the log up to that of the day after ([`crate::scan`] leaves out what
//! arrives later). So a day stays as it is while those folders have the files that it was made of, and is made again when one of
//! them has come, changed or gone, and when its own file is not the one that was written. This is the rule for the days whose labels are still arriving, too: the folder of
//! the day after comes or grows, and they are made again until it is followed by another. Folders that the log has dropped at its
//! beginning change nothing; the days made of them stay.
//!
//! And a day stays only if it was made with the settings that are asked for: they stand here, too, so that days are not taken for those
//! of other settings when `samples.toml` is gone or was edited.
//!
//! Not by the clock: which arrivals are there says the log, whatever time it is.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use eliverec_core::checksum::Checksum;
use eliverec_core::regular;
use eliverec_tables::check::{Finding, Level};
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
    /// Those whose feeds are what the files give, and what their own files are known by.
    pub(crate) days: BTreeMap<Day, String>,
    pub(crate) files: LogFiles,
    /// What they were made with, as `samples.toml` has it; `None` of a program that did not keep it here.
    pub(crate) settings: Option<String>,
}

/// What becomes of the days that are there.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Verdict {
    /// Those whose feeds are what the log gives now.
    pub(crate) valid: BTreeSet<Day>,
    /// Those to be made again.
    pub(crate) again: BTreeSet<Day>,
    /// What there is to say about it.
    pub(crate) notes: Vec<String>,
    /// What concerns the numbers in the feeds.
    pub(crate) findings: Vec<Finding>,
}

/// By what a file of feeds is known.
pub(crate) fn mark_of(path: &Path) -> Result<String, Error> {
    let (bytes, checksum) = Checksum::of(regular::open(path)?)?;
    Ok(format!("{bytes} bytes, content {:016x}", checksum.value()))
}

/// Judges the days that are `there`, with what their files are known by now; `before` what they were made of, or why that is not known.
/// The log has the files `now` and is read from day `from` on; feeds are `asked` for on some days.
pub(crate) fn judge(
    there: &BTreeMap<Day, String>,
    before: Result<&MadeOf, &str>,
    now: &LogFiles,
    from: Option<Day>,
    asked: impl Fn(Day) -> bool,
) -> Verdict {
    let (before, unknown) = (before.ok(), before.err().unwrap_or_default());
    // What the log has dropped at its beginning is no change of the days that it has.
    let change = before.and_then(|before| now.first_change(&before.files, now.first().max(from)));
    let (mut verdict, mut dropped, mut left) = (Verdict::default(), Vec::new(), Vec::new());
    let mut again = Vec::new();
    let was_first = before.and_then(|before| before.files.first());
    // Arrivals before the first day are no more there to make a day of.
    let shortened = was_first < now.first() || before.is_none();
    for (&day, mark) in there {
        let made = before.and_then(|before| before.days.get(&day));
        let known = made == Some(mark);
        let touched = change.as_ref().filter(|(changed, _)| {
            // Arrivals of the day after have labels of the day.
            day.plus(1).is_none_or(|next| *changed <= next)
        });
        let why = match (touched, before) {
            (Some((_, why)), _) => why.clone(),
            (None, Some(_)) if made.is_some() => OTHER_FILE.to_owned(),
            (None, Some(_)) => format!("{MADE_OF_FILE} does not have them"),
            (None, None) => unknown.to_owned(),
        };
        if known && touched.is_none() {
            verdict.valid.insert(day);
        } else if shortened && now.first().is_none_or(|first| day < first) {
            if known {
                verdict.valid.insert(day);
            }
            dropped.push((day, why));
        } else if asked(day) {
            verdict.again.insert(day);
            again.push((day, why));
        } else {
            left.push((day, why));
        }
    }
    let mut note = |days: &[(Day, String)], text: &dyn Fn(&str) -> String| {
        for of_one_cause in days.chunk_by(|(_, a), (_, b)| a == b) {
            let days: Vec<Day> = of_one_cause.iter().map(|(day, _)| *day).collect();
            if let (Some(span), Some((_, why))) = (span(&days), of_one_cause.first()) {
                verdict.notes.push(format!("{span}: {}", text(why)));
            }
        }
    };
    note(&again, &|why| format!("made again, for {why}"));
    note(&left, &|why| {
        format!(
            "kept, though not what the log gives now, for {why}; ask for these days to have them made again"
        )
    });
    note(&dropped, &|why| format!("kept, though the log has dropped their arrivals and {why}"));
    verdict.findings.extend(shorter(&verdict, there.len(), (was_first, now.first()), from));
    if let Some(why) = before.and_then(|before| now.other_table(&before.files))
        && let Some(span) = span(&verdict.valid.iter().copied().collect::<Vec<_>>())
    {
        verdict.notes.push(format!(
            "{span}: kept with the rows of the tables as they were, for {why}; choose another directory to have all days of \
             one state of the tables"
        ));
    }
    verdict
}

/// What is said of a day whose file has been replaced or damaged since.
pub(crate) const OTHER_FILE: &str = "its file of feeds is not the one that was written";

/// What is found of a log that begins later than it did, where features draw on days that are gone: of the days made again of it, and
/// otherwise of those that are kept.
fn shorter(
    verdict: &Verdict,
    there: usize,
    (was_first, first): (Option<Day>, Option<Day>),
    from: Option<Day>,
) -> Option<Finding> {
    let drawn_on = |first: Day| from.map_or(first, |from| first.max(from));
    let (began, begins) = (drawn_on(was_first?), drawn_on(first?));
    if began >= begins {
        return None;
    }
    let of = |days: &BTreeSet<Day>| days.iter().copied().collect::<Vec<Day>>();
    let (days, kept) = (of(&verdict.again), of(&verdict.valid));
    if days.is_empty() {
        return Some(Finding {
            check: "log_differs",
            level: Level::Warning,
            place: span(&kept)?,
            says: format!(
                "kept as they were made of a log whose first day was {began}, and is {begins} now: they know what is not in it any more"
            ),
            count: kept.len() as u64,
            of: there as u64,
            advice: "keep the folders of a log as long as features draw on them",
        });
    }
    Some(Finding {
        check: "log_shortened",
        level: Level::Warning,
        place: span(&days)?,
        says: format!(
            "made again of a log whose first day is {begins}, and was {began} before: histories and counters know less than those \
             of the days that are kept"
        ),
        count: days.len() as u64,
        of: there as u64,
        advice: "keep the folders of a log as long as features draw on them",
    })
}

/// Days in words.
fn span(days: &[Day]) -> Option<String> {
    match days {
        [] => None,
        [day] => Some(day.to_string()),
        [first, .., last] => Some(format!("{} days, {first} to {last}", days.len())),
    }
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
        // A program before did not mark them: what is there is taken for what was written.
        let mut made = BTreeMap::new();
        for text in file.days {
            let of = day(&text)?;
            let mark = file.feeds.get(&text).or_else(|| there.get(&of)).cloned();
            made.extend(mark.map(|mark| (of, mark)));
        }
        let files = LogFiles { tables: file.tables, days };
        Ok(Some(Self { days: made, files, settings: file.settings }))
    }

    /// Puts it on disk, whole.
    pub(crate) fn write(&self, path: &Path) -> Result<(), Error> {
        let text = Text {
            settings: self.settings.clone(),
            days: self.days.keys().map(Day::to_string).collect(),
            feeds: self.days.iter().map(|(day, mark)| (day.to_string(), mark.clone())).collect(),
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
    #[serde(default)]
    tables: Marks,
    #[serde(default)]
    files: BTreeMap<String, Marks>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(number: i32) -> Day {
        "2024-05-31".parse::<Day>().unwrap().plus(number).unwrap()
    }

    /// A log with one file on each of some days.
    fn files(days: &[i32]) -> LogFiles {
        let marks = |of: i32| Marks::from([(format!("file {of}"), "as it was".to_owned())]);
        LogFiles {
            tables: Marks::from([("users.parquet".into(), "as it was".into())]),
            days: days.iter().map(|of| (day(*of), marks(*of))).collect(),
        }
    }

    fn days(of: &[i32]) -> BTreeSet<Day> {
        of.iter().map(|of| day(*of)).collect()
    }

    /// Files of feeds as they were written.
    fn made(of: &[i32]) -> BTreeMap<Day, String> {
        of.iter().map(|of| (day(*of), format!("feeds {of}"))).collect()
    }

    #[test]
    fn a_day_is_made_again_until_the_day_after_the_next_has_come() {
        let before = MadeOf { days: made(&[0, 1, 2]), files: files(&[0, 1, 2]), settings: None };
        let judged = |now: &LogFiles| judge(&made(&[0, 1, 2]), Ok(&before), now, None, |_| true);
        let same = judged(&files(&[0, 1, 2]));
        assert_eq!(same, Verdict { valid: days(&[0, 1, 2]), ..Verdict::default() });
        let grown = judged(&files(&[0, 1, 2, 3]));
        assert_eq!((grown.valid, grown.again), (days(&[0, 1]), days(&[2])));
        assert_eq!(grown.notes, ["2024-06-02: made again, for file 3 has come"]);
        // Nothing arrived on the day between.
        assert_eq!(judged(&files(&[0, 1, 2, 4])).again, days(&[]));
        let mut more = files(&[0, 1, 2, 3]);
        more.days.get_mut(&day(1)).unwrap().insert("a late file".into(), "as it was".into());
        let more = judged(&more);
        assert_eq!(more.again, days(&[0, 1, 2]));
        assert_eq!(
            more.notes,
            ["3 days, 2024-05-31 to 2024-06-02: made again, for a late file has come"]
        );
    }

    #[test]
    fn what_a_log_drops_at_its_beginning_changes_nothing() {
        let before = MadeOf { days: made(&[0, 1, 2]), files: files(&[0, 1, 2]), settings: None };
        let judged = judge(&made(&[0, 1, 2]), Ok(&before), &files(&[2, 3]), None, |_| true);
        assert_eq!((judged.valid, judged.again), (days(&[0, 1]), days(&[2])));
        let [found] = &judged.findings[..] else { panic!("{:?}", judged.findings) };
        assert_eq!((found.check, found.place.as_str()), ("log_shortened", "2024-06-02"));
        let told = "made again of a log whose first day is 2024-06-02, and was 2024-05-31 before";
        assert!(found.says.starts_with(told), "{}", found.says);
        // None is made again.
        let same = judge(&made(&[0, 1, 2]), Ok(&before), &files(&[1, 2]), None, |_| true);
        let [found] = &same.findings[..] else { panic!("{:?}", same.findings) };
        assert_eq!((found.check, found.count), ("log_differs", 3));
        // What was dropped is known on.
        assert_eq!(files(&[1, 2]).with_dropped(&before.files), files(&[0, 1, 2]));
        // Nothing that features draw on is gone.
        let limited =
            judge(&made(&[0, 1, 2]), Ok(&before), &files(&[2, 3]), Some(day(2)), |_| true);
        assert_eq!((limited.again, limited.findings), (days(&[2]), vec![]));
    }

    #[test]
    fn a_day_whose_file_is_another_is_made_again() {
        let before = MadeOf { days: made(&[0, 1, 2]), files: files(&[0, 1, 2]), settings: None };
        let mut there = made(&[0, 1, 2]);
        there.insert(day(1), "another".into());
        let judged = judge(&there, Ok(&before), &files(&[0, 1, 2]), None, |_| true);
        assert_eq!((judged.valid, judged.again), (days(&[0, 2]), days(&[1])));
        let told = "2024-06-01: made again, for its file of feeds is not the one that was written";
        assert_eq!(judged.notes, [told]);
        // The log has no more what it could be made of.
        there.insert(day(0), "another".into());
        let judged = judge(&there, Ok(&before), &files(&[1, 2]), None, |_| true);
        assert_eq!((&judged.valid, &judged.again), (&days(&[2]), &days(&[1])));
        assert!(judged.notes[1].contains("kept, though the log has dropped"), "{judged:?}");
    }

    #[test]
    fn days_of_a_program_that_did_not_mark_them_are_taken_as_they_are() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(MADE_OF_FILE);
        fs_err::write(&path, "days = [\"2024-05-31\", \"2024-06-01\"]").unwrap();
        let read = MadeOf::read(&path, &made(&[0])).unwrap().unwrap();
        assert_eq!(read.days, made(&[0]));
    }

    #[test]
    fn days_not_asked_for_stay_and_are_told() {
        let before = MadeOf { days: made(&[0, 1]), files: files(&[0, 1]), settings: None };
        let asked = |of| of == day(1);
        let mut now = files(&[0, 1]);
        now.days.get_mut(&day(0)).unwrap().insert("file 0".into(), "otherwise".into());
        now.tables.insert("users.parquet".into(), "otherwise".into());
        let judged = judge(&made(&[0, 1]), Ok(&before), &now, None, asked);
        assert_eq!((&judged.valid, &judged.again), (&days(&[]), &days(&[1])));
        assert_eq!(judged.notes.len(), 2, "{judged:?}");
        assert!(judged.notes[1].starts_with("2024-05-31: kept, though not what"), "{judged:?}");
        let unknown = judge(&made(&[0]), Err("nobody knows"), &files(&[0, 1]), None, |_| true);
        assert_eq!(unknown.again, days(&[0]));
        assert!(unknown.notes[0].contains("made again, for nobody knows"), "{unknown:?}");
    }

    #[test]
    fn the_file_comes_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(MADE_OF_FILE);
        assert_eq!(MadeOf::read(&path, &BTreeMap::new()).unwrap(), None);
        let settings = Some("stay_threshold_s = 3\n[features]\n".to_owned());
        let made_of = MadeOf { days: made(&[0, 1]), files: files(&[0, 1, 2]), settings };
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
