//! The crate's errors: those of the parts, and what a request may lack.

/// What can go wrong between a request and its scores.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The run cannot be read.
    #[error(transparent)]
    Run(#[from] eliverec_run::Error),
    /// A setting of the features, or a field of the schema that neither a table nor a feature can fill.
    #[error(transparent)]
    Features(#[from] eliverec_features::Error),
    /// A request without channels, or with a context that does not fit the schema.
    #[error(transparent)]
    Request(#[from] eliverec_core::Error),
}
