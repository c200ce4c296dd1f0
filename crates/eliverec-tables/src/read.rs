//! Reads feeds as a stream, a few rows at a time, so that a set larger than memory works.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use eliverec_core::{Feed, FeedColumns};

use crate::contents::Contents;
use crate::decode::{decode, wanted};
use crate::error::Error;
use crate::file_columns::{FileColumns, KnownColumns};
use crate::footer::Footer;
use crate::id_types::IdType;
pub use crate::row_reader::DECODED_FEEDS;
use crate::row_reader::{RowGroupPlace, RowReader};

/// A feed file whose schema and columns have been checked.
#[derive(Debug)]
pub(crate) struct FeedFile {
    path: PathBuf,
    /// Rows of every row group.
    row_groups: Vec<u64>,
    columns: Arc<FileColumns>,
    /// What was read to know this, where there is room for it.
    footer: Option<Footer>,
}

impl FeedFile {
    /// Reads the footer, and checks it against the schema of the directory.
    pub(crate) fn open(path: PathBuf, known: &KnownColumns) -> Result<Self, Error> {
        let footer = Footer::read(&path, known)?;
        let groups = footer.metadata.row_groups().iter();
        let row_groups = groups.map(|group| group.num_rows().max(0) as u64).collect();
        let columns = Arc::clone(&footer.columns);
        // A file that is open would stay so; thousands may not.
        let footer = Some(footer).filter(|footer| footer.bytes.is_some());
        Ok(Self { path, row_groups, columns, footer })
    }

    /// The same with its footer and content if `room`, in bytes, is enough for them, and less room.
    pub(crate) fn kept_within(self, room: &mut usize) -> Self {
        let bytes = self.footer.as_ref().and_then(|footer| footer.bytes);
        let left = bytes.and_then(|bytes| room.checked_sub(bytes));
        *room = left.unwrap_or(*room);
        Self { footer: self.footer.filter(|_| left.is_some()), ..self }
    }

    /// Its footer, as it was when the file was opened first, or read again.
    pub(crate) fn footer(&self, known: &KnownColumns) -> Result<Footer, Error> {
        match &self.footer {
            Some(footer) => Ok(footer.clone()),
            None => Footer::read(&self.path, known),
        }
    }

    /// What it holds, where that is in memory.
    pub(crate) fn contents(&self) -> Option<&Arc<Contents>> {
        self.footer.as_ref().map(|footer| &footer.contents)
    }

    /// How it writes ids, by [`crate::id_types::id_columns`].
    pub(crate) fn id_types(&self) -> &[Option<IdType>] {
        &self.columns.id_types
    }

    /// Whether its columns are these.
    pub(crate) fn is_alike(&self, columns: &Arc<FileColumns>) -> bool {
        Arc::ptr_eq(&self.columns, columns)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn feeds(&self) -> u64 {
        self.row_groups.iter().sum()
    }

    pub(crate) fn row_groups(&self) -> &[u64] {
        &self.row_groups
    }

    /// Whether its candidates have labels.
    pub(crate) fn labelled(&self) -> bool {
        self.columns.labelled
    }
}

/// Every row group, in the order of the files.
pub(crate) fn row_groups(files: &[FeedFile]) -> Vec<RowGroupPlace> {
    let of_file = |(file, feeds): (usize, &FeedFile)| {
        (0..feeds.row_groups.len()).map(move |index| RowGroupPlace { file, index })
    };
    files.iter().enumerate().flat_map(of_file).collect()
}

/// A feed among those that were decoded, or moved, together with it; it keeps them all in memory.
#[derive(Clone, Debug)]
pub(crate) struct FeedHandle {
    pub(crate) feeds: Arc<FeedColumns>,
    /// Its place among them.
    pub(crate) place: usize,
}

impl FeedHandle {
    pub(crate) fn impressions(&self) -> usize {
        self.feeds.parts().candidates.range(self.place).len()
    }
}

/// The feeds of some row groups, one after the other. Ends after the first error.
#[derive(Debug)]
pub struct FeedReader {
    rows: RowReader,
    /// The next of the feeds that are decoded.
    next: Option<FeedHandle>,
}

impl FeedReader {
    pub(crate) fn new(
        known: &Arc<KnownColumns>,
        files: &Arc<[FeedFile]>,
        order: impl IntoIterator<Item = RowGroupPlace>,
    ) -> Self {
        let rows = RowReader::new(known, files, order, &wanted(known.schema()));
        Self { rows, next: None }
    }

    /// The next feed as one of those that were decoded together.
    pub(crate) fn next_handle(&mut self) -> Option<Result<FeedHandle, Error>> {
        if let Some(next) = self.next.take() {
            self.next = following(&next);
            return Some(Ok(next));
        }
        match self.decode() {
            Ok(feeds) => {
                let first = FeedHandle { feeds: Arc::new(feeds?), place: 0 };
                self.next = following(&first);
                Some(Ok(first))
            }
            Err(e) => {
                self.rows.end();
                Some(Err(e))
            }
        }
    }

    /// The next rows, at least one.
    fn decode(&mut self) -> Result<Option<FeedColumns>, Error> {
        let Some(rows) = self.rows.next()? else { return Ok(None) };
        let feeds = decode(self.rows.known().schema(), rows.ts_unit, &rows.batch);
        feeds.map(Some).map_err(|problem| rows.located(problem))
    }
}

/// The feed after this one, of those that were decoded together.
fn following(handle: &FeedHandle) -> Option<FeedHandle> {
    let place = handle.place + 1;
    (place < handle.feeds.feeds()).then(|| FeedHandle { feeds: Arc::clone(&handle.feeds), place })
}

impl Iterator for FeedReader {
    type Item = Result<Feed, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        let handle = self.next_handle()?;
        Some(handle.map(|handle| handle.feeds.feed(handle.place)))
    }
}
