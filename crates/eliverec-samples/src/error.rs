//! The crate's errors: sentences that name the option, the field, the file or the request.

use std::path::PathBuf;

use datafusion_common::DataFusionError;

/// What can go wrong between a log and its feeds.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The log cannot be read, or the feeds cannot be written; the message names file and row.
    #[error(transparent)]
    Tables(#[from] eliverec_tables::Error),
    /// The system could not read or write; the message names the path.
    #[error("{0}")]
    Io(#[from] std::io::Error),
    /// A setting of the features cannot work.
    #[error(transparent)]
    Features(#[from] eliverec_features::Error),
    /// A setting cannot work.
    #[error("samples: {option} {reason}")]
    Config {
        /// The option, for example `threads`.
        option: &'static str,
        /// What is wrong and what to write instead.
        reason: String,
    },
    /// The directory has feeds that this run would not have made.
    #[error("{path}: {reason}", path = path.display())]
    Feeds {
        /// The file or directory.
        path: PathBuf,
        /// What is wrong and what to do.
        reason: String,
    },
    /// The query engine gave up.
    #[error("samples: {0}")]
    Engine(String),
}

impl From<DataFusionError> for Error {
    /// Errors of the operators travel through the engine and come out as they went in.
    fn from(error: DataFusionError) -> Self {
        match error {
            DataFusionError::External(inner) => match inner.downcast::<Self>() {
                Ok(own) => *own,
                Err(other) => Self::Engine(other.to_string()),
            },
            DataFusionError::Context(_, inner) => Self::from(*inner),
            DataFusionError::Shared(inner) => match std::sync::Arc::try_unwrap(inner) {
                Ok(inner) => Self::from(inner),
                Err(shared) => Self::Engine(own_message(&shared)),
            },
            error @ DataFusionError::ResourcesExhausted(_) => Self::Engine(format!(
                "{}; raise memory_limit_bytes or use fewer threads",
                error.strip_backtrace()
            )),
            other => Self::Engine(other.strip_backtrace()),
        }
    }
}

/// The sentence of an operator's own error inside an error that several tasks share.
fn own_message(error: &DataFusionError) -> String {
    match error.find_root() {
        DataFusionError::External(inner) => inner.to_string(),
        root => root.strip_backtrace(),
    }
}

impl From<Error> for DataFusionError {
    fn from(error: Error) -> Self {
        Self::External(Box::new(error))
    }
}
