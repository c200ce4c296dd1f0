//! Reads the answers of a day ([`super::answers`]) and which experiments were in force: what a report of an experiment needs beside
//! the events.
//!
//! # Memory
//! The footer of one file, the compressed columns of one of its row groups, and 8,192 decoded rows.

use std::path::PathBuf;

use arrow::array::{Array, RecordBatch, StringArray};
use eliverec_core::Day;

use super::answers::{ANSWERS_FILE, AnswerRow};
use super::layout::{EXPERIMENTS_FILE, day_folder};
use super::source::{ParquetSource, RowGroupRows};
use super::store::Store;
use crate::decode::{Place, Problem};
use crate::error::Error;
use crate::parquet_file::located;
use crate::values;

/// The columns that [`Answers`] reads.
const READ_COLUMNS: [&str; 6] = ["request_id", "user_id", "at", "layer", "bucket", "bundle"];
/// What the file `experiments.jsonl` of a log holds; `None` without one.
///
/// # Errors
/// What the store refuses, and a file that is not text.
pub fn read_experiments(store: &Store) -> Result<Option<String>, Error> {
    store.refuse_unreadable(EXPERIMENTS_FILE)?;
    let Some(contents) = store.read(EXPERIMENTS_FILE)? else { return Ok(None) };
    match String::from_utf8(contents.to_vec()) {
        Ok(text) => Ok(Some(text)),
        Err(_) => Err(Error::directory(&store.path(EXPERIMENTS_FILE), "is not text")),
    }
}

/// Where the answers of a day are, or would be.
pub fn answers_path(store: &Store, day: Day) -> PathBuf {
    store.path(&answers_file(day))
}

fn answers_file(day: Day) -> String {
    format!("{}/{ANSWERS_FILE}", day_folder(day))
}

/// The answers of a day as a stream, without what exploration drew.
#[derive(Debug)]
pub struct Answers {
    source: ParquetSource,
    next_row_group: usize,
    rows: Option<RowGroupRows>,
    /// Row of the file that the next rows begin with.
    next_row: u64,
}

impl Answers {
    /// Opens the answers of a day; `None` if the log has none of it.
    ///
    /// # Errors
    /// A file that is no whole Parquet file, and what the store refuses.
    pub fn open(store: &Store, day: Day) -> Result<Option<Self>, Error> {
        let name = answers_file(day);
        store.refuse_unreadable(&name)?;
        let (_, files) = store.list(&day_folder(day))?;
        let Some(file) = files.into_iter().find(|file| file.name == name) else { return Ok(None) };
        let source = ParquetSource::open(store, file)?;
        Ok(Some(Self { source, next_row_group: 0, rows: None, next_row: 0 }))
    }

    /// The next rows; `None` after the last.
    ///
    /// # Errors
    /// A column that is missing or of another type, a null where there must be a value, a damaged file.
    pub fn next_rows(&mut self) -> Result<Option<AnswerRows>, Error> {
        loop {
            if self.rows.is_none() {
                if self.next_row_group == self.source.row_groups() {
                    return Ok(None);
                }
                self.rows = Some(self.source.row_group(self.next_row_group, &READ_COLUMNS)?);
                self.next_row_group += 1;
            }
            match self.rows.as_mut().map_or(Ok(None), RowGroupRows::next_rows)? {
                Some(batch) => {
                    let first = self.next_row;
                    self.next_row += batch.num_rows() as u64;
                    let rows = AnswerRows::of(&batch);
                    return rows.map(Some).map_err(|p| located(self.source.path(), first, p));
                }
                None => self.rows = None,
            }
        }
    }
}

/// Some rows of a day's answers.
#[derive(Debug)]
pub struct AnswerRows {
    request_ids: Vec<u64>,
    user_ids: Vec<u64>,
    at_ms: Vec<i128>,
    layers: StringArray,
    buckets: StringArray,
    bundles: StringArray,
}

impl AnswerRows {
    fn of(batch: &RecordBatch) -> Result<Self, Problem> {
        let column = |name: &str| batch.column_by_name(name);
        let texts = |name| Place::Top.read(column(name), name, values::texts);
        let times = |array: &dyn Array| {
            values::refuse_nulls(array, "is null; every answer has its time")?;
            values::raw_integers(array)
        };
        Ok(Self {
            request_ids: Place::Top.read(column("request_id"), "request_id", values::ids)?,
            user_ids: Place::Top.read(column("user_id"), "user_id", values::ids)?,
            at_ms: Place::Top.read(column("at"), "at", times)?,
            layers: texts("layer")?,
            buckets: texts("bucket")?,
            bundles: texts("bundle")?,
        })
    }

    /// The rows in their order, without what exploration drew.
    pub fn rows(&self) -> impl Iterator<Item = AnswerRow<'_>> {
        (0..self.request_ids.len()).map(|i| AnswerRow {
            request_id: self.request_ids[i],
            user_id: self.user_ids[i],
            at_ms: i64::try_from(self.at_ms[i]).unwrap_or(i64::MAX),
            bucket: known(&self.layers, i).zip(known(&self.buckets, i)),
            bundle: known(&self.bundles, i).unwrap_or_default(),
            drawn: &[],
        })
    }
}

fn known(texts: &StringArray, i: usize) -> Option<&str> {
    (!texts.is_null(i)).then(|| texts.value(i))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::events::AnswersWriter;

    fn day() -> Day {
        "2024-05-31".parse().unwrap()
    }

    #[test]
    fn rows_come_back_in_their_order() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::local(folder.path()).unwrap();
        assert!(Answers::open(&store, day()).unwrap().is_none());
        let of_day = folder.path().join("events/date=2024-05-31");
        fs_err::create_dir_all(&of_day).unwrap();
        let row = |i: u64| AnswerRow {
            request_id: i,
            user_id: i % 7,
            at_ms: 1_717_113_600_000 + i as i64,
            bucket: (i % 3 > 0).then_some(("ranking", if i % 2 > 0 { "a" } else { "b" })),
            bundle: "sha",
            drawn: if i % 5 > 0 { &[(1, 0.25), (2, 0.5)] } else { &[] },
        };
        let mut writer = AnswersWriter::new(&of_day);
        (0..10_000).for_each(|i| writer.push(row(i)).unwrap());
        writer.finish().unwrap();
        let mut read = Answers::open(&store, day()).unwrap().unwrap();
        let shown = |row: AnswerRow<'_>| {
            let bucket = row.bucket.map(|(layer, bucket)| format!("{layer} {bucket}"));
            (row.request_id, row.user_id, row.at_ms, bucket, row.bundle.to_owned())
        };
        let mut found = Vec::new();
        while let Some(rows) = read.next_rows().unwrap() {
            found.extend(rows.rows().map(shown));
        }
        assert_eq!(found, (0..10_000).map(|i| shown(row(i))).collect::<Vec<_>>());
    }

    #[test]
    fn what_is_no_file_of_answers_is_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::local(folder.path()).unwrap();
        store.replace(&answers_file(day()), b"no Parquet file at all".to_vec()).unwrap();
        let error = Answers::open(&store, day()).unwrap_err().to_string();
        assert!(error.contains("_answers.parquet: not a whole Parquet file"), "{error}");
    }

    #[test]
    fn experiments_come_back() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::local(folder.path()).unwrap();
        assert_eq!(read_experiments(&store).unwrap(), None);
        fs_err::write(folder.path().join(EXPERIMENTS_FILE), "{\"at\": 1}\n").unwrap();
        assert_eq!(read_experiments(&store).unwrap().as_deref(), Some("{\"at\": 1}\n"));
    }
}
