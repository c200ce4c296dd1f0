//! The crate's errors: sentences that name the feed, the position and the value.

/// What can be wrong with predictions that are to be measured.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Error {
    /// A feed's predictions and labels differ in number.
    #[error(
        "a feed of user {user} has {scores} predictions and {labels} labels; give one label for each prediction"
    )]
    LengthMismatch {
        /// The feed's user.
        user: u64,
        /// Number of predictions.
        scores: usize,
        /// Number of labels.
        labels: usize,
    },
    /// A feed without impressions says nothing.
    #[error("a feed of user {user} has no impressions; leave such feeds out")]
    NoImpressions {
        /// The feed's user.
        user: u64,
    },
    /// A prediction is NaN, infinite, or outside `[0, 1]`.
    #[error(
        "a feed of user {user}: prediction {value} at position {position} is not a probability between 0 and 1; look for a diverged model or logits passed as probabilities"
    )]
    NotAProbability {
        /// The feed's user.
        user: u64,
        /// Position of the impression in the feed, from 0.
        position: usize,
        /// The prediction.
        value: f32,
    },
    /// A value to compare is NaN or infinite.
    #[error("{what} number {position} is {value}; only finite numbers can be compared")]
    NotFinite {
        /// What the value is, for example `target`.
        what: &'static str,
        /// How many values came before it.
        position: u64,
        /// The value.
        value: f32,
    },
    /// A bootstrap without users or without replicates.
    #[error(
        "a paired bootstrap needs at least one user and two replicates, not {users} and {replicates}"
    )]
    NothingToResample {
        /// Users given.
        users: usize,
        /// Replicates asked for.
        replicates: usize,
    },
    /// Two runs were not measured on the same impressions.
    #[error(
        "the two runs were not measured on the same impressions: user {user} differs; evaluate both on the same split of the same feeds"
    )]
    Unpaired {
        /// The first user who is missing from one run or has another number of impressions there.
        user: u64,
    },
    /// A user's weight or value cannot be used.
    #[error(
        "user number {position} of the bootstrap has weight {weight} and values {first} and {second}; weights must be positive and all of them finite"
    )]
    BadUser {
        /// Position of the user in the slice, from 0.
        position: usize,
        /// The weight.
        weight: f64,
        /// The first run's value.
        first: f64,
        /// The second run's value.
        second: f64,
    },
}
