//! Writes a feed directory row by row; it appears whole or not at all.

use std::path::Path;

use eliverec_core::{Feed, FeedColumns, Schema};

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
        let request_id = feed.request_id;
        let added = self.splits[split as usize].feeds(&self.schema).push(&self.schema, feed);
        added.map_err(|source| Error::Feed { split, request_id, source })?;
        self.end_full_row_group(split)
    }

    /// Adds one of some feeds of the schema.
    pub(crate) fn append(
        &mut self,
        split: Split,
        feeds: &FeedColumns,
        feed: usize,
    ) -> Result<(), Error> {
        let added = self.splits[split as usize].feeds(&self.schema).append(feeds, feed);
        let request_id = feeds.parts().request_ids[feed];
        added.map_err(|source| Error::Feed { split, request_id, source })?;
        self.end_full_row_group(split)
    }

    /// Adds a text file beside the schema.
    pub(crate) fn note(&self, name: &str, text: &str) -> Result<(), Error> {
        let path = self.partial.path().join(name);
        fs_err::write(&path, text)?;
        Ok(fs_err::File::open(&path)?.sync_all()?)
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

    fn end_full_row_group(&mut self, split: Split) -> Result<(), Error> {
        let feeds = self.splits[split as usize].feeds(&self.schema);
        if feeds.feeds() >= ROW_GROUP_FEEDS || encode::values(feeds) >= ROW_GROUP_VALUES {
            self.end_row_group(split)?;
        }
        Ok(())
    }

    fn end_row_group(&mut self, split: Split) -> Result<(), Error> {
        let pending = &mut self.splits[split as usize];
        let feeds = pending.feeds(&self.schema);
        if feeds.feeds() == 0 {
            return Ok(());
        }
        let group = self.encoder.encode_columns(split, feeds)?;
        feeds.clear();
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
    /// Of the row group; made with the first feed.
    feeds: Option<FeedColumns>,
    file: Option<FeedFileWriter>,
    row_groups: usize,
    files: usize,
}

impl SplitWriter {
    fn feeds(&mut self, schema: &Schema) -> &mut FeedColumns {
        self.feeds.get_or_insert_with(|| FeedColumns::empty(schema))
    }
}
