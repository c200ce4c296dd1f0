//! Users: a public profile, an activity, a taste, and the anchors they are loyal to.

use eliverec_core::seed::{Random, numbered, stream};

use crate::catalog::{Catalog, choose};
use crate::config::WorldConfig;
use crate::config::parameter::{
    ACTIVITY, ACTIVITY_SPREAD, CITIES, HOURS, LOYAL_FADE, LOYAL_GROW, LOYAL_MOST, LOYAL_STAY_MS,
    NEW_USERS_PER_DAY,
};
use crate::taste::Taste;

#[derive(Clone, Copy, Debug)]
pub(crate) struct Loyalty {
    pub(crate) anchor: u32,
    /// 0 to 2.
    pub(crate) level: u8,
}

#[derive(Clone, Debug)]
pub(crate) struct User {
    /// Bucket 0 (under 18) to 5 (over 60).
    pub(crate) age: u8,
    pub(crate) gender: u8,
    pub(crate) city: u8,
    /// Class of [`ACTIVITY`], which a platform knows from the month before.
    pub(crate) class: u8,
    pub(crate) live_visits: f32,
    pub(crate) product_visits: f32,
    /// Night owls come up to three hours later than others, larks earlier.
    pub(crate) hours_later: i8,
    /// First day, counted from the first history day.
    pub(crate) first_day: u32,
    pub(crate) taste: Taste,
    pub(crate) loyalties: Vec<Loyalty>,
    /// One thing at a time: a visit in the middle of another waits.
    pub(crate) busy_until_ms: i64,
    pub(crate) left_anchor: u32,
    pub(crate) left_ms: i64,
}

/// Tier of a city: 0 the few largest.
pub(crate) fn city_tier(city: u8) -> u8 {
    match usize::from(city) {
        0..4 => 0,
        4..15 => 1,
        _ => 2,
    }
}

impl User {
    pub(crate) fn new(index: u32, config: &WorldConfig, catalog: &Catalog) -> Self {
        let mut random = Random::new(numbered(stream(config.seed, "sim/user"), u64::from(index)));
        let age = choose(&[0.05, 0.25, 0.30, 0.20, 0.13, 0.07], &mut random).unwrap_or(2) as u8;
        let gender = u8::from(random.uniform() < 0.42);
        // Half of the users live in the first quarter of the cities.
        let place = random.uniform();
        let class = choose(&ACTIVITY.map(|class| class.share), &mut random).unwrap_or(0);
        let spread = (ACTIVITY_SPREAD * random.normal()).exp();
        let taste = Taste::new(gender, age, catalog, &mut random);
        let from_end = f64::from(config.users - 1 - index);
        let total_days = f64::from(config.days + config.history_days);
        let per_day = f64::from(config.users) * NEW_USERS_PER_DAY;
        let first_day = (total_days - 1.0 - from_end / per_day).floor().max(0.0) as u32;
        Self {
            age,
            gender,
            city: (place * place * CITIES as f64) as u8,
            class: class as u8,
            live_visits: (ACTIVITY[class].live_visits * spread) as f32,
            product_visits: (ACTIVITY[class].product_visits * spread) as f32,
            hours_later: random.below(7) as i8 - 3,
            first_day,
            taste,
            loyalties: Vec::new(),
            busy_until_ms: i64::MIN,
            left_anchor: u32::MAX,
            left_ms: i64::MIN,
        }
    }

    /// A moment of the day at which the user opens the application, milliseconds after midnight.
    pub(crate) fn moment(&self, random: &mut Random) -> i64 {
        let hour = choose(&HOURS, random).unwrap_or(20) as i64;
        let hour = (hour + i64::from(self.hours_later)).rem_euclid(24);
        hour * 3_600_000 + random.below(3_600_000) as i64
    }

    pub(crate) fn loyalty(&self, anchor: u32) -> Option<u8> {
        self.loyalties.iter().find(|loyalty| loyalty.anchor == anchor).map(|loyalty| loyalty.level)
    }

    /// A long stay or a follow can make the user loyal, or more so; the weakest loyalty makes room.
    pub(crate) fn has_watched(
        &mut self,
        anchor: u32,
        stay_ms: i64,
        followed: bool,
        random: &mut Random,
    ) {
        let grows = stay_ms >= LOYAL_STAY_MS && random.uniform() < LOYAL_GROW;
        if !(grows || followed) {
            return;
        }
        if let Some(loyalty) = self.loyalties.iter_mut().find(|loyalty| loyalty.anchor == anchor) {
            loyalty.level = (loyalty.level + 1).min(2);
            return;
        }
        if self.loyalties.len() == LOYAL_MOST {
            let weakest = (0..LOYAL_MOST).min_by_key(|i| self.loyalties[*i].level).unwrap_or(0);
            self.loyalties.remove(weakest);
        }
        self.loyalties.push(Loyalty { anchor, level: 0 });
    }

    /// One day passes.
    pub(crate) fn drift(&mut self, catalog: &Catalog, random: &mut Random) {
        self.taste.drift(self.gender, self.age, catalog, random);
        self.loyalties.retain_mut(|loyalty| {
            let fades = random.uniform() < LOYAL_FADE;
            if fades && loyalty.level > 0 {
                loyalty.level -= 1;
                return true;
            }
            !fades
        });
    }
}

/// A number of visits with that mean (Poisson, by multiplication: means are small).
pub(crate) fn visits(mean: f64, random: &mut Random) -> u32 {
    let limit = (-mean).exp();
    let (mut product, mut count) = (random.uniform(), 0);
    while product > limit && count < 100 {
        product *= random.uniform();
        count += 1;
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loyalty_grows_fades_and_stays_bounded() {
        let config = WorldConfig::default();
        let catalog = Catalog::new(40, 1);
        let mut user = User::new(0, &config, &catalog);
        let mut random = Random::new(1);
        user.has_watched(7, 5_000, false, &mut random);
        assert_eq!(user.loyalty(7), None);
        for _ in 0..3 {
            user.has_watched(7, 5_000, true, &mut random);
        }
        assert_eq!(user.loyalty(7), Some(2));
        for anchor in 100..120 {
            user.has_watched(anchor, 5_000, true, &mut random);
        }
        assert_eq!(user.loyalties.len(), LOYAL_MOST);
        assert_eq!(user.loyalty(7), Some(2), "the weakest make room");
        for _ in 0..1_000 {
            user.drift(&catalog, &mut random);
        }
        assert!(user.loyalties.is_empty());
    }

    #[test]
    fn visits_have_their_mean() {
        let mut random = Random::new(4);
        let sum: u32 = (0..20_000).map(|_| visits(1.3, &mut random)).sum();
        assert!((f64::from(sum) / 20_000.0 - 1.3).abs() < 0.04, "{sum}");
    }

    #[test]
    fn old_users_are_there_from_the_first_day_and_the_last_comes_on_the_last() {
        let config = WorldConfig::default();
        let catalog = Catalog::new(40, 1);
        assert_eq!(User::new(0, &config, &catalog).first_day, 0);
        let last = User::new(config.users - 1, &config, &catalog);
        assert_eq!(last.first_day, config.days + config.history_days - 1);
    }
}
