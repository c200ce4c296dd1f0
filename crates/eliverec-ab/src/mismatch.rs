//! The sample-ratio test: are users in the buckets in the shares that they should be? If not, whatever lost them may have chosen
//! by what they would have done, and no comparison means anything (Fabijan et al., "Diagnosing Sample Ratio Mismatch in Online
//! Controlled Experiments", KDD 2019).
//!
//! Shares change, and users come at any time: a user counts in the period of the first answer, in the bucket of that answer. In each
//! period the users that are in some bucket fall into the buckets in proportion to the shares, so Pearson's chi-squares of
//! the periods add up, and so do their degrees of freedom.

use serde::Serialize;
use statrs::distribution::{ChiSquared, ContinuousCDF};

use crate::shares::Shares;

/// A table is refused below this probability. Of a million sound tables a thousand are.
pub const REFUSED_BELOW: f64 = 0.001;
/// The chi-square is no good approximation below this many users expected in a bucket.
const FEWEST_EXPECTED: f64 = 5.0;

/// What the test says.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Mismatch {
    /// Users in each bucket by the first answer, over all periods, and how many there should be of those tested.
    pub buckets: Vec<Counted>,
    /// Pearson's chi-square, over the periods.
    pub chi_square: f64,
    /// Its degrees of freedom; 0 if nothing could be tested.
    pub degrees: u32,
    /// How probable a chi-square at least as large is if users fall by the shares; `None` if nothing could be tested.
    pub p: Option<f64>,
    /// Periods of other shares in which some users came first.
    pub periods: usize,
    /// Users of periods with too few of them for a test, or in buckets whose share was 0.
    pub untested: u64,
}

/// Users of a bucket.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Counted {
    /// The bucket.
    pub bucket: String,
    /// Users that were tested.
    pub users: u64,
    /// Users that the shares say.
    pub expected: f64,
}

impl Mismatch {
    /// Whether users are missing, or too many, beyond chance.
    pub fn is_found(&self) -> bool {
        self.p.is_some_and(|p| p < REFUSED_BELOW)
    }

    /// Tests `counts[period][bucket]`, users by their first answer.
    pub fn test(shares: &Shares, counts: &[Vec<u64>]) -> Self {
        let mut buckets: Vec<Counted> = shares
            .buckets
            .iter()
            .map(|name| Counted { bucket: name.clone(), users: 0, expected: 0.0 })
            .collect();
        let (mut chi_square, mut degrees, mut untested) = (0.0, 0, 0);
        let mut periods = 0;
        for (period, counts) in shares.periods.iter().zip(counts) {
            let all: u64 = counts.iter().sum();
            periods += usize::from(all > 0);
            let has_share = |i: &usize| period.shares[*i] > 0.0;
            let places: Vec<usize> = (0..counts.len()).filter(has_share).collect();
            let users: u64 = places.iter().map(|i| counts[*i]).sum();
            untested += all - users;
            let sum: f64 = places.iter().map(|i| period.shares[*i]).sum();
            let expected = |i: usize| users as f64 * period.shares[i] / sum;
            let too_few = places.iter().any(|i| expected(*i) < FEWEST_EXPECTED);
            if places.len() < 2 || too_few {
                untested += users;
                continue;
            }
            degrees += places.len() as u32 - 1;
            for i in places {
                let expected = expected(i);
                chi_square += (counts[i] as f64 - expected).powi(2) / expected;
                buckets[i].users += counts[i];
                buckets[i].expected += expected;
            }
        }
        let p = (degrees > 0).then(|| chi_square_tail(chi_square, degrees));
        Self { buckets, chi_square, degrees, p, periods, untested }
    }
}

/// The probability of a chi-square of at least `x`.
fn chi_square_tail(x: f64, degrees: u32) -> f64 {
    ChiSquared::new(f64::from(degrees)).map_or(1.0, |distribution| distribution.sf(x))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shares::Period;
    use eliverec_core::seed::{Random, numbered};

    fn shares(periods: &[&[f64]]) -> Shares {
        let period =
            |(i, shares): (usize, &&[f64])| Period { from_ms: i as i64, shares: shares.to_vec() };
        Shares {
            layer: "a".into(),
            buckets: (0..periods[0].len()).map(|i| format!("b{i}")).collect(),
            periods: periods.iter().enumerate().map(period).collect(),
        }
    }

    /// `scipy.stats.chisquare([5100, 4900, 1010], [0.45 * 11010, 0.45 * 11010, 0.1 * 11010])` and, of two periods,
    /// `scipy.stats.chi2.sf(sum, 3)`, SciPy 1.17.1.
    #[test]
    fn figures_are_those_of_scipy() {
        let one = Mismatch::test(&shares(&[&[0.45, 0.45, 0.1]]), &[vec![5100, 4900, 1010]]);
        assert!((one.chi_square - GOLDEN_ONE.0).abs() < 1e-9, "{one:?}");
        assert!((one.p.unwrap() / GOLDEN_ONE.1 - 1.0).abs() < 1e-9, "{one:?}");
        let two = Mismatch::test(
            &shares(&[&[0.45, 0.45, 0.1], &[0.5, 0.25, 0.0]]),
            &[vec![5100, 4900, 1010], vec![700, 300, 4]],
        );
        assert_eq!((two.degrees, two.untested, two.periods), (3, 4, 2));
        assert!((two.chi_square - GOLDEN_TWO.0).abs() < 1e-9, "{two:?}");
        assert!((two.p.unwrap() / GOLDEN_TWO.1 - 1.0).abs() < 1e-9, "{two:?}");
        assert!(!one.is_found());
    }

    const GOLDEN_ONE: (f64, f64) = (12.393_783_429_205_772, 0.002_035_748_499_681_604);
    const GOLDEN_TWO: (f64, f64) = (17.393_783_429_205_772, 0.000_586_446_097_826_314_9);

    #[test]
    fn a_planted_mismatch_is_found_and_chance_is_not() {
        let halves = shares(&[&[0.5, 0.5]]);
        // 2 % of one bucket's users lost, of 200,000: the probability is below 1e-5.
        let lost = Mismatch::test(&halves, &[vec![100_000, 98_000]]);
        assert!(lost.is_found(), "{lost:?}");
        let found = (0..2_000_u64).filter(|trial| {
            let mut random = Random::new(numbered(5, *trial));
            let first = (0..1_000).filter(|_| random.uniform() < 0.5).count() as u64;
            Mismatch::test(&halves, &[vec![first, 1_000 - first]]).is_found()
        });
        // Two are expected; more than nine have a probability of 5e-5.
        assert!(found.count() <= 9);
    }

    #[test]
    fn few_users_are_not_tested() {
        for counts in [vec![0, 0], vec![1, 0], vec![9, 0]] {
            let all: u64 = counts.iter().sum();
            let found = Mismatch::test(&shares(&[&[0.5, 0.5]]), &[counts]);
            assert_eq!((found.p, found.untested), (None, all));
        }
        let found = Mismatch::test(&shares(&[&[0.5, 0.5]]), &[vec![10, 0]]);
        assert!(found.p.unwrap() < 0.01);
        let alone = Mismatch::test(&shares(&[&[1.0, 0.0]]), &[vec![500, 3]]);
        assert_eq!((alone.p, alone.untested), (None, 503));
    }
}
