//! Writes one feed file: it gets its name when all of it is on disk, so a kill leaves the whole file or none. Encoding takes
//! most of the time and may run on any threads; the encoded row groups are then appended in order.

use std::fmt;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use eliverec_core::schema::Group;
use eliverec_core::{Feed, FeedColumns, Schema};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::{ArrowColumnChunk, ArrowRowGroupWriterFactory, compute_leaves};
use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::Result as ParquetResult;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::ColumnPath;

use crate::arrow_schema::{FINGERPRINT_KEY, SCHEMA_TEXT_KEY, feed_columns};
use crate::decode::{Place, list_of_structs};
use crate::encode;
use crate::error::{Error, cannot_write};
use crate::file_columns::KnownColumns;
use crate::footer::{FeedFile, row_groups};
use crate::layout::Split;
use crate::partial::parent_of;
use crate::row_reader::RowReader;
use crate::values;

/// Makes row groups of feeds.
#[derive(Debug)]
pub struct FeedEncoder {
    schema: Schema,
    with_labels: ColumnEncoder,
    without_labels: ColumnEncoder,
}

/// The columns of a file and what encodes them.
#[derive(Debug)]
struct ColumnEncoder {
    columns: SchemaRef,
    factory: ArrowRowGroupWriterFactory,
}

/// The encoded columns of some feeds.
pub struct EncodedFeeds {
    chunks: Vec<ArrowColumnChunk>,
    labelled: bool,
}

impl fmt::Debug for EncodedFeeds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EncodedFeeds").field("columns", &self.chunks.len()).finish_non_exhaustive()
    }
}

impl FeedEncoder {
    /// An encoder of feeds of `schema`.
    ///
    /// # Errors
    /// None that a schema can cause.
    pub fn new(schema: &Schema) -> Result<Self, Error> {
        Ok(Self {
            schema: schema.clone(),
            with_labels: ColumnEncoder::new(schema, true)?,
            without_labels: ColumnEncoder::new(schema, false)?,
        })
    }

    /// The feeds as a row group; `split` is where they belong, for messages.
    ///
    /// # Errors
    /// A feed that breaks the contract.
    pub fn encode(&self, split: Split, feeds: &[Feed]) -> Result<EncodedFeeds, Error> {
        let mut columns = FeedColumns::empty(&self.schema);
        for feed in feeds {
            let request_id = feed.request_id;
            let added = columns.push(&self.schema, feed);
            added.map_err(|source| Error::Feed { split, request_id, source })?;
        }
        self.encode_columns(split, &columns)
    }

    /// As [`FeedEncoder::encode`], of feeds of the encoder's schema.
    pub(crate) fn encode_columns(
        &self,
        split: Split,
        feeds: &FeedColumns,
    ) -> Result<EncodedFeeds, Error> {
        let labelled = feeds.labelled();
        let encoder = if labelled { &self.with_labels } else { &self.without_labels };
        let chunks = encoder.encode(&self.schema, feeds);
        let chunks = chunks.map_err(|e| cannot_write(Path::new(split.name()), &e))?;
        Ok(EncodedFeeds { chunks, labelled })
    }
}

impl ColumnEncoder {
    fn new(schema: &Schema, labelled: bool) -> Result<Self, Error> {
        let columns = feed_columns(schema, labelled);
        // The factory of any file makes columns for all files of the same columns.
        let nowhere = ArrowWriter::try_new(
            std::io::sink(),
            SchemaRef::clone(&columns),
            Some(properties(schema)),
        );
        let (_, factory) = nowhere
            .and_then(ArrowWriter::into_serialized_writer)
            .map_err(|e| cannot_write(Path::new("feeds"), &e))?;
        Ok(Self { columns, factory })
    }

    fn encode(&self, schema: &Schema, feeds: &FeedColumns) -> ParquetResult<Vec<ArrowColumnChunk>> {
        let rows = encode::record_batch(schema, &self.columns, feeds)?;
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
    schema: Schema,
    partial: PartialFile,
    rows: Rows,
}

/// What the first row group decides: whether the file has labels.
#[derive(Debug)]
enum Rows {
    None(File),
    Some { writer: Box<SerializedFileWriter<File>>, labelled: bool },
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
        Ok(Self { path: path.into(), schema: schema.clone(), partial, rows: Rows::None(file) })
    }

    /// Adds the feeds of a row group, made by an encoder of the same schema.
    ///
    /// # Errors
    /// What the file system refuses, and feeds without labels beside feeds with labels.
    pub fn append(&mut self, feeds: EncodedFeeds) -> Result<(), Error> {
        if let Rows::None(file) = &self.rows {
            let file = file.try_clone()?;
            let writer = file_writer(&self.path, &self.schema, file, feeds.labelled)?;
            self.rows = Rows::Some { writer: Box::new(writer), labelled: feeds.labelled };
        }
        let Rows::Some { writer, labelled } = &mut self.rows else { return Ok(()) };
        if *labelled != feeds.labelled {
            let reason = "some of its feeds have labels and some have none; give labels for all of them or for none";
            return Err(Error::directory(&self.path, reason));
        }
        let append = || -> ParquetResult<()> {
            let mut row_group = writer.next_row_group()?;
            for chunk in feeds.chunks {
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
        let writer = match self.rows {
            Rows::None(file) => Box::new(file_writer(&self.path, &self.schema, file, true)?),
            Rows::Some { writer, .. } => writer,
        };
        let file = writer.into_inner().map_err(|e| cannot_write(&self.path, &e))?;
        file.sync_all()?;
        fs_err::rename(&self.partial.0, &self.path)?;
        fs_err::File::open(parent_of(&self.path))?.sync_all()?;
        Ok(())
    }
}

fn file_writer(
    path: &Path,
    schema: &Schema,
    file: File,
    labelled: bool,
) -> Result<SerializedFileWriter<File>, Error> {
    ArrowWriter::try_new(file, feed_columns(schema, labelled), Some(properties(schema)))
        .and_then(ArrowWriter::into_serialized_writer)
        .map(|(writer, _)| writer)
        .map_err(|e| cannot_write(path, &e))
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

/// How much a file holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FileCounts {
    /// Rows.
    pub feeds: u64,
    /// Channels shown in them.
    pub impressions: u64,
    /// Those watched.
    pub watched: u64,
}

/// Counts what a file holds, of its candidates' labels alone.
///
/// # Errors
/// A file that cannot be read, or is of another schema.
pub fn counts(path: &Path, schema: &Schema) -> Result<FileCounts, Error> {
    let known = Arc::new(KnownColumns::new(&Arc::new(schema.clone())));
    let files: Arc<[FeedFile]> = [FeedFile::open(path.into(), &known)?].into();
    let (candidates, label) = (Group::Candidate.column(), "watched");
    let columns = [(candidates, vec![label])];
    let mut reader = RowReader::new(&known, &files, row_groups(&files), &columns);
    let mut counts = FileCounts::default();
    while let Some(rows) = reader.next()? {
        let read = || {
            let (starts, structs) = list_of_structs(&rows.batch, candidates)?;
            let watched = structs.as_ref().and_then(|structs| structs.column_by_name(label));
            Place::List(candidates, &starts).read(watched, label, values::labels)
        };
        let watched = read().map_err(|problem| rows.located(problem))?;
        counts.feeds += rows.batch.num_rows() as u64;
        counts.impressions += watched.len() as u64;
        counts.watched += watched.iter().filter(|watched| **watched).count() as u64;
    }
    Ok(counts)
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
