//! From lists to an answer.

use std::collections::{BTreeMap, BTreeSet};

use eliverec_retrieval::merge::merged;
use eliverec_retrieval::retrieval::Asked;
use eliverec_retrieval::{Candidate, Found, Query, Retrieval, RetrievalConfig, SourceName, User};
use proptest::prelude::*;

use crate::platform::{AT_MS, WIDTH, indexes, platform, vector};

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, rng_seed: proptest::test_runner::RngSeed::Fixed(4), ..ProptestConfig::default() })]

    #[test]
    fn an_answer_keeps_its_limits_and_tells_every_source(
        channels in 0_usize..150,
        seed in any::<u64>(),
        candidates in 1_usize..90,
        quotas in prop::array::uniform6(0_usize..40),
        fill in any::<bool>(),
        user in 0_u64..12,
    ) {
        let platform = platform(channels, seed);
        let mut config = RetrievalConfig { candidates, fill, ..RetrievalConfig::default() };
        config.collaborative.quota = quotas[0];
        config.embedding.quota = quotas[1];
        config.anchors.quota = quotas[2];
        config.trending.quota = quotas[3];
        config.category.quota = quotas[4];
        config.exploration.quota = quotas[5].min(candidates);
        let retrieval = Retrieval::new(config.clone(), indexes(&platform, seed)).unwrap();
        let live = retrieval.live(&platform, AT_MS, None);
        let intents = [vector(WIDTH, seed), vector(WIDTH, seed ^ 9)];
        let asked = Asked { user_id: user, intents: &intents, seed };
        let answer = retrieval.retrieve(&platform, &live, &asked);
        prop_assert_eq!(&retrieval.retrieve(&platform, &live, &asked), &answer);
        prop_assert!(answer.len() <= candidates);
        let ids: BTreeSet<u64> = answer.iter().map(|candidate| candidate.channel_id).collect();
        prop_assert_eq!(ids.len(), answer.len());
        prop_assert!(ids.iter().all(|id| live.place(*id).is_some()));

        // What each source found, to the place: nothing is missing of a channel that is in the answer, and nothing is made up.
        let known = platform.users.get(&user).cloned().unwrap_or_default();
        let query = Query { live: &live, user: &known, intents: &intents, seed, barred: &[] };
        for source in retrieval.sources() {
            let name = source.name();
            let filled = fill && name == SourceName::Trending;
            let quota = if filled { usize::MAX } else { config.quota(name).min(candidates) };
            let found = source.find(&query, quota);
            let ranks: BTreeMap<u64, usize> = found
                .iter()
                .enumerate()
                .map(|(rank, f)| (live.channels()[f.place as usize].channel_id, rank))
                .collect();
            for Candidate { channel_id, given_by } in &answer {
                prop_assert!(!given_by.is_empty());
                let given = given_by.iter().find(|given| given.source == name);
                let rank = ranks.get(channel_id);
                if let Some(given) = given.filter(|given| filled && given.score == 0.0) {
                    prop_assert!(rank.is_none() && given.rank as usize >= found.len());
                } else if let Some(given) = given {
                    prop_assert_eq!(Some(&(given.rank as usize)), rank);
                    prop_assert_eq!(given.score, found[given.rank as usize].score);
                    prop_assert_eq!(given.propensity, found[given.rank as usize].propensity);
                } else {
                    prop_assert!(filled || rank.is_none());
                }
            }
            if name == SourceName::Exploration {
                prop_assert!(ranks.keys().all(|id| ids.contains(id)), "a draw was cut");
            }
        }
        // Places are left only where no more is live.
        if fill {
            prop_assert_eq!(answer.len(), candidates.min(live.channels().len()));
        }
    }
}

#[test]
fn lists_take_turns_and_draws_are_not_cut() {
    let platform = platform(10, 1);
    let retrieval = Retrieval::new(RetrievalConfig::default(), indexes(&platform, 1)).unwrap();
    let live = retrieval.live(&platform, AT_MS, None);
    let list = |places: &[u32], propensity: Option<f64>| -> Vec<Found> {
        places.iter().map(|place| Found { place: *place, score: 1.0, propensity }).collect()
    };
    let lists = [
        (SourceName::Anchors, list(&[0, 1, 2, 3], None)),
        (SourceName::Trending, list(&[4, 0, 5], None)),
        (SourceName::Exploration, list(&[6, 2], Some(0.5))),
    ];
    let places = |limit| -> Vec<u32> {
        let merged = merged(&live, &lists, limit);
        merged.iter().map(|c| live.place(c.channel_id).unwrap()).collect()
    };
    assert_eq!(places(9), [0, 4, 6, 1, 2, 5, 3]);
    assert_eq!(places(5), [0, 4, 6, 1, 2]);
    assert_eq!(places(3), [0, 6, 2]);
    let all = merged(&live, &lists, 9);
    let given: Vec<(SourceName, u32)> =
        all[0].given_by.iter().map(|given| (given.source, given.rank)).collect();
    assert_eq!(given, [(SourceName::Anchors, 0), (SourceName::Trending, 1)]);
    assert_eq!(all[4].given_by.len(), 2);
}

#[test]
fn channels_watched_before_stay_unless_the_option_says_otherwise() {
    let platform = platform(30, 5);
    let watched: Vec<u64> = platform.live.iter().take(6).map(|c| c.channel_id).collect();
    let user = User { watches: watched.clone(), ..User::default() };
    let answer = |drop_watched| {
        let config = RetrievalConfig { drop_watched, ..RetrievalConfig::default() };
        let retrieval = Retrieval::new(config, indexes(&platform, 5)).unwrap();
        let mut state = platform.clone();
        state.users.insert(50, user.clone());
        let live = retrieval.live(&state, AT_MS, None);
        let asked = Asked { user_id: 50, ..Asked::default() };
        let candidates = retrieval.retrieve(&state, &live, &asked);
        candidates.into_iter().map(|c| c.channel_id).collect::<BTreeSet<u64>>()
    };
    let (kept, dropped) = (answer(false), answer(true));
    assert!(watched.iter().all(|id| kept.contains(id)));
    assert!(watched.iter().all(|id| !dropped.contains(id)) && !dropped.is_empty());
}
