//! What a start does: keep others out, find the newest snapshot that is whole, apply the log behind it.

use std::path::Path;

use eliverec_core::Schema;

use crate::error::Error;
use crate::files::listed;
use crate::known::Known;
use crate::log::Log;
use crate::record::{OWN_EVENT_IDS, Record};
use crate::snapshot::{Loaded, Snapshots};
use crate::store::FeatureStore;

/// What a state may have in its directory before it has a log.
const BEGUN: [&str; 6] = ["lock", "left", "identity", "days", "names.redb", "lost+found"];

/// Refuses a directory that holds something else: a state would be strewn among it.
pub(crate) fn refuse_foreign(directory: &Path) -> Result<(), Error> {
    if !directory.exists() {
        return Ok(());
    }
    if !directory.is_dir() {
        let reason = "is no directory; name one that is empty, or one that is not there";
        return Err(Error::directory(directory, reason));
    }
    if ["log", "snapshots"].iter().any(|name| directory.join(name).is_dir()) {
        return Ok(());
    }
    for name in listed(directory)? {
        if !BEGUN.contains(&name.as_str()) {
            let reason = format!(
                "holds {name:?} and no state; name the directory of a state, one that is empty, or one that is not there"
            );
            return Err(Error::directory(directory, reason));
        }
    }
    Ok(())
}

/// Keeps other processes out for as long as the file is open.
pub(crate) fn lock(directory: &Path) -> Result<std::fs::File, Error> {
    let path = directory.join("lock");
    let file = fs_err::File::create(&path)?.into_parts().0;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(std::fs::TryLockError::WouldBlock) => {
            let reason = "another process has this state open; stop it, or use another directory";
            Err(Error::directory(directory, reason))
        }
        Err(std::fs::TryLockError::Error(e)) => Err(e.into()),
    }
}

/// The newest snapshot that is whole, and what is wrong with those that are newer.
pub(crate) fn newest(
    snapshots: &Snapshots,
    schema: &Schema,
) -> Result<(Option<Loaded>, Vec<String>), Error> {
    let mut passed_over = Vec::new();
    for position in snapshots.positions()?.into_iter().rev() {
        match snapshots.read(position, schema) {
            Ok(loaded) => return Ok((Some(loaded), passed_over)),
            Err(error) => passed_over.push(error.to_string()),
        }
    }
    Ok((None, passed_over))
}

/// Applies what the log has from `first` on, group by group; the number of records.
pub(crate) fn replay(
    log: &Log,
    store: &FeatureStore,
    known: &mut Known,
    known_position: u64,
    first: u64,
) -> Result<u64, Error> {
    let mut group: Vec<(u64, Record)> = Vec::new();
    let mut count = 0;
    log.read(first, &mut |sequence, record| {
        count += 1;
        if let Record::Event(event) = &record
            && sequence > known_position
        {
            let wrong = |e: eliverec_core::Error| {
                let reason = format!("record {sequence} is no event that a log takes: {e}");
                Error::log(Path::new("log"), reason)
            };
            known.offer(event).map_err(wrong)?;
            if let Some(request_id) = event.request_id
                && OWN_EVENT_IDS.contains(&event.event_id)
            {
                known.answer(request_id, event.available_at_ms);
            }
        }
        if let Some((_, last)) = group.last()
            && last.stamp_ms() != record.stamp_ms()
        {
            store.apply(last.stamp_ms(), &group)?;
            group.clear();
        }
        group.push((sequence, record));
        Ok(())
    })?;
    if let Some((_, last)) = group.last() {
        store.apply(last.stamp_ms(), &group)?;
    }
    Ok(count)
}
