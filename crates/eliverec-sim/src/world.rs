//! The world: who lives in it, what is known about them in public, and where its time stands.

use eliverec_core::event::Scalar;
use eliverec_core::seed::stream;

use crate::anchor::Anchor;
use crate::behave::Encounter;
use crate::catalog::{Catalog, category_id};
use crate::channel::Stream;
use crate::config::WorldConfig;
use crate::error::Error;
use crate::output::Output;
use crate::policy::LiveChannel;
use crate::queue::Queue;
use crate::user::{User, city_tier};

/// A live-streaming platform with its users. With the logging policy about 0.7 KB per user, measured.
#[derive(Clone, Debug)]
pub struct World {
    pub(crate) config: WorldConfig,
    pub(crate) seeds: Seeds,
    pub(crate) catalog: Catalog,
    pub(crate) anchors: Vec<Anchor>,
    pub(crate) users: Vec<User>,
    /// Streams on air, by anchor; `live` is the public side of the same.
    pub(crate) streams: Vec<Stream>,
    pub(crate) live: Vec<LiveChannel>,
    pub(crate) queue: Queue,
    pub(crate) output: Output,
    /// Days done, counted from the first history day.
    pub(crate) day: u32,
    /// Whether the visits and streams of the day that follows are planned.
    pub(crate) is_begun: bool,
    pub(crate) now_ms: i64,
    pub(crate) requests: u64,
    /// Categories that are popular among products today.
    pub(crate) trends: [u8; 2],
    /// Memory of the last ranking, reused.
    pub(crate) ranking: Vec<u64>,
}

/// Random streams, one per purpose, so that what a policy changes leaves everything else as it was.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seeds {
    pub(crate) day: u64,
    pub(crate) schedule: u64,
    pub(crate) agenda: u64,
    pub(crate) visit: u64,
    pub(crate) request: u64,
    pub(crate) stream: u64,
}

impl World {
    /// A world at the first moment of its first history day.
    ///
    /// # Errors
    /// A setting that cannot be ([`WorldConfig::check`]).
    pub fn new(config: &WorldConfig) -> Result<Self, Error> {
        config.check()?;
        let catalog = Catalog::new(config.products_per_category() as usize, config.seed);
        let seeds = Seeds {
            day: stream(config.seed, "sim/day"),
            schedule: stream(config.seed, "sim/schedule"),
            agenda: stream(config.seed, "sim/agenda"),
            visit: stream(config.seed, "sim/visit"),
            request: stream(config.seed, "sim/request"),
            stream: stream(config.seed, "sim/stream"),
        };
        let anchors = (0..config.anchor_count()).map(|i| Anchor::new(i, config, &catalog));
        let users = (0..config.users).map(|i| User::new(i, config, &catalog));
        Ok(Self {
            seeds,
            anchors: anchors.collect(),
            users: users.collect(),
            catalog,
            streams: Vec::new(),
            live: Vec::new(),
            queue: Queue::default(),
            output: Output::new(config),
            day: 0,
            is_begun: false,
            now_ms: config.history_start_ms(),
            requests: 0,
            trends: [0; 2],
            ranking: Vec::new(),
            config: config.clone(),
        })
    }

    /// History days and logged days together.
    pub fn total_days(&self) -> u32 {
        self.config.history_days + self.config.days
    }

    /// Days that are still to come.
    pub fn days_left(&self) -> u32 {
        self.total_days() - self.day
    }

    /// Adds days behind those of the config, on which users and anchors who are there live on and nobody new comes.
    pub fn go_on(&mut self, days: u32) {
        self.config.days = self.config.days.saturating_add(days);
    }

    /// The channels that are live now.
    pub fn live_channels(&self) -> &[LiveChannel] {
        &self.live
    }

    /// Users with age bucket, gender, city tier and activity class of the month before, in the order of `user` in
    /// [`SCHEMA`](crate::SCHEMA); those who are yet to come included.
    pub fn users(&self) -> impl Iterator<Item = (u64, [Scalar; 4])> {
        self.users.iter().enumerate().map(|(index, user)| {
            let fields = [user.age, user.gender, city_tier(user.city), user.class];
            (index as u64 + 1, fields.map(|value| Scalar::Id(u64::from(value))))
        })
    }

    /// Products with category, brand and price, in the order of `product` in [`SCHEMA`](crate::SCHEMA) after the id.
    pub fn products(&self) -> impl Iterator<Item = (u64, [Scalar; 3])> {
        (0..self.catalog.len() as u32).map(|index| {
            let product = self.catalog.product(index);
            let category = Scalar::Id(category_id(product.category));
            let brand = Scalar::Id(u64::from(product.brand) + 1);
            (u64::from(index) + 1, [category, brand, Scalar::Number(product.price)])
        })
    }

    /// Channels with anchor and top category, in the order of `channel` in [`SCHEMA`](crate::SCHEMA) after the id. A
    /// channel is an anchor's room, the same from stream to stream: users watch it again.
    pub fn channels(&self) -> impl Iterator<Item = (u64, [Scalar; 2])> {
        self.anchors.iter().enumerate().map(|(index, anchor)| {
            let id = index as u64 + 1;
            (id, [Scalar::Id(id), Scalar::Id(category_id(anchor.category))])
        })
    }

    /// How a user would react now: for each channel of a ranking, in its place, the true probability of a watch that
    /// counts; `None` for channels that are not live. Changes nothing. `None` for users that do not exist.
    pub fn ask_user(&self, user_id: u64, scene: u64, ranking: &[u64]) -> Option<Vec<Option<f64>>> {
        let user = self.users.get(usize::try_from(user_id.checked_sub(1)?).ok()?)?;
        let answer = |(position, channel_id): (usize, &u64)| {
            let anchor = u32::try_from(channel_id.checked_sub(1)?).ok()?;
            let stream = &self.streams[self.on_air(anchor)?];
            let encounter = Encounter {
                user,
                anchor: &self.anchors[anchor as usize],
                stream,
                catalog: &self.catalog,
                at_ms: self.now_ms,
                scene: usize::from(scene > 0),
                position,
            };
            Some(encounter.chance().watch())
        };
        Some(ranking.iter().enumerate().map(answer).collect())
    }

    /// Where an anchor's stream stands in `streams` and `live`.
    pub(crate) fn on_air(&self, anchor: u32) -> Option<usize> {
        self.streams.binary_search_by_key(&anchor, |stream| stream.anchor).ok()
    }

    /// The first `depth` live channels of a ranking, without repeats.
    pub(crate) fn places(&self, ranking: &[u64], depth: usize) -> Vec<usize> {
        let mut places = Vec::with_capacity(depth);
        for channel_id in ranking {
            if places.len() == depth {
                break;
            }
            let anchor = channel_id.checked_sub(1).and_then(|index| u32::try_from(index).ok());
            if let Some(live) = anchor.and_then(|anchor| self.on_air(anchor))
                && !places.contains(&live)
            {
                places.push(live);
            }
        }
        places
    }
}
