//! The crate's errors: sentences that name the file, vocabulary or option.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use eliverec_core::regular;

/// What can go wrong with a store.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An option has a value that cannot work.
    #[error("store: {option} {reason}")]
    Config {
        /// The option, for example `id_dropout` or `vocabulary "channel"`.
        option: String,
        /// What is wrong and what to write instead.
        reason: String,
    },
    /// The operating system refused; the message names the path.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// A file is truncated, changed, or never was one of a store.
    #[error("{path}: {reason}; restore the directory from a copy or use an older checkpoint")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What was found.
        reason: String,
    },
    /// A file is sound, but belongs to another run or schema.
    #[error("{path}: {reason}")]
    Mismatch {
        /// The file.
        path: PathBuf,
        /// What differs and what to do.
        reason: String,
    },
    /// Gradients that do not fit the gathered blocks. The store is unchanged.
    #[error("gradient of vocabulary {vocabulary:?}: {reason}")]
    Gradient {
        /// The vocabulary's name.
        vocabulary: String,
        /// What is wrong.
        reason: String,
    },
}

impl Error {
    /// The error of opening or reading a file of a saved store.
    pub(crate) fn of_kept(path: &Path, error: std::io::Error) -> Self {
        let reason = match error.kind() {
            ErrorKind::NotFound => "is missing",
            ErrorKind::IsADirectory => regular::A_FOLDER,
            ErrorKind::NotSeekable => regular::NO_FILE,
            _ => return error.into(),
        };
        Self::Damaged { path: path.into(), reason: reason.into() }
    }
}
