//! The crate's errors: sentences that name the key, the file or the row.

use eliverec_core::error::is_wrong_input;

/// What can go wrong with retrieval and its indexes.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A setting that cannot work.
    #[error("{place}: {reason}")]
    Config {
        /// The key, such as `exploration.quota`, or the file whose text does not parse.
        place: String,
        /// What is wrong and what to do.
        reason: String,
    },
    /// An index file does not hold what it should.
    #[error("{file}: {reason}; the index is damaged or of another program, make it again")]
    Damaged {
        /// The file.
        file: String,
        /// What does not fit.
        reason: String,
    },
    /// Vectors that cannot be searched.
    #[error("channel vectors: {0}")]
    Vectors(String),
    /// A schema whose channels have no id.
    #[error(transparent)]
    Core(#[from] eliverec_core::Error),
    /// The file system.
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

impl Error {
    /// Whether the input or the request is at fault, which the command line answers with exit code 2.
    pub fn is_bad_input(&self) -> bool {
        match self {
            Self::Config { .. } | Self::Core(_) => true,
            Self::Damaged { .. } | Self::Vectors(_) => false,
            Self::Io(error) => is_wrong_input(error),
        }
    }
}
