//! Each source against its definition, and what all of them keep.

use std::collections::BTreeSet;

use eliverec_retrieval::config::{Anchors, Recent};
use eliverec_retrieval::retrieval::Asked;
use eliverec_retrieval::sources::{AnchorSource, CategorySource, TrendingSource};
use eliverec_retrieval::{
    Found, Indexes, Live, LiveChannel, Popularity, Query, Retrieval, RetrievalConfig, Source,
    SourceName, User,
};
use proptest::prelude::*;

use crate::platform::{AT_MS, Platform, WIDTH, indexes, platform, vector};

fn ids(live: &Live, found: &[Found]) -> Vec<u64> {
    found.iter().map(|found| live.channels()[found.place as usize].channel_id).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, rng_seed: proptest::test_runner::RngSeed::Fixed(3), ..ProptestConfig::default() })]

    #[test]
    fn sources_keep_their_quota_and_give_each_channel_once_best_first(
        channels in 0_usize..120,
        seed in any::<u64>(),
        quota in 0_usize..70,
        user in 0_u64..12,
        drop_watched in any::<bool>(),
    ) {
        let platform = platform(channels, seed);
        let config = RetrievalConfig { drop_watched, ..RetrievalConfig::default() };
        let retrieval = Retrieval::new(config, indexes(&platform, seed)).unwrap();
        let live = retrieval.live(&platform, AT_MS, None);
        let known = platform.users.get(&user).cloned().unwrap_or_default();
        let intents = [vector(WIDTH, seed), vector(WIDTH, seed ^ 1)];
        let barred = retrieval.barred(&live, &known);
        let query = Query { live: &live, user: &known, intents: &intents, seed, barred: &barred };
        for source in retrieval.sources() {
            let found = source.find(&query, quota);
            prop_assert!(found.len() <= quota);
            let places: BTreeSet<u32> = found.iter().map(|found| found.place).collect();
            prop_assert_eq!(places.len(), found.len());
            prop_assert!(found.is_sorted_by(|a, b| a.score >= b.score));
            prop_assert_eq!(&source.find(&query, quota), &found);
            // A larger quota goes on where a smaller one ends, but for draws.
            if source.name() != SourceName::Exploration {
                let more = source.find(&query, quota + 9);
                prop_assert_eq!(&more[..found.len()], &found[..]);
            }
            for id in ids(&live, &found) {
                prop_assert!(!drop_watched || !known.watches.contains(&id));
            }
            let draws = source.name() == SourceName::Exploration;
            prop_assert!(found.iter().all(|found| found.propensity.is_some() == draws));
        }
    }

    /// The scores of collaborative filtering, channel by channel from the lists of neighbours.
    #[test]
    fn collaborative_scores_are_sums_over_the_newest_watches(seed in any::<u64>(), events in 1_usize..30) {
        let platform = platform(40, seed);
        let collaborative = Recent { quota: 40, events, half_life_events: 4.0 };
        let config = RetrievalConfig { collaborative, ..RetrievalConfig::default() };
        let indexes = indexes(&platform, seed);
        let neighbours = indexes.neighbours.clone().unwrap();
        let retrieval = Retrieval::new(config, indexes).unwrap();
        let live = retrieval.live(&platform, AT_MS, None);
        let source = retrieval.sources().next().unwrap();
        for user in platform.users.values() {
            let query = Query { live: &live, user, intents: &[], seed, barred: &[] };
            let mut expected: Vec<(f64, u64)> = Vec::new();
            for channel in live.channels() {
                let newest = user.watches.iter().rev().take(events).enumerate();
                let score = newest.map(|(newer, watched)| {
                    let own = f64::from(u8::from(*watched == channel.channel_id));
                    let similar = neighbours.of(*watched).find(|(other, _)| {
                        neighbours.channels()[*other as usize] == channel.channel_id
                    });
                    (own + f64::from(similar.map_or(0.0, |s| s.1))) * 0.5_f64.powf(newer as f64 / 4.0)
                });
                expected.push((score.sum(), channel.channel_id));
            }
            expected.retain(|(score, _)| *score > 0.0);
            let found = source.find(&query, 40);
            prop_assert_eq!(found.len(), expected.len());
            for (found, id) in found.iter().zip(ids(&live, &found)) {
                let (score, _) = expected.iter().find(|(_, expected)| *expected == id).unwrap();
                prop_assert!((f64::from(found.score) - score).abs() < 1e-4);
            }
        }
    }
}

fn channel(channel_id: u64) -> LiveChannel {
    LiveChannel { channel_id, exposed_ms: Some(AT_MS), ..LiveChannel::default() }
}

fn live(channels: Vec<LiveChannel>) -> Live {
    let platform = Platform { live: channels, ..Platform::default() };
    let retrieval = Retrieval::new(RetrievalConfig::default(), Indexes::default()).unwrap();
    retrieval.live(&platform, AT_MS, None)
}

#[test]
fn anchors_count_watches_and_follows() {
    let of = |id, anchor| LiveChannel { anchor_id: Some(anchor), ..channel(id) };
    let live = live(vec![of(1, 10), of(2, 20), of(3, 30), of(4, 20), channel(5)]);
    let user =
        User { anchors: vec![(10, 3), (30, 4)], followed: vec![20, 10, 99], ..User::default() };
    let query = Query { live: &live, user: &user, intents: &[], seed: 0, barred: &[] };
    let found = AnchorSource(Anchors { quota: 9, follow_watches: 2.0 }).find(&query, 9);
    assert_eq!(ids(&live, &found), [1, 3, 2, 4]);
    assert_eq!(found.iter().map(|f| f.score).collect::<Vec<_>>(), [5.0, 4.0, 2.0, 2.0]);
}

#[test]
fn a_category_leads_from_products_to_channels() {
    let of = |id, category_id, selling_category_id, last_10m| LiveChannel {
        category_id,
        selling_category_id,
        popularity: Popularity { last_10m, last_60m: last_10m, last_24h: last_10m },
        ..channel(id)
    };
    let live = live(vec![
        of(1, Some(7), None, 0),
        of(2, Some(7), Some(7), 0),
        of(3, Some(8), Some(7), 0),
        of(4, Some(7), None, 50),
        of(5, Some(9), Some(8), 500),
    ]);
    let user = User { categories: vec![9, 7, 7], ..User::default() };
    let query = Query { live: &live, user: &user, intents: &[], seed: 0, barred: &[] };
    let newest = |events| CategorySource(Recent { quota: 9, events, half_life_events: 1e9 });
    // Of the two newest clicks all are of category 7.
    let found = newest(2).find(&query, 9);
    assert_eq!(ids(&live, &found), [4, 2, 1, 3]);
    assert_eq!(found[1].score, 2.0);
    assert_eq!(ids(&live, &newest(3).find(&query, 1)), [4]);
    assert_eq!(newest(3).find(&query, 9).len(), 5);
}

#[test]
fn trending_channels_come_by_entries_with_decay() {
    let of = |id, last_10m, last_60m, last_24h| LiveChannel {
        popularity: Popularity { last_10m, last_60m, last_24h },
        ..channel(id)
    };
    let live = live(vec![of(1, 0, 0, 90), of(2, 5, 5, 5), of(3, 0, 9, 9), of(4, 0, 0, 0)]);
    let user = User::default();
    let barred = [false, true, false, false];
    let query = Query { live: &live, user: &user, intents: &[], seed: 0, barred: &[] };
    assert_eq!(ids(&live, &TrendingSource.find(&query, 9)), [3, 2, 1]);
    let without = Query { barred: &barred, ..query };
    assert_eq!(ids(&live, &TrendingSource.find(&without, 9)), [3, 1]);
}

/// Vectors along the axes, whose mean points along all of them: an intent's channels are those of its axis.
#[test]
fn the_channels_nearest_to_any_intent_are_found() {
    let axis = |i: usize, x: f32| {
        let mut vector = vec![1.0; WIDTH];
        vector[i] += x;
        vector
    };
    let channels = [(1, axis(0, 1.0)), (2, axis(1, 2.0)), (3, axis(2, 1.0)), (4, axis(3, 2.0))];
    let values: Vec<f32> = channels.iter().flat_map(|(_, vector)| vector.clone()).collect();
    let vectors = eliverec_retrieval::ChannelVectors::new(WIDTH, &[1, 2, 3, 4], &values).unwrap();
    let indexes = Indexes { vectors: Some(std::sync::Arc::new(vectors)), neighbours: None };
    let platform = Platform { live: (1..6).map(channel).collect(), ..Platform::default() };
    let retrieval = Retrieval::new(RetrievalConfig::default(), indexes).unwrap();
    let live = retrieval.live(&platform, AT_MS, None);
    assert_eq!(live.without_vector(), 1);
    let source = retrieval.sources().find(|s| s.name() == SourceName::Embedding).unwrap();
    let user = User::default();
    let along = |i: usize| axis(i, 50.0);
    let find = |intents: &[Vec<f32>], quota| {
        let query = Query { live: &live, user: &user, intents, seed: 0, barred: &[] };
        ids(&live, &source.find(&query, quota))
    };
    assert_eq!(find(&[along(2)], 1), [3]);
    assert_eq!(BTreeSet::from_iter(find(&[along(0), along(3)], 2)), BTreeSet::from([1, 4]));
    assert_eq!(find(&[along(0), along(3)], 9).len(), 4);
    assert!(find(&[vec![1.0; WIDTH + 1], Vec::new(), vec![0.0; WIDTH]], 3).is_empty());
    assert_eq!(find(&[vec![0.0; WIDTH], along(1)], 1), [2]);
}

#[test]
fn a_first_time_user_gets_what_trends_and_what_is_explored() {
    let platform = platform(80, 3);
    let retrieval = Retrieval::new(RetrievalConfig::default(), indexes(&platform, 3)).unwrap();
    let live = retrieval.live(&platform, AT_MS, None);
    let asked = Asked { user_id: 99, ..Asked::default() };
    let candidates = retrieval.retrieve(&platform, &live, &asked);
    let sources: BTreeSet<SourceName> =
        candidates.iter().flat_map(|c| &c.given_by).map(|given| given.source).collect();
    assert_eq!(sources, BTreeSet::from([SourceName::Trending, SourceName::Exploration]));
}

#[test]
fn nothing_live_gives_no_candidates() {
    let platform = Platform { live: Vec::new(), ..platform(10, 1) };
    let retrieval = Retrieval::new(RetrievalConfig::default(), Indexes::default()).unwrap();
    let live = retrieval.live(&platform, AT_MS, None);
    let asked = Asked { user_id: 1, ..Asked::default() };
    assert!(retrieval.retrieve(&platform, &live, &asked).is_empty());
}

#[test]
fn what_has_not_changed_is_kept_and_what_has_is_seen() {
    let platform = platform(50, 6);
    let retrieval = Retrieval::new(RetrievalConfig::default(), indexes(&platform, 6)).unwrap();
    let first = retrieval.live(&platform, AT_MS, None);
    let mut changed = platform.clone();
    changed.live[3].popularity.last_10m += 1_000;
    let ended = changed.live.split_off(40);
    changed.live.extend_from_slice(&ended[1..]);
    let answers = |state: &Platform, previous: Option<&Live>| {
        let live = retrieval.live(state, AT_MS, previous);
        let intents = [vector(WIDTH, 1)];
        let ask = |user_id| Asked { user_id, intents: &intents, seed: user_id };
        (0..10).map(|user| retrieval.retrieve(state, &live, &ask(user))).collect::<Vec<_>>()
    };
    assert_eq!(answers(&platform, Some(&first)), answers(&platform, None));
    assert_eq!(answers(&changed, Some(&first)), answers(&changed, None));
    assert_ne!(answers(&changed, None), answers(&platform, None));
}
