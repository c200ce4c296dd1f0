//! The crate's errors: those of both sides, and a folder that is in the way.

use std::path::PathBuf;

use eliverec_core::Day;

/// What can go wrong between a state's log and its folders.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The state's log cannot be read.
    #[error(transparent)]
    State(#[from] eliverec_state::Error),
    /// The folders cannot be read or written.
    #[error(transparent)]
    Tables(#[from] eliverec_tables::Error),
    /// A row of a table does not fit.
    #[error(transparent)]
    Core(#[from] eliverec_core::Error),
    /// A day's folder that has other events than the state's log.
    #[error(
        "{}: holds {found} events, and they are not the {expected} of the log of that day; move the folder away, and the day is written again",
        path.display()
    )]
    OtherDay {
        /// The folder.
        path: PathBuf,
        /// Events in the folder.
        found: u64,
        /// Events in the log.
        expected: u64,
    },
    /// A log whose callers wrote ids in another way than those of the bundle.
    #[error(
        "{}: its ids are written in another way than the bundle has them, and would never be met: {differences}; serve a bundle of that log, or begin with another --state \
         and --logs",
        path.display()
    )]
    OtherIds {
        /// The log.
        path: PathBuf,
        /// Whose, and how here and there.
        differences: String,
    },
    /// Days of a log whose schema is gone.
    #[error(
        "{}: has the folder of {day} and no schema.toml, which says what is in it; put the file back (that of a bundle of this service is the same)",
        path.display()
    )]
    NoSchema {
        /// The directory.
        path: PathBuf,
        /// The first that has a folder.
        day: Day,
    },
    /// A directory of something else.
    #[error(
        "{}: {what}, and no log; name a log, a directory that is empty, or one that is not there: days would be strewn among it",
        path.display()
    )]
    Foreign {
        /// The directory.
        path: PathBuf,
        /// What it is or holds.
        what: String,
    },
    /// A log to which another service moves its days.
    #[error(
        "{}: another service moves its days there; stop it, or give each service --logs of its own", path.display()
    )]
    Held {
        /// The log.
        path: PathBuf,
    },
    /// What the file system says; the message names the path.
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

impl Error {
    /// Whether the input is at fault, which the command line answers with exit code 2.
    pub fn is_bad_input(&self) -> bool {
        match self {
            Self::Tables(error) => error.is_bad_input(),
            Self::Core(_)
            | Self::OtherDay { .. }
            | Self::OtherIds { .. }
            | Self::Foreign { .. }
            | Self::NoSchema { .. }
            | Self::Held { .. } => true,
            Self::State(_) | Self::Io(_) => false,
        }
    }
}
