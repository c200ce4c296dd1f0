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
    /// A bootstrap with nothing to draw from.
    #[error(
        "an interval over users and seeds needs at least two of each and two replicates, not {units} users, {seeds} seeds and {replicates} replicates"
    )]
    NothingToResample {
        /// Users, or groups of users, of positive weight.
        units: usize,
        /// Seeds that both models have.
        seeds: usize,
        /// Replicates asked for.
        replicates: usize,
    },
    /// Two runs were not measured on the same users.
    #[error(
        "two runs were not measured on the same users ({units} and {found}); evaluate both on the same split of the same feeds"
    )]
    UnitsDiffer {
        /// Users, or groups of users, that have weights.
        units: usize,
        /// Users, or groups of users, that have values.
        found: usize,
    },
    /// A weight or value that cannot be drawn.
    #[error(
        "user number {position} of the bootstrap has weight {weight} and difference {difference}; weights must not be negative and all numbers must be finite"
    )]
    BadUnit {
        /// Position of the user, or the group of users, from 0.
        position: usize,
        /// The weight.
        weight: f64,
        /// First model's value minus the second's.
        difference: f64,
    },
}
