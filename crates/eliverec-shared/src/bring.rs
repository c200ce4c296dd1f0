//! What the server lacks is brought to it: after a start, and after it was away.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use eliverec_state::{Closed, State};
use redis::{Connection, RedisError};

use crate::about::About;
use crate::connection::PATIENCE;
use crate::error::Error;
use crate::sharing::{Live, Mode, Sharing};

/// What was brought.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Brought {
    /// Folds of users.
    pub(crate) users: usize,
    /// Users whose folds were there and are known no more.
    pub(crate) forgotten: usize,
    /// Everything, under a new epoch.
    pub(crate) is_anew: bool,
}

/// Where what the server has ends.
struct Begin {
    epoch: String,
    /// It has everything up to this record.
    after: u64,
    /// The newest snapshot of the epoch and the one before.
    snapshots: [u64; 2],
    /// An epoch that is nobody's any more.
    old: Option<String>,
}

impl Sharing {
    /// Brings the server what it lacks; from then on every group goes there at once.
    pub(crate) fn bring(
        &self,
        state: &State,
        names: impl Fn() -> Vec<(u64, String)> + Sync,
    ) -> Result<Brought, Error> {
        let mut connection = self.server.connect(PATIENCE)?;
        self.claim(&mut connection)?;
        self.check_memory(&mut connection)?;
        // A group that is not in the snapshot waits from here on.
        *self.mode() = Mode::Filling { groups: Vec::new(), bytes: 0 };
        let snapshot = state.snapshot()?;
        let (files, names) = (state.files_to_follow(snapshot)?, names());
        // That may take longer than the lease, so only now it is looked at what is there. Every put renews it.
        self.claim(&mut connection)?;
        let begin = self.where_it_ends(&mut connection, state, snapshot)?;
        let epoch = begin.epoch.clone();
        self.put_snapshot(&mut connection, &epoch, snapshot, files)?;
        for names in names.chunks(1000) {
            let of = |(id, name): &(u64, String)| {
                (self.keys.names(&epoch), *id, name.clone().into_bytes())
            };
            self.put(&mut connection, names.iter().map(of).collect())?;
        }
        let mut users = 0;
        state.users_changed_after(begin.after, |folds| {
            users += folds.len();
            let of = |(user, folds): (u64, Vec<u8>)| (self.keys.user(&epoch, user), user, folds);
            self.put(&mut connection, folds.into_iter().map(of).collect())
        })?;
        let about = About::new(&self.log, &epoch, state.schema(), state.config().features);
        let about =
            serde_json::to_string(&about).map_err(|e| self.server.refused(e.to_string()))?;
        // No moment is told yet: the first group or beat does.
        let closed = Closed { position: snapshot, at_ms: i64::MIN, beat: 0 }.to_string();
        let snapshots = [snapshot, begin.snapshots[0]];
        let values = [
            (self.keys.about(), about),
            (self.keys.closed(&epoch), closed),
            (self.keys.snapshots(&epoch), snapshots_text(snapshots)),
        ];
        let said = self.owner.resume(&mut connection, values);
        self.check(said.map_err(|e| self.server.failed(e))?)?;
        // Nobody is answered from here until a moment is told, so nobody misses those who leave.
        let is_anew = begin.after == 0;
        let forgotten =
            if is_anew { 0 } else { self.forget_users(&mut connection, state, &epoch)? };
        let old = begin.old.map(|old| self.keys.all(&old));
        self.remove(&mut connection, old.unwrap_or_default())?;
        self.remove_snapshots(&mut connection, &epoch, begin.snapshots, snapshots)?;
        let live = Live { connection, epoch, position: snapshot, beat: 0, snapshots };
        self.go_live(live)?;
        Ok(Brought { users, forgotten, is_anew })
    }

    /// Removes the folds of users of whom the state knows nothing: they were forgotten while the server was away, or by a process that
    /// ended before it told so. One who begins again meanwhile comes with a group that waits. The number of users.
    fn forget_users(
        &self,
        connection: &mut Connection,
        state: &State,
        epoch: &str,
    ) -> Result<usize, Error> {
        let mut forgotten = 0;
        for key in self.keys.all_users(epoch) {
            let mut users: Vec<u64> = self.ask(redis::cmd("HKEYS").arg(&key).query(connection))?;
            users.retain(|user| !state.knows_user(*user));
            for users in users.chunks(1000) {
                let said = self.owner.leave(connection, key.clone(), users);
                self.check(said.map_err(|e| self.server.failed(e))?)?;
            }
            forgotten += users.len();
        }
        Ok(forgotten)
    }

    /// Becomes the owner, or stays it for another lease.
    pub(crate) fn claim(&self, connection: &mut Connection) -> Result<(), Error> {
        match self.ask(self.owner.claim(connection, None))? {
            Some(holder) => Err(self.held(holder)),
            None => Ok(()),
        }
    }

    /// Tells the groups that wait, and is live when there are no more.
    fn go_live(&self, mut live: Live) -> Result<(), Error> {
        let snapshot = live.position;
        self.position.store(snapshot, Ordering::Relaxed);
        loop {
            let groups = {
                let mut mode = self.mode();
                match &mut *mode {
                    Mode::Filling { groups, .. } if groups.is_empty() => {
                        *mode = Mode::Live(Box::new(live));
                        return Ok(());
                    }
                    Mode::Filling { groups, bytes } => {
                        *bytes = 0;
                        std::mem::take(groups)
                    }
                    Mode::Live(_) => return Ok(()),
                    Mode::Behind { reason } => return Err(self.server.refused(reason.clone())),
                }
            };
            for group in groups.into_iter().filter(|group| group.last > snapshot) {
                self.tell(&mut live, group)?;
            }
        }
    }

    /// A server that makes room by removing what it likes would make wrong features.
    fn check_memory(&self, connection: &mut Connection) -> Result<(), Error> {
        let info: String = self.ask(redis::cmd("INFO").arg("memory").query(connection))?;
        let policy = info.lines().find_map(|line| line.strip_prefix("maxmemory_policy:"));
        match policy.map(str::trim) {
            Some(policy) if policy.starts_with("allkeys") => {
                let reason = format!(
                    "it removes keys when it is full (maxmemory-policy {policy}); set it to noeviction"
                );
                Err(self.server.refused(reason))
            }
            _ => Ok(()),
        }
    }

    fn where_it_ends(
        &self,
        connection: &mut Connection,
        state: &State,
        snapshot: u64,
    ) -> Result<Begin, Error> {
        let about: Option<String> =
            self.ask(redis::cmd("GET").arg(self.keys.about()).query(connection))?;
        let about: Option<About> = about.and_then(|about| serde_json::from_str(&about).ok());
        let Some(about) = about else {
            let (epoch, snapshots) = (eliverec_state::drawn(), [0; 2]);
            return Ok(Begin { epoch, after: 0, snapshots, old: None });
        };
        let epoch = about.epoch.clone();
        let (closed, snapshots): (Option<String>, Option<String>) = self.ask(
            redis::pipe()
                .cmd("GET")
                .arg(self.keys.closed(&epoch))
                .cmd("GET")
                .arg(self.keys.snapshots(&epoch))
                .query(connection),
        )?;
        let snapshots = snapshots.as_deref().and_then(snapshots_of);
        let closed = closed.and_then(|closed| closed.parse::<Closed>().ok());
        let is_ours = about.log == self.log
            && about.difference(state.schema(), &state.config().features).is_none();
        match (closed, snapshots) {
            // The log goes on from there.
            (Some(closed), Some(snapshots)) if is_ours && closed.position <= snapshot => {
                Ok(Begin { epoch, after: closed.position, snapshots, old: None })
            }
            (_, snapshots) => {
                let old: Vec<u64> = snapshots.unwrap_or_default().into();
                let keys = old.into_iter().map(|position| self.keys.snapshot(&epoch, position));
                self.remove(connection, keys.collect())?;
                let new = eliverec_state::drawn();
                Ok(Begin { epoch: new, after: 0, snapshots: [0; 2], old: Some(epoch) })
            }
        }
    }

    /// Brings a snapshot as of now, and lets go of the records before the one before it.
    pub(crate) fn bring_snapshot(&self, state: &State) -> Result<(), Error> {
        let (epoch, before) = match &*self.mode() {
            Mode::Live(live) => (live.epoch.clone(), live.snapshots),
            _ => return Ok(()),
        };
        // By a connection of its own: groups go on meanwhile.
        let mut connection = self.server.connect(PATIENCE)?;
        let snapshot = state.snapshot()?;
        if snapshot == before[0] {
            return Ok(());
        }
        let files = state.files_to_follow(snapshot)?;
        // That may take longer than the lease, which only groups renew meanwhile.
        self.claim(&mut connection)?;
        self.put_snapshot(&mut connection, &epoch, snapshot, files)?;
        let snapshots = [snapshot, before[0]];
        let words = (self.keys.snapshots(&epoch), snapshots_text(snapshots));
        let stream = self.keys.stream(&epoch);
        let said = self.owner.turn(&mut connection, words, stream, before[0] + 1);
        self.check(said.map_err(|e| self.server.failed(e))?)?;
        self.remove_snapshots(&mut connection, &epoch, before, snapshots)?;
        if let Mode::Live(live) = &mut *self.mode() {
            live.snapshots = snapshots;
        }
        tracing::info!(position = snapshot, "the server has a new snapshot");
        Ok(())
    }

    fn put_snapshot(
        &self,
        connection: &mut Connection,
        epoch: &str,
        snapshot: u64,
        files: BTreeMap<String, Vec<u8>>,
    ) -> Result<(), Error> {
        let key = self.keys.snapshot(epoch, snapshot);
        for (name, bytes) in files {
            self.put_values(connection, &[(key.clone(), name, bytes.as_slice())])?;
        }
        Ok(())
    }

    fn put(
        &self,
        connection: &mut Connection,
        values: Vec<(String, u64, Vec<u8>)>,
    ) -> Result<(), Error> {
        let values: Vec<(String, String, &[u8])> = values
            .iter()
            .map(|(key, id, value)| (key.clone(), id.to_string(), value.as_slice()))
            .collect();
        self.put_values(connection, &values)
    }

    fn put_values(
        &self,
        connection: &mut Connection,
        values: &[(String, String, &[u8])],
    ) -> Result<(), Error> {
        let said = self.owner.put(connection, values);
        self.check(said.map_err(|e| self.server.failed(e))?)
    }

    /// Removes the snapshots of `before` that are not among those of `now`.
    fn remove_snapshots(
        &self,
        connection: &mut Connection,
        epoch: &str,
        before: [u64; 2],
        now: [u64; 2],
    ) -> Result<(), Error> {
        let old = before.into_iter().filter(|position| !now.contains(position));
        self.remove(connection, old.map(|position| self.keys.snapshot(epoch, position)).collect())
    }

    fn remove(&self, connection: &mut Connection, keys: Vec<String>) -> Result<(), Error> {
        if keys.is_empty() {
            return Ok(());
        }
        self.ask(redis::cmd("UNLINK").arg(keys).query::<u64>(connection)).map(drop)
    }

    fn ask<T>(&self, asked: Result<T, RedisError>) -> Result<T, Error> {
        asked.map_err(|e| self.server.failed(e))
    }
}

fn snapshots_text([newest, before]: [u64; 2]) -> String {
    format!("{newest} {before}")
}

/// The newest snapshot and the one before, 0 for none.
pub(crate) fn snapshots_of(text: &str) -> Option<[u64; 2]> {
    let (newest, before) = text.split_once(' ')?;
    Some([newest.parse().ok()?, before.parse().ok()?])
}
