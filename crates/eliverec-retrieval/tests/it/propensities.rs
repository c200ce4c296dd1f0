//! Draws happen as often as their propensities say.

use std::collections::BTreeMap;

use eliverec_core::seed::numbered;
use eliverec_retrieval::config::Exploration;
use eliverec_retrieval::retrieval::Asked;
use eliverec_retrieval::{Indexes, Retrieval, RetrievalConfig, SourceName};

use crate::platform::{AT_MS, indexes, platform};

/// Every channel that can be drawn is in the answer as often as it says, others and a tight limit notwithstanding.
#[test]
fn frequencies_over_seeds_are_the_propensities() {
    const SEEDS: u64 = 20_000;
    let platform = platform(60, 8);
    // A tight answer, which has to be cut.
    let exploration = Exploration { quota: 6, after_minutes: 30.0 };
    let config =
        RetrievalConfig { candidates: 10, exploration, fill: false, ..RetrievalConfig::default() };
    let retrieval = Retrieval::new(config, indexes(&platform, 8)).unwrap();
    let live = retrieval.live(&platform, AT_MS, None);
    let pool = platform
        .live
        .iter()
        .filter(|channel| channel.exposed_ms.is_none_or(|ms| AT_MS - ms >= 30 * 60_000));
    let pool: Vec<u64> = pool.map(|channel| channel.channel_id).collect();
    let propensity = 6.0 / pool.len() as f64;
    assert!(pool.len() > 20, "{}", pool.len());

    let mut drawn: BTreeMap<u64, u64> = BTreeMap::new();
    for request in 0..SEEDS {
        let asked = Asked { user_id: 3, seed: numbered(5, request), intents: &[] };
        let candidates = retrieval.retrieve(&platform, &live, &asked);
        assert_eq!(candidates.len(), 10);
        let mut draws = 0;
        for candidate in &candidates {
            for given in &candidate.given_by {
                let of_draw = given.source == SourceName::Exploration;
                assert_eq!(given.propensity, of_draw.then_some(propensity));
                draws += u64::from(of_draw);
                *drawn.entry(candidate.channel_id).or_default() += u64::from(of_draw);
            }
        }
        assert_eq!(draws, 6);
    }
    drawn.retain(|_, count| *count > 0);
    assert_eq!(drawn.len(), pool.len());
    // Five standard deviations of a binomial share.
    let tolerance = 5.0 * (propensity * (1.0 - propensity) / SEEDS as f64).sqrt();
    for (channel, count) in drawn {
        let share = count as f64 / SEEDS as f64;
        assert!((share - propensity).abs() < tolerance, "{channel}: {share}, not {propensity}");
    }
}

#[test]
fn a_pool_smaller_than_the_quota_is_drawn_whole() {
    let platform = platform(5, 1);
    let exploration = Exploration { quota: 10, after_minutes: 0.0 };
    let config = RetrievalConfig { exploration, ..RetrievalConfig::default() };
    let retrieval = Retrieval::new(config, Indexes::default()).unwrap();
    let live = retrieval.live(&platform, AT_MS, None);
    let candidates = retrieval.retrieve(&platform, &live, &Asked::default());
    assert_eq!(candidates.len(), 5);
    for candidate in candidates {
        assert!(candidate.given_by.iter().any(|given| given.propensity == Some(1.0)));
    }
}
