//! The crate's errors.

use std::path::PathBuf;

/// What can be wrong with experiments.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file of experiments that cannot be used.
    #[error("{}: {reason}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The layer, the bucket and the field, and what is wrong with it.
        reason: String,
    },
    /// A journal that is damaged.
    #[error(
        "{}: line {line} is no line of a journal ({reason}); restore the file from a backup, or move it away to begin anew",
        path.display()
    )]
    Journal {
        /// The journal.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong with it.
        reason: String,
    },
    /// What the file system says; the message names the path.
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

impl Error {
    /// Whether the input is at fault, which the command line answers with exit code 2.
    pub fn is_bad_input(&self) -> bool {
        match self {
            Self::File { .. } => true,
            Self::Journal { .. } => false,
            Self::Io(error) => eliverec_core::error::is_wrong_input(error),
        }
    }
}
