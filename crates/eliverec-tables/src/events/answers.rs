//! How the answers of a day came to be, as a file of the day's folder: who asked, which bundle scored, in which buckets of experiments
//! the user is, and with what probability retrieval drew channels. They are no events: readers of logs pass the file over because its
//! name begins with `_`, and reports of experiments read it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{
    ArrayRef, Float64Builder, Int64Builder, ListBuilder, RecordBatch, StringBuilder, UInt64Builder,
};
use arrow::datatypes::{DataType, Field, Schema as ArrowSchema, SchemaRef};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;

use crate::error::{Error, cannot_write};

/// The name of the file in a day's folder: a row per answer and layer, one row without layer and bucket where the user is in none.
pub const ANSWERS_FILE: &str = "_answers.parquet";

/// A row group ends at this many rows.
const ROW_GROUP_ROWS: usize = 1 << 16;

/// How an answer came to be, seen from one layer.
#[derive(Clone, Copy, Debug)]
pub struct AnswerRow<'a> {
    /// Of the answer.
    pub request_id: u64,
    /// Who asked.
    pub user_id: u64,
    /// The moment of the request, milliseconds since 1970 UTC.
    pub at_ms: i64,
    /// The layer and the bucket in it.
    pub bucket: Option<(&'a str, &'a str)>,
    /// The version of the bundle that scored; empty if the log does not say it.
    pub bundle: &'a str,
    /// Channels of the answer that retrieval drew, each with its probability.
    pub drawn: &'a [(u64, f64)],
}

/// Rows on their way into a row group.
#[derive(Debug, Default)]
struct Columns {
    rows: usize,
    request_id: UInt64Builder,
    user_id: UInt64Builder,
    at: Int64Builder,
    layer: StringBuilder,
    bucket: StringBuilder,
    bundle: StringBuilder,
    channel_id: ListBuilder<UInt64Builder>,
    propensity: ListBuilder<Float64Builder>,
}

impl Columns {
    fn push(&mut self, row: AnswerRow<'_>) {
        self.rows += 1;
        self.request_id.append_value(row.request_id);
        self.user_id.append_value(row.user_id);
        self.at.append_value(row.at_ms);
        self.layer.append_option(row.bucket.map(|(layer, _)| layer));
        self.bucket.append_option(row.bucket.map(|(_, bucket)| bucket));
        self.bundle.append_value(row.bundle);
        for (channel_id, propensity) in row.drawn {
            self.channel_id.values().append_value(*channel_id);
            self.propensity.values().append_value(*propensity);
        }
        self.channel_id.append(true);
        self.propensity.append(true);
    }

    fn finish(&mut self) -> Vec<ArrayRef> {
        self.rows = 0;
        vec![
            Arc::new(self.request_id.finish()),
            Arc::new(self.user_id.finish()),
            Arc::new(self.at.finish()),
            Arc::new(self.layer.finish()),
            Arc::new(self.bucket.finish()),
            Arc::new(self.bundle.finish()),
            Arc::new(self.channel_id.finish()),
            Arc::new(self.propensity.finish()),
        ]
    }
}

fn columns() -> SchemaRef {
    let column = |name, kind| Field::new(name, kind, false);
    let list =
        |name, kind| column(name, DataType::List(Arc::new(Field::new_list_field(kind, true))));
    Arc::new(ArrowSchema::new(vec![
        column("request_id", DataType::UInt64),
        column("user_id", DataType::UInt64),
        column("at", DataType::Int64),
        Field::new("layer", DataType::Utf8, true),
        Field::new("bucket", DataType::Utf8, true),
        column("bundle", DataType::Utf8),
        list("channel_id", DataType::UInt64),
        list("propensity", DataType::Float64),
    ]))
}

/// Writes the file into a folder when there is something to write. Whoever calls gives the folder its name when all is on disk.
#[derive(Debug)]
pub struct AnswersWriter {
    path: PathBuf,
    pending: Columns,
    writer: Option<ArrowWriter<std::fs::File>>,
}

impl AnswersWriter {
    /// A writer of [`ANSWERS_FILE`] in a folder, in place of what a killed one has left there.
    pub fn new(folder: &Path) -> Self {
        Self { path: folder.join(ANSWERS_FILE), pending: Columns::default(), writer: None }
    }

    /// Adds a row.
    ///
    /// # Errors
    /// What the file system refuses.
    pub fn push(&mut self, row: AnswerRow<'_>) -> Result<(), Error> {
        self.pending.push(row);
        if self.pending.rows < ROW_GROUP_ROWS { Ok(()) } else { self.end_row_group() }
    }

    /// Puts the file on disk; whether there is one.
    ///
    /// # Errors
    /// What the file system refuses.
    pub fn finish(mut self) -> Result<bool, Error> {
        if self.pending.rows > 0 {
            self.end_row_group()?;
        }
        let Some(writer) = self.writer else { return Ok(false) };
        let file = writer.into_inner().map_err(|e| cannot_write(&self.path, &e))?;
        file.sync_all()?;
        Ok(true)
    }

    fn end_row_group(&mut self) -> Result<(), Error> {
        let path = &self.path;
        let columns = columns();
        let rows = RecordBatch::try_new(SchemaRef::clone(&columns), self.pending.finish());
        let rows = rows.map_err(|e| cannot_write(path, &e))?;
        let writer = if let Some(writer) = &mut self.writer {
            writer
        } else {
            let file = fs_err::File::create(path)?.into_parts().0;
            let properties = WriterProperties::builder()
                .set_compression(Compression::ZSTD(ZstdLevel::default()))
                .build();
            let writer = ArrowWriter::try_new(file, columns, Some(properties));
            self.writer.insert(writer.map_err(|e| cannot_write(path, &e))?)
        };
        let written = writer.write(&rows).and_then(|()| writer.flush());
        written.map_err(|e| cannot_write(path, &e))
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{Array, AsArray};
    use arrow::datatypes::{Float64Type, UInt64Type};
    use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

    use super::*;

    #[test]
    fn rows_are_what_was_written() {
        let folder = tempfile::tempdir().unwrap();
        assert!(!AnswersWriter::new(folder.path()).finish().unwrap());
        assert!(!folder.path().join(ANSWERS_FILE).exists());
        let mut writer = AnswersWriter::new(folder.path());
        let row = AnswerRow {
            request_id: u64::MAX,
            user_id: 2,
            at_ms: -3,
            bucket: Some(("layer", "bucket")),
            bundle: "b",
            drawn: &[(7, 0.25), (8, 0.5)],
        };
        writer.push(row).unwrap();
        writer.push(AnswerRow { bucket: None, drawn: &[], ..row }).unwrap();
        assert!(writer.finish().unwrap());
        let file = fs_err::File::open(folder.path().join(ANSWERS_FILE)).unwrap().into_parts().0;
        let mut read = ParquetRecordBatchReaderBuilder::try_new(file).unwrap().build().unwrap();
        let rows = read.next().unwrap().unwrap();
        assert_eq!(rows.schema().fields(), columns().fields());
        assert_eq!(rows.column(0).as_primitive::<UInt64Type>().value(1), u64::MAX);
        assert_eq!(rows.column(3).as_string::<i32>().value(0), "layer");
        assert!(rows.column(3).is_null(1) && rows.column(4).is_null(1));
        let drawn = rows.column(7).as_list::<i32>();
        assert_eq!(drawn.value(0).as_primitive::<Float64Type>().values(), &[0.25, 0.5]);
        assert_eq!((drawn.value_length(1), drawn.is_null(1)), (0, false));
    }
}
