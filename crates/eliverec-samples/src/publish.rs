//! Feeds day by day: one file per day, named by it, in the folder of its split. A file appears whole, by one rename,
//! so a run that is killed leaves whole days, and the next run makes those that are missing, and those that would come out
//! otherwise now (`made_of.rs`): until its new file takes its place, such a day stands as it was.
//!
//! # Split
//! By the days that have feeds: the last is the test set, the one before validation, earlier ones training. When later
//! days come, files move to the folder that is then theirs, again by a rename each.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};

use eliverec_core::Schema;
use eliverec_tables::check::Finding;
use eliverec_tables::events::Day;
use eliverec_tables::events::rejected::REJECTED_FOLDER;
use eliverec_tables::feed_file::{FileCounts, counts};
use eliverec_tables::layout::SCHEMA_FILE;
use eliverec_tables::{EncodedFeeds, FeedFileWriter, Split};

use crate::config::{Recipe, SampleConfig};
use crate::error::Error;
use crate::judge::judge;
use crate::log_files::LogFiles;
use crate::made_of::{MADE_OF_FILE, MadeDay, MadeOf, mark_of};
use crate::recipe_file::{RECIPE_FILE, check_recipe, settings_text};
use crate::summary::{DaySummary, Made};
use crate::text_file::{read, sync, write};

/// A directory of feeds.
#[derive(Debug)]
pub(crate) struct FeedDays {
    path: PathBuf,
    schema: Schema,
    /// The days that are there, with their splits.
    there: BTreeMap<Day, Split>,
    /// Those of them that are made again, until they have been.
    again: BTreeSet<Day>,
    made_of: MadeOf,
    /// The log's first day now.
    log_from: Option<Day>,
    /// By what its tables are known now.
    tables: String,
    /// What there is to find about days that are made again.
    findings: Vec<Finding>,
    /// Whether the settings that they were made with are kept beside them.
    settings_known: bool,
    /// Whether the directory is one that this run has made.
    is_new: bool,
    /// The directory, locked: the lock ends with the process, however it ends.
    _lock: File,
}

impl Drop for FeedDays {
    fn drop(&mut self) {
        let has_rows = |name: &str| self.path.join(name).exists();
        if self.is_new && self.there.is_empty() && !has_rows(REJECTED_FOLDER) {
            // Best effort on the way out of an error: a directory without feeds is of no use to anyone.
            let _ = fs_err::remove_dir_all(&self.path);
        }
    }
}

impl FeedDays {
    /// Opens a directory of feeds, or makes one.
    ///
    /// # Errors
    /// Another process that makes feeds there, feeds of another schema or made with other settings, and what the file
    /// system refuses.
    pub(crate) fn open(path: &Path, schema: &Schema, recipe: &Recipe) -> Result<Self, Error> {
        if path.is_file() {
            let reason = "is a file, where a directory should be; choose another one";
            return Err(Error::Feeds { path: path.into(), reason: reason.into() });
        }
        let is_new = !path.exists();
        fs_err::create_dir_all(path)?;
        let lock = fs_err::File::open(path)?.into_parts().0;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let reason =
                    "another process makes feeds there; wait for it or choose another directory";
                return Err(Error::Feeds { path: path.into(), reason: reason.into() });
            }
            Err(TryLockError::Error(e)) => return Err(e.into()),
        }
        check_schema(&path.join(SCHEMA_FILE), schema)?;
        let settings_known = check_recipe(&path.join(RECIPE_FILE), recipe)?;
        let mut there = BTreeMap::new();
        for split in Split::ALL {
            for file in files(&path.join(split.name()))? {
                let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
                if name.starts_with(['.', '_']) {
                    if is_left_of_a_day(&name) {
                        fs_err::remove_file(&file)?;
                    }
                    continue;
                }
                let reason = match day_of(&file).map(|day| there.insert(day, split)) {
                    Some(None) => continue,
                    Some(Some(other)) => format!("the {other} split has that day already"),
                    None => {
                        "no day's feeds as this program writes them, such as 2024-05-31.parquet"
                            .into()
                    }
                };
                let reason = format!("{reason}; remove it or choose another directory");
                return Err(Error::Feeds { path: file, reason });
            }
        }
        let (path, schema) = (path.into(), schema.clone());
        let (again, made_of) = (BTreeSet::new(), MadeOf::default());
        let findings = Vec::new();
        Ok(Self {
            path,
            schema,
            there,
            again,
            made_of,
            log_from: None,
            tables: String::new(),
            findings,
            settings_known,
            is_new,
            _lock: lock,
        })
    }

    /// Finds out which days would come out otherwise now that the log has these files; gives what there is to say about them.
    pub(crate) fn judge(
        &mut self,
        files: LogFiles,
        recipe: &Recipe,
        config: &SampleConfig,
    ) -> Result<Vec<String>, Error> {
        let path = self.path.join(MADE_OF_FILE);
        let mark =
            |(day, split): (&Day, &Split)| Ok((*day, mark_of(&file_of(&self.path, *day, *split))?));
        let there = self.there.iter().map(mark).collect::<Result<BTreeMap<_, _>, Error>>()?;
        let before = MadeOf::read(&path, &there)?;
        let asked = |day| config.asks_for(day);
        let settings = settings_text(&self.path.join(RECIPE_FILE), recipe)?;
        let others = before.as_ref().and_then(|before| before.settings.as_ref());
        let other_settings = !self.settings_known || others.is_some_and(|of| *of != settings);
        let known = match &before {
            _ if !self.settings_known => Err(format!(
                "{RECIPE_FILE} is not there to tell with which settings they were made"
            )),
            _ if other_settings => {
                Err(format!("{MADE_OF_FILE} has other settings than {RECIPE_FILE}"))
            }
            Some(before) => Ok(before),
            None => Err(format!("{MADE_OF_FILE} is not there to tell what they were made of")),
        };
        let known = known.as_ref().map_err(String::as_str).copied();
        let verdict = judge(&there, known, &files, recipe.first_day(), asked);
        if let Some(day) = there.keys().find(|day| other_settings && !verdict.again.contains(day)) {
            let reason = format!(
                "{}, and the feeds of {day} cannot be made again, for it is not asked for or the log has no more what they were made \
                 of; choose another directory",
                known.err().unwrap_or_default()
            );
            return Err(Error::Feeds { path: self.path.clone(), reason });
        }
        self.again = verdict.again;
        self.findings = verdict.findings;
        (self.log_from, self.tables) = (files.first(), files.known_tables());
        let is_empty = files.first().is_none();
        let before_days = known.map(|before| before.days.clone()).unwrap_or_default();
        let days = before_days.into_iter().filter(|(day, _)| verdict.valid.contains(day));
        let mut days: BTreeMap<_, _> = days.collect();
        for (_, made) in days.iter_mut().filter(|(day, _)| verdict.outdated.contains(day)) {
            made.log_from = self.log_from;
        }
        let files = match known {
            Ok(before) if !days.is_empty() => files.with_dropped(&before.files),
            _ => files,
        };
        self.made_of = MadeOf { days, files, settings: Some(settings.clone()) };
        // Before the first of them is made again, so that a killed run leaves no day that seems to be what it is not. A log
        // without days is refused later: what is known of the feeds stays known.
        if !is_empty && before.as_ref() != Some(&self.made_of) {
            self.made_of.write(&path)?;
        }
        if !self.settings_known {
            write(&self.path.join(RECIPE_FILE), &settings)?;
        }
        Ok(verdict.notes)
    }

    /// What was found of days that are made again.
    pub(crate) fn findings(&self) -> &[Finding] {
        &self.findings
    }

    /// The days whose feeds stay as they are.
    pub(crate) fn days(&self) -> BTreeSet<Day> {
        self.there.keys().filter(|day| !self.again.contains(day)).copied().collect()
    }

    /// Whether the log's arrivals go so far that none to come can change the feeds of the day.
    fn is_final(&self, day: Day) -> bool {
        day.plus(1) < self.made_of.files.last()
    }

    /// The split of every day, once it is known which further days have feeds; moves files that stand in another, and
    /// removes those of days made again that have no feeds any more.
    pub(crate) fn split(&mut self, more: Vec<Day>) -> Result<BTreeMap<Day, Split>, Error> {
        let empty: Vec<Day> =
            self.again.iter().filter(|day| !more.contains(day)).copied().collect();
        for day in empty {
            self.again.remove(&day);
            if let Some(split) = self.there.remove(&day) {
                fs_err::remove_file(file_of(&self.path, day, split))?;
            }
        }
        let mut days = self.days();
        days.extend(more);
        let last_first = days.into_iter().rev();
        let splits = [Split::Test, Split::Validation].into_iter();
        let splits: BTreeMap<Day, Split> =
            last_first.zip(splits.chain(std::iter::repeat(Split::Train))).collect();
        for (day, split) in &splits {
            if let Some(at) = self.there.get_mut(day).filter(|at| *at != split) {
                let from = file_of(&self.path, *day, *at);
                let to = file_of(&self.path, *day, *split);
                let folder = self.path.join(split.name());
                fs_err::create_dir_all(&folder)?;
                fs_err::rename(&from, &to)?;
                sync(&folder)?;
                sync(&self.path.join(at.name()))?;
                sync(&self.path)?;
                *at = *split;
            }
        }
        Ok(splits)
    }

    /// A writer of a day that is not there, or is made again.
    pub(crate) fn writer(&self, day: Day, split: Split) -> Result<DayWriter, Error> {
        let path = file_of(&self.path, day, split);
        let again = self.again.contains(&day);
        if self.there.contains_key(&day) && !again {
            let reason = "is whole already; feeds came out of order".into();
            return Err(Error::Feeds { path, reason });
        }
        let writer = FeedFileWriter::create(&path, &self.schema)?;
        let made = if again { Made::Again } else { Made::Now };
        let is_final = self.is_final(day);
        let summary =
            DaySummary { day, split, feeds: 0, impressions: 0, watched: 0, made, is_final };
        Ok(DayWriter { writer, summary })
    }

    /// The day is whole: gives its file the name.
    pub(crate) fn finish(&mut self, day: DayWriter) -> Result<DaySummary, Error> {
        day.writer.finish()?;
        let DaySummary { day: of, split, .. } = day.summary;
        self.there.insert(of, split);
        self.again.remove(&of);
        let mark = mark_of(&file_of(&self.path, of, split))?;
        let made = MadeDay { mark, log_from: self.log_from, tables: self.tables.clone() };
        self.made_of.days.insert(of, made);
        self.made_of.write(&self.path.join(MADE_OF_FILE))?;
        Ok(day.summary)
    }

    /// What a day has that was there; `asked` whether this run was asked for it.
    pub(crate) fn kept(&self, day: Day, split: Split, asked: bool) -> Result<DaySummary, Error> {
        let path = file_of(&self.path, day, split);
        let FileCounts { feeds, impressions, watched } = counts(&path, &self.schema)?;
        let made = if asked { Made::Before } else { Made::NotAsked };
        let is_final = self.is_final(day);
        Ok(DaySummary { day, split, feeds, impressions, watched, made, is_final })
    }
}

/// The feeds of a day on their way.
#[derive(Debug)]
pub(crate) struct DayWriter {
    writer: FeedFileWriter,
    summary: DaySummary,
}

impl DayWriter {
    pub(crate) const fn day(&self) -> Day {
        self.summary.day
    }

    pub(crate) fn push(&mut self, encoded: Encoded) -> Result<(), Error> {
        self.summary.feeds += encoded.feeds;
        self.summary.impressions += encoded.impressions;
        self.summary.watched += encoded.watched;
        Ok(self.writer.append(encoded.group)?)
    }
}

/// Feeds of one day as a row group, and how many of what is in it.
pub(crate) struct Encoded {
    pub(crate) day: Day,
    pub(crate) group: EncodedFeeds,
    pub(crate) feeds: u64,
    pub(crate) impressions: u64,
    pub(crate) watched: u64,
}

/// A folder for what the engine puts on disk, removed at the end; what a killed run left there goes first.
#[derive(Debug)]
pub(crate) struct SpillFolder(PathBuf);

impl SpillFolder {
    pub(crate) fn create(feeds: &Path) -> Result<Self, Error> {
        let path = feeds.join(".spill");
        if path.exists() {
            fs_err::remove_dir_all(&path)?;
        }
        fs_err::create_dir(&path)?;
        Ok(Self(path))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for SpillFolder {
    fn drop(&mut self) {
        // Best effort: the next run removes it otherwise.
        let _ = fs_err::remove_dir_all(&self.0);
    }
}

fn file_of(path: &Path, day: Day, split: Split) -> PathBuf {
    path.join(split.name()).join(format!("{day}.parquet"))
}

/// Whether a killed run has left a file of this name: a day's on its way.
fn is_left_of_a_day(name: &str) -> bool {
    let day = name.strip_prefix('.').and_then(|name| name.strip_suffix(".partial"));
    day.is_some_and(|day| day_of(Path::new(day)).is_some())
}

/// The day of a file of feeds by its name; none of another file.
pub(crate) fn day_of(file: &Path) -> Option<Day> {
    file.file_name()?.to_str()?.strip_suffix(".parquet")?.parse().ok()
}

/// What lies right in a folder, in the order of the names; nothing if there is no such folder.
pub(crate) fn files(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    let mut paths = Vec::new();
    match fs_err::read_dir(folder) {
        Ok(entries) => {
            for entry in entries {
                paths.push(entry?.path());
            }
        }
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
        Err(e) => return Err(e.into()),
    }
    paths.sort();
    Ok(paths)
}

fn check_schema(path: &Path, schema: &Schema) -> Result<(), Error> {
    let Some(text) = read(path)? else { return write(path, &schema.to_toml()) };
    let there = Schema::parse(&text)
        .map_err(|source| eliverec_tables::Error::Schema { path: path.into(), source })?;
    let differences = there.differences(schema).join("; ");
    if differences.is_empty() {
        return Ok(());
    }
    let reason = format!(
        "the feeds there have another schema than the log: {differences}; choose another directory"
    );
    Err(Error::Feeds { path: path.into(), reason })
}
