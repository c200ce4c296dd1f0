//! A feed directory, opened for reading.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use eliverec_core::batch::Lengths;
use eliverec_core::dimensions::TABLE_GROUPS;
use eliverec_core::schema::Group;
use eliverec_core::{Normalization, Schema};
use rayon::prelude::*;

use crate::batches::{Batches, Order};
use crate::decode::wanted;
use crate::error::Error;
use crate::events::dimensions::file_name;
use crate::events::rejected::REJECTED_FOLDER;
use crate::file_columns::KnownColumns;
use crate::footer::{FeedFile, row_groups};
use crate::id_types::{IdTypes, id_columns};
use crate::layout::{SAMPLES_FILES, SCHEMA_FILE, Split};
use crate::listing::{Entry, Files, PartKind, beside, is_hidden, unreadable, walk};
use crate::read::FeedReader;
use crate::record_batches::RecordBatches;
use crate::row_reader::RowReader;
use crate::shuffle::{Shuffle, ShuffledFeeds};

/// What makes a feed directory, for messages about a directory that is none.
const EXPECTED: &str = "expected schema.toml and the folders train, validation and test with Parquet files, as \
                        `eliverec import NAME --from DIR --out DIR` makes them";

/// The column that says whether a file has labels.
const WATCHED: &str = "candidates.watched";

/// A feed directory: a schema and the feeds of every [`Split`].
#[derive(Clone, Debug)]
pub struct FeedDirectory {
    path: PathBuf,
    /// The schema, and what is known of the files' columns.
    known: Arc<KnownColumns>,
    /// What lies beside the splits and is passed over.
    beside: Arc<[PathBuf]>,
    /// The files of each split that was asked for, by [`Split::ALL`]: a directory is what it was then.
    files: Arc<[OnceLock<Arc<[FeedFile]>>; 3]>,
}

/// Bytes of small files and their footers that are kept for the next reading, for opening is most of the cost of small files.
const KEPT_BYTES: usize = 256 << 20;

/// Files that are opened in parallel, at most so many at a time.
const OPENED_AT_ONCE: usize = 256;

impl FeedDirectory {
    /// Opens a feed directory by its schema; files are opened, and checked against it, as they are asked for.
    ///
    /// # Errors
    /// No such directory, an empty one, one without `schema.toml`, a schema that cannot be used, and Parquet files beside the
    /// splits, by name.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, Error> {
        let path = path.as_ref();
        let schema_path = path.join(SCHEMA_FILE);
        if let Some(why) = unreadable(&schema_path) {
            return Err(Error::directory(&schema_path, why));
        }
        let text = match fs_err::read_to_string(&schema_path) {
            Ok(text) => text,
            Err(e) if e.kind() == ErrorKind::InvalidData => {
                let source = eliverec_core::Error::SchemaSyntax("the file is not text".into());
                return Err(Error::Schema { path: schema_path, source });
            }
            Err(e) => return Err(no_schema(path, e)),
        };
        let schema = Schema::parse(&text)
            .map_err(|source| Error::Schema { path: schema_path.clone(), source })?;
        let beside = beside_splits(path)?;
        let known = Arc::new(KnownColumns::new(&Arc::new(schema)));
        Ok(Self { path: path.into(), known, beside, files: Arc::default() })
    }

    /// Files and folders beside the splits that are no part of the feeds, and are passed over.
    pub fn beside(&self) -> &[PathBuf] {
        &self.beside
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its schema.
    pub fn schema(&self) -> &Schema {
        self.known.schema()
    }

    /// Its schema, and what is known of its files' columns.
    pub(crate) fn known(&self) -> &Arc<KnownColumns> {
        &self.known
    }

    /// How many feeds a split has, from the footers of its files; 0 for one without files.
    ///
    /// # Errors
    /// Files that cannot be read, and files of another schema.
    pub fn feeds(&self, split: Split) -> Result<u64, Error> {
        Ok(self.files(split)?.iter().map(FeedFile::feeds).sum())
    }

    /// The feeds of a split, file by file (by name), row by row.
    ///
    /// # Errors
    /// A split without feeds, files that cannot be read, and files of another schema.
    pub fn read(&self, split: Split) -> Result<FeedReader, Error> {
        let files = self.some_files(split)?;
        let order = row_groups(&files);
        Ok(FeedReader::new(&self.known, &files, order))
    }

    /// The same as record batches, as the files have them.
    ///
    /// # Errors
    /// As [`FeedDirectory::read`].
    pub fn record_batches(&self, split: Split) -> Result<RecordBatches, Error> {
        let (schema, files) = (self.known.schema(), self.some_files(split)?);
        let rows = RowReader::new(&self.known, &files, row_groups(&files), &wanted(schema));
        Ok(RecordBatches::new(Arc::clone(schema), rows))
    }

    /// Refuses a split whose feeds have no labels; `what` needs them, for the message.
    ///
    /// # Errors
    /// [`Error::Column`] names the first file; and as [`FeedDirectory::read`].
    pub fn require_labels(&self, split: Split, what: &str) -> Result<(), Error> {
        match self.some_files(split)?.iter().find(|file| file.feeds() > 0 && !file.labelled()) {
            None => Ok(()),
            Some(file) => Err(Error::Column {
                path: file.path().into(),
                field: WATCHED.into(),
                reason: format!(
                    "is missing; {what} needs labels; `eliverec score` takes feeds without"
                ),
            }),
        }
    }

    /// The feeds of a split in batches of at most `max_impressions` (a larger feed makes a batch of its own), in the
    /// order of the files or shuffled. `lengths` truncates the histories, `normalization` standardises dense numbers.
    ///
    /// # Errors
    /// As [`FeedDirectory::read`].
    pub fn batches(
        &self,
        split: Split,
        normalization: &Normalization,
        lengths: Lengths,
        max_impressions: usize,
        shuffle: Option<Shuffle>,
    ) -> Result<Batches, Error> {
        let schema = Arc::clone(self.known.schema());
        let order = match shuffle {
            Some(shuffle) => Order::Shuffled(self.shuffled(split, shuffle)?),
            None => Order::OfTheRows(self.read(split)?),
        };
        Ok(Batches::new(split, schema, normalization, lengths, max_impressions, order))
    }

    fn shuffled(&self, split: Split, shuffle: Shuffle) -> Result<ShuffledFeeds, Error> {
        let files = self.some_files(split)?;
        let order = shuffle.order(row_groups(&files));
        let feeds = FeedReader::new(&self.known, &files, order);
        Ok(ShuffledFeeds::new(feeds, shuffle))
    }

    pub(crate) fn some_files(&self, split: Split) -> Result<Arc<[FeedFile]>, Error> {
        let files = self.files(split)?;
        if files.iter().all(|file| file.feeds() == 0) {
            let reason = format!(
                "no feeds in the {split} split; expected Parquet files with rows in its folder {split}"
            );
            return Err(Error::directory(&self.path, reason));
        }
        Ok(files)
    }

    /// The files of a split by name: what is read, and what is passed over. Nothing is opened.
    ///
    /// # Errors
    /// What is neither read nor passed over, by name (see docs/feeds.md), and what the file system refuses.
    pub fn listing(&self, split: Split) -> Result<Listing, Error> {
        let mut list = |folder: &str| match fs_err::read_dir(self.path.join(folder)) {
            Err(e) if e.kind() == ErrorKind::NotFound => {
                let wrong = unreadable(&self.path.join(folder));
                wrong.map_or(Ok(Vec::new()), |why| {
                    Err(Error::directory(&self.path.join(folder), why))
                })
            }
            Ok(entries) => entries.map(|entry| listed(folder, &entry?)).collect(),
            Err(e) if e.kind() == ErrorKind::NotADirectory => {
                let reason = "is a file; expected a folder with Parquet files";
                Err(Error::directory(&self.path.join(folder), reason))
            }
            Err(e) => Err(e.into()),
        };
        let refuse = |name: &str, reason: &str| Error::directory(&self.path.join(name), reason);
        let Files { read, skipped } = walk(split.name(), &mut list, &refuse)?;
        Ok(Listing { read, skipped: skipped.iter().map(|name| self.path.join(name)).collect() })
    }

    /// Whether a place that is there lies in the folder of a split, where files are read as feeds.
    ///
    /// # Errors
    /// What the file system refuses.
    pub fn holds(&self, place: &Path) -> std::io::Result<bool> {
        let place = fs_err::canonicalize(place)?;
        let folders = Split::ALL
            .iter()
            .filter_map(|split| fs_err::canonicalize(split.folder(&self.path)).ok());
        Ok(folders.into_iter().any(|folder| place.starts_with(folder)))
    }

    /// The files of a split, opened and checked once.
    pub(crate) fn files(&self, split: Split) -> Result<Arc<[FeedFile]>, Error> {
        let place = Split::ALL.iter().position(|of_all| *of_all == split);
        let known = &self.files[place.expect("every split is among all")];
        if let Some(files) = known.get() {
            return Ok(Arc::clone(files));
        }
        let files = self.open_files(split)?;
        Ok(Arc::clone(known.get_or_init(|| files)))
    }

    fn open_files(&self, split: Split) -> Result<Arc<[FeedFile]>, Error> {
        let (mut files, mut room) = (Vec::new(), KEPT_BYTES);
        for paths in self.listing(split)?.read.chunks(OPENED_AT_ONCE) {
            let opened: Vec<Result<FeedFile, Error>> =
                paths.par_iter().map(|path| FeedFile::open(path.clone(), &self.known)).collect();
            // In their order, so that of several errors always the first is told.
            for file in opened {
                files.push(file?.kept_within(&mut room));
            }
        }
        let files: Arc<[FeedFile]> = files.into();
        let of = |labelled| files.iter().find(|f| f.feeds() > 0 && f.labelled() == labelled);
        if let (Some(with), Some(without)) = (of(true), of(false)) {
            return Err(Error::Column {
                path: without.path().into(),
                field: WATCHED.into(),
                reason: format!(
                    "is missing, and {} has it; give labels in every file of the split or in none",
                    with.path().display()
                ),
            });
        }
        self.check_id_types(split, &files)?;
        Ok(files)
    }

    /// How the columns write their ids, `integers` or `text`, by column as messages call it (`candidates.channel_id`); from the
    /// first file with rows of each split, for the files agree or are refused when they are read.
    pub fn id_kinds(&self) -> BTreeMap<String, String> {
        let mut types = IdTypes::new(id_columns(self.schema()));
        for split in Split::ALL {
            if let Some(file) = self.first_with_rows(split) {
                types.learn(file.path(), file.id_types());
            }
        }
        types.kinds()
    }

    /// The first file with rows of a split that is perhaps not read: what is wrong with it is told when it is.
    fn first_with_rows(&self, split: Split) -> Option<FeedFile> {
        let listing = self.listing(split).map(|listing| listing.read).into_iter().flatten();
        let mut files = listing.filter_map(|path| FeedFile::open(path, &self.known).ok());
        files.find(|file| file.feeds() > 0)
    }

    /// Refuses files that write ids as integers where others write text: those of the split, and the first with rows of
    /// each other split, which stands for all of it.
    fn check_id_types(&self, split: Split, files: &[FeedFile]) -> Result<(), Error> {
        let mut types = IdTypes::new(id_columns(self.schema()));
        for other in Split::ALL {
            if other == split {
                for file in files.iter().filter(|file| file.feeds() > 0) {
                    types.check(file.path(), file.id_types())?;
                    types.learn(file.path(), file.id_types());
                }
                continue;
            }
            if let Some(file) = self.first_with_rows(other) {
                types.check(file.path(), file.id_types())?;
                types.learn(file.path(), file.id_types());
            }
        }
        Ok(())
    }
}

/// The files of a split by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listing {
    /// Those that are read, in order.
    pub read: Vec<PathBuf>,
    /// Files and folders that are passed over, because their names begin with `.` or `_`.
    pub skipped: Vec<PathBuf>,
}

/// What the rule needs to know of an entry; its file is its path.
fn listed(folder: &str, entry: &fs_err::DirEntry) -> Result<Entry<PathBuf>, Error> {
    let path = entry.path();
    let name = entry.file_name().into_string().map_err(|_| {
        Error::directory(&path, "its name is not Unicode; rename it or move it away")
    })?;
    let is_file = entry.file_type()?.is_file();
    if let Some(why) = (!is_file).then(|| unreadable(&path)).flatten().filter(|_| !is_hidden(&name))
    {
        return Err(Error::directory(&path, why));
    }
    // Of what a link leads to.
    let file = (is_file || !path.is_dir()).then_some(path);
    Ok(Entry { name: format!("{folder}/{name}"), file })
}

/// What a name in the root is that of a part of feeds, or of what `eliverec samples` and `export` keep and find there.
fn part(name: &str) -> Option<PartKind> {
    let is_table = |group: &Group| name == file_name(*group);
    match name {
        REJECTED_FOLDER => Some(PartKind::SetAside),
        SCHEMA_FILE => Some(PartKind::File),
        name if Split::ALL.iter().any(|split| name == split.name()) => Some(PartKind::Folder),
        name if SAMPLES_FILES.contains(&name) => Some(PartKind::File),
        _ => TABLE_GROUPS.iter().any(is_table).then_some(PartKind::File),
    }
}

/// What lies beside the splits and is passed over.
fn beside_splits(root: &Path) -> Result<Arc<[PathBuf]>, Error> {
    let mut list = |folder: &str| {
        // What cannot be looked into, or not be named, is told as passed over.
        let entries = fs_err::read_dir(root.join(folder)).into_iter().flatten().flatten();
        let entry = |entry: fs_err::DirEntry| {
            let name = entry.file_name().to_string_lossy().into_owned();
            let is_looked_at =
                folder == REJECTED_FOLDER || folder.is_empty() && part(&name).is_some();
            let why = unreadable(&entry.path()).filter(|_| is_looked_at && !is_hidden(&name));
            if let Some(why) = why {
                return Err(Error::directory(&entry.path(), why));
            }
            let name = if folder.is_empty() { name } else { format!("{folder}/{name}") };
            // A link leads into a folder from the root, and from below it perhaps back.
            let is_folder = if folder.is_empty() {
                entry.path().is_dir()
            } else {
                entry.file_type().is_ok_and(|kind| kind.is_dir())
            };
            Ok(Entry { name, file: (!is_folder).then_some(()) })
        };
        entries.map(entry).collect()
    };
    let refuse = |name: &str, reason: &str| Error::directory(&root.join(name), reason);
    let names = beside(&part, &mut list, &refuse)?;
    Ok(names.into_iter().map(|name| root.join(name)).collect())
}

/// Tells why there is no schema file to read.
fn no_schema(path: &Path, error: std::io::Error) -> Error {
    let schema = path.join(SCHEMA_FILE);
    if schema.is_dir() {
        return Error::directory(&schema, "is a folder, where a file should be");
    }
    if error.kind() != ErrorKind::NotFound && path.is_dir() {
        return error.into();
    }
    match fs_err::read_dir(path).map(|mut entries| entries.next().is_none()) {
        Ok(true) => Error::directory(path, format!("is empty; {EXPECTED}")),
        Ok(false) => Error::directory(path, format!("has no {SCHEMA_FILE}; {EXPECTED}")),
        Err(_) if path.exists() => Error::directory(path, format!("is no directory; {EXPECTED}")),
        Err(_) => Error::directory(path, format!("no such directory; {EXPECTED}")),
    }
}
