//! The crate's errors: sentences that name the event, the file, and what to do.

use std::path::{Path, PathBuf};

/// What can go wrong with the state of a service.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An event of a batch contradicts the contract; nothing of the batch was taken.
    #[error(
        "event {index} of the batch (event_id {event_id}): {reason}; nothing of the batch was taken"
    )]
    Event {
        /// Its place in the batch, from 0.
        index: usize,
        /// Its id.
        event_id: u64,
        /// Column and what is wrong.
        reason: String,
    },
    /// A row of a batch of upserts does not fit its table; nothing of the batch was taken.
    #[error("row {index} of the batch (id {id}): {source}; nothing of the batch was taken")]
    Row {
        /// Its place in the batch, from 0.
        index: usize,
        /// The id.
        id: u64,
        /// What is wrong.
        source: eliverec_core::Error,
    },
    /// A request whose answer is in the log: a second one would be another moment of the same request.
    #[error(
        "request {request_id} was answered already, and what it was shown is in the log; ask with another id"
    )]
    Answered {
        /// Its id.
        request_id: u64,
    },
    /// More records at once than may wait for the log.
    #[error("a batch of {given} records; send at most {most} at once")]
    Batch {
        /// Records of the batch.
        given: usize,
        /// The most that is taken.
        most: usize,
    },
    /// Records come faster than the log takes them.
    #[error("{waiting} records wait for the log already; send the batch again later")]
    Busy {
        /// Records that wait.
        waiting: usize,
    },
    /// As many event ids are remembered as the settings allow.
    #[error(
        "{known} event ids are remembered and no more may be (known_ids); send the batch again when some of them are too old to \
         come twice, in {room_in_s} s, or allow more"
    )]
    KnownFull {
        /// Ids remembered.
        known: usize,
        /// When there is room for the batch if nothing else comes, seconds from now.
        room_in_s: u32,
    },
    /// The log failed, or the thread that writes it panicked: nothing is taken in until the state is opened again.
    #[error(
        "nothing is taken in any more, for the log failed: {reason}; mend that and start again"
    )]
    Stopped {
        /// What failed.
        reason: String,
        /// Whether the disk is full.
        is_disk_full: bool,
    },
    /// A moment outside the years 0000 to 9999, or on the last day of them, behind which no moment has room.
    #[error("{now_ms} is no moment from 0000-01-01 to 9999-12-30, in milliseconds since 1970")]
    Clock {
        /// The moment.
        now_ms: i64,
    },
    /// The newest record is of a later moment than it is: somebody's clock was wrong then, or is now.
    #[error(
        "{}: the newest record is of {ahead_s} s after now, and every event would be late until then; set the machine's clock right if it is behind; if it was \
         wrong when records were written, move the state away to begin anew, or wait until then",
        path.display()
    )]
    Ahead {
        /// The directory of the state.
        path: PathBuf,
        /// Seconds.
        ahead_s: i64,
    },
    /// A file of the log cannot be read or written.
    #[error("{}: {reason}", path.display())]
    Log {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
        /// Whether the disk is full.
        is_disk_full: bool,
    },
    /// A file of a snapshot cannot be read or written.
    #[error("{}: {reason}", path.display())]
    Snapshot {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The directory cannot be what was asked for.
    #[error("{}: {reason}", path.display())]
    Directory {
        /// The directory, or what lies in it.
        path: PathBuf,
        /// What is wrong and what to do.
        reason: String,
    },
    /// What those who follow the state read or write is not what it should be.
    #[error("what is followed cannot be used: {reason}")]
    Followed {
        /// What and why.
        reason: String,
    },
    /// The state that is followed is not known as well as a request needs it.
    #[error("what happened up to now is not known here: {reason}")]
    Behind {
        /// Why not.
        reason: String,
    },
    /// A setting of the features.
    #[error(transparent)]
    Features(#[from] eliverec_features::Error),
    /// What the file system says; the message names the path.
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

impl Error {
    pub(crate) fn directory(path: &Path, reason: impl Into<String>) -> Self {
        Self::Directory { path: path.into(), reason: reason.into() }
    }

    pub(crate) fn snapshot(path: &Path, reason: impl Into<String>) -> Self {
        Self::Snapshot { path: path.into(), reason: reason.into() }
    }

    pub(crate) fn log(path: &Path, reason: impl Into<String>) -> Self {
        Self::Log { path: path.into(), reason: reason.into(), is_disk_full: false }
    }

    /// What the store of a log file says.
    pub(crate) fn store(path: &Path, error: impl Into<redb::Error>) -> Self {
        let error = error.into();
        let is_disk_full = matches!(&error, redb::Error::Io(e) if is_disk_full(e));
        let reason = match &error {
            redb::Error::Corrupted(what) => {
                format!(
                    "is damaged ({what}); restore it from a backup, or move the state away to begin anew"
                )
            }
            other => other.to_string(),
        };
        Self::Log { path: path.into(), reason, is_disk_full }
    }

    /// Whether the disk had no room: more room and another start will do.
    pub fn is_disk_full(&self) -> bool {
        match self {
            Self::Stopped { is_disk_full, .. } | Self::Log { is_disk_full, .. } => *is_disk_full,
            Self::Io(error) => is_disk_full(error),
            _ => false,
        }
    }
}

fn is_disk_full(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
    matches!(error.kind(), StorageFull | QuotaExceeded | FileTooLarge)
}
