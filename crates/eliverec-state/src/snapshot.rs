//! Snapshots: the whole state in one folder, read in parallel on a restart; the log after it completes it.
//!
//! ```text
//! snapshots/00000000000000012345/   every record up to 12345 is in it
//!     users-00 ... channels-00 ... products-00 ... known, tables
//!     manifest                      what it is and the checksum of every file; its second line is its own checksum
//! ```
//!
//! Parts are copied one after the other while records go on being applied, so each says up to which record it goes; the tables
//! come first and go the least far, and the replay passes over what a part has. A folder gets its name when all of it is on disk.
//! The two newest are kept. Whoever writes holds no lock that requests or the log need ([`crate::pieces`]).

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use eliverec_core::Schema;
use eliverec_features::{FeatureConfig, Versioned};
use serde::{Deserialize, Serialize};

use crate::contended::Contended;
use crate::error::Error;
use crate::files::{PARTIAL, create_directory, names, sync_directory};
use crate::known::{Known, SavedKnown};
use crate::pieces::Pieces;
use crate::shards::Shards;
use crate::snapshot_files::{FileEntry, Reading, Writing, checksum, put};
use crate::snapshot_tables::{CopiedTables, SavedTables, read_tables};
use crate::store::{CHANNEL_SHARDS, FeatureStore, PRODUCT_SHARDS, USER_SHARDS};

/// The layout that this crate writes and reads, beside that of the folds.
const VERSION: u32 = 2;
const MANIFEST: &str = "manifest";
/// Snapshots that are kept.
const KEPT: usize = 2;
/// Files for the shards of a kind: so many can be read at a time.
const USER_FILES: usize = 16;
const CHANNEL_FILES: usize = 8;
const PRODUCT_FILES: usize = 4;

/// What a snapshot is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Manifest {
    version: u32,
    /// Every record up to here is in it.
    pub(crate) position: u64,
    /// No record after this one is in it.
    pub(crate) end: u64,
    /// The stamp of the last group in it; `None` if it is of a new state.
    pub(crate) stamp_ms: Option<i64>,
    /// When the newest event in it happened, as far as it is known.
    #[serde(default)]
    newest_event_ms: Option<i64>,
    /// Of the schema.
    schema: String,
    features: FeatureConfig,
    files: Vec<FileEntry>,
}

/// A snapshot that was read.
#[derive(Debug)]
pub(crate) struct Loaded {
    pub(crate) manifest: Manifest,
    pub(crate) store: FeatureStore,
    pub(crate) known: Known,
    /// Up to which record the known ids go.
    pub(crate) known_position: u64,
}

/// The folder of snapshots.
#[derive(Debug)]
pub(crate) struct Snapshots {
    directory: PathBuf,
    schema: String,
    features: FeatureConfig,
}

/// The known ids, with the last record that is in them.
fn copied_known(contended: &Contended) -> Result<(u64, SavedKnown), Error> {
    // Whoever writes a group holds them until it is applied.
    let known = contended.known();
    // Then they have ids of a group that is not in the log, and may be sent again.
    if let Some(stopped) = contended.queue.stopped() {
        return Err(stopped);
    }
    Ok((contended.store.with_clock(|clock| clock.position()), known.saved()))
}

impl Snapshots {
    pub(crate) fn open(
        directory: &Path,
        schema: &Schema,
        features: FeatureConfig,
    ) -> Result<Self, Error> {
        create_directory(directory)?;
        Ok(Self { directory: directory.into(), schema: schema.fingerprint(), features })
    }

    /// The positions of the snapshots, oldest first.
    pub(crate) fn positions(&self) -> Result<Vec<u64>, Error> {
        let mut positions = Vec::new();
        for name in names(&self.directory)? {
            let position = name.parse().ok().filter(|position| folder_name(*position) == name);
            positions.push(position.ok_or_else(|| {
                let reason = "is no snapshot; move it away";
                Error::directory(&self.directory.join(&name), reason)
            })?);
        }
        positions.sort_unstable();
        Ok(positions)
    }

    /// Writes a snapshot, unless there is one of the same position; gives its position.
    pub(crate) fn write(&self, pieces: &impl Pieces) -> Result<u64, Error> {
        let newest_event_ms = pieces.piece(|contended| contended.store.newest_event_ms());
        let tables = CopiedTables::of(pieces);
        let position = tables.position;
        let folder = self.directory.join(folder_name(position));
        if folder.exists() && self.is_whole(&folder) {
            return Ok(position);
        }
        if let Some(stopped) = pieces.piece(|contended| contended.queue.stopped()) {
            return Err(stopped);
        }
        let partial = self.directory.join(format!("{PARTIAL}{}", folder_name(position)));
        if partial.exists() {
            fs_err::remove_dir_all(&partial)?;
        }
        fs_err::create_dir(&partial)?;
        if let Err(error) = self.fill(&partial, tables, newest_event_ms, pieces) {
            // Where the disk is full others need the room. If it cannot be removed, the next one does.
            let _ = fs_err::remove_dir_all(&partial);
            return Err(error);
        }
        if folder.exists() {
            // One that cannot be read is in the way.
            fs_err::remove_dir_all(&folder)?;
        }
        fs_err::rename(&partial, &folder)?;
        sync_directory(&self.directory)?;
        self.remove_old()?;
        Ok(position)
    }

    /// Writes all files of a snapshot into a folder, on disk when this returns.
    fn fill(
        &self,
        folder: &Path,
        tables: CopiedTables,
        newest_event_ms: Option<i64>,
        pieces: &impl Pieces,
    ) -> Result<(), Error> {
        let (position, stamp_ms) = (tables.position, tables.stamp_ms);
        let mut writing = Writing { folder: folder.into(), files: Vec::new(), end: position };
        writing.file("tables", &Versioned::new((position, tables.saved())))?;
        let (of_known, known) = pieces.piece(copied_known)?;
        writing.end = writing.end.max(of_known);
        writing.file("known", &Versioned::new((of_known, known)))?;
        let users = ("users", USER_FILES, USER_SHARDS);
        writing.shards(users, pieces, |store| &store.users)?;
        let channels = ("channels", CHANNEL_FILES, CHANNEL_SHARDS);
        writing.shards(channels, pieces, |store| &store.channels)?;
        let products = ("products", PRODUCT_FILES, PRODUCT_SHARDS);
        writing.shards(products, pieces, |store| &store.products)?;
        let manifest = Manifest {
            version: VERSION,
            position,
            end: writing.end,
            stamp_ms,
            newest_event_ms,
            schema: self.schema.clone(),
            features: self.features,
            files: writing.files,
        };
        let path = folder.join(MANIFEST);
        let line =
            serde_json::to_string(&manifest).map_err(|e| Error::snapshot(&path, e.to_string()))?;
        let text = format!("{line}\n{:016x}\n", checksum(line.as_bytes()));
        put(&path, text.as_bytes())?;
        sync_directory(folder)
    }

    /// Removes all but the newest snapshots that can be read.
    fn remove_old(&self) -> Result<(), Error> {
        let mut whole = 0;
        for position in self.positions()?.into_iter().rev() {
            let folder = self.directory.join(folder_name(position));
            if whole >= KEPT {
                fs_err::remove_dir_all(&folder)?;
            } else if self.read_manifest(&folder).is_ok() {
                whole += 1;
            }
        }
        sync_directory(&self.directory)
    }

    /// Whether every file has its checksum.
    fn is_whole(&self, folder: &Path) -> bool {
        let Ok(manifest) = self.read_manifest(folder) else { return false };
        let files = Reading { folder, files: &manifest.files, given: None };
        manifest.files.iter().all(|file| files.bytes(&file.name).is_ok())
    }

    /// Reads the snapshot of that position, files in parallel.
    pub(crate) fn read(&self, position: u64, schema: &Schema) -> Result<Loaded, Error> {
        let folder = self.directory.join(folder_name(position));
        let manifest = self.read_manifest(&folder)?;
        if manifest.position != position {
            return Err(Error::snapshot(
                &folder,
                format!("says that it stands at {}", manifest.position),
            ));
        }
        let files = Reading { folder: &folder, files: &manifest.files, given: None };
        let (of_tables, tables): (u64, SavedTables) = files.read("tables")?;
        let tables = read_tables(&folder, schema, of_tables, tables)?;
        let (known_position, known): (u64, Known) = files.read("known")?;
        let users = files.shards("users", USER_FILES, USER_SHARDS)?;
        let channels = files.shards("channels", CHANNEL_FILES, CHANNEL_SHARDS)?;
        let products = files.shards("products", PRODUCT_FILES, PRODUCT_SHARDS)?;
        let store = FeatureStore::new(self.features, users, channels, products, tables);
        store.learn_newest_event(manifest.newest_event_ms);
        Ok(Loaded { manifest, store, known, known_position })
    }

    fn read_manifest(&self, folder: &Path) -> Result<Manifest, Error> {
        let path = folder.join(MANIFEST);
        parse_manifest(&path, &fs_err::read_to_string(&path)?, &self.schema, &self.features)
    }

    /// The files of a snapshot that those who follow need, by name: all but the folds of users and the ids that are known.
    pub(crate) fn files_to_follow(
        &self,
        position: u64,
    ) -> Result<BTreeMap<String, Vec<u8>>, Error> {
        let folder = self.directory.join(folder_name(position));
        let manifest = self.read_manifest(&folder)?;
        let files = Reading { folder: &folder, files: &manifest.files, given: None };
        let needed = |name: &&str| !name.starts_with("users-") && *name != "known";
        let names = manifest.files.iter().map(|file| file.name.as_str()).filter(needed);
        let mut given: BTreeMap<String, Vec<u8>> = names
            .map(|name| Ok((name.to_owned(), files.bytes(name)?)))
            .collect::<Result<_, Error>>()?;
        given.insert(MANIFEST.into(), fs_err::read(folder.join(MANIFEST))?);
        Ok(given)
    }
}

/// The store of a snapshot whose files another process has given, without folds of users.
pub(crate) fn read_to_follow(
    given: &BTreeMap<String, Vec<u8>>,
    schema: &Schema,
    features: FeatureConfig,
) -> Result<(Manifest, FeatureStore), Error> {
    let folder = Path::new("the snapshot of the state that is followed");
    let path = folder.join(MANIFEST);
    let text = given.get(MANIFEST).map(|text| String::from_utf8_lossy(text));
    let text = text.ok_or_else(|| Error::snapshot(&path, "is missing"))?;
    let manifest = parse_manifest(&path, &text, &schema.fingerprint(), &features)?;
    let files = Reading { folder, files: &manifest.files, given: Some(given) };
    let (of_tables, tables): (u64, SavedTables) = files.read("tables")?;
    let tables = read_tables(folder, schema, of_tables, tables)?;
    let channels = files.shards("channels", CHANNEL_FILES, CHANNEL_SHARDS)?;
    let products = files.shards("products", PRODUCT_FILES, PRODUCT_SHARDS)?;
    let users = Shards::new([]);
    let store = FeatureStore::new(features, users, channels, products, tables);
    let store = store.without_users(manifest.position);
    store.learn_newest_event(manifest.newest_event_ms);
    store.with_clock(|clock| clock.set(manifest.stamp_ms, manifest.position));
    Ok((manifest, store))
}

fn parse_manifest(
    path: &Path,
    text: &str,
    schema: &str,
    features: &FeatureConfig,
) -> Result<Manifest, Error> {
    let mut lines = text.lines();
    let (line, sum) = (lines.next().unwrap_or_default(), lines.next().unwrap_or_default());
    if format!("{:016x}", checksum(line.as_bytes())) != sum {
        return Err(Error::snapshot(path, "does not have its checksum"));
    }
    let manifest: Manifest =
        serde_json::from_str(line).map_err(|e| Error::snapshot(path, e.to_string()))?;
    let reason = if manifest.version != VERSION {
        format!("has layout {}, and this program reads {VERSION}", manifest.version)
    } else if manifest.schema != schema {
        "was made with another schema".into()
    } else if manifest.features != *features {
        "was made with other settings of the features".into()
    } else {
        return Ok(manifest);
    };
    Err(Error::snapshot(path, reason))
}

fn folder_name(position: u64) -> String {
    format!("{position:020}")
}
