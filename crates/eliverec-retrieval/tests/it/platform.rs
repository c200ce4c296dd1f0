//! A platform in memory: what a feature state would say, drawn at random.

use std::collections::BTreeMap;
use std::sync::Arc;

use eliverec_core::seed::{Random, stream};
use eliverec_retrieval::{
    ChannelVectors, Indexes, LiveChannel, NeighbourCounter, NeighbourSettings, Popularity, State,
    User,
};

pub(crate) const AT_MS: i64 = 100 * 3_600_000;
pub(crate) const WIDTH: usize = 5;

/// Channels and users of one moment.
#[derive(Clone, Debug, Default)]
pub(crate) struct Platform {
    pub(crate) live: Vec<LiveChannel>,
    pub(crate) users: BTreeMap<u64, User>,
}

impl State for Platform {
    fn live(&self, _: i64) -> Vec<LiveChannel> {
        self.live.clone()
    }

    fn user(&self, user_id: u64, _: i64) -> User {
        self.users.get(&user_id).cloned().unwrap_or_default()
    }
}

/// So many live channels, among others that are not, and ten users with histories.
pub(crate) fn platform(channels: usize, seed: u64) -> Platform {
    let mut random = Random::new(seed);
    let mut live: Vec<LiveChannel> = (0..channels as u64)
        .map(|i| {
            let entries = random.below(20) as u32;
            let hours = random.below(4) as i64;
            LiveChannel {
                channel_id: 3 * i + 1,
                anchor_id: (i % 5 > 0).then_some(i % 7),
                category_id: (i % 3 > 0).then_some(i % 4),
                selling_category_id: (i % 2 > 0).then_some(random.below(4) as u64),
                popularity: Popularity {
                    last_10m: entries / 4,
                    last_60m: entries / 2,
                    last_24h: entries,
                },
                exposed_ms: (hours > 0).then_some(AT_MS - hours * 3_600_000 / 2),
            }
        })
        .collect();
    random.shuffle(&mut live);
    let mut ids = |below: usize| -> Vec<u64> {
        (0..random.below(30)).map(|_| random.below(below) as u64).collect()
    };
    let users = (0..10).map(|user| {
        let watches = ids(3 * channels + 1);
        let mut anchors: BTreeMap<u64, u32> = BTreeMap::new();
        watches.iter().for_each(|channel| *anchors.entry(channel % 7).or_default() += 1);
        let anchors = anchors.into_iter().collect();
        (user, User { watches, categories: ids(4), anchors, followed: ids(8) })
    });
    Platform { users: users.collect(), live }
}

/// Neighbours of the users' watches, and vectors of all channels but every fifth.
pub(crate) fn indexes(platform: &Platform, seed: u64) -> Indexes {
    let directory = tempfile::tempdir().unwrap();
    let mut counter = NeighbourCounter::new(NeighbourSettings::default(), directory.path());
    for (user, known) in &platform.users {
        known.watches.iter().for_each(|channel| counter.watch(*user, *channel).unwrap());
    }
    let ids: Vec<u64> = platform.live.iter().map(|channel| channel.channel_id).collect();
    let ids: Vec<u64> = ids.into_iter().filter(|id| id % 5 > 0).collect();
    let values = vector(ids.len() * WIDTH, seed);
    Indexes {
        neighbours: Some(Arc::new(counter.finish().unwrap().0)),
        vectors: Some(Arc::new(ChannelVectors::new(WIDTH, &ids, &values).unwrap())),
    }
}

pub(crate) fn vector(width: usize, seed: u64) -> Vec<f32> {
    let mut random = Random::new(stream(seed, "vectors"));
    (0..width).map(|_| random.normal() as f32).collect()
}
