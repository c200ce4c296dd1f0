//! Writes one feed file on its own, for feeds that are made day by day: the file gets its name when all of it is on
//! disk, so a kill leaves the whole file or none.

use std::path::{Path, PathBuf};

use eliverec_core::{Feed, Schema};
use parquet::arrow::ArrowWriter;

use crate::arrow_schema::feed_columns;
use crate::encode;
use crate::error::Error;
use crate::layout::Split;
use crate::partial::parent_of;
use crate::read::FeedFile;
use crate::write::{ROW_GROUP_FEEDS, ROW_GROUP_VALUES, properties};

/// Writes the feeds of one file of a split. Dropped without [`FeedFileWriter::finish`], it leaves nothing behind.
///
/// # Memory
/// One row group, as [`crate::FeedWriter`], and the footer of the file.
#[derive(Debug)]
pub struct FeedFileWriter {
    path: PathBuf,
    split: Split,
    schema: Schema,
    pending: Vec<Feed>,
    values: usize,
    partial: PartialFile,
    writer: ArrowWriter<std::fs::File>,
}

impl FeedFileWriter {
    /// A writer of the file `path`, which lies in the folder of `split` and has a name that ends in `.parquet`. It
    /// takes the place of a file of that name.
    ///
    /// # Errors
    /// What the file system refuses.
    pub fn create(path: &Path, split: Split, schema: &Schema) -> Result<Self, Error> {
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
        let writer = ArrowWriter::try_new(file, feed_columns(schema), Some(properties(schema)))
            .map_err(|e| cannot_write(path, &e))?;
        Ok(Self {
            path: path.into(),
            split,
            schema: schema.clone(),
            pending: Vec::new(),
            values: 0,
            partial,
            writer,
        })
    }

    /// Adds a feed; feeds keep their order.
    ///
    /// # Errors
    /// A feed that breaks the contract, and what the file system refuses.
    pub fn push(&mut self, feed: Feed) -> Result<(), Error> {
        let (split, request_id) = (self.split, feed.request_id);
        feed.check(&self.schema).map_err(|source| Error::Feed { split, request_id, source })?;
        self.values += encode::values(&feed);
        self.pending.push(feed);
        if self.pending.len() >= ROW_GROUP_FEEDS || self.values >= ROW_GROUP_VALUES {
            self.end_row_group()?;
        }
        Ok(())
    }

    /// Puts everything on disk and gives the file its name.
    ///
    /// # Errors
    /// What the file system refuses.
    pub fn finish(mut self) -> Result<(), Error> {
        self.end_row_group()?;
        let file = self.writer.into_inner().map_err(|e| cannot_write(&self.path, &e))?;
        file.sync_all()?;
        fs_err::rename(&self.partial.0, &self.path)?;
        fs_err::File::open(parent_of(&self.path))?.sync_all()?;
        Ok(())
    }

    fn end_row_group(&mut self) -> Result<(), Error> {
        if self.pending.is_empty() {
            return Ok(());
        }
        let rows = encode::record_batch(&self.schema, &feed_columns(&self.schema), &self.pending)
            .map_err(|e| cannot_write(&self.path, &e))?;
        self.pending.clear();
        self.values = 0;
        let written = self.writer.write(&rows).and_then(|()| self.writer.flush());
        written.map_err(|e| cannot_write(&self.path, &e))
    }
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
