//! The crate's errors: sentences that name the option, the feature or the version.

/// What can go wrong with features and their state.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// An option has a value that cannot work.
    #[error("features: {option} {reason}")]
    Config {
        /// The option, for example `allowed_lateness_ms`.
        option: &'static str,
        /// What is wrong and what to write instead.
        reason: String,
    },
    /// No feature has that name.
    #[error("no feature is called {name:?}; the nearest names are {nearest}")]
    UnknownFeature {
        /// The name that was asked for.
        name: String,
        /// Names that exist, nearest first, separated by commas.
        nearest: String,
    },
    /// Two states that cannot be one.
    #[error(
        "states made with different settings cannot be merged: {differences}; rebuild one of them from the log"
    )]
    SettingsDiffer {
        /// Options with both values, separated by semicolons.
        differences: String,
    },
    /// A saved state of another layout.
    #[error(
        "the saved feature state has version {found}, and this program reads version {expected}: {advice}"
    )]
    Version {
        /// Version of the saved state.
        found: u32,
        /// Version of this program.
        expected: u32,
        /// What to do about it.
        advice: &'static str,
    },
    /// A saved state that no program wrote.
    #[error("the saved feature state is damaged: {reason}; rebuild it from the log")]
    Damaged {
        /// What was found.
        reason: String,
    },
    /// A field of the schema that neither a table of the log nor a feature can fill.
    #[error("schema: {field}: {reason}")]
    Field {
        /// Group and field, for example `target.viewers_10m`.
        field: String,
        /// What is wrong and what can be written.
        reason: String,
    },
}
