//! What a source of candidates is: a query in, at most so many live channels with scores out.

use std::fmt;

use crate::live::Live;
use crate::source_name::SourceName;
use crate::state::User;

/// A strategy that finds live channels for a user.
pub trait Source: fmt::Debug + Send + Sync {
    /// Which one it is.
    fn name(&self) -> SourceName;

    /// At most `quota` channels that the query may have, best first; each once. Deterministic: equal scores are in ascending order
    /// of ids, and random numbers come from the query's seed.
    fn find(&self, query: &Query<'_>, quota: usize) -> Vec<Found>;
}

/// One user's request.
#[derive(Clone, Copy, Debug)]
pub struct Query<'a> {
    /// The channels of the moment.
    pub live: &'a Live,
    /// What the user did.
    pub user: &'a User,
    /// The user's intents as vectors of the width of the channels'; none of a user without history, or where no model gives any.
    pub intents: &'a [Vec<f32>],
    /// Of this request: the same seed draws the same channels.
    pub seed: u64,
    /// By place in `live`: whether a channel must not be found.
    pub barred: &'a [bool],
}

impl Query<'_> {
    /// Whether the channel at a place of [`Query::live`] may be found.
    pub fn allows(&self, place: u32) -> bool {
        self.barred.get(place as usize).is_none_or(|barred| !barred)
    }
}

/// A channel that a source found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Found {
    /// Its place in [`Query::live`].
    pub place: u32,
    /// The higher, the better; comparable within the source only.
    pub score: f32,
    /// The probability with which this channel was drawn, of a source that draws.
    pub propensity: Option<f64>,
}

/// The `quota` best of some places with scores that the query allows. What is no number is no find.
pub(crate) fn best(
    query: &Query<'_>,
    scored: impl Iterator<Item = (u32, f32)>,
    quota: usize,
) -> Vec<Found> {
    let found = |(place, score)| Found { place, score, propensity: None };
    let finite = scored.filter(|(place, score)| score.is_finite() && query.allows(*place));
    let mut all: Vec<Found> = finite.map(found).collect();
    let order = |a: &Found, b: &Found| b.score.total_cmp(&a.score).then(a.place.cmp(&b.place));
    if quota < all.len() {
        if quota > 0 {
            all.select_nth_unstable_by(quota - 1, order);
        }
        all.truncate(quota);
    }
    all.sort_unstable_by(order);
    all
}
