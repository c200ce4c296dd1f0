//! What a service answered, beside the events of a day: which user, which buckets, which bundle, which channels exploration drew.
//!
//! ```text
//! LOGS/experiments.jsonl                            what experiments were in force from when on, one JSON object a line
//! LOGS/events/date=2024-05-31/_answers.parquet      a row per answer and layer; one without a layer if there was none
//! ```
//!
//! The name begins with `_`, so that readers of events pass it over.
//!
//! # Memory
//! Reading: the footer of one file, the compressed columns of one of its row groups, and 8,192 decoded rows. Writing: one row group.

use std::path::PathBuf;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, Float64Builder, Int64Array, ListBuilder, RecordBatch, StringArray,
    UInt64Array, UInt64Builder,
};
use arrow::datatypes::{DataType, Field, Schema as ArrowSchema, SchemaRef};
use eliverec_core::Day;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;

use super::layout::day_folder;
use super::source::{ParquetSource, RowGroupRows};
use super::store::Store;
use crate::decode::{Place, Problem};
use crate::error::{Error, cannot_write};
use crate::parquet_file::located;
use crate::values;

/// The file of a day's answers, in the folder of the day.
pub const ANSWERS_FILE: &str = "_answers.parquet";
/// The experiments that were in force, in the root of a log.
pub const EXPERIMENTS_FILE: &str = "experiments.jsonl";
/// The columns that [`Answers`] reads.
const READ_COLUMNS: [&str; 6] = ["request_id", "user_id", "at", "layer", "bucket", "bundle"];
/// A row group ends at this many rows.
const ROW_GROUP_ROWS: usize = 1 << 16;

/// A row of a day's answers: one of an answer's layers.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// Ties it to the impressions that it brought.
    pub request_id: u64,
    /// Who asked.
    pub user_id: u64,
    /// When, milliseconds since 1970 UTC.
    pub at_ms: i64,
    /// One of the layers; `None` where no experiment was in force.
    pub layer: Option<String>,
    /// The user's bucket in it; `None` outside of all buckets.
    pub bucket: Option<String>,
    /// The version of the bundle that ranked.
    pub bundle: String,
    /// Channels that exploration drew, each with the probability of that.
    pub drawn: Vec<(u64, f64)>,
}

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

/// Says which experiments were in force, in place of what the file said.
///
/// # Errors
/// What the store refuses.
pub fn write_experiments(store: &Store, lines: &str) -> Result<(), Error> {
    store.replace(EXPERIMENTS_FILE, lines.as_bytes().to_vec())
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

/// A row, borrowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AnswerRow<'a> {
    /// Ties it to the impressions that it brought.
    pub request_id: u64,
    /// Who asked.
    pub user_id: u64,
    /// When, milliseconds since 1970 UTC.
    pub at_ms: i64,
    /// One of the layers; `None` where no experiment was in force.
    pub layer: Option<&'a str>,
    /// The user's bucket in it; `None` outside of all buckets.
    pub bucket: Option<&'a str>,
    /// The version of the bundle that ranked.
    pub bundle: &'a str,
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

    /// The rows in their order.
    pub fn rows(&self) -> impl Iterator<Item = AnswerRow<'_>> {
        (0..self.request_ids.len()).map(|i| AnswerRow {
            request_id: self.request_ids[i],
            user_id: self.user_ids[i],
            at_ms: i64::try_from(self.at_ms[i]).unwrap_or(i64::MAX),
            layer: known(&self.layers, i),
            bucket: known(&self.buckets, i),
            bundle: known(&self.bundles, i).unwrap_or_default(),
        })
    }
}

fn known(texts: &StringArray, i: usize) -> Option<&str> {
    (!texts.is_null(i)).then(|| texts.value(i))
}

/// Writes the answers of a day in place of those that are there.
///
/// # Errors
/// What the store refuses.
pub fn write_answers(
    store: &Store,
    day: Day,
    answers: impl Iterator<Item = Answer>,
) -> Result<(), Error> {
    let name = answers_file(day);
    let path = store.path(&name);
    let columns = columns();
    let properties =
        WriterProperties::builder().set_compression(Compression::ZSTD(ZstdLevel::default()));
    let writer = ArrowWriter::try_new(Vec::new(), Arc::clone(&columns), Some(properties.build()));
    let mut writer = writer.map_err(|e| cannot_write(&path, &e))?;
    let mut answers = answers.peekable();
    while answers.peek().is_some() {
        let rows: Vec<Answer> = answers.by_ref().take(ROW_GROUP_ROWS).collect();
        let batch = RecordBatch::try_new(Arc::clone(&columns), arrays(&rows));
        let batch = batch.map_err(|e| Error::directory(&path, format!("cannot write: {e}")))?;
        writer.write(&batch).and_then(|()| writer.flush()).map_err(|e| cannot_write(&path, &e))?;
    }
    let bytes = writer.into_inner().map_err(|e| cannot_write(&path, &e))?;
    store.replace(&name, bytes)
}

fn list_of(kind: DataType) -> DataType {
    DataType::List(Arc::new(Field::new("item", kind, true)))
}

fn columns() -> SchemaRef {
    let column = |name: &str, kind, nullable| Field::new(name, kind, nullable);
    Arc::new(ArrowSchema::new(vec![
        column("request_id", DataType::UInt64, false),
        column("user_id", DataType::UInt64, false),
        column("at", DataType::Int64, false),
        column("layer", DataType::Utf8, true),
        column("bucket", DataType::Utf8, true),
        column("bundle", DataType::Utf8, false),
        column("channel_id", list_of(DataType::UInt64), false),
        column("propensity", list_of(DataType::Float64), false),
    ]))
}

fn arrays(rows: &[Answer]) -> Vec<ArrayRef> {
    let mut channels = ListBuilder::new(UInt64Builder::new());
    let mut propensities = ListBuilder::new(Float64Builder::new());
    for row in rows {
        for (channel, propensity) in &row.drawn {
            channels.values().append_value(*channel);
            propensities.values().append_value(*propensity);
        }
        channels.append(true);
        propensities.append(true);
    }
    let numbers = |of: fn(&Answer) -> u64| -> ArrayRef {
        Arc::new(UInt64Array::from_iter_values(rows.iter().map(of)))
    };
    let texts = |of: fn(&Answer) -> Option<&str>| -> ArrayRef {
        Arc::new(rows.iter().map(of).collect::<StringArray>())
    };
    vec![
        numbers(|row| row.request_id),
        numbers(|row| row.user_id),
        Arc::new(Int64Array::from_iter_values(rows.iter().map(|row| row.at_ms))),
        texts(|row| row.layer.as_deref()),
        texts(|row| row.bucket.as_deref()),
        texts(|row| Some(&row.bundle)),
        Arc::new(channels.finish()),
        Arc::new(propensities.finish()),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day() -> Day {
        "2024-05-31".parse().unwrap()
    }

    fn answers() -> Vec<Answer> {
        let answer = |i: u64| Answer {
            request_id: i,
            user_id: i % 7,
            at_ms: 1_717_113_600_000 + i as i64,
            layer: (i % 3 > 0).then(|| "ranking".into()),
            bucket: (i % 3 > 1).then(|| format!("b{}", i % 2)),
            bundle: "sha".into(),
            drawn: (0..i % 3).map(|k| (k, 0.25 * (k + 1) as f64)).collect(),
        };
        (0..10_000).map(answer).collect()
    }

    #[test]
    fn rows_come_back_in_their_order() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::local(folder.path()).unwrap();
        assert!(Answers::open(&store, day()).unwrap().is_none());
        write_answers(&store, day(), answers().into_iter()).unwrap();
        let mut read = Answers::open(&store, day()).unwrap().unwrap();
        let mut found = Vec::new();
        while let Some(rows) = read.next_rows().unwrap() {
            found.extend(rows.rows().map(|row| Answer {
                request_id: row.request_id,
                user_id: row.user_id,
                at_ms: row.at_ms,
                layer: row.layer.map(Into::into),
                bucket: row.bucket.map(Into::into),
                bundle: row.bundle.into(),
                drawn: Vec::new(),
            }));
        }
        let expected = answers().into_iter().map(|row| Answer { drawn: Vec::new(), ..row });
        assert_eq!(found, expected.collect::<Vec<_>>());
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
        write_experiments(&store, "{\"at\": 1}\n").unwrap();
        assert_eq!(read_experiments(&store).unwrap().as_deref(), Some("{\"at\": 1}\n"));
    }
}
