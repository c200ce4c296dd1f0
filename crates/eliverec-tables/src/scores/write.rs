//! Writes a score file; it gets its name when all of it is on disk.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};

use eliverec_core::task::P_WATCH;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;

use super::rows::ScoredFeeds;
use crate::directory::FeedDirectory;
use crate::error::{Error, cannot_write};
use crate::parquet_file::guarded;
use crate::partial::parent_of;

/// Dropped without [`ScoreWriter::finish`], it leaves nothing behind.
#[derive(Debug)]
pub struct ScoreWriter {
    path: PathBuf,
    partial: PartialFile,
    file: Option<File>,
    writer: Option<Box<ArrowWriter<File>>>,
}

#[derive(Debug)]
struct PartialFile(PathBuf);

impl Drop for PartialFile {
    fn drop(&mut self) {
        // After the rename there is nothing of that name; otherwise this is best effort on the way out of an error.
        let _ = fs_err::remove_file(&self.0);
    }
}

impl ScoreWriter {
    /// A file at `path` for requests of `feeds`, in place of the score file that may be there.
    ///
    /// # Errors
    /// What the file system refuses, a name that is no file's, a file that is not of scores, a place among the feeds, another
    /// process that writes it.
    pub fn create(path: &Path, feeds: &FeedDirectory) -> Result<Self, Error> {
        // What a link points to is meant, and a device or a pipe would be replaced by the rename.
        let path = fs_err::canonicalize(path).unwrap_or_else(|_| path.to_path_buf());
        let Some(name) = path.file_name().filter(|_| !path.exists() || path.is_file()) else {
            let reason = "is no name for a score file; give one, such as scores.parquet";
            return Err(Error::directory(&path, reason));
        };
        if path.exists() && !is_of_scores(&path)? {
            let reason = "is there and no score file; remove it or choose another name";
            return Err(Error::directory(&path, reason));
        }
        let folder = parent_of(&path);
        fs_err::create_dir_all(&folder)?;
        if fs_err::canonicalize(&folder)?.starts_with(fs_err::canonicalize(feeds.path())?) {
            let reason =
                "lies among the feeds, where it would be taken for one; choose another place";
            return Err(Error::directory(&path, reason));
        }
        let partial = folder.join(format!(".{}.partial", name.display()));
        let file = fs_err::OpenOptions::new()
            .create(true)
            .write(true)
            .truncate(false)
            .open(&partial)?
            .into_parts()
            .0;
        // The lock ends with the process, however it ends, and what a killed one has left is written over.
        match file.try_lock() {
            Ok(()) => file.set_len(0)?,
            Err(TryLockError::WouldBlock) => {
                let reason = "another process is writing it; wait for that or choose another name";
                return Err(Error::directory(&path, reason));
            }
            Err(TryLockError::Error(e)) => return Err(e.into()),
        }
        let partial = PartialFile(partial);
        Ok(Self { path, partial, file: Some(file), writer: None })
    }

    /// Adds requests.
    ///
    /// # Errors
    /// What the file system refuses.
    pub fn write(&mut self, feeds: ScoredFeeds<'_>) -> Result<(), Error> {
        let failed = |e: &dyn std::fmt::Display| cannot_write(&self.path, e);
        let rows = feeds.rows(&self.path)?;
        let writer = match &mut self.writer {
            Some(writer) => writer,
            none => {
                let file = self.file.take().ok_or_else(|| failed(&"the file is closed"))?;
                let properties = WriterProperties::builder()
                    .set_compression(Compression::ZSTD(ZstdLevel::default()))
                    .build();
                let writer = ArrowWriter::try_new(file, rows.schema(), Some(properties));
                none.insert(Box::new(writer.map_err(|e| failed(&e))?))
            }
        };
        writer.write(&rows).map_err(|e| failed(&e))?;
        // Row groups of about a million rows would hold all of a small set in memory.
        if writer.in_progress_rows() > ROW_GROUP_ROWS {
            writer.flush().map_err(|e| failed(&e))?;
        }
        Ok(())
    }

    /// Puts everything on disk and gives the file its name.
    ///
    /// # Errors
    /// What the file system refuses; a file of no requests.
    pub fn finish(self) -> Result<(), Error> {
        let Some(writer) = self.writer else {
            return Err(Error::directory(&self.path, "no request was scored"));
        };
        let file = writer.into_inner().map_err(|e| cannot_write(&self.path, &e))?;
        file.sync_all()?;
        fs_err::rename(&self.partial.0, &self.path)?;
        fs_err::File::open(parent_of(&self.path))?.sync_all()?;
        Ok(())
    }
}

/// Whether a file has scores, or nothing as files have it that are made for their names.
fn is_of_scores(path: &Path) -> Result<bool, Error> {
    let file = fs_err::File::open(path)?.into_parts().0;
    let empty = file.metadata()?.len() == 0;
    let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
    let columns = guarded(path, || ArrowReaderMetadata::load(&file, options));
    Ok(empty || columns.is_ok_and(|file| file.schema().field_with_name(P_WATCH).is_ok()))
}

const ROW_GROUP_ROWS: usize = 1 << 17;
