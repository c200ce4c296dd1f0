//! What a group of records is to those who follow a state: the records in order, and the folds of the users that they concern.

use std::collections::BTreeSet;
use std::fmt::Debug;

use eliverec_features::Versioned;
use eliverec_features::routing::user_of;
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::record::Record;
use crate::store::{FeatureStore, User};

/// Raise it with every change of what followers read, beside the version of the folds.
pub const FOLLOWED_VERSION: u32 = 3;

/// A group that is on disk and applied.
#[derive(Clone, Debug, PartialEq)]
pub struct Group {
    /// The number of its first record.
    pub first: u64,
    /// The number of its last record.
    pub last: u64,
    /// When it arrived, milliseconds since 1970 UTC.
    pub stamp_ms: i64,
    /// Its records, and the names that came before them, as [`crate::Replica::apply`] reads them.
    pub entry: Vec<u8>,
    /// The folds of each user that it concerns, as they are behind it; without folds a user that was forgotten before it. Those who
    /// follow apply these in order.
    pub users: Vec<(u64, Option<Vec<u8>>)>,
    /// Texts of channels by their id, new since the group before.
    pub names: Vec<(u64, String)>,
}

/// Tells other processes what a state takes in.
pub trait Publisher: Debug + Send + Sync {
    /// A group is on disk and applied, and is acknowledged when this returns. Groups come in order, each once, from one thread,
    /// which writes nothing until this returns.
    fn publish(&self, group: Group);

    /// The number of the last record that others can follow.
    fn position(&self) -> u64;
}

/// What those who follow apply.
#[derive(Serialize, Deserialize)]
pub(crate) struct Entry {
    pub(crate) first: u64,
    pub(crate) stamp_ms: i64,
    pub(crate) records: Vec<Record>,
    pub(crate) names: Vec<(u64, String)>,
}

/// The moment up to which requests may stand at a position: every record behind it gets a later stamp or this one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Closed {
    /// The number of the last record that was told.
    pub position: u64,
    /// The moment, milliseconds since 1970 UTC; `i64::MIN` if nobody has told a time yet.
    pub at_ms: i64,
    /// Grows with every time that the writer tells it: it lives.
    pub beat: u64,
}

impl std::fmt::Display for Closed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {} {}", self.position, self.at_ms, self.beat)
    }
}

impl std::str::FromStr for Closed {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts: Vec<&str> = text.split(' ').collect();
        let read = match parts[..] {
            [position, at_ms, beat] => match (position.parse(), at_ms.parse(), beat.parse()) {
                (Ok(position), Ok(at_ms), Ok(beat)) => Some(Self { position, at_ms, beat }),
                _ => None,
            },
            _ => None,
        };
        read.ok_or_else(|| format!("{text:?} is not a position, a moment and a count"))
    }
}

/// The folds of a user for those who follow.
pub(crate) fn encode_user(id: u64, user: &User) -> Result<Vec<u8>, Error> {
    let encoded = postcard::to_stdvec(&Versioned::new(user));
    encoded.map_err(|e| Error::Followed { reason: format!("the folds of user {id}: {e}") })
}

/// The folds of a user that [`encode_user`] wrote.
pub(crate) fn decode_user(id: u64, bytes: &[u8]) -> Result<User, Error> {
    let failed = |reason: String| Error::Followed { reason: format!("user {id}: {reason}") };
    match postcard::take_from_bytes::<Versioned<User>>(bytes) {
        Ok((user, [])) => Ok(user.state),
        Ok(_) => Err(failed("the folds are too long".into())),
        Err(error) => Err(failed(error.to_string())),
    }
}

impl Group {
    /// Of records that were applied to the store, which nobody changes meanwhile.
    pub(crate) fn of(
        store: &FeatureStore,
        stamp_ms: i64,
        records: Vec<(u64, Record)>,
        forgotten: Vec<u64>,
        names: Vec<(u64, String)>,
    ) -> Result<Self, Error> {
        let ends = records.first().zip(records.last());
        let (first, last) = ends.map_or((0, 0), |(first, last)| (first.0, last.0));
        let concerned: BTreeSet<u64> = records
            .iter()
            .filter_map(|(_, record)| match record {
                Record::Event(event) => user_of(event),
                Record::Upsert(_) | Record::Drawn(_) | Record::Answered(_) => None,
            })
            .collect();
        let mut users: Vec<_> = forgotten.into_iter().map(|user| (user, None)).collect();
        for id in concerned {
            let shard = store.users.read(store.users.number(id));
            // A late event concerns nobody.
            if let Some(user) = shard.by_id.get(&id).filter(|user| user.changed >= first) {
                users.push((id, Some(encode_user(id, user)?)));
            }
        }
        let records = records.into_iter().map(|(_, record)| record).collect();
        let entry = Entry { first, stamp_ms, records, names: names.clone() };
        let entry = postcard::to_stdvec(&entry);
        let entry =
            entry.map_err(|e| Error::Followed { reason: format!("record {first}: {e}") })?;
        Ok(Self { first, last, stamp_ms, entry, users, names })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_closed_moment_is_read_as_it_is_written() {
        let closed = Closed { position: 7, at_ms: i64::MIN, beat: 3 };
        assert_eq!(closed.to_string().parse(), Ok(closed));
        for wrong in ["", "7 8", "7 8 9 10", "7 8 -1", "a b c"] {
            assert!(wrong.parse::<Closed>().is_err(), "{wrong:?}");
        }
    }
}
