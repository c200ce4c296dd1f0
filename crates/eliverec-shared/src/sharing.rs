//! The writer's side: every group goes to the server before it is acknowledged, and a moment is told all the time.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use eliverec_state::{Closed, Group, Publisher, State};
use redis::Connection;

use crate::connection::{PATIENCE, Server};
use crate::error::Error;
use crate::keys::Keys;
use crate::meanwhile::meanwhile;
use crate::scripts::{Owner, Publish, Said};

/// A moment is told so often; requests elsewhere stand at most that much in the past while nothing happens.
pub const BEAT: Duration = Duration::from_millis(50);

/// While the server is away, it is looked for so often.
const RETRY: Duration = Duration::from_secs(1);

/// The owner before has ended if it was silent for so long: longer than its lease.
const OWNER_SILENT: Duration = Duration::from_secs(4);

/// Groups that wait while the server is brought what it lacks, bytes.
const WAITING_BYTES: usize = 64 << 20;

/// A state at the server.
#[derive(Debug)]
pub struct Sharing {
    pub(crate) server: Server,
    pub(crate) keys: Keys,
    pub(crate) owner: Owner,
    /// Of the log.
    pub(crate) log: String,
    /// A new snapshot is brought after so many records.
    snapshot_records: u64,
    mode: Mutex<Mode>,
    /// The last record that is at the server.
    pub(crate) position: AtomicU64,
    tried: Mutex<Option<Instant>>,
    /// What failed, as it was told last; `None` since it went well again.
    told: Mutex<Option<(&'static str, String)>>,
}

#[derive(Debug)]
pub(crate) enum Mode {
    /// Every group goes there at once.
    Live(Box<Live>),
    /// The server is brought what it lacks; groups wait.
    Filling { groups: Vec<Group>, bytes: usize },
    /// Groups do not go there.
    Behind { reason: String },
}

/// Where what is at the server stands.
pub(crate) struct Live {
    pub(crate) connection: Connection,
    pub(crate) epoch: String,
    /// The last record.
    pub(crate) position: u64,
    pub(crate) beat: u64,
    /// The newest snapshot and the one before.
    pub(crate) snapshots: [u64; 2],
}

impl std::fmt::Debug for Live {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Live").field("position", &self.position).finish_non_exhaustive()
    }
}

impl Sharing {
    /// Tells the server at `url`, under `prefix`, what `state` takes in; a snapshot is brought there every `snapshot_records`. A server
    /// that is away is looked for by [`Sharing::look`].
    ///
    /// # Errors
    /// A wrong address, another process that writes under the prefix, and what the file system refuses.
    pub fn begin(
        url: &str,
        prefix: &str,
        snapshot_records: u64,
        state: &State,
    ) -> Result<Arc<Self>, Error> {
        let server = Server::at(url)?;
        let keys = Keys { prefix: prefix.into() };
        let log = state.identity()?;
        let token = format!("{log}/{}", eliverec_state::drawn());
        let owner = Owner { key: keys.owner(), token };
        let sharing = Self {
            server,
            keys,
            owner,
            log,
            snapshot_records,
            mode: Mutex::new(Mode::Behind { reason: "nothing has been told yet".into() }),
            position: AtomicU64::new(0),
            tried: Mutex::default(),
            told: Mutex::default(),
        };
        sharing.become_owner()?;
        let sharing = Arc::new(sharing);
        state.publish_to(Arc::clone(&sharing) as Arc<dyn Publisher>);
        Ok(sharing)
    }

    /// Waits until nobody else is the owner. The process that had the directory of the state before has ended, for its lock is ours.
    fn become_owner(&self) -> Result<(), Error> {
        let begun = Instant::now();
        loop {
            let claimed = self.server.connect(PATIENCE).and_then(|mut connection| {
                let claimed = self.owner.claim(&mut connection, Some(&format!("{}/", self.log)));
                claimed.map_err(|e| self.server.failed(e))
            });
            match claimed {
                Ok(None) => return Ok(()),
                Ok(Some(holder)) if begun.elapsed() > OWNER_SILENT => return Err(self.held(holder)),
                Ok(Some(_)) => std::thread::sleep(BEAT),
                Err(error) => {
                    tracing::warn!(%error, "nothing is shared for now");
                    return Ok(());
                }
            }
        }
    }

    pub(crate) fn held(&self, holder: String) -> Error {
        let (place, prefix) = (self.server.place.clone(), self.keys.prefix.clone());
        Error::Held { place, holder, prefix }
    }

    pub(crate) fn mode(&self) -> MutexGuard<'_, Mode> {
        self.mode.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Why groups do not go to the server; `None` while they do.
    pub fn behind(&self) -> Option<String> {
        match &*self.mode() {
            Mode::Live(_) => None,
            Mode::Filling { .. } => Some("the server is being brought what it lacks".into()),
            Mode::Behind { reason } => Some(reason.clone()),
        }
    }

    /// What is to be done every [`BEAT`]: a moment is told, as of `now_ms`; a server that was away gets what it lacks, and a snapshot
    /// when it is due, during which moments are told, too. `names` gives all texts of channels.
    pub fn look(
        &self,
        state: &State,
        now_ms: impl Fn() -> i64,
        names: impl Fn() -> Vec<(u64, String)> + Sync,
    ) {
        match self.beat(state, now_ms()) {
            Ok(true) if self.is_time_to_try() => {
                // It may take longer than the silence that readers bear.
                let brought = meanwhile(
                    BEAT,
                    || self.bring_snapshot(state),
                    || {
                        if let Err(error) = self.beat(state, now_ms()) {
                            self.fall_behind(&error);
                        }
                    },
                );
                let failed = brought.err();
                let what = "the server has no newer snapshot; it is tried again";
                self.tell_once(failed.map(|error| (what, error.to_string())));
            }
            Ok(_) => {}
            Err(error) => self.fall_behind(&error),
        }
        if self.behind().is_none() || !self.is_time_to_try() {
            return;
        }
        match meanwhile(BEAT, || self.bring(state, &names), self.keeping()) {
            Ok(brought) => {
                self.tell_once(None);
                tracing::info!(
                    position = Publisher::position(self),
                    users = brought.users,
                    forgotten = brought.forgotten,
                    anew = brought.is_anew,
                    "the server has what the log has"
                );
            }
            Err(error) => self.fall_behind(&error),
        }
    }

    /// Tells a moment, if groups go to the server; whether a snapshot is due there.
    fn beat(&self, state: &State, now_ms: i64) -> Result<bool, Error> {
        let mut mode = self.mode();
        let Mode::Live(live) = &mut *mode else { return Ok(false) };
        let (at_ms, position) = state.stand(now_ms);
        // A group on its way tells a moment itself.
        if position == live.position {
            self.close(live, at_ms)?;
        }
        Ok(position.saturating_sub(live.snapshots[0]) >= self.snapshot_records)
    }

    /// Keeps the prefix, called again and again, while the server is brought what it lacks: a snapshot of a large state alone may take
    /// longer than the lease.
    fn keeping(&self) -> impl FnMut() + '_ {
        let (mut connection, mut kept) = (None, Instant::now());
        move || {
            if kept.elapsed() < RETRY {
                return;
            }
            kept = Instant::now();
            let claimed = match &mut connection {
                Some(connection) => self.claim(connection),
                none => self.server.connect(PATIENCE).map(|new| _ = none.insert(new)),
            };
            if claimed.is_err() {
                // What is brought meanwhile meets the same, and tells it.
                connection = None;
            }
        }
    }

    fn is_time_to_try(&self) -> bool {
        let mut tried = self.tried.lock().unwrap_or_else(PoisonError::into_inner);
        let is_time = tried.is_none_or(|tried| tried.elapsed() >= RETRY);
        if is_time {
            *tried = Some(Instant::now());
        }
        is_time
    }

    /// What failed, and why, goes to the log of the process unless it was what failed last.
    fn tell_once(&self, failed: Option<(&'static str, String)>) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((what, reason)) = &failed
            && *told != failed
        {
            tracing::error!(reason, "{what}");
        }
        *told = failed;
    }

    /// Groups do not go to the server any more.
    pub(crate) fn fall_behind(&self, error: &Error) {
        self.set_behind(&mut self.mode(), error);
    }

    fn set_behind(&self, mode: &mut Mode, error: &Error) {
        let reason = error.to_string();
        let what = "nothing is shared until this is mended; this process goes on";
        self.tell_once(Some((what, reason.clone())));
        *mode = Mode::Behind { reason };
    }

    fn close(&self, live: &mut Live, at_ms: i64) -> Result<(), Error> {
        live.beat += 1;
        let closed = Closed { position: live.position, at_ms, beat: live.beat }.to_string();
        let key = self.keys.closed(&live.epoch);
        let said = self.owner.close(&mut live.connection, key, live.position, &closed);
        self.check(said.map_err(|e| self.server.failed(e))?)
    }

    pub(crate) fn check(&self, said: Said) -> Result<(), Error> {
        match said {
            Said::Done => Ok(()),
            Said::NotOwner => Err(self
                .server
                .refused("another process took the prefix, or this one was silent for too long")),
            Said::NotThere => Err(self.server.refused("it does not have the record before")),
        }
    }

    /// A group to the server.
    pub(crate) fn tell(&self, live: &mut Live, group: Group) -> Result<(), Error> {
        let epoch = live.epoch.as_str();
        let users =
            group.users.into_iter().map(|(user, folds)| (self.keys.user(epoch, user), user, folds));
        let names = group.names.into_iter();
        let names = names.map(|(id, name)| (self.keys.names(epoch), id, Some(name.into_bytes())));
        live.beat += 1;
        let closed = Closed { position: group.last, at_ms: group.stamp_ms + 1, beat: live.beat };
        let words = Publish {
            closed_key: self.keys.closed(epoch),
            stream_key: self.keys.stream(epoch),
            before: live.position,
            closed: closed.to_string(),
            id: format!("{}-0", group.last),
            entry: &group.entry,
            changes: users.chain(names).collect(),
        };
        let said = self.owner.publish(&mut live.connection, words);
        self.check(said.map_err(|e| self.server.failed(e))?)?;
        live.position = group.last;
        self.position.store(group.last, Ordering::Relaxed);
        Ok(())
    }

    /// The state ends: another process may write at once.
    pub fn end(&self) {
        if let Mode::Live(live) = &mut *self.mode() {
            // Without it the lease runs out.
            let _ = self.owner.release(&mut live.connection);
        }
    }
}

impl Publisher for Sharing {
    fn position(&self) -> u64 {
        self.position.load(Ordering::Relaxed)
    }

    fn publish(&self, group: Group) {
        let mut mode = self.mode();
        match &mut *mode {
            Mode::Live(live) => {
                if let Err(error) = self.tell(live, group) {
                    self.set_behind(&mut mode, &error);
                }
            }
            Mode::Filling { groups, bytes } => {
                let of_users =
                    group.users.iter().filter_map(|(_, folds)| folds.as_ref().map(Vec::len));
                *bytes += group.entry.len() + of_users.sum::<usize>();
                groups.push(group);
                if *bytes > WAITING_BYTES {
                    let error = self.server.refused("records came faster than it took them");
                    self.set_behind(&mut mode, &error);
                }
            }
            // Whoever is forgotten meanwhile is found when the server is brought what it lacks.
            Mode::Behind { .. } => {}
        }
    }
}
