//! The truth file: a row per impression, watch and product click, for measurements that nothing else may read.
//!
//! | column | of |
//! | --- | --- |
//! | `event_id` u64, `ts` timestamp ms UTC, `kind` utf8, `user_id` u64 | all |
//! | `request_id`, `channel_id`, `product_id` u64 | as the event has them |
//! | `position` u16, `watch_probability` f32, `watched` bool | impressions |
//! | `cause` utf8 ([`Cause::name`](crate::Cause::name)) | watches and product clicks |

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{
    BooleanBuilder, Float32Builder, RecordBatch, StringBuilder, TimestampMillisecondBuilder,
    UInt16Builder, UInt64Builder,
};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use eliverec_core::EventKind;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;

use crate::truth::Truth;

/// Rows of a row group, which wait in memory at about 80 bytes each.
const ROW_GROUP: usize = 1 << 16;

/// Writes a truth file, which appears whole at the end or not at all.
#[derive(Debug)]
pub struct TruthWriter {
    target: PathBuf,
    partial: PathBuf,
    writer: ArrowWriter<fs_err::File>,
    columns: Columns,
}

#[derive(Debug, Default)]
struct Columns {
    event_id: UInt64Builder,
    ts: TimestampMillisecondBuilder,
    kind: StringBuilder,
    user_id: UInt64Builder,
    request_id: UInt64Builder,
    channel_id: UInt64Builder,
    product_id: UInt64Builder,
    position: UInt16Builder,
    watch_probability: Float32Builder,
    watched: BooleanBuilder,
    cause: StringBuilder,
    rows: usize,
}

fn schema() -> SchemaRef {
    let moment = DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into()));
    let columns = [
        ("event_id", DataType::UInt64, false),
        ("ts", moment, false),
        ("kind", DataType::Utf8, false),
        ("user_id", DataType::UInt64, false),
        ("request_id", DataType::UInt64, true),
        ("channel_id", DataType::UInt64, true),
        ("product_id", DataType::UInt64, true),
        ("position", DataType::UInt16, true),
        ("watch_probability", DataType::Float32, true),
        ("watched", DataType::Boolean, true),
        ("cause", DataType::Utf8, true),
    ];
    let fields = columns.map(|(name, kind, nullable)| Field::new(name, kind, nullable));
    Arc::new(Schema::new(fields.to_vec()))
}

impl Columns {
    fn push(&mut self, truth: &Truth) {
        self.rows += 1;
        match truth {
            Truth::Impression {
                event_id,
                ts_ms,
                request_id,
                user_id,
                channel_id,
                position,
                watch_probability,
                watched,
            } => {
                self.event_id.append_value(*event_id);
                self.ts.append_value(*ts_ms);
                self.kind.append_value(EventKind::Impression.name());
                self.user_id.append_value(*user_id);
                self.request_id.append_value(*request_id);
                self.channel_id.append_value(*channel_id);
                self.product_id.append_null();
                self.position.append_value(*position);
                self.watch_probability.append_value(*watch_probability);
                self.watched.append_value(*watched);
                self.cause.append_null();
            }
            Truth::Cause {
                event_id,
                ts_ms,
                kind,
                user_id,
                request_id,
                channel_id,
                product_id,
                cause,
            } => {
                self.event_id.append_value(*event_id);
                self.ts.append_value(*ts_ms);
                self.kind.append_value(kind.name());
                self.user_id.append_value(*user_id);
                self.request_id.append_option(*request_id);
                self.channel_id.append_option(*channel_id);
                self.product_id.append_option(*product_id);
                self.position.append_null();
                self.watch_probability.append_null();
                self.watched.append_null();
                self.cause.append_value(cause.name());
            }
        }
    }

    fn take(&mut self) -> io::Result<RecordBatch> {
        self.rows = 0;
        let batch = RecordBatch::try_new(
            schema(),
            vec![
                Arc::new(self.event_id.finish()),
                Arc::new(self.ts.finish().with_timezone("UTC")),
                Arc::new(self.kind.finish()),
                Arc::new(self.user_id.finish()),
                Arc::new(self.request_id.finish()),
                Arc::new(self.channel_id.finish()),
                Arc::new(self.product_id.finish()),
                Arc::new(self.position.finish()),
                Arc::new(self.watch_probability.finish()),
                Arc::new(self.watched.finish()),
                Arc::new(self.cause.finish()),
            ],
        );
        batch.map_err(io::Error::other)
    }
}

impl TruthWriter {
    /// A writer of the file `target`, whose folder exists.
    ///
    /// # Errors
    /// What the disk refuses.
    pub fn create(target: &Path) -> io::Result<Self> {
        let mut name = target.file_name().unwrap_or_default().to_os_string();
        name.push(".partial");
        let partial = target.with_file_name(name);
        let properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(ZstdLevel::default()))
            .build();
        let file = fs_err::File::create(&partial)?;
        let writer =
            ArrowWriter::try_new(file, schema(), Some(properties)).map_err(io::Error::other)?;
        Ok(Self { target: target.into(), partial, writer, columns: Columns::default() })
    }

    /// Adds a row.
    ///
    /// # Errors
    /// What the disk refuses.
    pub fn push(&mut self, truth: &Truth) -> io::Result<()> {
        self.columns.push(truth);
        if self.columns.rows >= ROW_GROUP { self.end_row_group() } else { Ok(()) }
    }

    /// Gives the file its name.
    ///
    /// # Errors
    /// What the disk refuses.
    pub fn finish(mut self) -> io::Result<()> {
        self.end_row_group()?;
        let file = self.writer.into_inner().map_err(io::Error::other)?;
        file.sync_all()?;
        drop(file);
        fs_err::rename(&self.partial, &self.target)?;
        let folder = self.target.parent().filter(|folder| !folder.as_os_str().is_empty());
        fs_err::File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
    }

    fn end_row_group(&mut self) -> io::Result<()> {
        let batch = self.columns.take()?;
        self.writer.write(&batch).map_err(io::Error::other)?;
        self.writer.flush().map_err(io::Error::other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Collected, LoggingPolicy, World, WorldConfig, read_truth};

    #[test]
    fn every_truth_comes_back_and_an_unfinished_file_has_no_name() {
        let config = WorldConfig { users: 60, days: 1, history_days: 1, ..WorldConfig::default() };
        let mut log = Collected::default();
        let mut world = World::new(&config).unwrap();
        let Ok(_) = world.run(&mut LoggingPolicy::new(1), &mut log, &mut |_| ());
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("truth.parquet");
        let mut writer = TruthWriter::create(&path).unwrap();
        log.truths.iter().for_each(|truth| writer.push(truth).unwrap());
        assert!(!path.exists());
        writer.finish().unwrap();
        let read: Vec<Truth> = read_truth(&path).unwrap().map(Result::unwrap).collect();
        assert!(read == log.truths && !read.is_empty());
    }

    #[test]
    fn what_is_no_truth_file_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("truth.parquet");
        fs_err::write(&path, "no Parquet").unwrap();
        let error = read_truth(&path).err().map(|error| error.to_string()).unwrap_or_default();
        assert!(error.contains("truth.parquet"), "{error}");
    }
}
