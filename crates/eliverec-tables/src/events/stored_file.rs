//! Files of any kind in a store, for tasks that hand data to one another: a file gets its name whole or not at all, and is read as a
//! stream, a range at a time.

use std::fs::File;
use std::io::{self, Read, Write};

use bytes::{Buf, Bytes};

use super::local::{create_directory, sync_directory_of};
use super::part::{Sink, Upload};
use super::store::Store;
use crate::error::{Error, cannot_write};
use crate::partial::parent_of;

/// Bytes that are asked for together.
const READ_BYTES: u64 = 8 << 20;

impl Store {
    /// Begins a file, which takes the place of one of its name when it is published.
    ///
    /// # Errors
    /// What the store refuses.
    pub fn create_file(&self, name: &str) -> Result<NewFile, Error> {
        let sink = if self.is_local() {
            create_directory(&parent_of(&self.path(name)))?;
            Sink::Local(fs_err::File::create(self.path(&partial_name(name)))?.into_parts().0)
        } else {
            Sink::Remote(Upload::begin(self, name)?)
        };
        Ok(NewFile { store: self.clone(), name: name.into(), sink: Some(sink) })
    }

    /// Reads a file of so many bytes from its beginning; whether it is there shows when it is read.
    pub fn open_file(&self, name: &str, bytes: u64) -> StoredReader {
        StoredReader { store: self.clone(), name: name.into(), at: 0, bytes, ahead: Bytes::new() }
    }

    /// The text of a small file, `None` if there is none of that name.
    ///
    /// # Errors
    /// What the store refuses, and what is not text.
    pub fn read_text(&self, name: &str) -> Result<Option<String>, Error> {
        let Some(bytes) = self.read(name)? else { return Ok(None) };
        let not_text = |_| Error::Store { path: self.path(name), reason: "is not text".into() };
        String::from_utf8(bytes.into()).map(Some).map_err(not_text)
    }

    /// Replaces a small file as a whole.
    ///
    /// # Errors
    /// What the store refuses.
    pub fn replace_text(&self, name: &str, text: &str) -> Result<(), Error> {
        self.replace(name, text.as_bytes().to_vec())
    }
}

/// The name of a file on its way, beside the one that it will have.
fn partial_name(name: &str) -> String {
    match name.rsplit_once('/') {
        Some((folder, file)) => format!("{folder}/.{file}.partial"),
        None => format!(".{name}.partial"),
    }
}

/// A file without its name. Dropped before [`NewFile::publish`], it leaves nothing behind.
#[derive(Debug)]
pub struct NewFile {
    store: Store,
    name: String,
    /// `None` once it is published.
    sink: Option<Sink>,
}

impl NewFile {
    /// Puts it into the store under its name.
    ///
    /// # Errors
    /// What the store refuses.
    pub fn publish(mut self) -> Result<(), Error> {
        let path = self.store.path(&self.name);
        match self.sink.take() {
            None => Ok(()),
            Some(Sink::Local(file)) => {
                let partial = self.store.path(&partial_name(&self.name));
                let named = file.sync_all().and_then(|()| fs_err::rename(&partial, &path));
                if let Err(error) = named {
                    // Best effort on the way out of an error.
                    let _ = fs_err::remove_file(&partial);
                    return Err(cannot_write(&path, &error));
                }
                sync_directory_of(&path)
            }
            Some(Sink::Remote(mut upload)) => {
                let sent = upload.send_all().and_then(|()| upload.complete());
                sent.map_err(|e| cannot_write(&path, &e))
            }
        }
    }
}

impl Write for NewFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.sink {
            Some(sink) => sink.write(bytes),
            None => Err(io::Error::other("the file has its name already")),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.sink.as_mut().map_or(Ok(()), Sink::flush)
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        // An upload calls itself off.
        if let Some(Sink::Local(file)) = self.sink.take() {
            drop::<File>(file);
            let _ = fs_err::remove_file(self.store.path(&partial_name(&self.name)));
        }
    }
}

/// A file of a store from its beginning to its end.
#[derive(Debug)]
pub struct StoredReader {
    store: Store,
    name: String,
    at: u64,
    bytes: u64,
    ahead: Bytes,
}

impl Read for StoredReader {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        if self.ahead.is_empty() && self.at < self.bytes {
            let range = self.at..self.bytes.min(self.at + READ_BYTES);
            self.at = range.end;
            let read = self.store.read_ranges(&self.name, std::slice::from_ref(&range));
            self.ahead = read.map_err(io::Error::other)?.pop().unwrap_or_default();
        }
        let taken = self.ahead.len().min(to.len());
        self.ahead.split_to(taken).copy_to_slice(&mut to[..taken]);
        Ok(taken)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use object_store::memory::InMemory;

    use super::*;

    /// What is written comes back from the disk and from memory; an unfinished file is not there.
    #[test]
    fn files_appear_whole() {
        let folder = tempfile::tempdir().unwrap();
        let local = Store::local(folder.path()).unwrap();
        let memory = Store::of(Arc::new(InMemory::new()), "place", "memory://place");
        let contents: Vec<u8> = (0..20_000_000_u32).map(|i| (i % 251) as u8).collect();
        for store in [local, memory] {
            let read = |name: &str| {
                let mut read = Vec::new();
                store.open_file(name, contents.len() as u64).read_to_end(&mut read).map(|_| read)
            };
            let mut file = store.create_file("a/b").unwrap();
            file.write_all(&contents).unwrap();
            assert!(!store.exists("a/b").unwrap());
            file.publish().unwrap();
            assert!(read("a/b").unwrap() == contents);
            let mut dropped = store.create_file("a/c").unwrap();
            dropped.write_all(&contents).unwrap();
            drop(dropped);
            assert!(read("a/c").unwrap_err().to_string().contains("a/c"));
            assert_eq!(store.list("a").unwrap().1.len(), 1);
            assert_eq!(store.read_text("note").unwrap(), None);
            store.replace_text("note", "one").unwrap();
            store.replace_text("note", "two").unwrap();
            assert_eq!(store.read_text("note").unwrap().as_deref(), Some("two"));
        }
    }
}
