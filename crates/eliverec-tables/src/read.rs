//! Reads feeds as a stream, a few rows at a time, so that a set larger than memory works.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::datatypes::TimeUnit;
use eliverec_core::{Feed, FeedColumns, Schema};
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};

use crate::decode::decode;
use crate::error::Error;
use crate::footer::{Footer, guarded, located};
use crate::id_types::{self, IdType, id_columns};

/// How many rows a reader decodes at a time, whatever the size of a file's row groups.
pub const DECODED_FEEDS: usize = 256;

/// A feed file whose schema and columns have been checked.
#[derive(Debug)]
pub(crate) struct FeedFile {
    path: PathBuf,
    /// Rows of every row group.
    row_groups: Vec<u64>,
    /// Whether its candidates have labels.
    labelled: bool,
    /// How it writes ids, by [`id_columns`].
    id_types: Vec<Option<IdType>>,
    /// What was read to know this, where there is room for it.
    footer: Option<Footer>,
}

impl FeedFile {
    /// Reads the footer, and checks it against the schema of the directory.
    pub(crate) fn open(path: PathBuf, schema: &Schema) -> Result<Self, Error> {
        let footer = Footer::read(&path, schema)?;
        let groups = footer.metadata.metadata().row_groups().iter();
        let row_groups = groups.map(|group| group.num_rows().max(0) as u64).collect();
        let id_types = id_types::of_file(&id_columns(schema), None, footer.metadata.schema());
        let labelled = footer.labelled;
        // A file that is open would stay so; thousands may not.
        let footer = Some(footer).filter(|footer| footer.bytes().is_some());
        Ok(Self { path, row_groups, labelled, id_types, footer })
    }

    /// The same with its footer and content if `room`, in bytes, is enough for them, and less room.
    pub(crate) fn kept_within(self, room: &mut usize) -> Self {
        let bytes = self.footer.as_ref().and_then(Footer::bytes);
        let left = bytes.and_then(|bytes| room.checked_sub(bytes));
        *room = left.unwrap_or(*room);
        Self { footer: self.footer.filter(|_| left.is_some()), ..self }
    }

    /// Its footer, as it was when the file was opened first, or read again.
    pub(crate) fn footer(&self, schema: &Schema) -> Result<Footer, Error> {
        match &self.footer {
            Some(footer) => footer.again(),
            None => Footer::read(&self.path, schema),
        }
    }

    pub(crate) fn id_types(&self) -> &[Option<IdType>] {
        &self.id_types
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

    pub(crate) fn labelled(&self) -> bool {
        self.labelled
    }
}

/// Where a row group of a split is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RowGroupPlace {
    file: usize,
    index: usize,
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
    schema: Arc<Schema>,
    files: Arc<[FeedFile]>,
    ahead: VecDeque<RowGroupPlace>,
    /// The footer of the file that the last row group was in.
    footer: Option<(usize, Footer)>,
    current: Option<OpenRowGroup>,
    /// The next of the feeds that are decoded.
    next: Option<FeedHandle>,
}

impl FeedReader {
    pub(crate) fn new(
        schema: Arc<Schema>,
        files: Arc<[FeedFile]>,
        order: impl IntoIterator<Item = RowGroupPlace>,
    ) -> Self {
        let ahead = order.into_iter().collect();
        Self { schema, files, ahead, footer: None, current: None, next: None }
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
                self.ahead.clear();
                self.current = None;
                Some(Err(e))
            }
        }
    }

    /// The next rows, at least one.
    fn decode(&mut self) -> Result<Option<FeedColumns>, Error> {
        loop {
            if let Some(current) = &mut self.current {
                let path = &self.files[current.place.file].path;
                if let Some(feeds) = current.decode(path, &self.schema)? {
                    return Ok(Some(feeds));
                }
                self.current = None;
            }
            let Some(row_group) = self.ahead.pop_front() else { return Ok(None) };
            self.current = Some(self.open(row_group)?);
        }
    }

    fn open(&mut self, place: RowGroupPlace) -> Result<OpenRowGroup, Error> {
        let file = &self.files[place.file];
        let footer = match self.footer.take() {
            Some((number, footer)) if number == place.file => footer,
            _ => file.footer(&self.schema)?,
        };
        let footer = &self.footer.insert((place.file, footer)).1;
        let handle = footer.contents.try_clone()?;
        let metadata = footer.metadata.clone();
        let rows = guarded(&file.path, || {
            ParquetRecordBatchReaderBuilder::new_with_metadata(handle, metadata)
                .with_projection(footer.columns.clone())
                .with_row_groups(vec![place.index])
                .with_batch_size(DECODED_FEEDS)
                .build()
        })?;
        Ok(OpenRowGroup {
            place,
            rows,
            ts_unit: footer.ts_unit(),
            next_row: file.row_groups[..place.index].iter().sum(),
            rows_left: file.row_groups[place.index],
        })
    }
}

/// The feed after this one, of those that were decoded together.
pub(crate) fn following(handle: &FeedHandle) -> Option<FeedHandle> {
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

#[derive(Debug)]
struct OpenRowGroup {
    place: RowGroupPlace,
    rows: ParquetRecordBatchReader,
    ts_unit: TimeUnit,
    /// Row of the file that follows the decoded ones.
    next_row: u64,
    /// Rows that the footer promises beyond the decoded ones.
    rows_left: u64,
}

impl OpenRowGroup {
    /// The next rows, at least one, or none at the end.
    fn decode(&mut self, path: &Path, schema: &Schema) -> Result<Option<FeedColumns>, Error> {
        loop {
            let batch = match guarded(path, || self.rows.next().transpose())? {
                Some(batch) => batch,
                None if self.rows_left == 0 => return Ok(None),
                None => {
                    let reason = format!("{} rows fewer than promised", self.rows_left);
                    return Err(Error::parquet(path, &reason));
                }
            };
            let feeds = decode(schema, self.ts_unit, &batch)
                .map_err(|problem| located(path, self.next_row, problem))?;
            let rows = feeds.feeds() as u64;
            self.next_row += rows;
            self.rows_left = self.rows_left.saturating_sub(rows);
            if rows > 0 {
                return Ok(Some(feeds));
            }
        }
    }
}
