//! The readers' side: a snapshot, then group after group.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use eliverec_core::Schema;
use eliverec_features::FeatureConfig;
use eliverec_state::{Closed, Replica};
use redis::{Connection, RedisError};

use crate::about::About;
use crate::bring::snapshots_of;
use crate::connection::{Fetching, PATIENCE, Server};
use crate::error::Error;
use crate::keys::Keys;

/// How long the server waits for a group before it says that there is none.
const WAIT_MS: u64 = 100;

/// Groups that are read at a time.
const GROUPS: usize = 64;

/// After what went wrong, the next try comes so much later.
const RETRY: Duration = Duration::from_millis(200);

/// Keeps a replica up to date.
#[derive(Debug)]
pub struct Follower {
    server: Server,
    keys: Keys,
    replica: Arc<Replica>,
    /// The epoch that the replica follows, and the text that says so at the server.
    following: Option<(String, String)>,
}

/// What an `XREAD` of one stream says.
type Read = Option<Vec<(String, Vec<(String, Vec<(String, Vec<u8>)>)>)>>;

impl Follower {
    /// Follows what stands at the server at `url` under `prefix`, which must be of this schema and these settings of the folds.
    ///
    /// # Errors
    /// A wrong address, and a state of another schema or settings. A server that is away is looked for by [`Follower::run`].
    pub fn begin(
        url: &str,
        prefix: &str,
        schema: &Schema,
        features: FeatureConfig,
    ) -> Result<Self, Error> {
        let server = Server::at(url)?;
        let keys = Keys { prefix: prefix.into() };
        let users = Box::new(Fetching::new(server.clone(), keys.clone()));
        let replica = Arc::new(Replica::new(schema, features, users)?);
        let mut follower = Self { server, keys, replica, following: None };
        let begun = follower.server.connect(PATIENCE).and_then(|mut connection| {
            let about = follower.about(&mut connection)?;
            follower.load(&mut connection, &about)
        });
        match begun {
            Err(error) if error.is_bad_input() => return Err(error),
            Err(error) => {
                tracing::warn!(%error, "nothing can be followed yet");
                follower.replica.tell(Some(error.to_string()));
            }
            Ok(()) => {}
        }
        Ok(follower)
    }

    /// What it keeps up to date.
    pub fn replica(&self) -> Arc<Replica> {
        Arc::clone(&self.replica)
    }

    /// Follows until it is told to end.
    pub fn run(mut self, is_ended: &AtomicBool) {
        let mut told = String::new();
        while !is_ended.load(Ordering::Relaxed) {
            let Err(error) = self.follow(is_ended) else { return };
            let reason = error.to_string();
            if reason != told {
                tracing::error!(reason, "cannot follow, and tries again");
            }
            self.replica.tell(Some(reason.clone()));
            told = reason;
            std::thread::sleep(RETRY);
        }
    }

    fn follow(&mut self, is_ended: &AtomicBool) -> Result<(), Error> {
        let mut connection = self.server.connect(PATIENCE)?;
        let mut missing = false;
        while !is_ended.load(Ordering::Relaxed) {
            let Some((epoch, known)) = self.following.clone() else {
                let about = self.about(&mut connection)?;
                self.load(&mut connection, &about)?;
                continue;
            };
            let (applied, _) = self.replica.positions();
            let (read, closed, about) = self.read(&mut connection, &epoch, applied)?;
            if about.as_deref() != Some(known.as_str()) {
                self.following = None;
                continue;
            }
            let entries = read.into_iter().flatten().flat_map(|(_, entries)| entries);
            let entries: Vec<Vec<u8>> =
                entries.flat_map(|(_, fields)| fields).map(|(_, entry)| entry).collect();
            let is_applied = entries.iter().try_for_each(|entry| self.replica.apply(entry));
            // Records that were told and do not come are there no more.
            let lacks =
                entries.is_empty() && closed.is_some_and(|closed| closed.position > applied);
            if let Err(error) = &is_applied {
                tracing::warn!(%error, "a snapshot is read again");
            }
            if is_applied.is_err() || lacks && missing || closed.is_none() {
                self.following = None;
                continue;
            }
            missing = lacks;
            self.replica.tell(None);
            if let Some(closed) = closed {
                self.replica.hear(&epoch, closed);
            }
        }
        Ok(())
    }

    /// The groups behind record `applied`, the closed moment, and what stands at the server.
    fn read(
        &self,
        connection: &mut Connection,
        epoch: &str,
        applied: u64,
    ) -> Result<(Read, Option<Closed>, Option<String>), Error> {
        let mut calls = redis::pipe();
        calls.cmd("XREAD").arg("COUNT").arg(GROUPS).arg("BLOCK").arg(WAIT_MS);
        calls.arg("STREAMS").arg(self.keys.stream(epoch)).arg(format!("{applied}-0"));
        calls.cmd("GET").arg(self.keys.closed(epoch)).cmd("GET").arg(self.keys.about());
        let (read, closed, about): (Read, Option<String>, Option<String>) =
            self.ask(calls.query(connection))?;
        let closed =
            closed.map(|closed| closed.parse().map_err(|e: String| self.server.refused(e)));
        Ok((read, closed.transpose()?, about))
    }

    /// What stands at the server, which this process can follow.
    fn about(&self, connection: &mut Connection) -> Result<(About, String), Error> {
        let text: Option<String> =
            self.ask(redis::cmd("GET").arg(self.keys.about()).query(connection))?;
        let nothing = || {
            let prefix = &self.keys.prefix;
            self.server.refused(format!("nothing is shared there under the prefix {prefix:?} yet"))
        };
        let text = text.ok_or_else(nothing)?;
        let differs = |reason: String| {
            let (place, prefix) = (self.server.place.clone(), self.keys.prefix.clone());
            Error::Differs { place, prefix, reason }
        };
        let about: About = serde_json::from_str(&text).map_err(|e| differs(e.to_string()))?;
        match about.difference(self.replica.schema(), self.replica.features_config()) {
            Some(reason) => Err(differs(reason)),
            None => Ok((about, text)),
        }
    }

    fn load(
        &mut self,
        connection: &mut Connection,
        (about, text): &(About, String),
    ) -> Result<(), Error> {
        let epoch = &about.epoch;
        let snapshots: Option<String> =
            self.ask(redis::cmd("GET").arg(self.keys.snapshots(epoch)).query(connection))?;
        let newest = snapshots.as_deref().and_then(snapshots_of).map(|[newest, _]| newest);
        let newest = newest.ok_or_else(|| self.server.refused("there is no snapshot"))?;
        let files: BTreeMap<String, Vec<u8>> = self
            .ask(redis::cmd("HGETALL").arg(self.keys.snapshot(epoch, newest)).query(connection))?;
        let names: HashMap<u64, String> =
            self.ask(redis::cmd("HGETALL").arg(self.keys.names(epoch)).query(connection))?;
        let position = self.replica.begin(epoch, &files, names)?;
        self.following = Some((epoch.clone(), text.clone()));
        tracing::info!(position, "follows from a snapshot on");
        Ok(())
    }

    fn ask<T>(&self, asked: Result<T, RedisError>) -> Result<T, Error> {
        asked.map_err(|e| self.server.failed(e))
    }
}
