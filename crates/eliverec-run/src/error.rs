//! The crate's errors: sentences for people, and whose fault they are.

use std::path::PathBuf;

/// What can go wrong with a run and what it is made of.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A config file or an override cannot be used.
    #[error("{place}: {reason}")]
    Config {
        /// File, with section or line, or the override.
        place: String,
        /// What is wrong and what to do.
        reason: String,
    },
    /// A run directory or a request about it does not fit.
    #[error("{}: {reason}", path.display())]
    Run {
        /// The run directory, or the file in it.
        path: PathBuf,
        /// What is wrong and what to do.
        reason: String,
    },
    /// A file of a run does not hold what it should.
    #[error("{}: {reason}; the run is damaged, restore the file or train again", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What does not parse.
        reason: String,
    },
    /// Schemas.
    #[error(transparent)]
    Core(#[from] eliverec_core::Error),
    /// The sparse parameter store.
    #[error(transparent)]
    Store(#[from] eliverec_store::Error),
    /// Models and their settings.
    #[error(transparent)]
    Models(#[from] eliverec_models::Error),
    /// The file system.
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

impl Error {
    /// Whether the input or the request is at fault, which the command line answers with exit code 2.
    pub fn is_bad_input(&self) -> bool {
        match self {
            Self::Config { .. } | Self::Run { .. } | Self::Core(_) => true,
            Self::Models(error) => matches!(error, eliverec_models::Error::Config { .. }),
            Self::Store(error) => matches!(error, eliverec_store::Error::Config { .. }),
            Self::Io(error) => eliverec_core::error::is_wrong_input(error),
            Self::Damaged { .. } => false,
        }
    }
}
