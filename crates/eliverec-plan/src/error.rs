//! Why there is no plan.

use std::path::PathBuf;

/// What is missing or cannot be; the fault is always that of what was given.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A number that was asked for cannot be one.
    #[error("plan: {option} is {value}; {instead}")]
    Asked {
        /// The option, for example `users`.
        option: &'static str,
        /// What it is.
        value: f64,
        /// What to write instead.
        instead: &'static str,
    },
    /// Nothing was given that a constant could be taken from.
    #[error(
        "plan: nothing tells {constants}; measure with `{command}` and give the file by {option}"
    )]
    NotMeasured {
        /// What is not known.
        constants: &'static str,
        /// What measures it.
        command: &'static str,
        /// By which option the output is given.
        option: &'static str,
    },
    /// A file is not what the command that it should be of prints.
    #[error("{path}: {reason}; it should be what `{command}` prints", path = path.display())]
    NotThat {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
        /// Whose output it should be.
        command: &'static str,
    },
}
