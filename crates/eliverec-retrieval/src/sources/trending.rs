//! Channels that many enter now.

use crate::source::{Found, Query, Source};
use crate::source_name::SourceName;

/// The score is the number of entries, halved with every half-life of their age. A channel that nobody entered is none.
#[derive(Clone, Copy, Debug)]
pub struct TrendingSource;

impl Source for TrendingSource {
    fn name(&self) -> SourceName {
        SourceName::Trending
    }

    fn find(&self, query: &Query<'_>, quota: usize) -> Vec<Found> {
        let found = Self::ordered(query).take_while(|found| found.score > 0.0);
        found.take(quota).collect()
    }
}

impl TrendingSource {
    /// All that the query may find, those that nobody entered at the end.
    pub(crate) fn ordered<'a>(query: &'a Query<'_>) -> impl Iterator<Item = Found> + 'a {
        let live = query.live;
        let allowed = live.trending().iter().filter(|place| query.allows(**place));
        allowed.map(|place| Found { place: *place, score: live.trend(*place), propensity: None })
    }
}
