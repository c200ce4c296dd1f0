//! A new log with its tables: it appears whole or not at all.
//!
//! The log is made in a directory of the local disk. That directory takes its name at the end if the log belongs there;
//! to other stores its files are sent then, `schema.toml` last, without which there is no log: what a killed process
//! has sent before, the next one replaces.

use std::path::Path;

use super::EventLog;
use super::layout::EVENTS_FOLDER;
use super::part::send;
use super::store::Store;
use crate::error::Error;
use crate::layout::SCHEMA_FILE;
use crate::partial::PartialDirectory;

/// A log that is being made. Dropped before [`NewLog::publish`], it leaves nothing behind.
#[derive(Debug)]
pub struct NewLog {
    directory: PartialDirectory,
    store: Store,
    /// Where its files go in the end; `None` if the directory is renamed.
    remote: Option<Store>,
}

impl NewLog {
    /// A new log at a place that holds none. What a killed process left there of one is removed.
    ///
    /// # Errors
    /// A place that is taken, another process that is making a log in the same directory, and what the store refuses.
    pub fn create(place: &Store) -> Result<Self, Error> {
        let (directory, remote) = if place.is_local() {
            (PartialDirectory::create(place.root())?, None)
        } else {
            refuse_taken(place)?;
            let name = format!("eliverec-log-{}", std::process::id());
            (PartialDirectory::create(&std::env::temp_dir().join(name))?, Some(place.clone()))
        };
        Ok(Self { store: Store::local(directory.path())?, directory, remote })
    }

    /// Where [`super::EventWriter`] and [`super::write_dimensions`] write it.
    pub const fn store(&self) -> &Store {
        &self.store
    }

    /// The same as a directory, for files beside the log.
    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Gives the log its name.
    ///
    /// # Errors
    /// No log in it yet, a place that was taken meanwhile, and what the store refuses.
    pub fn publish(self) -> Result<(), Error> {
        EventLog::read_schema(&self.store)?;
        let Some(remote) = &self.remote else { return self.directory.publish() };
        refuse_taken(remote)?;
        for folder in remote.list(EVENTS_FOLDER)?.0 {
            for left in remote.list(&folder)?.1 {
                remote.remove(&left.name)?;
            }
        }
        self.send_folder(remote, EVENTS_FOLDER)?;
        self.send_folder(remote, "")?;
        self.send(remote, SCHEMA_FILE)
    }

    /// Sends the files of a folder and of those in it; of the root, its own files but the schema.
    fn send_folder(&self, remote: &Store, folder: &str) -> Result<(), Error> {
        let (folders, files) = self.store.list(folder)?;
        for inner in folders.iter().filter(|_| !folder.is_empty()) {
            self.send_folder(remote, inner)?;
        }
        files
            .iter()
            .filter(|file| file.name != SCHEMA_FILE)
            .try_for_each(|file| self.send(remote, &file.name))
    }

    fn send(&self, remote: &Store, name: &str) -> Result<(), Error> {
        send(remote, name, &mut fs_err::File::open(self.store.path(name))?)
    }
}

fn refuse_taken(place: &Store) -> Result<(), Error> {
    if place.exists(SCHEMA_FILE)? {
        let reason = "holds a log already; remove it or choose another place";
        return Err(Error::directory(place.root(), reason));
    }
    Ok(())
}
