//! Channels that nobody was shown for long, drawn at random with a known probability.

use eliverec_core::seed::{Random, stream};

use crate::source::{Found, Query, Source};
use crate::source_name::SourceName;

/// Draws uniformly, without replacement, among the channels long without exposure that the query allows. So each of `n` has the
/// propensity `min(1, quota / n)`: the probability with which this request draws it, whatever other sources give. The score is
/// the same number.
#[derive(Clone, Copy, Debug)]
pub struct ExplorationSource;

impl Source for ExplorationSource {
    fn name(&self) -> SourceName {
        SourceName::Exploration
    }

    fn find(&self, query: &Query<'_>, quota: usize) -> Vec<Found> {
        let unexposed = query.live.unexposed().iter().copied();
        let mut pool: Vec<u32> = unexposed.filter(|place| query.allows(*place)).collect();
        let drawn = quota.min(pool.len());
        let propensity = drawn as f64 / pool.len().max(1) as f64;
        let mut random = Random::new(stream(query.seed, "retrieval/exploration"));
        for i in 0..drawn {
            let other = i + random.below(pool.len() - i);
            pool.swap(i, other);
        }
        let found = |place| Found { place, score: propensity as f32, propensity: Some(propensity) };
        pool.into_iter().take(drawn).map(found).collect()
    }
}
