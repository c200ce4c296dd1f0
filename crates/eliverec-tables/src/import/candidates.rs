//! Candidate lists for sets that hold positives only: sampled negatives in a random order, fixed by the seed.

use eliverec_core::seed::{Random, numbered, stream};

/// Negatives per positive: lists of 8, about the paper's 7.7 channels per feed.
pub(super) const NEGATIVES: usize = 7;

/// Pools up to this size are filtered as a whole; in larger ones a draw rarely has to be repeated.
const SMALL_POOL: usize = 256;

/// Draws the lists of a run; each depends only on the seed, the request and what it may hold.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sampler(u64);

impl Sampler {
    pub(super) fn new(seed: u64) -> Self {
        Self(stream(seed, "import/candidates"))
    }

    /// The positive and up to [`NEGATIVES`] distinct others, uniform over those of `pool` that are `allowed`, shuffled.
    ///
    /// `pool` holds distinct ids; the list is shorter only where it has too few that are allowed.
    pub(super) fn list(
        self,
        request_id: u64,
        positive: u64,
        pool: &[u64],
        allowed: impl Fn(u64) -> bool,
    ) -> Vec<u64> {
        let mut random = Random::new(numbered(self.0, request_id));
        let allowed = |id: u64| id != positive && allowed(id);
        let mut list = vec![positive];
        // A pool with hardly anything allowed in it ends the draws; then it is filtered like a small one.
        let draws = if pool.len() > SMALL_POOL { 64 * NEGATIVES } else { 0 };
        for _ in 0..draws {
            let id = pool[random.below(pool.len())];
            if allowed(id) && !list.contains(&id) {
                list.push(id);
            }
            if list.len() > NEGATIVES {
                break;
            }
        }
        if list.len() <= NEGATIVES {
            let mut rest: Vec<u64> =
                pool.iter().copied().filter(|id| allowed(*id) && !list.contains(id)).collect();
            random.shuffle(&mut rest);
            list.extend(rest.into_iter().take(NEGATIVES + 1 - list.len()));
        }
        random.shuffle(&mut list);
        list
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn lists_hold_the_positive_and_distinct_allowed_others(
            seed: u64,
            pool_size in 1..600_u64,
            modulus in 1..200_u64,
        ) {
            let pool: Vec<u64> = (0..pool_size).collect();
            let allowed = |id: u64| id.is_multiple_of(modulus);
            let list = Sampler::new(seed).list(9, 3, &pool, allowed);
            let distinct: BTreeSet<u64> = list.iter().copied().collect();
            prop_assert_eq!(distinct.len(), list.len());
            prop_assert!(list.contains(&3));
            prop_assert!(list.iter().all(|id| *id == 3 || allowed(*id)));
            let possible = pool.iter().filter(|id| **id != 3 && allowed(**id)).count();
            prop_assert_eq!(list.len(), 1 + possible.min(NEGATIVES));
            prop_assert_eq!(&list, &Sampler::new(seed).list(9, 3, &pool, allowed));
        }
    }

    #[test]
    fn draws_and_places_are_uniform() {
        for pool_size in [20_u64, 400] {
            let pool: Vec<u64> = (0..pool_size).collect();
            let (mut drawn, mut places) = (vec![0; pool.len()], [0; NEGATIVES + 1]);
            let requests = 20_000;
            for request in 0..requests {
                let list = Sampler::new(5).list(request, 0, &pool, |_| true);
                list.iter().for_each(|id| drawn[*id as usize] += 1);
                places[list.iter().position(|id| *id == 0).unwrap()] += 1;
            }
            let expected = (requests as usize * NEGATIVES) as f64 / (pool_size - 1) as f64;
            let spread = 6.0 * expected.sqrt();
            assert!(drawn[1..].iter().all(|n| (f64::from(*n) - expected).abs() < spread));
            assert!(places.iter().all(|n| (f64::from(*n) - 2500.0).abs() < 300.0), "{places:?}");
        }
    }
}
