//! The crate's errors: those of the parts, and what a bundle may lack.

use std::path::{Path, PathBuf};

/// What can go wrong between a run and its bundle.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The run cannot be read.
    #[error(transparent)]
    Run(#[from] eliverec_run::Error),
    /// What does not fit the schema.
    #[error(transparent)]
    Core(#[from] eliverec_core::Error),
    /// What was asked of a bundle cannot be done with what is there.
    #[error("{}: {reason}", path.display())]
    Bundle {
        /// The bundle, or the file in it.
        path: PathBuf,
        /// What is wrong and what to do.
        reason: String,
    },
    /// A bundle that is not what was exported, or does not score as it did then.
    #[error("{}: {reason}; the bundle is refused: export it again, or restore it from a copy", path.display())]
    Refused {
        /// The file in the bundle.
        path: PathBuf,
        /// What was found.
        reason: String,
    },
    /// The file system.
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

impl Error {
    /// Whether the input or the request is at fault, which the command line answers with exit code 2.
    pub fn is_bad_input(&self) -> bool {
        match self {
            Self::Run(error) => error.is_bad_input(),
            Self::Core(_) | Self::Bundle { .. } => true,
            Self::Refused { .. } | Self::Io(_) => false,
        }
    }

    /// Whatever is wrong with the content of a file of a bundle.
    pub(crate) fn refused(path: &Path, reason: impl ToString) -> Self {
        Self::Refused { path: path.into(), reason: reason.to_string() }
    }
}
