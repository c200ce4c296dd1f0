//! The crate's errors.

use std::path::PathBuf;

/// What can go wrong between results on disk and a report.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A directory without results.
    #[error("{}: holds no results; `eliverec experiment FOLDER --feeds DIR --out RESULTS` makes them", .0.display())]
    NoResults(PathBuf),
    /// A result that has no place beside the others.
    #[error("{}: {reason}; remove it and run the experiment again", path.display())]
    Other {
        /// The result.
        path: PathBuf,
        /// In what it differs from the others.
        reason: String,
    },
    /// A file that is no result.
    #[error("{}: {reason}; the result is damaged, remove the file and run the command that made it again", path.display())]
    Damaged {
        /// The file that was read as a result.
        path: PathBuf,
        /// Where and why it is none.
        reason: String,
    },
    /// A plot that cannot be drawn.
    #[error("a plot: {0}")]
    Plot(String),
    /// Metrics that cannot be compared.
    #[error(transparent)]
    Metrics(#[from] eliverec_metrics::Error),
    /// What the file system refused; the message has the path.
    #[error(transparent)]
    Io(#[from] std::io::Error),
}
