//! What a user likes: a short list of discrete interests in goods categories, each of one kind, in phases, drifting.
//!
//! Shared interests act in both domains, the others in one only (the paper's Fig. 2). Nothing here is a vector.

use eliverec_core::seed::Random;
use serde::{Deserialize, Serialize};

use crate::catalog::{Catalog, TIERS, department, department_weight};
use crate::config::parameter::{
    INTEREST_REPLACED, INTEREST_SLEEPS, INTEREST_WAKES, INTERESTS, MATCH_DEPARTMENT, MATCH_IN_BAG,
    STYLES,
};

/// Where an interest acts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InterestKind {
    /// In both domains.
    Shared,
    /// Among products only.
    ProductOnly,
    /// Among live channels only.
    LiveOnly,
}

impl InterestKind {
    const ALL: [Self; 3] = [Self::Shared, Self::ProductOnly, Self::LiveOnly];

    pub(crate) fn acts_live(self) -> bool {
        self != Self::ProductOnly
    }

    pub(crate) fn acts_among_products(self) -> bool {
        self != Self::LiveOnly
    }
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Interest {
    pub(crate) category: u8,
    pub(crate) kind: InterestKind,
    /// 0 weak, 1, 2 strong.
    pub(crate) level: u8,
    pub(crate) active: bool,
}

/// What a channel offers at one moment, as far as categories go.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Offer {
    /// Category of the product that is being explained.
    pub(crate) current: u8,
    /// Categories of the goods bag, one bit each.
    pub(crate) bag: u64,
}

#[derive(Clone, Debug)]
pub(crate) struct Taste {
    /// Of distinct categories.
    pub(crate) interests: Vec<Interest>,
    /// Price tier that the user buys in.
    pub(crate) tier: u8,
    pub(crate) brands: [u16; 2],
    /// Per style of anchors: 0 disliked, 1 indifferent, 2 liked.
    pub(crate) styles: [u8; STYLES],
    pub(crate) openness: u8,
}

impl Taste {
    pub(crate) fn new(gender: u8, age: u8, catalog: &Catalog, random: &mut Random) -> Self {
        let mut taste = Self {
            interests: Vec::new(),
            tier: random.below(TIERS) as u8,
            brands: [0; 2],
            styles: std::array::from_fn(|_| random.below(3) as u8),
            openness: random.below(3) as u8,
        };
        for (kind, (fewest, most)) in InterestKind::ALL.into_iter().zip(INTERESTS) {
            for _ in 0..fewest + random.below(most - fewest + 1) {
                let category = taste.new_category(kind, gender, age, catalog, random);
                let active = random.uniform() < INTEREST_WAKES / (INTEREST_WAKES + INTEREST_SLEEPS);
                let level = random.below(3) as u8;
                taste.interests.push(Interest { category, kind, level, active });
            }
        }
        let home = taste.interests.first().map_or(0, |interest| interest.category);
        taste.brands = std::array::from_fn(|_| {
            let product = catalog.product_of(home, random);
            catalog.product(product).brand
        });
        taste
    }

    /// A category without an interest yet: popular ones more often, those that the user's group buys, and for live-only
    /// interests those that gain from being shown.
    fn new_category(
        &self,
        kind: InterestKind,
        gender: u8,
        age: u8,
        catalog: &Catalog,
        random: &mut Random,
    ) -> u8 {
        loop {
            let category = catalog.category(random);
            if self.interests.iter().any(|interest| interest.category == category) {
                continue;
            }
            let display = f64::from(catalog.display(category));
            let fits = match kind {
                InterestKind::Shared => 1.0,
                InterestKind::ProductOnly => (3.0 - display) / 3.0,
                InterestKind::LiveOnly => (1.0 + display) / 3.0,
            };
            let group = department_weight(gender, age, department(category)) / 4.0;
            if random.uniform() < fits * group {
                return category;
            }
        }
    }

    /// One day passes: phases begin and end, some interests give way to others of their kind.
    pub(crate) fn drift(&mut self, gender: u8, age: u8, catalog: &Catalog, random: &mut Random) {
        for index in 0..self.interests.len() {
            let interest = &mut self.interests[index];
            let flips = if interest.active { INTEREST_SLEEPS } else { INTEREST_WAKES };
            interest.active ^= random.uniform() < flips;
            if random.uniform() < INTEREST_REPLACED {
                let kind = interest.kind;
                let category = self.new_category(kind, gender, age, catalog, random);
                let level = random.below(3) as u8;
                self.interests[index] = Interest { category, kind, level, active: true };
            }
        }
    }

    /// The interest in a category, if it acts where `acts` says.
    pub(crate) fn interest(
        &self,
        category: u8,
        acts: fn(InterestKind) -> bool,
    ) -> Option<&Interest> {
        self.interests.iter().find(|i| i.category == category && acts(i.kind))
    }
}

/// How far an offer meets an interest: 1 if it is being explained, less in the bag or next to it.
pub(crate) fn meets(interest: Interest, offer: Offer) -> f64 {
    if interest.category == offer.current {
        1.0
    } else if offer.bag >> interest.category & 1 == 1 {
        MATCH_IN_BAG
    } else if department(interest.category) == department(offer.current) {
        MATCH_DEPARTMENT
    } else {
        0.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interests_keep_their_kinds_and_distinct_categories_as_they_drift() {
        let catalog = Catalog::new(40, 1);
        let mut random = Random::new(5);
        let mut taste = Taste::new(0, 3, &catalog, &mut random);
        let kinds: Vec<_> = taste.interests.iter().map(|i| i.kind).collect();
        let before: Vec<_> = taste.interests.iter().map(|i| i.category).collect();
        for _ in 0..200 {
            taste.drift(0, 3, &catalog, &mut random);
            let mut categories: Vec<_> = taste.interests.iter().map(|i| i.category).collect();
            categories.sort_unstable();
            categories.dedup();
            assert_eq!(categories.len(), taste.interests.len());
        }
        assert_eq!(kinds, taste.interests.iter().map(|i| i.kind).collect::<Vec<_>>());
        assert_ne!(before, taste.interests.iter().map(|i| i.category).collect::<Vec<_>>());
    }

    #[test]
    fn what_is_explained_counts_more_than_the_bag_and_the_department() {
        let interest = Interest { category: 7, kind: InterestKind::Shared, level: 2, active: true };
        let degrees = [
            Offer { current: 7, bag: 0 },
            Offer { current: 30, bag: 1 << 7 },
            Offer { current: 8, bag: 0 },
            Offer { current: 30, bag: 1 << 8 },
        ]
        .map(|offer| meets(interest, offer));
        assert!(degrees.windows(2).all(|pair| pair[0] > pair[1]), "{degrees:?}");
        assert_eq!(degrees[3], 0.0);
    }
}
