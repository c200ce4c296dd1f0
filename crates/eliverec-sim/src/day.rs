//! The course of a day: users' visits, anchors' streams and everything that follows, in the order of time.

use eliverec_core::EventKind;
use eliverec_core::seed::{Random, numbered};

use crate::behave::{Encounter, SHORTEST_REST_MS, taps_after_ms};
use crate::browse;
use crate::catalog::category_id;
use crate::channel::Stream;
use crate::config::DAY_MS;
use crate::config::parameter::{
    CITIES, FIRST_SCREEN, LIVE_TAB, LONGEST_FEED, NEXT_FEED, ROW, SCROLL_ON, WATCH_THRESHOLD_MS,
    WEEKEND,
};
use crate::draft::Draft;
use crate::log::Log;
use crate::output::{Shown, Totals};
use crate::policy::{LiveChannel, Policy, PolicyRequest};
use crate::queue::{Item, Visit};
use crate::user::visits;
use crate::world::World;

/// How far a world has been lived through, told after every day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WorldProgress {
    /// Days done, history days included.
    pub days_done: u32,
    /// Days to live through in all, history days included.
    pub days: u32,
    /// Events logged so far.
    pub events: u64,
}

impl World {
    /// Lives through all days that are left, and lets the last stays end: the log may run some hours past the last day.
    /// `progress` is told after every day.
    ///
    /// # Errors
    /// The log's first error; the world cannot go on after it.
    pub fn run<L: Log>(
        &mut self,
        policy: &mut dyn Policy,
        log: &mut L,
        progress: &mut dyn FnMut(WorldProgress),
    ) -> Result<Totals, L::Error> {
        self.run_days(self.days_left(), policy, log, progress)?;
        while self.queue.drafts > 0
            && let Some((at_ms, item)) = self.queue.pop(i64::MAX)
        {
            if matches!(item, Item::Happens(_) | Item::Turns { .. }) {
                self.step(at_ms, item, policy, log)?;
            }
        }
        self.output.flush(log)?;
        Ok(self.output.totals())
    }

    /// Lives through so many days, for example to change the policy between them; fewer if fewer are left. A day that has begun is one.
    ///
    /// # Errors
    /// As [`World::run`].
    pub fn run_days<L: Log>(
        &mut self,
        days: u32,
        policy: &mut dyn Policy,
        log: &mut L,
        progress: &mut dyn FnMut(WorldProgress),
    ) -> Result<Totals, L::Error> {
        let days = self.day + days.min(self.days_left());
        self.run_until(self.midnight_ms(days), policy, log, progress)
    }

    /// Lives through what comes before `until_ms`, milliseconds since 1970 UTC, for example to change the policy in the middle of a
    /// night; to the end of the last day at most.
    ///
    /// # Errors
    /// As [`World::run`].
    pub fn run_until<L: Log>(
        &mut self,
        until_ms: i64,
        policy: &mut dyn Policy,
        log: &mut L,
        progress: &mut dyn FnMut(WorldProgress),
    ) -> Result<Totals, L::Error> {
        while self.days_left() > 0 && self.midnight_ms(self.day) < until_ms {
            let (midnight_ms, next_ms) =
                (self.midnight_ms(self.day), self.midnight_ms(self.day + 1));
            if !self.is_begun {
                self.begin_day(midnight_ms);
                self.is_begun = true;
            }
            while let Some((at_ms, item)) = self.queue.pop(next_ms.min(until_ms)) {
                self.step(at_ms, item, policy, log)?;
            }
            if until_ms < next_ms {
                break;
            }
            self.day += 1;
            self.is_begun = false;
            let events = self.output.totals().events;
            progress(WorldProgress { days_done: self.day, days: self.total_days(), events });
        }
        Ok(self.output.totals())
    }

    /// When a day begins, counted from the first history day.
    fn midnight_ms(&self, day: u32) -> i64 {
        self.config.history_start_ms() + i64::from(day) * DAY_MS
    }

    fn begin_day(&mut self, midnight_ms: i64) {
        let day = u64::from(self.day);
        let mut random = Random::new(numbered(self.seeds.day, day));
        self.trends = [self.catalog.category(&mut random), self.catalog.category(&mut random)];
        for anchor in 0..self.anchors.len() {
            let seed = numbered(numbered(self.seeds.schedule, anchor as u64), day);
            let mut random = Random::new(seed);
            let plan = self.anchors[anchor].schedule(self.day, midnight_ms, &mut random);
            if let Some((start_ms, end_ms)) = plan {
                self.queue.push(start_ms, Item::Starts { anchor: anchor as u32, end_ms });
            }
        }
        let weekday = (midnight_ms.div_euclid(DAY_MS) + 3).rem_euclid(7);
        let busy = if weekday >= 5 { WEEKEND } else { 1.0 };
        let mut planned = Vec::new();
        for (index, user) in self.users.iter_mut().enumerate() {
            if user.first_day > self.day {
                continue;
            }
            let seed = numbered(numbered(self.seeds.agenda, index as u64), day);
            let mut random = Random::new(seed);
            if self.day > user.first_day {
                user.drift(&self.catalog, &mut random);
            }
            for (live, mean) in [(true, user.live_visits), (false, user.product_visits)] {
                for _ in 0..visits(f64::from(mean) * busy, &mut random) {
                    let ts_ms = midnight_ms + user.moment(&mut random);
                    planned.push(Visit { ts_ms, user: index as u32, live });
                }
            }
        }
        self.queue.plan(planned);
    }

    fn step<L: Log>(
        &mut self,
        at_ms: i64,
        item: Item,
        policy: &mut dyn Policy,
        log: &mut L,
    ) -> Result<(), L::Error> {
        self.now_ms = at_ms;
        if let Item::Visits(Visit { user, .. }) | Item::Asks { user, .. } = item {
            let free_ms = self.users[user as usize].busy_until_ms;
            if free_ms > at_ms {
                self.queue.push(free_ms, item);
                return Ok(());
            }
        }
        match item {
            Item::Happens(draft) => {
                self.count(&draft);
                self.output.emit(&draft, policy, log)
            }
            Item::Visits(visit) => {
                let seed =
                    numbered(numbered(self.seeds.visit, u64::from(visit.user)), at_ms as u64);
                let mut random = Random::new(seed);
                if visit.live {
                    let scene = usize::from(random.uniform() < LIVE_TAB);
                    self.ask(visit.user, at_ms, scene, policy, log)
                } else {
                    self.browse(visit.user, at_ms, &mut random);
                    Ok(())
                }
            }
            Item::Asks { user, scene } => self.ask(user, at_ms, scene, policy, log),
            Item::Starts { anchor, end_ms } => self.start(anchor, at_ms, end_ms, policy, log),
            Item::Turns { anchor } => self.turn(anchor, at_ms, policy, log),
        }
    }

    fn browse(&mut self, index: u32, at_ms: i64, random: &mut Random) {
        let user = &self.users[index as usize];
        let (queue, catalog) = (&mut self.queue, &self.catalog);
        let until = browse::visit((index, user), at_ms, self.trends, catalog, random, |draft| {
            queue.happens(draft);
        });
        self.users[index as usize].busy_until_ms = until;
    }

    /// One request: the policy ranks, the user scrolls, looks, enters, and what comes of it is queued.
    fn ask<L: Log>(
        &mut self,
        index: u32,
        at_ms: i64,
        scene: usize,
        policy: &mut dyn Policy,
        log: &mut L,
    ) -> Result<(), L::Error> {
        // The same user at the same moment scrolls alike under any policy.
        let seed = numbered(numbered(self.seeds.request, u64::from(index)), at_ms as u64);
        let mut random = Random::new(seed);
        let home = self.users[index as usize].city;
        let travels = random.uniform() < 0.04;
        let city = if travels { random.below(CITIES) as u64 } else { u64::from(home) };
        let mut depth = FIRST_SCREEN;
        while depth < LONGEST_FEED && random.uniform() < SCROLL_ON {
            depth += ROW;
        }
        self.requests += 1;
        let request = PolicyRequest {
            request_id: self.requests,
            user_id: u64::from(index) + 1,
            at_ms,
            scene: scene as u64,
            city,
            wanted: LONGEST_FEED,
        };
        let mut ranking = std::mem::take(&mut self.ranking);
        ranking.clear();
        policy.rank(&request, &self.live, &mut ranking);
        let places = self.places(&ranking, depth);
        self.ranking = ranking;
        if places.is_empty() {
            return Ok(());
        }
        let feed = self.react(index, &request, &places, seed);
        self.output.emit_feed(&request, &feed, policy, log)?;
        let watched = feed.iter().any(|shown| shown.watched);
        if random.uniform() < NEXT_FEED[usize::from(watched)] {
            let again_ms = self.users[index as usize].busy_until_ms + 1_000;
            self.queue.push(again_ms, Item::Asks { user: index, scene });
        }
        Ok(())
    }

    /// The user's way through a feed; everything that follows the impressions is queued.
    fn react(
        &mut self,
        index: u32,
        request: &PolicyRequest,
        places: &[usize],
        seed: u64,
    ) -> Vec<Shown> {
        let at_ms = request.at_ms;
        let logged = if self.output.logs_requests(at_ms) { request.request_id } else { 0 };
        let mut feed = Vec::with_capacity(places.len());
        // How much later than without a watch the user comes to the next place.
        let mut delay_ms = 0;
        let mut loyal = Vec::new();
        for (position, live) in places.iter().enumerate() {
            let stream = &self.streams[*live];
            let encounter = Encounter {
                user: &self.users[index as usize],
                anchor: &self.anchors[stream.anchor as usize],
                stream,
                catalog: &self.catalog,
                at_ms,
                scene: request.scene as usize,
                position,
            };
            let chance = encounter.chance();
            // The same user at the same moment, place and channel reacts alike in any company.
            let mut random = Random::new(numbered(seed, u64::from(stream.anchor) + 1));
            let enter_ms = at_ms + taps_after_ms(position) + delay_ms;
            let cause =
                chance.draw(&mut random).filter(|_| enter_ms + SHORTEST_REST_MS <= stream.end_ms);
            let mut shown = Shown {
                channel: stream.anchor,
                probability: chance.watch() as f32,
                watched: false,
            };
            if let Some(cause) = cause {
                let stay_ms = encounter.stay_ms(enter_ms, cause, &mut random);
                let watch = Draft {
                    request: logged,
                    user: index,
                    channel: stream.anchor,
                    cause: Some(cause),
                    ..Draft::new(enter_ms, EventKind::Watch)
                };
                let queue = &mut self.queue;
                queue.happens(watch);
                let follows =
                    encounter.inside(watch, stay_ms, &mut random, |draft| queue.happens(draft));
                queue.happens(Draft {
                    ts_ms: enter_ms + stay_ms,
                    kind: EventKind::Leave,
                    value: stay_ms as f64 / 1000.0,
                    cause: None,
                    ..watch
                });
                shown.watched = stay_ms >= WATCH_THRESHOLD_MS;
                delay_ms += stay_ms + 1_000 + random.below(3_000) as i64;
                loyal.push((stream.anchor, stay_ms, follows, random, enter_ms + stay_ms));
            }
            feed.push(shown);
        }
        let user = &mut self.users[index as usize];
        for (anchor, stay_ms, follows, mut random, left_ms) in loyal {
            user.has_watched(anchor, stay_ms, follows, &mut random);
            (user.left_anchor, user.left_ms) = (anchor, left_ms);
        }
        user.busy_until_ms = at_ms + taps_after_ms(places.len()) + delay_ms;
        feed
    }

    fn start<L: Log>(
        &mut self,
        anchor: u32,
        at_ms: i64,
        end_ms: i64,
        policy: &mut dyn Policy,
        log: &mut L,
    ) -> Result<(), L::Error> {
        let seed = numbered(numbered(self.seeds.stream, u64::from(anchor)), at_ms as u64);
        let mut random = Random::new(seed);
        let who = &self.anchors[anchor as usize];
        let stream = Stream::plan(anchor, who, (at_ms, end_ms), &self.catalog, &mut random);
        let live = self.streams.partition_point(|other| other.anchor < anchor);
        self.streams.insert(live, stream);
        self.live.insert(
            live,
            LiveChannel {
                channel_id: u64::from(anchor) + 1,
                anchor_id: u64::from(anchor) + 1,
                category_id: category_id(who.category),
                since_ms: at_ms,
                viewers: 0,
                entries: 0,
            },
        );
        let started = Draft { channel: anchor, ..Draft::new(at_ms, EventKind::StreamStart) };
        self.output.emit(&started, policy, log)?;
        self.turn(anchor, at_ms, policy, log)
    }

    /// Products go off and on sale; at its end the stream goes.
    fn turn<L: Log>(
        &mut self,
        anchor: u32,
        at_ms: i64,
        policy: &mut dyn Policy,
        log: &mut L,
    ) -> Result<(), L::Error> {
        let Some(live) = self.on_air(anchor) else { return Ok(()) };
        for (kind, of) in [(EventKind::ProductOff, false), (EventKind::ProductOn, true)] {
            for slot in 0..self.streams[live].slots.len() {
                let slot = self.streams[live].slots[slot];
                if (if of { slot.on_ms } else { slot.off_ms }) == at_ms {
                    let product = slot.product;
                    let draft = Draft { channel: anchor, product, ..Draft::new(at_ms, kind) };
                    self.output.emit(&draft, policy, log)?;
                }
            }
        }
        if at_ms < self.streams[live].end_ms {
            let next_ms = self.streams[live].turn(at_ms);
            self.queue.push(next_ms, Item::Turns { anchor });
            return Ok(());
        }
        self.streams.remove(live);
        self.live.remove(live);
        let ended = Draft { channel: anchor, ..Draft::new(at_ms, EventKind::StreamEnd) };
        self.output.emit(&ended, policy, log)
    }

    /// Keeps the public counters of a channel.
    fn count(&mut self, draft: &Draft) {
        let Some(live) = self.on_air(draft.channel) else { return };
        let channel = &mut self.live[live];
        match draft.kind {
            EventKind::Watch => {
                channel.viewers += 1;
                channel.entries += 1;
            }
            EventKind::Leave => channel.viewers = channel.viewers.saturating_sub(1),
            _ => {}
        }
    }
}
