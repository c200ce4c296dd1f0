//! The crate's errors: one line each, for people.

/// What can be wrong with an experiment and its log.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A line of `experiments.jsonl` that cannot be used.
    #[error("{file}: line {line}: {reason}")]
    Experiments {
        /// The file.
        file: String,
        /// The line, from 1.
        line: usize,
        /// What is wrong and what is expected.
        reason: String,
    },
    /// What was asked for is not there.
    #[error("{asked}: {reason}")]
    Asked {
        /// The option and its value.
        asked: String,
        /// Why it cannot be, and what there is.
        reason: String,
    },
    /// An answer that contradicts the experiments.
    #[error(
        "request {request_id}: its answer names the bucket {bucket} of the layer {layer}, which experiments.jsonl does not have; \
         give the log its own experiments.jsonl"
    )]
    UnknownBucket {
        /// The request.
        request_id: u64,
        /// The layer.
        layer: String,
        /// The bucket.
        bucket: String,
    },
    /// Rows that no estimate can be made of.
    #[error("{place}: {reason}")]
    Policy {
        /// The file, and its row if one is at fault.
        place: String,
        /// What is wrong.
        reason: String,
    },
}
