//! The goods bag: which products are on sale in a channel.
//!
//! The last switch of a product by event time decides, so switches may arrive in any order; "off" is kept like "on",
//! or a late "on" would undo it. The products switched last (500 by default) are kept. A product's last switch only
//! gets newer, so one that was dropped has that many newer ones before it for ever: what is kept is a function of the set
//! of events. The end of a stream does not empty the bag; the log says what is taken off.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::error::Error;
use crate::moment::Moment;

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Switch {
    moment: Moment,
    product_id: u64,
    on: bool,
}

/// The last switch of each product of one channel.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Bag {
    /// In the order of moments, newest last.
    switches: Vec<Switch>,
    /// How many of them are on.
    on_sale: usize,
}

impl Bag {
    /// Switches a product on or off; keeps at most `limit` products.
    pub fn switch(&mut self, moment: Moment, product_id: u64, on: bool, limit: usize) {
        self.put(Switch { moment, product_id, on }, limit);
    }

    fn put(&mut self, switch: Switch, limit: usize) {
        if let Some(known) = self.switches.iter().rposition(|s| s.product_id == switch.product_id) {
            if self.switches[known].moment >= switch.moment {
                return;
            }
            self.remove(known);
        }
        let place = self.switches.partition_point(|other| other.moment < switch.moment);
        self.switches.insert(place, switch);
        self.on_sale += usize::from(switch.on);
        if self.switches.len() > limit {
            self.remove(0);
        }
    }

    fn remove(&mut self, place: usize) {
        self.on_sale -= usize::from(self.switches.remove(place).on);
    }

    /// The products on sale, the one put on sale last at the end.
    pub fn on_sale(&self) -> impl DoubleEndedIterator<Item = u64> {
        self.switches.iter().filter(|switch| switch.on).map(|switch| switch.product_id)
    }

    /// The product put on sale last and not taken off since: what the anchor is showing.
    pub fn current(&self) -> Option<u64> {
        self.on_sale().next_back()
    }

    /// The last switch, on or off.
    pub fn newest(&self) -> Option<Moment> {
        self.switches.last().map(|switch| switch.moment)
    }

    /// Number of products on sale.
    pub const fn len(&self) -> usize {
        self.on_sale
    }

    /// Whether nothing is on sale.
    pub const fn is_empty(&self) -> bool {
        self.on_sale == 0
    }

    /// Takes in the switches of other events of the same channel.
    pub fn merge(&mut self, other: Self, limit: usize) {
        other.switches.into_iter().for_each(|switch| self.put(switch, limit));
    }

    /// Bytes on the heap.
    pub const fn heap_bytes(&self) -> usize {
        self.switches.capacity() * size_of::<Switch>()
    }

    /// The most that `heap_bytes` can be: one more than the limit while one is added, and vectors double.
    pub(crate) fn heap_bytes_bound(limit: usize) -> usize {
        (limit + 1).max(4).next_power_of_two() * size_of::<Switch>()
    }
}

impl Serialize for Bag {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.switches.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Bag {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let switches = Vec::<Switch>::deserialize(deserializer)?;
        match switches.windows(2).find(|pair| pair[0].moment >= pair[1].moment) {
            None => {
                let on_sale = switches.iter().filter(|switch| switch.on).count();
                Ok(Self { switches, on_sale })
            }
            Some(pair) => {
                let reason = format!("switch {} of a bag is out of order", pair[1].moment.event_id);
                Err(serde::de::Error::custom(Error::Damaged { reason }))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_late_on_does_not_undo_an_off() {
        let mut bag = Bag::default();
        let moment = |ts_ms| Moment { ts_ms, event_id: 1 };
        bag.switch(moment(20), 7, false, 500);
        bag.switch(moment(10), 7, true, 500);
        assert!(bag.is_empty());
        bag.switch(moment(30), 8, true, 500);
        bag.switch(moment(25), 9, true, 500);
        assert_eq!((bag.len(), bag.current()), (2, Some(8)));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn the_last_switches_of_the_last_products(
            switches in prop::collection::vec((0_i64..30, 0_u64..9, any::<bool>()), 0..50),
            limit in 0_usize..7,
            cut in 0_usize..50,
        ) {
            let switches: Vec<Switch> = switches.into_iter().enumerate().map(|(i, (ts_ms, product_id, on))| {
                Switch { moment: Moment { ts_ms, event_id: i as u64 }, product_id, on }
            }).collect();
            let built = |part: &[Switch]| {
                let mut bag = Bag::default();
                part.iter().for_each(|s| bag.switch(s.moment, s.product_id, s.on, limit));
                bag
            };
            let cut = cut.min(switches.len());
            let (whole, mut merged) = (built(&switches), built(&switches[..cut]));
            merged.merge(built(&switches[cut..]), limit);
            prop_assert_eq!(&merged, &whole);

            let mut last: Vec<Switch> = (0..9).filter_map(|product| {
                let of_product = switches.iter().filter(|s| s.product_id == product);
                of_product.max_by_key(|s| s.moment).copied()
            }).collect();
            last.sort_unstable_by_key(|s| s.moment);
            let kept = last.split_off(last.len().saturating_sub(limit));
            prop_assert_eq!(&whole.switches, &kept);
            prop_assert_eq!(whole.len(), whole.on_sale().count());
            prop_assert!(whole.heap_bytes() <= Bag::heap_bytes_bound(limit));
            let saved = serde_json::to_string(&whole).unwrap();
            prop_assert_eq!(serde_json::from_str::<Bag>(&saved).unwrap(), whole);
        }
    }
}
