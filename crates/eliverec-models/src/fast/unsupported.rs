//! What the fast path leaves to the general one.

/// A setting that only the general path computes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{key} = \"{value}\" is scored by the general path")]
pub struct Unsupported {
    /// Dotted key, for example `model.encoder`.
    pub key: &'static str,
    /// Its value.
    pub value: String,
}
