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
        let live = query.live;
        let entered = live.trending().iter().take_while(|place| live.trend(**place) > 0.0);
        let allowed = entered.filter(|place| query.allows(**place)).take(quota);
        let found =
            |place: &u32| Found { place: *place, score: live.trend(*place), propensity: None };
        allowed.map(found).collect()
    }
}
