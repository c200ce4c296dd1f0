//! How callers write the ids of channels that are text or negative to them: features and scores know 64 bits alone.
//!
//! A name is on disk before the first event that has it is. Memory: the names of all channels.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError, RwLock};

use redb::{Builder, Database, ReadableDatabase, ReadableTable, TableDefinition};

use crate::error::Error;
use crate::wire::Id;

const TABLE: TableDefinition<'_, u64, &str> = TableDefinition::new("channels");

fn failed(path: &Path, error: redb::Error) -> Error {
    let disk_full =
        matches!(&error, redb::Error::Io(error) if error.kind() == std::io::ErrorKind::StorageFull);
    Error::Names { path: path.into(), reason: error.to_string(), disk_full }
}

/// Texts by their hash.
#[derive(Debug)]
pub(crate) struct Names {
    path: PathBuf,
    database: Mutex<Database>,
    known: RwLock<HashMap<u64, String>>,
}

impl Names {
    /// Those in the file at `path`, which is made if it is not there and the state `is_new`: no record was made that needs a name.
    pub(crate) fn open(path: &Path, is_new: bool) -> Result<Self, Error> {
        let failed = |error| failed(path, error);
        // An empty file would be taken for a new one.
        let is_empty = std::fs::metadata(path).map_or(true, |of| of.is_file() && of.len() == 0);
        if is_empty && !is_new {
            let reason = "is missing or empty, and a state that has begun has it";
            return Err(Error::Names {
                path: path.into(),
                reason: reason.into(),
                disk_full: false,
            });
        }
        let read = || -> Result<(Database, HashMap<u64, String>), redb::Error> {
            let mut builder = Builder::new();
            builder.set_check_integrity_on_open(true);
            let database = builder.create(path)?;
            let write = database.begin_write()?;
            write.open_table(TABLE)?;
            write.commit()?;
            let mut known = HashMap::new();
            for entry in database.begin_read()?.open_table(TABLE)?.iter()? {
                let (id, text) = entry?;
                known.insert(id.value(), text.value().to_owned());
            }
            Ok((database, known))
        };
        let (database, known) = read().map_err(failed)?;
        Ok(Self { path: path.into(), database: Mutex::new(database), known: RwLock::new(known) })
    }

    /// Puts the texts among `ids` on disk, those that are new, which it returns.
    pub(crate) fn learn<'a>(
        &self,
        ids: impl Iterator<Item = &'a Id>,
    ) -> Result<Vec<(u64, String)>, Error> {
        let new: Vec<(u64, String)> = {
            let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
            let texts = ids.filter_map(|id| Some((id.value(), id.written()?)));
            texts.filter(|(id, _)| !known.contains_key(id)).collect()
        };
        if new.is_empty() {
            return Ok(Vec::new());
        }
        let write = || -> Result<(), redb::Error> {
            let database = self.database.lock().unwrap_or_else(PoisonError::into_inner);
            let write = database.begin_write()?;
            {
                let mut table = write.open_table(TABLE)?;
                for (id, text) in &new {
                    table.insert(id, text.as_str())?;
                }
            }
            write.commit()?;
            Ok(())
        };
        write().map_err(|error| failed(&self.path, error))?;
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        known.extend(new.iter().cloned());
        Ok(new)
    }

    /// All of them.
    pub(crate) fn all(&self) -> Vec<(u64, String)> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        known.iter().map(|(id, text)| (*id, text.clone())).collect()
    }

    /// A channel as callers write it.
    pub(crate) fn of(&self, channel_id: u64) -> Id {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        known
            .get(&channel_id)
            .map_or(Id::Number(channel_id), |text| Id::of_written(channel_id, text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stay() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("names.redb");
        let ids = [Id::Text("c7".into()), Id::Number(7), Id::Negative(-7), Id::Text("-7".into())];
        Names::open(&path, true).unwrap().learn(ids.iter()).unwrap();
        let names = Names::open(&path, false).unwrap();
        names.learn(ids.iter()).unwrap();
        for id in &ids {
            assert_eq!(names.of(id.value()), *id);
        }
        drop(names);
        let is_missed = || {
            let told = Names::open(&path, false).unwrap_err().to_string();
            assert!(told.contains("names.redb: is missing or empty"), "{told}");
        };
        std::fs::OpenOptions::new().write(true).truncate(true).open(&path).unwrap();
        is_missed();
        std::fs::remove_file(&path).unwrap();
        is_missed();
        assert!(Names::open(&path, true).is_ok());
    }
}
