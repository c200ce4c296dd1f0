//! Anchors: what they sell, how they perform, when they stream.

use eliverec_core::seed::{Random, numbered, stream};

use crate::catalog::{Catalog, choose};
use crate::config::parameter::{NEW_ANCHORS_PER_DAY, STYLES};
use crate::config::{DAY_MS, WorldConfig};

#[derive(Clone, Debug)]
pub(crate) struct Anchor {
    /// Two thirds of the goods.
    pub(crate) category: u8,
    /// Most of the others.
    pub(crate) second: u8,
    pub(crate) style: u8,
    /// 0 small, 1 middle, 2 star.
    pub(crate) tier: u8,
    /// Usual start after midnight.
    start_ms: i64,
    /// Usual length.
    length_ms: i64,
    /// Weekday without a stream, Monday 0.
    rests_on: u8,
    /// First day of streaming, counted from the first history day.
    pub(crate) first_day: u32,
}

/// When anchors begin, by hour: after breakfast, after lunch, before the evening peak, and some for the night.
const START_HOURS: [f64; 24] = [
    2.0, 1.0, 1.0, 1.0, 1.0, 1.5, 3.0, 4.0, 6.0, 7.0, 6.0, 4.0, 5.0, 6.0, 5.0, 4.0, 4.0, 5.0, 8.0,
    9.0, 7.0, 4.0, 4.0, 3.0,
];

impl Anchor {
    /// Anchor number `index` of the world.
    pub(crate) fn new(index: u32, config: &WorldConfig, catalog: &Catalog) -> Self {
        let mut random = Random::new(numbered(stream(config.seed, "sim/anchor"), u64::from(index)));
        // Goods that gain from being shown have more anchors.
        let category = loop {
            let category = catalog.category(&mut random);
            if random.uniform() < f64::from(1 + catalog.display(category)) / 3.0 {
                break category;
            }
        };
        let tier = choose(&[0.70, 0.24, 0.06], &mut random).unwrap_or(0) as u8;
        let hour = choose(&START_HOURS, &mut random).unwrap_or(20) as f64;
        let total_days = f64::from(config.days + config.history_days);
        // The last anchors are the new ones.
        let from_end = f64::from(config.anchor_count() - 1 - index);
        let per_day = f64::from(config.anchor_count()) * NEW_ANCHORS_PER_DAY;
        let first_day = (total_days - 1.0 - from_end / per_day).floor().max(0.0) as u32;
        Self {
            category,
            second: Catalog::relative(category, &mut random),
            style: random.below(STYLES) as u8,
            tier,
            start_ms: ((hour + random.uniform()) * 3_600_000.0) as i64,
            length_ms: ((2.5 + 4.0 * random.uniform() + f64::from(tier)) * 3_600_000.0) as i64,
            rests_on: random.below(7) as u8,
            first_day,
        }
    }

    /// Start and end of the stream that begins on a day, if one does. Never longer than ten hours, so two never overlap.
    pub(crate) fn schedule(
        &self,
        day: u32,
        midnight_ms: i64,
        random: &mut Random,
    ) -> Option<(i64, i64)> {
        let weekday = (midnight_ms.div_euclid(DAY_MS) + 3).rem_euclid(7) as u8;
        let ill = random.uniform() < 0.04;
        if day < self.first_day || weekday == self.rests_on || ill {
            return None;
        }
        let quarter = 900_000.0;
        let start =
            midnight_ms + (self.start_ms + (quarter * random.uniform()) as i64).min(DAY_MS - 1);
        let end = start + self.length_ms + (2.0 * quarter * random.uniform()) as i64;
        Some((start, end))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_of_an_anchor_never_overlap_and_new_anchors_come_late() {
        let config = WorldConfig { users: 500, ..WorldConfig::default() };
        let catalog = Catalog::new(40, 1);
        for index in 0..config.anchor_count() {
            let anchor = Anchor::new(index, &config, &catalog);
            let mut random = Random::new(u64::from(index));
            let mut free_from = i64::MIN;
            for day in 0..20 {
                let midnight = config.start_ms + i64::from(day) * DAY_MS;
                if let Some((start, end)) = anchor.schedule(day, midnight, &mut random) {
                    assert!(day >= anchor.first_day);
                    assert!(start > free_from && end > start && start < midnight + DAY_MS);
                    free_from = end;
                }
            }
        }
        let last = Anchor::new(config.anchor_count() - 1, &config, &catalog);
        assert_eq!(last.first_day, config.days + config.history_days - 1);
    }
}
