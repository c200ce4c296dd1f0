//! Neighbours against a slow count.

use std::collections::{BTreeMap, BTreeSet};

use eliverec_core::seed::Random;
use eliverec_retrieval::neighbours::Counted;
use eliverec_retrieval::{NeighbourCounter, NeighbourSettings, Neighbours};
use proptest::prelude::*;

type Lists = BTreeMap<u64, Vec<(u64, f32)>>;

fn counted(watches: &[(u64, u64)], settings: NeighbourSettings) -> (Neighbours, Counted) {
    let directory = tempfile::tempdir().unwrap();
    let mut counter = NeighbourCounter::new(settings, directory.path());
    watches.iter().for_each(|(user, channel)| counter.watch(*user, *channel).unwrap());
    counter.finish().unwrap()
}

fn lists(neighbours: &Neighbours) -> Lists {
    let channels = neighbours.channels();
    let of = |id: &u64| {
        let list = neighbours.of(*id).map(|(i, similarity)| (channels[i as usize], similarity));
        (*id, list.collect())
    };
    channels.iter().map(of).collect()
}

/// By the formula of the module, pair by pair.
fn slow(watches: &[(u64, u64)], settings: NeighbourSettings) -> Lists {
    let mut users: BTreeMap<u64, BTreeSet<u64>> = BTreeMap::new();
    for (user, channel) in watches {
        users.entry(*channel).or_default().insert(*user);
    }
    let similar = |a: &BTreeSet<u64>, b: &BTreeSet<u64>| {
        let common = a.intersection(b).count() as f64;
        let cosine = common / ((a.len() as f64) * (b.len() as f64)).sqrt();
        (cosine * common / (common + settings.shrinkage)) as f32
    };
    let list = |(id, own): (&u64, &BTreeSet<u64>)| {
        let others = users.iter().filter(|(other, _)| *other != id);
        let all = others.map(|(other, theirs)| (*other, similar(own, theirs)));
        let mut list: Vec<(u64, f32)> = all.filter(|(_, s)| *s > 0.0).collect();
        list.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        list.truncate(settings.per_channel);
        (*id, list)
    };
    users.iter().map(list).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { rng_seed: proptest::test_runner::RngSeed::Fixed(1), ..ProptestConfig::default() })]

    #[test]
    fn neighbours_equal_a_slow_count(
        watches in prop::collection::vec((0_u64..25, 0_u64..20), 0..400),
        per_channel in 1_usize..30,
        shrinkage in 0.5_f64..20.0,
        memory_bytes in prop::sample::select(vec![512, 1 << 20]),
    ) {
        let settings = NeighbourSettings { per_channel, shrinkage, memory_bytes, ..NeighbourSettings::default() };
        let (neighbours, _) = counted(&watches, settings);
        prop_assert_eq!(lists(&neighbours), slow(&watches, settings));
    }
}

#[test]
fn neither_order_nor_memory_changes_what_is_counted() {
    let mut random = Random::new(4);
    let mut watches: Vec<(u64, u64)> =
        (0..3_000).map(|_| (random.below(50) as u64, random.below(60) as u64)).collect();
    let settings = NeighbourSettings { per_user: 12, ..NeighbourSettings::default() };
    let (expected, counts) = counted(&watches, settings);
    assert_eq!((counts.users, counts.capped_users, counts.runs_on_disk), (50, 50, 0));
    assert!(counts.channels <= 60 && counts.pairs > 0);
    random.shuffle(&mut watches);
    let (found, of_few) = counted(&watches, NeighbourSettings { memory_bytes: 4096, ..settings });
    assert_eq!(found, expected);
    assert!(of_few.runs_on_disk > 10);
    assert_eq!(Counted { runs_on_disk: 0, ..of_few }, counts);
}

#[test]
fn nobody_watched_gives_no_neighbours() {
    let (neighbours, counts) = counted(&[], NeighbourSettings::default());
    assert_eq!(neighbours.channels(), [] as [u64; 0]);
    assert_eq!((neighbours.of(3).count(), counts.users), (0, 0));
    let (alone, _) = counted(&[(0, 9)], NeighbourSettings::default());
    assert_eq!((alone.channels(), alone.of(9).count()), ([9].as_slice(), 0));
}
