//! The log that days go to: whose it is, and how it begins.

use std::fs::TryLockError;
use std::path::{Path, PathBuf};

use eliverec_core::{Dimensions, IdKinds, Schema};
use eliverec_tables::events::layout::EXPERIMENTS_FILE;
use eliverec_tables::events::{
    EventLog, EventWriter, Store, read_id_kinds, write_dimensions, write_id_kinds,
};

use crate::error::Error;

/// Held by the service that moves days there; readers pass the name over.
const LOCK_FILE: &str = ".lock";

/// What a log has before it has days.
const BEGUN: [&str; 9] = [
    "schema.toml",
    "ids.toml",
    "users.parquet",
    "products.parquet",
    "channels.parquet",
    "truth.parquet",
    EXPERIMENTS_FILE,
    "rejected",
    "lost+found",
];

/// A log that days go to, closed to other services while this lives.
#[derive(Debug)]
pub struct Logs {
    /// How callers write ids, as far as the log knows by now.
    pub ids: IdKinds,
    _lock: std::fs::File,
}

/// Refuses a place that holds something else than a log; nothing is written.
///
/// # Errors
/// [`Error::Foreign`], and what the file system refuses.
pub fn check(logs: &Path) -> Result<(), Error> {
    let foreign = |what: String| Error::Foreign { path: logs.into(), what };
    if !logs.exists() {
        return Ok(());
    }
    if !logs.is_dir() {
        return Err(foreign("is no directory".into()));
    }
    if logs.join("events").is_dir() {
        return Ok(());
    }
    let mut names = Vec::new();
    for entry in fs_err::read_dir(logs)? {
        names.push(entry?.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    match names.iter().find(|name| !name.starts_with(['.', '_']) && !BEGUN.contains(&name.as_str()))
    {
        Some(name) => Err(foreign(format!("holds {name:?}"))),
        None => Ok(()),
    }
}

/// Makes the log at `logs` that days go to, with the tables that the state begins with. One that is there stays as it is, but for how
/// callers write ids, as far as that was not known.
///
/// # Errors
/// What the file system refuses, what [`check`] refuses, a log that another service has, or of another schema, or whose ids are written in
/// another way.
pub fn begin(
    logs: &Path,
    schema: &Schema,
    dimensions: &Dimensions,
    ids: &IdKinds,
) -> Result<Logs, Error> {
    check(logs)?;
    fs_err::create_dir_all(logs)?;
    let lock = lock(logs)?;
    let store = Store::local(logs)?;
    let known = read_id_kinds(&store)?;
    let mut kinds = known.clone().unwrap_or_default();
    let differences = kinds.differences(ids);
    if !differences.is_empty() {
        return Err(Error::OtherIds { path: logs.into(), differences: differences.join(", ") });
    }
    if logs.join("schema.toml").exists() {
        let found = EventLog::open(&store)?;
        let differences = schema.differences(found.schema());
        if !differences.is_empty() {
            return Err(Error::Core(eliverec_core::Error::SchemaMismatch {
                expected: "the state".into(),
                found: logs.display().to_string(),
                differences: differences.join("; "),
            }));
        }
    } else if let Some(day) = crate::folders(logs)?.first() {
        return Err(Error::NoSchema { path: logs.into(), day: *day });
    }
    kinds.extend(ids);
    // Without it the numbers of the folders would be taken for what callers write. One that says it already stays, for a full disk keeps
    // nobody from answering.
    if known.as_ref() != Some(&kinds) {
        write_id_kinds(&kinds, &store)?;
    }
    if !logs.join("schema.toml").exists() {
        // The schema makes it a log, so the tables come first.
        write_dimensions(dimensions, &store)?;
        EventWriter::create(&store, schema)?.finish()?;
    }
    Ok(Logs { ids: kinds, _lock: lock })
}

/// Keeps how callers write ids, as it is known by now.
///
/// # Errors
/// What the file system refuses.
pub fn keep_ids(logs: &Path, ids: &IdKinds) -> Result<(), Error> {
    Ok(write_id_kinds(ids, &Store::local(logs)?)?)
}

fn lock(logs: &Path) -> Result<std::fs::File, Error> {
    let file = fs_err::File::create(logs.join(LOCK_FILE))?.into_parts().0;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(Error::Held { path: PathBuf::from(logs) }),
        Err(TryLockError::Error(e)) => Err(e.into()),
    }
}
