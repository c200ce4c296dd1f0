//! The files of a snapshot: each a value in postcard behind the version of the folds, known by its checksum.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use eliverec_core::checksum::Checksum;
use eliverec_features::Versioned;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::contended::Contended;
use crate::error::Error;
use crate::pieces::Pieces;
use crate::shards::{Shard, Shards};
use crate::store::FeatureStore;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct FileEntry {
    pub(crate) name: String,
    bytes: u64,
    checksum: String,
}

/// The shards of one file: number, position and states by ascending id.
type SavedShards<T> = Vec<(u64, u64, Vec<(u64, T)>)>;

/// A snapshot that is being written.
pub(crate) struct Writing {
    pub(crate) folder: PathBuf,
    pub(crate) files: Vec<FileEntry>,
    /// No record after this one is in the files.
    pub(crate) end: u64,
}

impl Writing {
    /// Writes a value into a file.
    pub(crate) fn file<T: Serialize>(&mut self, name: &str, contents: &T) -> Result<(), Error> {
        let path = self.folder.join(name);
        let bytes =
            postcard::to_stdvec(contents).map_err(|e| Error::snapshot(&path, e.to_string()))?;
        put(&path, &bytes)?;
        self.files.push(FileEntry {
            name: name.into(),
            bytes: bytes.len() as u64,
            checksum: format!("{:016x}", checksum(&bytes)),
        });
        Ok(())
    }

    /// Copies shard by shard, each while its lock is held for reading, and writes so many files.
    pub(crate) fn shards<T: Clone + Serialize + Send + 'static>(
        &mut self,
        (kind, files, count): (&str, usize, usize),
        pieces: &impl Pieces,
        of: fn(&FeatureStore) -> &Shards<T>,
    ) -> Result<(), Error> {
        for file in 0..files {
            let mut saved: SavedShards<T> = Vec::new();
            for number in (file..count).step_by(files) {
                let (position, mut states) = pieces.piece(move |Contended { store, .. }| {
                    let shard = of(store).read(number);
                    let position = store.with_clock(|clock| clock.position());
                    let states = shard.by_id.iter().map(|(id, state)| (*id, state.clone()));
                    (position, states.collect::<Vec<(u64, T)>>())
                });
                states.sort_unstable_by_key(|(id, _)| *id);
                self.end = self.end.max(position);
                saved.push((number as u64, position, states));
            }
            self.file(&file_name(kind, file), &Versioned::new(saved))?;
        }
        Ok(())
    }
}

/// A snapshot that is being read.
pub(crate) struct Reading<'a> {
    pub(crate) folder: &'a Path,
    pub(crate) files: &'a [FileEntry],
    /// The contents by name, if they are not in the folder but came from another process.
    pub(crate) given: Option<&'a BTreeMap<String, Vec<u8>>>,
}

impl Reading<'_> {
    /// The contents of a file that has its checksum.
    pub(crate) fn bytes(&self, name: &str) -> Result<Vec<u8>, Error> {
        let path = self.folder.join(name);
        let entry = self.files.iter().find(|entry| entry.name == name);
        let entry = entry.ok_or_else(|| Error::snapshot(&path, "is not in the manifest"))?;
        let missing = || Error::snapshot(&path, "is missing");
        let bytes = match self.given {
            Some(given) => given.get(name).cloned().ok_or_else(missing)?,
            None => fs_err::read(&path)?,
        };
        if bytes.len() as u64 != entry.bytes
            || format!("{:016x}", checksum(&bytes)) != entry.checksum
        {
            return Err(Error::snapshot(&path, "does not have its checksum"));
        }
        Ok(bytes)
    }

    /// The value in a file.
    pub(crate) fn read<T: DeserializeOwned>(&self, name: &str) -> Result<T, Error> {
        let path = self.folder.join(name);
        let bytes = self.bytes(name)?;
        let failed = |reason: String| Error::snapshot(&path, reason);
        let (contents, rest): (Versioned<T>, _) =
            postcard::take_from_bytes(&bytes).map_err(|e| failed(e.to_string()))?;
        if !rest.is_empty() {
            return Err(failed("is too long".into()));
        }
        Ok(contents.state)
    }

    /// The shards of a kind, from as many files at a time as there are processors.
    pub(crate) fn shards<T: Default + DeserializeOwned + Send>(
        &self,
        kind: &str,
        files: usize,
        count: usize,
    ) -> Result<Shards<T>, Error> {
        let threads = std::thread::available_parallelism().map_or(1, usize::from).min(files);
        let of_thread = |thread: usize| {
            let names = (thread..files).step_by(threads).map(|file| file_name(kind, file));
            names.map(|name| self.shards_of::<T>(&name)).collect::<Result<Vec<_>, Error>>()
        };
        let read: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> =
                (0..threads).map(|thread| scope.spawn(move || of_thread(thread))).collect();
            let gone = || Error::snapshot(self.folder, "a thread that read it has ended early");
            let joined =
                threads.into_iter().map(|thread| thread.join().unwrap_or_else(|_| Err(gone())));
            joined.collect::<Result<_, _>>()
        })?;
        let mut shards: Vec<Option<Shard<T>>> = (0..count).map(|_| None).collect();
        for (number, shard) in read.into_iter().flatten().flatten() {
            let place = usize::try_from(number).ok().and_then(|number| shards.get_mut(number));
            if let Some(place) = place {
                *place = Some(shard);
            }
        }
        let shards: Option<Vec<Shard<T>>> = shards.into_iter().collect();
        let missing = || Error::snapshot(self.folder, format!("lacks shards of {kind}"));
        Ok(Shards::new(shards.ok_or_else(missing)?))
    }

    fn shards_of<T: DeserializeOwned>(&self, name: &str) -> Result<Vec<(u64, Shard<T>)>, Error> {
        let saved: SavedShards<T> = self.read(name)?;
        let shard = |(number, position, states): (u64, u64, Vec<(u64, T)>)| {
            let by_id: HashMap<_, _, _> = states.into_iter().collect();
            (number, Shard { position, by_id })
        };
        Ok(saved.into_iter().map(shard).collect())
    }
}

fn file_name(kind: &str, file: usize) -> String {
    format!("{kind}-{file:02}")
}

/// What bytes are known again by.
pub(crate) fn checksum(bytes: &[u8]) -> u64 {
    let mut checksum = Checksum::default();
    checksum.update(bytes);
    checksum.update(&(bytes.len() as u64).to_le_bytes());
    checksum.value()
}

/// Writes a file whose contents are on disk when it returns.
pub(crate) fn put(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    fs_err::write(path, bytes)?;
    Ok(fs_err::File::open(path)?.sync_all()?)
}
