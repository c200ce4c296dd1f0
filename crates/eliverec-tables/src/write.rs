//! Writes a feed directory row by row; it appears whole or not at all.

use std::path::Path;

use eliverec_core::{Feed, Schema};

use crate::encode;
use crate::error::Error;
use crate::feed_file::{FeedEncoder, FeedFileWriter};
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
    encoder: FeedEncoder,
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
            encoder: FeedEncoder::new(schema)?,
            schema: schema.clone(),
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
        }
        self.partial.publish()
    }

    fn end_row_group(&mut self, split: Split) -> Result<(), Error> {
        let pending = &mut self.splits[split as usize];
        if pending.feeds.is_empty() {
            return Ok(());
        }
        let group = self.encoder.row_group(split, &pending.feeds)?;
        pending.feeds.clear();
        pending.values = 0;
        let file = if let Some(file) = &mut pending.file {
            file
        } else {
            let name = format!("part-{:05}.parquet", pending.files);
            let path = split.folder(self.partial.path()).join(name);
            pending.file.insert(FeedFileWriter::create(&path, &self.schema)?)
        };
        file.append(group)?;
        pending.row_groups += 1;
        if pending.row_groups >= FILE_ROW_GROUPS {
            self.end_file(split)?;
        }
        Ok(())
    }

    fn end_file(&mut self, split: Split) -> Result<(), Error> {
        let pending = &mut self.splits[split as usize];
        if let Some(file) = pending.file.take() {
            file.finish()?;
            pending.files += 1;
            pending.row_groups = 0;
        }
        Ok(())
    }
}

/// The row group and the file that a split's next feed goes to.
#[derive(Debug, Default)]
struct SplitWriter {
    feeds: Vec<Feed>,
    values: usize,
    file: Option<FeedFileWriter>,
    row_groups: usize,
    files: usize,
}
