//! The crate's errors: sentences for people, and whose fault they are.

/// What can go wrong between feeds and a trained run.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The run, its config or its files.
    #[error(transparent)]
    Run(#[from] eliverec_run::Error),
    /// Training met a number that is none.
    #[error(
        "step {step}: {term} is {value}; {batch}; the last checkpoint is untouched: lower the learning rates or set training.clip_norm, then start again"
    )]
    NotFinite {
        /// Updates made before.
        step: u64,
        /// The loss term, or the gradient of which parameter.
        term: String,
        /// NaN or an infinity.
        value: f32,
        /// Epoch, number in the epoch, first and last request.
        batch: String,
    },
    /// Feed directories.
    #[error(transparent)]
    Tables(#[from] eliverec_tables::Error),
    /// Candidates and their indexes.
    #[error(transparent)]
    Retrieval(#[from] eliverec_retrieval::Error),
    /// Settings of the features.
    #[error(transparent)]
    Features(#[from] eliverec_features::Error),
    /// Metrics.
    #[error(transparent)]
    Metrics(#[from] eliverec_metrics::Error),
}

impl Error {
    /// Whether the input or the request is at fault, which the command line answers with exit code 2.
    pub fn is_bad_input(&self) -> bool {
        match self {
            Self::Run(error) => error.is_bad_input(),
            Self::Tables(error) => error.is_bad_input(),
            Self::Features(_) => true,
            Self::Retrieval(error) => error.is_bad_input(),
            Self::NotFinite { .. } | Self::Metrics(_) => false,
        }
    }
}

/// Errors of the crates below, which are faults of the run.
macro_rules! of_the_run {
    ($($error:ty)*) => {$(
        impl From<$error> for Error {
            fn from(error: $error) -> Self {
                Self::Run(error.into())
            }
        }
    )*};
}

of_the_run! { eliverec_core::Error eliverec_store::Error eliverec_models::Error std::io::Error }
