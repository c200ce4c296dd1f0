//! Spreads the feeds of a split over small row groups in random order, where a shuffle would keep the order of the file:
//! [`crate::Shuffle`] mixes row groups and a buffer, and tools write row groups that are larger than any buffer.
//!
//! Two passes over files, so that memory stays bounded: every feed goes to a random pile, and every pile is read back, put
//! in random order and written. For up to [`PILES`] times the buffer every order is equally likely; beyond, that holds for
//! feeds of a file that are less than so far apart, and the shuffle of row groups does the rest. Random access into one
//! large row group would decode it again for every few feeds, since the lists in it have no index.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use eliverec_core::FeedColumns;
use eliverec_core::seed::{Random, stream};

use crate::directory::FeedDirectory;
use crate::error::Error;
use crate::feed_file::{FeedEncoder, FeedFileWriter};
use crate::footer::{FeedFile, row_groups};
use crate::layout::Split;
use crate::partial::parent_of;
use crate::read::{FeedHandle, FeedReader};
use crate::shuffle::Shuffle;
use crate::write::{FeedWriter, ROW_GROUP_FEEDS};

/// Most piles: so many files are open at a time.
const PILES: usize = 16;
/// A file of a pile ends at this many row groups: its writer holds a footer, which grows with them.
const FILE_ROW_GROUPS: usize = 8;
/// Says what a spread directory was made of; the same text, the same feeds in the same order.
const SOURCE: &str = "source.txt";

impl FeedDirectory {
    /// The feeds of a split in a directory of their own, in small row groups and in an order that `shuffle.seed` decides,
    /// if `shuffle` needs that: if there are more feeds than fit into its buffer, in row groups that are larger than an
    /// eighth of it. `None` if not; row groups as [`FeedWriter`] writes them never are large.
    ///
    /// The directory is `folder`; one that was made before of the same files is taken as it is, any other is replaced.
    /// It appears whole or not at all, and is the caller's to remove. `tell` gets a line before the work begins.
    ///
    /// # Memory
    /// Twice the buffer's feeds, and for each of [`PILES`] a footer of [`FILE_ROW_GROUPS`] row groups.
    ///
    /// # Errors
    /// Feeds that cannot be read, and what the file system refuses.
    pub fn spread(
        &self,
        split: Split,
        shuffle: Shuffle,
        folder: &Path,
        tell: impl FnOnce(&str),
    ) -> Result<Option<Self>, Error> {
        let files = self.some_files(split)?;
        let feeds: u64 = files.iter().map(FeedFile::feeds).sum();
        let largest = files.iter().flat_map(FeedFile::row_groups).copied().max().unwrap_or(0);
        let small = (shuffle.buffer_feeds / 8).max(ROW_GROUP_FEEDS) as u64;
        if largest <= small || feeds <= shuffle.buffer_feeds as u64 {
            return Ok(None);
        }
        let (source, bytes) = source(&files, shuffle)?;
        match fs_err::read_to_string(folder.join(SOURCE)) {
            Ok(found) if found == source => return Self::open(folder).map(Some),
            _ if folder.exists() => fs_err::remove_dir_all(folder)?,
            _ => {}
        }
        tell(&format!(
            "spreading {feeds} feeds ({} MB) over {}, because row groups of {largest} feeds would not be shuffled by a buffer of {}",
            bytes.div_ceil(1_000_000),
            folder.display(),
            shuffle.buffer_feeds
        ));
        let work = Work {
            directory: self,
            split,
            seed: shuffle.seed,
            memory_feeds: shuffle.buffer_feeds.max(ROW_GROUP_FEEDS),
            disk: Disk { folder, bytes, small },
        };
        let piles = work.make_piles(&files, feeds)?;
        work.write(&piles, &source)?;
        Self::open(folder).map(Some)
    }
}

/// What the order is a function of, and how many bytes the files have.
fn source(files: &[FeedFile], shuffle: Shuffle) -> Result<(String, u64), Error> {
    let mut text = format!("seed {}, buffer {}\n", shuffle.seed, shuffle.buffer_feeds);
    let mut bytes = 0;
    for file in files {
        let metadata = fs_err::metadata(file.path())?;
        bytes += metadata.len();
        let line = format!(
            "{}, {} bytes, {:?}, row groups of {:?}\n",
            file.path().display(),
            metadata.len(),
            metadata.modified()?,
            file.row_groups()
        );
        text.push_str(&line);
    }
    Ok((text, bytes))
}

/// Where the feeds go, for messages.
#[derive(Clone, Copy)]
struct Disk<'a> {
    folder: &'a Path,
    bytes: u64,
    /// Feeds of a row group that needs no spreading.
    small: u64,
}

impl Disk<'_> {
    fn cannot(self, error: &Error) -> Error {
        let reason = format!(
            "cannot hold the feeds while they are spread for shuffling, about {} MB: {error}; free disk space, train to another disk, or write the feed files in row groups of at most {} rows, which need no spreading",
            (2 * self.bytes).div_ceil(1_000_000),
            self.small
        );
        Error::Io(std::io::Error::other(format!("{}: {reason}", self.folder.display())))
    }
}

struct Work<'a> {
    directory: &'a FeedDirectory,
    split: Split,
    seed: u64,
    /// Feeds of the first pass; of the second, twice as many.
    memory_feeds: usize,
    disk: Disk<'a>,
}

/// The folder of the piles; dropped, it is gone.
struct Piles {
    folder: PathBuf,
    piles: Vec<Pile>,
}

/// Feeds that are to be put in order together.
struct Pile {
    waiting: FeedColumns,
    writer: Option<FeedFileWriter>,
    /// Of the last file.
    row_groups: usize,
    files: Vec<PathBuf>,
}

impl Drop for Piles {
    fn drop(&mut self) {
        // Best effort; the next spreading clears what is left.
        let _ = fs_err::remove_dir_all(&self.folder);
    }
}

impl Work<'_> {
    /// First pass: every feed to a random pile.
    fn make_piles(&self, files: &Arc<[FeedFile]>, feeds: u64) -> Result<Piles, Error> {
        let schema = self.directory.schema();
        let count = feeds.div_ceil(self.memory_feeds as u64).min(PILES as u64) as usize;
        let name = self.disk.folder.file_name().unwrap_or_default();
        let folder = parent_of(self.disk.folder).join(format!(".{}.piles", name.display()));
        if folder.exists() {
            fs_err::remove_dir_all(&folder)?;
        }
        let pile = |_| Pile {
            waiting: FeedColumns::empty(schema),
            writer: None,
            row_groups: 0,
            files: Vec::new(),
        };
        let mut piles = Piles { folder, piles: (0..count).map(pile).collect() };
        let encoder = FeedEncoder::new(schema)?;
        let mut random = Random::new(stream(self.seed, "spread/piles"));
        let mut reader = self.reader(files);
        let mut held = 0;
        loop {
            let next = reader.next_handle().transpose()?;
            if held == self.memory_feeds || next.is_none() {
                for i in 0..count {
                    self.end_row_group(&mut piles, i, &encoder)?;
                }
                held = 0;
            }
            let Some(FeedHandle { feeds, place }) = next else { break };
            let request_id = feeds.parts().request_ids[place];
            let pile = &mut piles.piles[random.below(count)];
            pile.waiting.append(&feeds, place).map_err(|source| Error::Feed {
                split: self.split,
                request_id,
                source,
            })?;
            held += 1;
        }
        for writer in piles.piles.iter_mut().filter_map(|pile| pile.writer.take()) {
            writer.finish().map_err(|e| self.disk.cannot(&e))?;
        }
        Ok(piles)
    }

    fn end_row_group(
        &self,
        piles: &mut Piles,
        i: usize,
        encoder: &FeedEncoder,
    ) -> Result<(), Error> {
        let (folder, pile) = (&piles.folder, &mut piles.piles[i]);
        if pile.waiting.feeds() == 0 {
            return Ok(());
        }
        let encoded = encoder.encode_columns(self.split, &pile.waiting)?;
        pile.waiting.clear();
        let write = || {
            let mut writer = if let Some(writer) = pile.writer.take() {
                writer
            } else {
                let path = folder.join(format!("{i:02}-{:05}.parquet", pile.files.len()));
                let writer = FeedFileWriter::create(&path, self.directory.schema())?;
                pile.files.push(path);
                pile.row_groups = 0;
                writer
            };
            writer.append(encoded)?;
            pile.row_groups += 1;
            if pile.row_groups == FILE_ROW_GROUPS {
                return writer.finish();
            }
            pile.writer = Some(writer);
            Ok(())
        };
        write().map_err(|e| self.disk.cannot(&e))
    }

    /// Second pass: pile by pile in random order.
    fn write(&self, piles: &Piles, source: &str) -> Result<(), Error> {
        let (known, full) = (self.directory.known(), |e: Error| self.disk.cannot(&e));
        let schema = self.directory.schema();
        let mut writer = FeedWriter::create(self.disk.folder, schema)?;
        writer.note(SOURCE, source).map_err(full)?;
        let mut random = Random::new(stream(self.seed, "spread/order"));
        for pile in &piles.piles {
            let files = pile.files.iter().map(|path| FeedFile::open(path.clone(), known));
            let mut reader = self.reader(&files.collect::<Result<_, _>>()?);
            let mut handles: Vec<FeedHandle> = Vec::new();
            loop {
                let next = reader.next_handle().transpose()?;
                if handles.len() == 2 * self.memory_feeds || next.is_none() {
                    random.shuffle(&mut handles);
                    for handle in handles.drain(..) {
                        let added = writer.append(self.split, &handle.feeds, handle.place);
                        added.map_err(full)?;
                    }
                }
                let Some(handle) = next else { break };
                handles.push(handle);
            }
        }
        writer.finish().map_err(full)
    }

    /// The feeds of some files, in order.
    fn reader(&self, files: &Arc<[FeedFile]>) -> FeedReader {
        FeedReader::new(self.directory.known(), files, row_groups(files))
    }
}
