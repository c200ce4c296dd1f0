//! One Parquet file on its way into a store: it gets its name whole or not at all, and never takes the place of
//! another.
//!
//! A part is first claimed: `.part-00000.parquet.partial` is made unless it exists, and whoever made it owns the number
//! if there is no `part-00000.parquet`. On the local disk the claim becomes the part by a rename once its bytes are on
//! disk. On other stores the claim is an empty object, and the part an upload that appears when it completes. What a
//! killed writer leaves is a claim, which readers ignore and other writers step over.

use std::fs::File;
use std::io::{self, Write};
use std::path::PathBuf;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use object_store::MultipartUpload;
use parquet::arrow::ArrowWriter;
use parquet::file::properties::WriterProperties;

use super::local::{create_directory, sync_directory_of};
use super::store::Store;
use crate::error::{Error, cannot_write};

/// Bytes of an upload that go out together. Stores want at least 5 MiB, and allow 10,000 of them.
const UPLOAD_BYTES: usize = 8 << 20;

/// A Parquet file without its name. Dropped before [`PartFile::publish`], it leaves nothing behind.
#[derive(Debug)]
pub(crate) struct PartFile {
    store: Store,
    claim: Claim,
    /// `None` once it is closed.
    writer: Option<ArrowWriter<Sink>>,
}

impl PartFile {
    /// A part of a folder with the first free number of at least `number`.
    pub(crate) fn create(
        store: &Store,
        folder: &str,
        number: usize,
        columns: &SchemaRef,
        properties: WriterProperties,
    ) -> Result<Self, Error> {
        let (claim, sink) = Claim::first_free(store, folder, number)?;
        let path = store.path(&claim.name);
        let writer = ArrowWriter::try_new(sink, SchemaRef::clone(columns), Some(properties));
        let writer = writer.map_err(|e| cannot_write(&path, &e))?;
        Ok(Self { store: store.clone(), claim, writer: Some(writer) })
    }

    /// Adds rows as a row group of their own.
    pub(crate) fn write(&mut self, rows: &RecordBatch) -> Result<(), Error> {
        let path = self.store.path(&self.claim.name);
        let Some(writer) = &mut self.writer else { return Ok(()) };
        writer.write(rows).and_then(|()| writer.flush()).map_err(|e| cannot_write(&path, &e))
    }

    /// How many row groups it has.
    pub(crate) fn row_groups(&self) -> usize {
        self.writer.as_ref().map_or(0, |writer| writer.flushed_row_groups().len())
    }

    /// Its number in the folder.
    pub(crate) const fn number(&self) -> usize {
        self.claim.number
    }

    /// What messages call it once it has its name.
    pub(crate) fn path(&self) -> PathBuf {
        self.store.path(&self.claim.name)
    }

    /// Puts it on disk under its name.
    pub(crate) fn publish(mut self) -> Result<(), Error> {
        let path = self.store.path(&self.claim.name);
        let Some(writer) = self.writer.take() else { return Ok(()) };
        match writer.into_inner().map_err(|e| cannot_write(&path, &e))? {
            Sink::Local(file) => {
                file.sync_all()?;
                fs_err::rename(self.store.path(&self.claim.partial), &path)?;
                self.claim.held = false;
                sync_directory_of(&path)
            }
            Sink::Remote(mut upload) => {
                upload.send_all().map_err(|e| cannot_write(&path, &e))?;
                upload.complete().map_err(|e| cannot_write(&path, &e))?;
                self.claim.held = false;
                self.store.remove(&self.claim.partial)
            }
        }
    }
}

impl Drop for PartFile {
    fn drop(&mut self) {
        // An upload is called off before its claim is given up. The rest is best effort on the way out of an error.
        self.writer = None;
        if self.claim.held {
            if self.store.is_local() {
                let _ = fs_err::remove_file(self.store.path(&self.claim.partial));
            } else {
                let _ = self.store.remove(&self.claim.partial);
            }
        }
    }
}

/// The right to a name.
#[derive(Debug)]
struct Claim {
    number: usize,
    name: String,
    partial: String,
    held: bool,
}

impl Claim {
    fn first_free(store: &Store, folder: &str, number: usize) -> Result<(Self, Sink), Error> {
        if store.is_local() {
            create_directory(&store.path(folder))?;
        }
        for number in number.. {
            let file = format!("part-{number:05}.parquet");
            let (name, partial) = (format!("{folder}/{file}"), format!("{folder}/.{file}.partial"));
            if store.exists(&name)? {
                continue;
            }
            let file = if store.is_local() {
                match fs_err::File::create_new(store.path(&partial)) {
                    Ok(file) => Some(file.into_parts().0),
                    Err(e) if e.kind() == io::ErrorKind::AlreadyExists => continue,
                    Err(e) => return Err(e.into()),
                }
            } else if store.claim(&partial)? {
                None
            } else {
                continue;
            };
            // Another writer may have published the part between the look and the claim.
            if store.exists(&name)? {
                if file.is_some() {
                    fs_err::remove_file(store.path(&partial))?;
                } else {
                    store.remove(&partial)?;
                }
                continue;
            }
            let sink = match file {
                Some(file) => Sink::Local(file),
                None => Sink::Remote(Upload::begin(store, &name)?),
            };
            return Ok((Self { number, name, partial, held: true }, sink));
        }
        Err(Error::directory(&store.path(folder), "no part number is free"))
    }
}

/// Where the bytes of a file go.
#[derive(Debug)]
pub(super) enum Sink {
    Local(File),
    Remote(Upload),
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Local(file) => file.write(bytes),
            Self::Remote(upload) => upload.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Local(file) => file.flush(),
            Self::Remote(_) => Ok(()),
        }
    }
}

/// An object that is sent part by part; called off if it is dropped before it is complete.
#[derive(Debug)]
pub(super) struct Upload {
    store: Store,
    parts: Box<dyn MultipartUpload>,
    ahead: Vec<u8>,
    complete: bool,
}

impl Upload {
    pub(super) fn begin(store: &Store, name: &str) -> Result<Self, Error> {
        let parts = store.upload(name)?;
        Ok(Self { store: store.clone(), parts, ahead: Vec::new(), complete: false })
    }

    pub(super) fn send_all(&mut self) -> io::Result<()> {
        let ahead = std::mem::take(&mut self.ahead);
        Ok(self.store.wait(self.parts.put_part(ahead.into()))?)
    }

    pub(super) fn complete(&mut self) -> io::Result<()> {
        self.store.wait(self.parts.complete())?;
        self.complete = true;
        Ok(())
    }
}

impl Write for Upload {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.ahead.extend_from_slice(bytes);
        if self.ahead.len() >= UPLOAD_BYTES {
            self.send_all()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        if !self.complete {
            // Best effort: stores drop what never completes after a while.
            let _ = self.store.wait(self.parts.abort());
        }
    }
}

/// Sends a file to a store other than the local disk; the object appears when all of it has arrived.
pub(super) fn send(store: &Store, name: &str, file: &mut fs_err::File) -> Result<(), Error> {
    let path = store.path(name);
    let mut upload = Upload::begin(store, name)?;
    let sent = io::copy(file, &mut upload).and_then(|_| upload.send_all());
    sent.and_then(|()| upload.complete()).map_err(|e| cannot_write(&path, &e))
}
