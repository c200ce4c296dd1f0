//! What a service does beside requests, on a thread that stands back: snapshots, days that are over, another bundle.
//!
//! What fails is told, counted for Prometheus ([`eliverec_http::upkeep`]) and tried again later and later; so is what panics. The
//! service stays ready meanwhile: requests are answered and events are on disk, and to send its users away would help neither.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use eliverec_archive::Logs;
use eliverec_core::{Day, IdKinds};
use eliverec_http::background::stand_back;
use eliverec_http::upkeep::Duty;
use eliverec_http::{Code, Service};
use eliverec_serve::bundle::manifest::MANIFEST_FILE;
use eliverec_state::LoggedDay;

use super::attempts::{Attempted, Attempts};

/// How often there is a look at whether something is to be done.
const EVERY: Duration = Duration::from_secs(1);

/// The thread; it ends when it is told to.
#[derive(Debug)]
pub(super) struct Housekeeping {
    stop: Sender<()>,
    /// Hears of nothing; the other side is dropped when the thread ends.
    ended: Receiver<()>,
}

/// Where days that are over go, and how many of their folders stay; all if there is no number.
#[derive(Debug)]
pub(super) struct Days {
    pub(super) logs: PathBuf,
    pub(super) keep: Option<usize>,
    /// Keeps other services out, and what the log knows of ids.
    pub(super) held: Logs,
}

/// When there is another one: so long after the one before, or so many records.
#[derive(Clone, Copy, Debug)]
pub(super) struct Snapshots {
    pub(super) every: Duration,
    pub(super) records: u64,
}

#[derive(Debug)]
struct Keeper {
    service: Arc<Service>,
    /// `None` where another process keeps the log.
    days: Option<Days>,
    /// The bundle that is watched, with the manifest that was seen last.
    watched: Option<(PathBuf, Option<Vec<u8>>)>,
    snapshots: Snapshots,
    snapshot_at: Instant,
    /// The position of the newest.
    snapshot: u64,
    attempts: BTreeMap<Duty, Attempts>,
}

impl Housekeeping {
    /// Begins. `watched` is the bundle that may get another in its place.
    pub(super) fn begin(
        service: Arc<Service>,
        days: Option<Days>,
        watched: Option<PathBuf>,
        snapshots: Snapshots,
    ) -> std::io::Result<Self> {
        // After a kill it is far behind, perhaps.
        let snapshot = service.engine.state().and_then(|state| state.opened().snapshot);
        let snapshot = snapshot.unwrap_or(0);
        let watched = watched.map(|path| (manifest(&path), path)).map(|(seen, path)| (path, seen));
        let mut keeper = Keeper {
            service,
            days,
            watched,
            snapshots,
            snapshot_at: Instant::now(),
            snapshot,
            attempts: BTreeMap::new(),
        };
        let (stop, stopped) = channel();
        let (ends, ended) = channel();
        let thread = std::thread::Builder::new().name("eliverec-housekeeping".into());
        thread.spawn(move || {
            let _ends: Sender<()> = ends;
            stand_back();
            while stopped.recv_timeout(EVERY) == Err(RecvTimeoutError::Timeout) {
                keeper.look();
            }
        })?;
        Ok(Self { stop, ended })
    }

    /// Ends when what is being done is done; whether that was within `most`.
    pub(super) fn end(self, most: Duration) -> bool {
        // It may have ended by a panic, which its message has told.
        let _ = self.stop.send(());
        self.ended.recv_timeout(most) == Err(RecvTimeoutError::Disconnected)
    }
}

impl Keeper {
    fn look(&mut self) {
        self.attempt(Duty::Bundles, |keeper| {
            keeper.watch();
            Ok(())
        });
        self.attempt(Duty::Days, Self::archive);
        self.attempt(Duty::Snapshots, Self::take_snapshot);
    }

    fn attempt(&mut self, duty: Duty, work: impl FnOnce(&mut Self) -> Result<(), String>) {
        let mut attempts = self.attempts.remove(&duty).unwrap_or_default();
        let attempted = attempts.attempt(Instant::now(), || work(self));
        self.attempts.insert(duty, attempts);
        let failures = match attempted {
            None | Some(Attempted::Well(0)) => return,
            Some(Attempted::Well(before)) => {
                tracing::info!(work = duty.name(), before, "what failed before goes well again");
                0
            }
            Some(Attempted::Failed { reason, failures, again }) => {
                let again_s = again.as_secs();
                tracing::error!(
                    work = duty.name(),
                    reason,
                    failures,
                    again_s,
                    "work beside requests failed, and is tried again"
                );
                failures
            }
        };
        self.service.telemetry.upkeep.failures(duty, failures);
    }

    fn archive(&mut self) -> Result<(), String> {
        let now_ms = self.service.clock.now_ms();
        if now_ms == i64::MIN {
            // A clock of callers who have told no time yet.
            return Ok(());
        }
        let (Some(state), Some(Days { logs, keep, held })) =
            (self.service.engine.state(), &mut self.days)
        else {
            return Ok(());
        };
        let ids = self.service.engine.ids();
        if held.ids != *ids {
            // A bundle that came meanwhile knows more of them.
            eliverec_archive::keep_ids(logs, &ids).map_err(|e| e.to_string())?;
            held.ids = IdKinds::clone(&ids);
        }
        let waiting = state.days_over(now_ms).map_err(|e| e.to_string())?;
        let end_of = |of: &LoggedDay| of.day.plus(1).map(Day::start_ms);
        self.service.telemetry.upkeep.waiting_day(waiting.first().and_then(end_of));
        let archived = eliverec_archive::archive(state, logs, now_ms, *keep);
        let archived = archived.map_err(|e| e.to_string())?;
        self.service.telemetry.upkeep.waiting_day(None);
        for day in archived.again {
            tracing::warn!(%day, "the folder of a day was gone, and is written again from the log");
        }
        for (day, events) in archived.days {
            let (rows, answers) = (archived.rows, archived.answers);
            tracing::info!(%day, events, rows, answers, "a day has become a folder");
        }
        if let Some(keep) = *keep {
            let removed = eliverec_archive::keep_newest(logs, keep);
            let removed = removed.map_err(|e| e.to_string())?;
            state.forget(&removed).map_err(|e| e.to_string())?;
            for day in removed {
                tracing::info!(%day, keep, "the folder of a day is removed");
            }
        }
        Ok(())
    }

    fn take_snapshot(&mut self) -> Result<(), String> {
        let Some(state) = self.service.engine.state() else { return Ok(()) };
        let behind = state.position().saturating_sub(self.snapshot);
        if self.snapshot_at.elapsed() < self.snapshots.every && behind < self.snapshots.records {
            return Ok(());
        }
        let begun = Instant::now();
        if state.position() != self.snapshot {
            self.snapshot = state.snapshot().map_err(|e| e.to_string())?;
            tracing::info!(position = self.snapshot, took = ?begun.elapsed(), "snapshot");
        }
        self.snapshot_at = begun;
        self.service.telemetry.upkeep.saved(begun);
        Ok(())
    }

    fn watch(&mut self) {
        let Some((path, seen)) = &mut self.watched else { return };
        let now = manifest(path);
        if now.is_none() || now == *seen {
            return;
        }
        let activated = self.service.activate(path);
        // One that could not be looked at now is looked at again.
        if !activated.as_ref().is_err_and(|refused| refused.code == Code::Overloaded) {
            *seen = now;
        }
        if let Err(refused) = activated {
            tracing::error!(reason = refused.detail, "a bundle was refused; the one before stays");
        }
    }
}

/// The bytes of a bundle's manifest, which differ between any two bundles. What is no file, such as a pipe, would be waited for.
fn manifest(path: &Path) -> Option<Vec<u8>> {
    let file = path.join(MANIFEST_FILE);
    file.is_file().then(|| fs_err::read(file).ok())?
}
