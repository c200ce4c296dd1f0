//! Writes a feed directory row by row; it appears whole or not at all.

use std::fs::File;
use std::path::{Path, PathBuf};

use arrow::datatypes::SchemaRef;
use eliverec_core::{Feed, Schema};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::types::ColumnPath;

use crate::arrow_schema::{FINGERPRINT_KEY, SCHEMA_TEXT_KEY, feed_columns};
use crate::encode;
use crate::error::Error;
use crate::layout::{SCHEMA_FILE, Split};
use crate::partial::PartialDirectory;

/// A row group ends at this many feeds. Small, because a shuffle mixes within a few row groups at a time.
pub const ROW_GROUP_FEEDS: usize = 1_024;
/// A row group ends, after a whole feed, at this many events, candidates and ids of lists.
pub const ROW_GROUP_VALUES: usize = 1 << 19;
/// A file ends at this many row groups: readers hold a file's footer, which grows with them.
const FILE_ROW_GROUPS: usize = 64;

/// Writes a feed directory. Dropped without [`FeedWriter::finish`], it leaves nothing behind.
#[derive(Debug)]
pub struct FeedWriter {
    partial: PartialDirectory,
    schema: Schema,
    columns: SchemaRef,
    properties: WriterProperties,
    splits: [SplitWriter; Split::ALL.len()],
}

impl FeedWriter {
    /// A writer of the feed directory `dir`, which must not exist or be empty until [`FeedWriter::finish`].
    ///
    /// What a killed writer of the same directory left behind is removed.
    ///
    /// # Errors
    /// A schema that contradicts itself, a `dir` that holds something, and what the file system refuses.
    pub fn create(dir: &Path, schema: &Schema) -> Result<Self, Error> {
        let schema_path = dir.join(SCHEMA_FILE);
        schema.check().map_err(|source| Error::Schema { path: schema_path, source })?;
        let partial = PartialDirectory::create(dir)?;
        let schema_file = partial.path().join(SCHEMA_FILE);
        fs_err::write(&schema_file, schema.to_toml())?;
        fs_err::File::open(&schema_file)?.sync_all()?;
        Ok(Self {
            partial,
            columns: feed_columns(schema),
            schema: schema.clone(),
            properties: properties(schema),
            splits: Default::default(),
        })
    }

    /// Adds a feed to a split; a split's feeds keep their order.
    ///
    /// # Errors
    /// A feed that breaks the contract, and what the file system refuses.
    pub fn push(&mut self, split: Split, feed: &Feed) -> Result<(), Error> {
        feed.check(&self.schema).map_err(|source| {
            let request_id = feed.request_id;
            Error::Feed { split, request_id, source }
        })?;
        let pending = &mut self.splits[split as usize];
        pending.values += encode::values(feed);
        pending.feeds.push(feed.clone());
        if pending.feeds.len() >= ROW_GROUP_FEEDS || pending.values >= ROW_GROUP_VALUES {
            self.end_row_group(split)?;
        }
        Ok(())
    }

    /// Puts everything on disk and gives the directory its name. A split without feeds has no folder.
    ///
    /// # Errors
    /// A directory that took the name meanwhile, and what the file system refuses.
    pub fn finish(mut self) -> Result<(), Error> {
        for split in Split::ALL {
            self.end_row_group(split)?;
            self.end_file(split)?;
            let folder = split.folder(self.partial.path());
            if folder.exists() {
                fs_err::File::open(&folder)?.sync_all()?;
            }
        }
        self.partial.publish()
    }

    fn end_row_group(&mut self, split: Split) -> Result<(), Error> {
        let pending = &mut self.splits[split as usize];
        if pending.feeds.is_empty() {
            return Ok(());
        }
        let path = part_path(self.partial.path(), split, pending.files);
        let failed = |reason: String| Error::directory(&path, format!("cannot write: {reason}"));
        let batch = encode::record_batch(&self.schema, &self.columns, &pending.feeds)
            .map_err(|e| failed(e.to_string()))?;
        pending.feeds.clear();
        pending.values = 0;
        let writer = if let Some(writer) = &mut pending.writer {
            writer
        } else {
            fs_err::create_dir_all(split.folder(self.partial.path()))?;
            let file = fs_err::File::create(&path)?.into_parts().0;
            let (columns, properties) = (SchemaRef::clone(&self.columns), self.properties.clone());
            let writer = ArrowWriter::try_new(file, columns, Some(properties))
                .map_err(|e| failed(e.to_string()))?;
            pending.writer.insert(writer)
        };
        writer.write(&batch).and_then(|()| writer.flush()).map_err(|e| failed(e.to_string()))?;
        if writer.flushed_row_groups().len() >= FILE_ROW_GROUPS {
            self.end_file(split)?;
        }
        Ok(())
    }

    fn end_file(&mut self, split: Split) -> Result<(), Error> {
        let pending = &mut self.splits[split as usize];
        if let Some(writer) = pending.writer.take() {
            let path = part_path(self.partial.path(), split, pending.files);
            let failed = |e| Error::directory(&path, format!("cannot write: {e}"));
            writer.into_inner().map_err(failed)?.sync_all()?;
            pending.files += 1;
        }
        Ok(())
    }
}

/// How every feed file is written, with what tells readers its schema.
pub(crate) fn properties(schema: &Schema) -> WriterProperties {
    let metadata = [(FINGERPRINT_KEY, schema.fingerprint()), (SCHEMA_TEXT_KEY, schema.to_toml())];
    let metadata = metadata.into_iter().map(|(k, v)| KeyValue::new(k.to_owned(), v)).collect();
    // Ages hardly repeat: a dictionary would hold every value once and an index besides.
    let of_age = |events: &str| {
        ColumnPath::from([events, "list", "element", "age_s"].map(String::from).to_vec())
    };
    WriterProperties::builder()
        .set_column_dictionary_enabled(of_age("products"), false)
        .set_column_dictionary_enabled(of_age("channels"), false)
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .set_offset_index_disabled(true)
        .set_key_value_metadata(Some(metadata))
        .build()
}

/// The row group and the file that a split's next feed goes to.
#[derive(Debug, Default)]
struct SplitWriter {
    feeds: Vec<Feed>,
    values: usize,
    writer: Option<ArrowWriter<File>>,
    files: usize,
}

fn part_path(partial: &Path, split: Split, number: usize) -> PathBuf {
    split.folder(partial).join(format!("part-{number:05}.parquet"))
}
