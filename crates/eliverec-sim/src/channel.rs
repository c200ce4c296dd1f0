//! A stream: the plan of what is on sale when, drawn when it starts, and its state as time passes.
//!
//! The plan is known ahead to the world, so that a stay can be followed through the coming products the moment it begins;
//! users and policies see only what is on sale now.

use eliverec_core::seed::Random;

use crate::anchor::Anchor;
use crate::catalog::Catalog;
use crate::config::parameter::BURST_SHARE;
use crate::taste::Offer;

/// A product explained from `on_ms` until the next begins, and on sale until `off_ms`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Slot {
    pub(crate) product: u32,
    pub(crate) category: u8,
    pub(crate) on_ms: i64,
    pub(crate) off_ms: i64,
}

#[derive(Clone, Debug)]
pub(crate) struct Stream {
    pub(crate) anchor: u32,
    pub(crate) end_ms: i64,
    /// In the order of `on_ms`; the first few open the bag together.
    pub(crate) slots: Vec<Slot>,
    /// What is on sale now, as of the last turn.
    pub(crate) offer: Offer,
    burst_ms: (i64, i64),
}

/// Products in the bag when a stream opens.
pub(crate) const OPENING: usize = 5;
/// Shortest and longest explanation of a product: "every few minutes".
const EXPLAINED_MS: (f64, f64) = (120_000.0, 480_000.0);

impl Stream {
    pub(crate) fn plan(
        index: u32,
        anchor: &Anchor,
        (start_ms, end_ms): (i64, i64),
        catalog: &Catalog,
        random: &mut Random,
    ) -> Self {
        let mut slots: Vec<Slot> = Vec::new();
        let mut on_ms = start_ms;
        while on_ms < end_ms {
            let (shortest, longest) = EXPLAINED_MS;
            let lasts = (shortest + (longest - shortest) * random.uniform()) as i64;
            // On sale while the next four to twelve products are explained.
            let stays = lasts + (4.0 * lasts as f64 * (1.0 + 2.0 * random.uniform())) as i64;
            if let Some(product) = fresh_product(anchor, &slots, on_ms, catalog, random) {
                let category = catalog.product(product).category;
                let off_ms = (on_ms + stays).min(end_ms);
                slots.push(Slot { product, category, on_ms, off_ms });
            }
            if slots.len() >= OPENING {
                on_ms += lasts;
            }
        }
        let length = (end_ms - start_ms) as f64;
        let burst_ms = if random.uniform() < BURST_SHARE {
            let from = start_ms + (length * 0.8 * random.uniform()) as i64;
            (from, from + (900_000.0 + 1_800_000.0 * random.uniform()) as i64)
        } else {
            (end_ms, end_ms)
        };
        let mut stream =
            Self { anchor: index, end_ms, slots, offer: Offer { current: 0, bag: 0 }, burst_ms };
        stream.turn(start_ms);
        stream
    }

    /// The goods change: updates what users see to a moment of change and returns the next one, at most the end.
    pub(crate) fn turn(&mut self, at_ms: i64) -> i64 {
        let bag = self.bag(at_ms).fold(0, |bag, slot| bag | 1_u64 << slot.category);
        self.offer = Offer { current: self.slots[self.explained(at_ms)].category, bag };
        let changes = self.slots.iter().flat_map(|slot| [slot.on_ms, slot.off_ms]);
        changes.filter(|change| *change > at_ms).min().unwrap_or(self.end_ms)
    }

    /// The products on sale at a moment.
    pub(crate) fn bag(&self, at_ms: i64) -> impl Iterator<Item = &Slot> {
        self.slots.iter().take_while(move |s| s.on_ms <= at_ms).filter(move |s| s.off_ms > at_ms)
    }

    /// Index of the slot explained at a moment.
    pub(crate) fn explained(&self, at_ms: i64) -> usize {
        self.slots.partition_point(|slot| slot.on_ms <= at_ms).max(1) - 1
    }

    /// When the slot gives way to the next.
    pub(crate) fn explained_until(&self, slot: usize) -> i64 {
        self.slots.get(slot + 1).map_or(self.end_ms, |next| next.on_ms)
    }

    pub(crate) fn bursts(&self, at_ms: i64) -> bool {
        (self.burst_ms.0..self.burst_ms.1).contains(&at_ms)
    }
}

/// A product of the anchor's assortment that is not in the bag; `None` if six draws hit the bag.
fn fresh_product(
    anchor: &Anchor,
    slots: &[Slot],
    at_ms: i64,
    catalog: &Catalog,
    random: &mut Random,
) -> Option<u32> {
    for _ in 0..6 {
        let category = match random.uniform() {
            u if u < 0.68 => anchor.category,
            u if u < 0.88 => anchor.second,
            _ => catalog.category(random),
        };
        let product = catalog.product_of(category, random);
        let taken = slots.iter().rev().any(|slot| slot.product == product && slot.off_ms >= at_ms);
        if !taken {
            return Some(product);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::WorldConfig;

    #[test]
    fn a_plan_changes_every_few_minutes_and_never_sells_a_product_twice_at_once() {
        let config = WorldConfig::default();
        let catalog = Catalog::new(40, 1);
        let anchor = Anchor::new(3, &config, &catalog);
        let (start, end) = (config.start_ms, config.start_ms + 4 * 3_600_000);
        let stream = Stream::plan(3, &anchor, (start, end), &catalog, &mut Random::new(9));
        assert!((30..130).contains(&stream.slots.len()), "{}", stream.slots.len());
        for (index, slot) in stream.slots.iter().enumerate() {
            assert!(start <= slot.on_ms && slot.on_ms < slot.off_ms && slot.off_ms <= end);
            for other in &stream.slots[index + 1..] {
                assert!(other.on_ms >= slot.on_ms);
                assert!(other.product != slot.product || other.on_ms > slot.off_ms);
            }
        }
        let (mut stream, mut at, mut turns) = (stream, start, 0);
        while at < end {
            let next = stream.turn(at);
            let slot = stream.explained(at);
            assert!(stream.slots[slot].on_ms <= at && at < stream.explained_until(slot));
            assert_eq!(stream.offer.current, stream.slots[slot].category);
            assert!(stream.offer.bag >> stream.slots[slot].category & 1 == 1);
            assert!(next > at && next <= end);
            (at, turns) = (next, turns + 1);
        }
        assert!(turns > stream.slots.len());
    }
}
