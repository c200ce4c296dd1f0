//! Where a log lies: a directory of the local disk or a prefix of any object store, used from synchronous code.
//!
//! Reads and lists go through `object_store`. On the local disk, writes do not: its own do not sync to disk, and a
//! file that has its name but not its bytes after a power cut looks like a whole one.

use std::future::Future;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};

use bytes::Bytes;
use object_store::local::LocalFileSystem;
use object_store::path::Path as Key;
use object_store::{ObjectStore, ObjectStoreExt, PutMode, PutPayload};

use super::layout::EVENTS_FOLDER;
use crate::error::Error;
use crate::listing::{is_hidden, unreadable};

/// A directory of the local disk, or a prefix of an object store. Clones share connections.
#[derive(Clone, Debug)]
pub struct Store {
    objects: Arc<dyn ObjectStore>,
    prefix: Key,
    /// What messages call it: the directory, or the address.
    root: PathBuf,
    local: bool,
    #[cfg(feature = "s3")]
    runtime: Option<Runtime>,
}

/// A file below the root of a store.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct StoredFile {
    /// Below the root, with `/` between its parts.
    pub(crate) name: String,
    pub(crate) bytes: u64,
}

impl Store {
    /// The store at a path of the local disk, a `file://` address or, with the cargo feature `s3`, an `s3://` address,
    /// whose access comes from the environment (`AWS_ACCESS_KEY_ID`, `AWS_REGION`, `AWS_ENDPOINT`, ...).
    ///
    /// # Errors
    /// An address of another kind.
    pub fn open(location: impl AsRef<Path>) -> Result<Self, Error> {
        let location = location.as_ref();
        match location.to_str().and_then(|text| Some((text, text.split_once("://")?))) {
            None => Self::local(location),
            Some((_, ("file", path))) => Self::local(Path::new(path)),
            Some((text, (scheme, _))) => Self::remote(text, scheme),
        }
    }

    /// A directory of the local disk. It need not exist.
    ///
    /// # Errors
    /// A path that is not Unicode.
    pub fn local(directory: &Path) -> Result<Self, Error> {
        let absolute = std::path::absolute(directory)?;
        let prefix = Key::from_absolute_path(&absolute)
            .map_err(|e| Error::directory(directory, format!("cannot be used as a path: {e}")))?;
        Ok(Self {
            objects: Arc::new(LocalFileSystem::new()),
            prefix,
            root: directory.into(),
            local: true,
            #[cfg(feature = "s3")]
            runtime: None,
        })
    }

    /// A prefix of an object store that needs no asynchronous runtime, such as one in memory; `address` is what
    /// messages call it.
    pub fn of(objects: Arc<dyn ObjectStore>, prefix: &str, address: &str) -> Self {
        Self {
            objects,
            prefix: Key::from(prefix),
            root: address.into(),
            local: false,
            #[cfg(feature = "s3")]
            runtime: None,
        }
    }

    #[cfg(feature = "s3")]
    fn remote(location: &str, scheme: &str) -> Result<Self, Error> {
        let failed = |reason: String| Error::directory(Path::new(location), reason);
        if scheme != "s3" {
            return Err(failed(format!("unknown kind of address {scheme}://; {ADDRESSES}")));
        }
        let url = url::Url::parse(location).map_err(|e| failed(format!("no address: {e}")))?;
        let access = std::env::vars().filter(|(name, _)| name.starts_with("AWS_"));
        let (objects, prefix) =
            object_store::parse_url_opts(&url, access).map_err(|e| failed(e.to_string()))?;
        let runtime = Some(Runtime::start()?);
        Ok(Self { objects: objects.into(), prefix, root: location.into(), local: false, runtime })
    }

    #[cfg(not(feature = "s3"))]
    fn remote(location: &str, scheme: &str) -> Result<Self, Error> {
        let reason = match scheme {
            "s3" => {
                "this program was built without the cargo feature s3; build it with the feature"
                    .to_owned()
            }
            _ => format!("unknown kind of address {scheme}://; {ADDRESSES}"),
        };
        Err(Error::directory(Path::new(location), reason))
    }

    /// What messages call it: the directory, or the address.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// What messages call a file of it.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// Whether a directory is that of the store, or within the log's events there.
    pub fn is_at(&self, directory: &Path) -> bool {
        // What is not there yet lies where the first folder above it is.
        let absolute = std::path::absolute(directory).unwrap_or_default();
        let there = absolute.ancestors().find_map(|path| fs_err::canonicalize(path).ok());
        let (Some(there), Ok(root)) = (there, fs_err::canonicalize(&self.root)) else {
            return false;
        };
        self.local
            && (fs_err::canonicalize(directory).is_ok_and(|path| path == root)
                || there.starts_with(root.join(EVENTS_FOLDER)))
    }

    /// Whether it is on the local disk.
    pub(crate) const fn is_local(&self) -> bool {
        self.local
    }

    /// The contents of a file, `None` if there is none of that name.
    pub(crate) fn read(&self, name: &str) -> Result<Option<Bytes>, Error> {
        let key = self.key(name);
        let contents = self.wait(async { self.objects.get(&key).await?.bytes().await });
        self.found(name, contents)
    }

    /// Parts of a file that lie within it.
    pub(crate) fn read_ranges(
        &self,
        name: &str,
        ranges: &[Range<u64>],
    ) -> Result<Vec<Bytes>, Error> {
        let key = self.key(name);
        self.wait(self.objects.get_ranges(&key, ranges)).map_err(|e| self.failed(name, &e))
    }

    /// Whether there is a file of that name.
    pub(crate) fn exists(&self, name: &str) -> Result<bool, Error> {
        let key = self.key(name);
        Ok(self.found(name, self.wait(self.objects.head(&key)))?.is_some())
    }

    /// Names of the folders, and the files, right in a folder (the root if empty), each in order.
    pub(crate) fn list(&self, folder: &str) -> Result<(Vec<String>, Vec<StoredFile>), Error> {
        let key = self.key(folder);
        let listed = self
            .wait(self.objects.list_with_delimiter(Some(&key)))
            .map_err(|e| self.failed(folder, &e))?;
        let name = |key: &Key| match (folder, key.filename().unwrap_or_default()) {
            ("", name) => name.to_owned(),
            (folder, name) => format!("{folder}/{name}"),
        };
        let mut folders: Vec<_> = listed.common_prefixes.iter().map(name).collect();
        folders.sort();
        let file = |meta: &object_store::ObjectMeta| StoredFile {
            name: name(&meta.location),
            bytes: meta.size,
        };
        // Some tools mark a folder by an object of its own name.
        let objects = listed.objects.iter().filter(|meta| meta.location != key);
        let mut files: Vec<_> = objects.map(file).collect();
        files.sort();
        Ok((folders, files))
    }

    /// Refuses links of the local disk that lead nowhere, pipes and devices, right in a folder, unless their names have them passed
    /// over: listing tells nothing of them.
    pub(crate) fn refuse_unreadable_in(&self, folder: &str) -> Result<(), Error> {
        if !self.local {
            return Ok(());
        }
        let path = self.path(folder);
        let Ok(entries) = fs_err::read_dir(&path) else { return self.refuse_unreadable(folder) };
        for entry in entries {
            let entry = entry?;
            let why = unreadable(&entry.path());
            if let Some(why) = why.filter(|_| !is_hidden(&entry.file_name().to_string_lossy())) {
                return Err(Error::directory(&entry.path(), why));
            }
        }
        Ok(())
    }

    /// Refuses a name that is a link of the local disk which leads nowhere, or a pipe or device.
    pub(crate) fn refuse_unreadable(&self, name: &str) -> Result<(), Error> {
        let path = self.path(name);
        match unreadable(&path).filter(|_| self.local) {
            Some(why) => Err(Error::directory(&path, why)),
            None => Ok(()),
        }
    }

    /// Replaces a small file as a whole.
    pub(crate) fn replace(&self, name: &str, contents: Vec<u8>) -> Result<(), Error> {
        if self.local {
            return super::local::replace(&self.path(name), &contents);
        }
        let key = self.key(name);
        self.wait(self.objects.put(&key, contents.into())).map_err(|e| self.failed(name, &e))?;
        Ok(())
    }

    /// Makes an empty object unless there is one of that name: false then.
    pub(crate) fn claim(&self, name: &str) -> Result<bool, Error> {
        let key = self.key(name);
        let put = self.objects.put_opts(&key, PutPayload::new(), PutMode::Create.into());
        match self.wait(put) {
            Ok(_) => Ok(true),
            Err(object_store::Error::AlreadyExists { .. }) => Ok(false),
            Err(e) => Err(self.failed(name, &e)),
        }
    }

    /// Removes an object.
    pub(crate) fn remove(&self, name: &str) -> Result<(), Error> {
        let key = self.key(name);
        self.wait(self.objects.delete(&key)).map_err(|e| self.failed(name, &e))
    }

    /// Begins to write an object in parts; it appears when the upload completes.
    pub(crate) fn upload(
        &self,
        name: &str,
    ) -> Result<Box<dyn object_store::MultipartUpload>, Error> {
        let key = self.key(name);
        self.wait(self.objects.put_multipart(&key)).map_err(|e| self.failed(name, &e))
    }

    /// Runs an operation of the store to its end.
    #[cfg_attr(
        not(feature = "s3"),
        expect(clippy::unused_self, reason = "remote stores have a runtime to enter")
    )]
    pub(crate) fn wait<T>(&self, operation: impl Future<Output = T>) -> T {
        #[cfg(feature = "s3")]
        let _entered = self.runtime.as_ref().map(Runtime::enter);
        block_on(operation)
    }

    /// The error of an operation on a file.
    pub(crate) fn failed(&self, name: &str, error: &object_store::Error) -> Error {
        let reason = error.to_string().split_whitespace().collect::<Vec<_>>().join(" ");
        Error::Store { path: self.path(name), reason }
    }

    fn found<T>(
        &self,
        name: &str,
        result: Result<T, object_store::Error>,
    ) -> Result<Option<T>, Error> {
        match result {
            Ok(value) => Ok(Some(value)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(e) => Err(self.failed(name, &e)),
        }
    }

    fn key(&self, name: &str) -> Key {
        let parts = name.split('/').filter(|part| !part.is_empty());
        parts.fold(self.prefix.clone(), Key::join)
    }
}

const ADDRESSES: &str = "give a path, file:// or s3://";

/// Waits on this thread, whether or not it belongs to an asynchronous runtime: the local disk and memory never make
/// it wait, and remote stores are driven by threads of their own.
fn block_on<T>(operation: impl Future<Output = T>) -> T {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let mut operation = pin!(operation);
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut context = Context::from_waker(&waker);
    loop {
        match operation.as_mut().poll(&mut context) {
            Poll::Ready(value) => return value,
            Poll::Pending => thread::park(),
        }
    }
}

/// The thread that drives the connections of remote stores.
#[cfg(feature = "s3")]
#[derive(Clone, Debug)]
struct Runtime(Arc<Owned>);

#[cfg(feature = "s3")]
#[derive(Debug)]
struct Owned(Option<tokio::runtime::Runtime>);

#[cfg(feature = "s3")]
impl Runtime {
    fn start() -> Result<Self, Error> {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        Ok(Self(Arc::new(Owned(Some(runtime)))))
    }

    fn enter(&self) -> Option<tokio::runtime::EnterGuard<'_>> {
        self.0.0.as_ref().map(tokio::runtime::Runtime::enter)
    }
}

#[cfg(feature = "s3")]
impl Drop for Owned {
    fn drop(&mut self) {
        // A plain drop waits, which is refused on the threads of another runtime.
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}
