//! The crate's errors: what a configuration asks for that cannot be built, and parameters that do not fit.

/// What can go wrong before any tensor is computed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A value of the configuration cannot be used.
    #[error("{key}: {reason}")]
    Config {
        /// Dotted key, for example `model.heads`.
        key: &'static str,
        /// What is wrong and what to do.
        reason: String,
    },
    /// A stored parameter does not fit the model.
    #[error("parameter {name}: {reason}")]
    Parameter {
        /// Dotted name.
        name: String,
        /// What is wrong.
        reason: String,
    },
}

/// Refuses a weight of a loss that is negative or no number.
///
/// # Errors
/// [`Error::Config`] names `key`.
pub(crate) fn not_negative(key: &'static str, weight: f32) -> Result<(), Error> {
    if weight.is_finite() && weight >= 0.0 {
        return Ok(());
    }
    Err(Error::Config { key, reason: format!("{weight} is no weight: choose a number from 0 up") })
}
