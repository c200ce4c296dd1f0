//! The crate's errors: sentences that name the option, the field, the file or the request.

use std::path::{Path, PathBuf};
use std::sync::Arc;

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
    /// What is kept beside the feeds does not hold what it should.
    #[error(
        "{path}: {reason}; the file is damaged, remove it and let `eliverec samples` make all days again",
        path = path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What does not parse.
        reason: String,
    },
    /// What a task of a job has made is not what it should be.
    #[error(
        "{path}: {reason}; it is damaged: remove the record of the task that made it and run that task again",
        path = path.display()
    )]
    Task {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The query engine gave up.
    #[error("samples: {0}")]
    Engine(String),
    /// An error of an operator, which the engine's tasks still share.
    #[error(transparent)]
    Shared(Arc<Self>),
}

impl Error {
    /// Whether the input or the request is at fault, which the command line answers with exit code 2.
    pub fn is_bad_input(&self) -> bool {
        match self {
            Self::Tables(error) => error.is_bad_input(),
            Self::Io(error) => eliverec_core::error::is_wrong_input(error),
            Self::Features(_) | Self::Config { .. } | Self::Feeds { .. } => true,
            Self::Damaged { .. } | Self::Task { .. } | Self::Engine(_) => false,
            Self::Shared(error) => error.is_bad_input(),
        }
    }

    /// The file or directory that is at fault, where there is one.
    pub(crate) fn path(&self) -> Option<&Path> {
        match self {
            Self::Tables(error) => error.path(),
            Self::Feeds { path, .. } | Self::Damaged { path, .. } | Self::Task { path, .. } => {
                Some(path)
            }
            Self::Shared(error) => error.path(),
            Self::Io(_) | Self::Features(_) | Self::Config { .. } | Self::Engine(_) => None,
        }
    }
}

/// An error of an operator on its way through the engine. Where several tasks wait for one, the engine gives each the same
/// error, so that none can take it out.
#[derive(Clone, Debug, thiserror::Error)]
#[error(transparent)]
struct Carried(Arc<Error>);

impl From<DataFusionError> for Error {
    /// Errors of the operators travel through the engine and come out as they went in.
    fn from(error: DataFusionError) -> Self {
        // The root of an error that has been shared, or given words to, is the first that is neither.
        let root = match error.find_root() {
            DataFusionError::External(inner) => inner.downcast_ref::<Carried>().cloned(),
            _ => None,
        };
        if let Some(Carried(own)) = root {
            drop(error);
            return Arc::try_unwrap(own).unwrap_or_else(Self::Shared);
        }
        match error.find_root() {
            exhausted @ DataFusionError::ResourcesExhausted(_) => Self::Engine(format!(
                "{}; raise memory_limit_bytes or use fewer threads",
                exhausted.strip_backtrace()
            )),
            other => Self::Engine(other.strip_backtrace()),
        }
    }
}

impl From<Error> for DataFusionError {
    fn from(error: Error) -> Self {
        let own = match error {
            Error::Shared(own) => own,
            own => Arc::new(own),
        };
        Self::External(Box::new(Carried(own)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_comes_out_of_the_engine_as_it_went_in() {
        let own = || Error::Feeds { path: "feeds".into(), reason: "are of another world".into() };
        let told = own().to_string();
        let shared = |error| DataFusionError::Shared(Arc::new(error));
        let carried = || DataFusionError::from(own());
        let kept = Arc::new(carried());
        let ways = [
            carried(),
            DataFusionError::Context("while sorting".into(), Box::new(carried())),
            shared(carried()),
            shared(DataFusionError::Context("while sorting".into(), Box::new(shared(carried())))),
            DataFusionError::Shared(Arc::clone(&kept)),
        ];
        for way in ways {
            let found = Error::from(way);
            assert!(found.is_bad_input() && found.path() == Some(Path::new("feeds")), "{found:?}");
            assert_eq!(found.to_string(), told);
        }
        // Another task has it still; once more into the engine and out again.
        let found = Error::from(DataFusionError::from(Error::from(DataFusionError::Shared(kept))));
        assert!(found.is_bad_input() && found.to_string() == told, "{found:?}");
        let full = shared(DataFusionError::ResourcesExhausted("no room".into()));
        let found = Error::from(full);
        assert!(!found.is_bad_input() && found.to_string().contains("raise memory_limit_bytes"));
    }
}
