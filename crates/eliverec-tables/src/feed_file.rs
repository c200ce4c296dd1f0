//! Writes one feed file: it gets its name when all of it is on disk, so a kill leaves the whole file or none. Encoding takes
//! most of the time and may run on any threads; the encoded row groups are then appended in order.

use std::fmt;
use std::fs::File;
use std::path::{Path, PathBuf};

use arrow::datatypes::SchemaRef;
use eliverec_core::{Feed, Schema};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::{ArrowColumnChunk, ArrowRowGroupWriterFactory, compute_leaves};
use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::Result as ParquetResult;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::ColumnPath;

use crate::arrow_schema::{FINGERPRINT_KEY, SCHEMA_TEXT_KEY, feed_columns};
use crate::encode;
use crate::error::Error;
use crate::layout::Split;
use crate::partial::parent_of;
use crate::read::FeedFile;

/// Makes row groups of feeds.
#[derive(Debug)]
pub struct FeedEncoder {
    schema: Schema,
    columns: SchemaRef,
    factory: ArrowRowGroupWriterFactory,
}

/// The encoded columns of some feeds.
pub struct RowGroup(Vec<ArrowColumnChunk>);

impl fmt::Debug for RowGroup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RowGroup").field("columns", &self.0.len()).finish_non_exhaustive()
    }
}

impl FeedEncoder {
    /// An encoder of feeds of `schema`.
    ///
    /// # Errors
    /// None that a schema can cause.
    pub fn new(schema: &Schema) -> Result<Self, Error> {
        let columns = feed_columns(schema);
        // The factory of any file makes columns for all files of the same schema.
        let nowhere = ArrowWriter::try_new(
            std::io::sink(),
            SchemaRef::clone(&columns),
            Some(properties(schema)),
        );
        let (_, factory) = nowhere
            .and_then(ArrowWriter::into_serialized_writer)
            .map_err(|e| cannot_write(Path::new("feeds"), &e))?;
        Ok(Self { schema: schema.clone(), columns, factory })
    }

    /// The feeds as a row group; `split` is where they belong, for messages.
    ///
    /// # Errors
    /// A feed that breaks the contract.
    pub fn encode(&self, split: Split, feeds: &[Feed]) -> Result<RowGroup, Error> {
        for feed in feeds {
            let request_id = feed.request_id;
            feed.check(&self.schema).map_err(|source| Error::Feed { split, request_id, source })?;
        }
        self.row_group(split, feeds)
    }

    /// As [`FeedEncoder::encode`], of feeds that have been checked.
    pub(crate) fn row_group(&self, split: Split, feeds: &[Feed]) -> Result<RowGroup, Error> {
        self.columns(feeds).map(RowGroup).map_err(|e| cannot_write(Path::new(split.name()), &e))
    }

    fn columns(&self, feeds: &[Feed]) -> ParquetResult<Vec<ArrowColumnChunk>> {
        let rows = encode::record_batch(&self.schema, &self.columns, feeds)?;
        let mut writers = self.factory.create_column_writers(0)?.into_iter();
        let mut chunks = Vec::with_capacity(writers.len());
        for (field, column) in self.columns.fields().iter().zip(rows.columns()) {
            for (leaf, mut writer) in compute_leaves(field, column)?.iter().zip(&mut writers) {
                writer.write(leaf)?;
                chunks.push(writer.close()?);
            }
        }
        Ok(chunks)
    }
}

/// Writes the feeds of one file of a split. Dropped without [`FeedFileWriter::finish`], it leaves nothing behind.
///
/// # Memory
/// The footer of the file.
#[derive(Debug)]
pub struct FeedFileWriter {
    path: PathBuf,
    partial: PartialFile,
    writer: SerializedFileWriter<File>,
}

impl FeedFileWriter {
    /// A writer of the file `path`, which lies in the folder of a split and has a name that ends in `.parquet`. It
    /// takes the place of a file of that name.
    ///
    /// # Errors
    /// What the file system refuses.
    pub fn create(path: &Path, schema: &Schema) -> Result<Self, Error> {
        let Some(name) = path.file_name() else {
            return Err(Error::directory(path, "not a name for a feed file"));
        };
        let folder = parent_of(path);
        if !folder.is_dir() {
            fs_err::create_dir_all(&folder)?;
            fs_err::File::open(parent_of(&folder))?.sync_all()?;
        }
        let partial = PartialFile(folder.join(format!(".{}.partial", name.display())));
        let file = fs_err::File::create(&partial.0)?.into_parts().0;
        let (writer, _) =
            ArrowWriter::try_new(file, feed_columns(schema), Some(properties(schema)))
                .and_then(ArrowWriter::into_serialized_writer)
                .map_err(|e| cannot_write(path, &e))?;
        Ok(Self { path: path.into(), partial, writer })
    }

    /// Adds the feeds of a row group, made by an encoder of the same schema.
    ///
    /// # Errors
    /// What the file system refuses.
    pub fn append(&mut self, group: RowGroup) -> Result<(), Error> {
        let append = || -> ParquetResult<()> {
            let mut row_group = self.writer.next_row_group()?;
            for chunk in group.0 {
                chunk.append_to_row_group(&mut row_group)?;
            }
            row_group.close().map(drop)
        };
        append().map_err(|e| cannot_write(&self.path, &e))
    }

    /// Puts everything on disk and gives the file its name.
    ///
    /// # Errors
    /// What the file system refuses.
    pub fn finish(self) -> Result<(), Error> {
        let file = self.writer.into_inner().map_err(|e| cannot_write(&self.path, &e))?;
        file.sync_all()?;
        fs_err::rename(&self.partial.0, &self.path)?;
        fs_err::File::open(parent_of(&self.path))?.sync_all()?;
        Ok(())
    }
}

/// How every feed file is written, with what tells readers its schema.
fn properties(schema: &Schema) -> WriterProperties {
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

/// How many feeds a file has, from its footer.
///
/// # Errors
/// A file that cannot be read, or is of another schema.
pub fn feeds(path: &Path, schema: &Schema) -> Result<u64, Error> {
    Ok(FeedFile::open(path.into(), schema)?.feeds())
}

/// A file that is removed unless it has been renamed.
#[derive(Debug)]
struct PartialFile(PathBuf);

impl Drop for PartialFile {
    fn drop(&mut self) {
        // After the rename there is nothing of that name; otherwise this is best effort on the way out of an error.
        let _ = fs_err::remove_file(&self.0);
    }
}

fn cannot_write(path: &Path, error: &impl ToString) -> Error {
    Error::directory(path, format!("cannot write: {}", error.to_string()))
}
