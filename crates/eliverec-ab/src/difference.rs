//! Two buckets compared in one metric: the relative difference, an interval for a look that was planned, and one for looks at any time.
//!
//! The second is the normal mixture of Robbins in the form of an asymptotic confidence sequence (Waudby-Smith, Arbour, Sinha,
//! Kennedy and Ramdas, "Time-uniform central limit theory and asymptotic confidence sequences", Annals of Statistics 2024,
//! theorem 2.2), which is the mixture sequential ratio test of Johari et al. ("Peeking at A/B Tests", KDD 2017) turned around.
//! With the standard error s of the difference and the mixture's deviation t it holds at all looks together:
//!
//! |d| <= s sqrt((1 + s^2 / t^2) (ln(1 + t^2 / s^2) + 2 ln(1 / alpha)))
//!
//! Time counts as the information 1 / s^2, so it does not matter whether it comes from new users or from more of the same ones.

use eliverec_metrics::student::two_sided;
use serde::Serialize;
use statrs::distribution::{ContinuousCDF, StudentsT};

use crate::ratio::Estimate;

/// An interval misses the true difference with at most this probability.
pub const MISS: f64 = 0.05;
/// The mixture's deviation t: relative differences are expected to be of this size. Chosen once, for all experiments: a choice
/// after a look would make the interval invalid. It is tightest where the standard error is about a third of it; an experiment whose
/// standard error is larger than it says little at any time.
pub const EXPECTED_DIFFERENCE: f64 = 0.1;

/// A bucket's metric relative to the control's.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Difference {
    /// Treatment / control - 1.
    pub relative: f64,
    /// Of that, by the delta method.
    pub standard_error: f64,
    /// Of Student's t (Welch and Satterthwaite).
    pub degrees: f64,
    /// 95 % interval, for one look that was planned.
    pub interval: (f64, f64),
    /// How probable such a difference is if there is none; for one look that was planned.
    pub p: f64,
    /// 95 % interval that holds at all looks together.
    pub always_interval: (f64, f64),
    /// The least level at which the interval at all looks leaves 0 out.
    pub always_p: f64,
}

impl Difference {
    /// Compares two buckets; `None` where the control's value is 0 or a variance is not known.
    pub fn of(treatment: &Estimate, control: &Estimate) -> Option<Self> {
        if control.value <= 0.0 {
            return None;
        }
        let ratio = treatment.value / control.value;
        // var(a / b) = var(a) / b^2 + a^2 var(b) / b^4
        let of_treatment = treatment.variance? / control.value.powi(2);
        let of_control = ratio.powi(2) * control.variance? / control.value.powi(2);
        let variance = of_treatment + of_control;
        let relative = ratio - 1.0;
        let standard_error = variance.sqrt();
        let parts = of_treatment.powi(2) / (treatment.users - 1) as f64
            + of_control.powi(2) / (control.users - 1) as f64;
        if parts <= 0.0 {
            // Every user is alike, in both buckets: nothing says how far others would be apart.
            return None;
        }
        let degrees = variance.powi(2) / parts;
        let half = two_sided(MISS, degrees) * standard_error;
        let always = always_half(standard_error, MISS);
        Some(Self {
            relative,
            standard_error,
            degrees,
            interval: (relative - half, relative + half),
            p: two_sided_p(relative / standard_error, degrees),
            always_interval: (relative - always, relative + always),
            always_p: always_p(relative, standard_error),
        })
    }
}

/// The probability of |T| of at least `t` with `degrees` of freedom.
fn two_sided_p(t: f64, degrees: f64) -> f64 {
    StudentsT::new(0.0, 1.0, degrees).map_or(1.0, |distribution| 2.0 * distribution.sf(t.abs()))
}

/// Half the interval at all looks for a standard error, which misses with probability `miss`.
pub fn always_half(standard_error: f64, miss: f64) -> f64 {
    let information = (EXPECTED_DIFFERENCE / standard_error).powi(2);
    let term = information.ln_1p() - 2.0 * miss.ln();
    standard_error * ((1.0 + 1.0 / information) * term).sqrt()
}

/// The `miss` at which the interval at all looks ends at 0.
fn always_p(relative: f64, standard_error: f64) -> f64 {
    let information = (EXPECTED_DIFFERENCE / standard_error).powi(2);
    let square = (relative / standard_error).powi(2) / (1.0 + 1.0 / information);
    (0.5 * (information.ln_1p() - square)).exp().min(1.0)
}

/// Holm's correction: p-values such that those below a level are significant with all of `p` together (Holm, "A Simple
/// Sequentially Rejective Multiple Test Procedure", 1979). In the order of `p`.
pub fn holm(p: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p.len()).collect();
    order.sort_by(|a, b| p[*a].total_cmp(&p[*b]));
    let mut adjusted = vec![1.0; p.len()];
    let mut least = 0.0_f64;
    for (rank, place) in order.into_iter().enumerate() {
        least = least.max(((p.len() - rank) as f64 * p[place]).min(1.0));
        adjusted[place] = least;
    }
    adjusted
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ratio::estimates;
    use crate::ratio::tests::users;
    use eliverec_core::seed::{Random, numbered};
    use proptest::prelude::*;

    fn estimate(users: u64, value: f64, variance: f64) -> Estimate {
        Estimate { users, value, variance: Some(variance) }
    }

    /// SciPy 1.17.1: `scipy.stats.t.sf` and `t.ppf` at Welch's degrees, the mixture by its formula in NumPy.
    #[test]
    fn figures_are_those_of_scipy() {
        let found = Difference::of(&estimate(40, 0.055, 4e-6), &estimate(60, 0.05, 3e-6)).unwrap();
        for (name, value, expected) in [
            ("relative", found.relative, 0.1),
            ("standard error", found.standard_error, GOLDEN[0]),
            ("degrees", found.degrees, GOLDEN[1]),
            ("low", found.interval.0, GOLDEN[2]),
            ("p", found.p, GOLDEN[3]),
            ("always low", found.always_interval.0, GOLDEN[4]),
        ] {
            assert!((value / expected - 1.0).abs() < 1e-8, "{name}: {value} {expected}");
        }
        // The level at which an interval ends at its own half.
        let at_zero = always_p(always_half(0.02, 0.03), 0.02);
        assert!((at_zero - 0.03).abs() < 1e-12, "{at_zero}");
    }

    const GOLDEN: [f64; 5] = [
        0.055_244_909_267_732_53,
        91.883_647_434_860_21,
        -0.009_723_009_635_819_901,
        0.073_545_924_650_436_79,
        -0.072_207_371_630_373_72,
    ];

    #[test]
    fn nothing_is_said_of_what_cannot_be_compared() {
        let good = estimate(10, 0.1, 1e-4);
        assert_eq!(Difference::of(&good, &estimate(10, 0.0, 0.0)), None);
        assert_eq!(Difference::of(&Estimate { variance: None, ..good }, &good), None);
        assert_eq!(Difference::of(&estimate(10, 0.1, 0.0), &estimate(10, 0.1, 0.0)), None);
    }

    /// `statsmodels` gives the same for this list; it is Holm's own definition.
    #[test]
    fn holm_multiplies_by_what_is_left() {
        let found = holm(&[0.01, 0.04, 0.03, 0.005]);
        let expected = [0.03, 0.06, 0.06, 0.02];
        assert!(found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-12), "{found:?}");
        assert_eq!(holm(&[]), Vec::<f64>::new());
        assert_eq!(holm(&[0.9, 0.8]), [1.0, 1.0]);
    }

    proptest! {
        /// Step down, by the definition: in the order of p, stop at the first that is not below alpha / left.
        #[test]
        fn holm_rejects_what_its_definition_does(p in prop::collection::vec(0.0_f64..0.2, 0..12), alpha in 0.01_f64..0.2) {
            let mut order: Vec<usize> = (0..p.len()).collect();
            order.sort_by(|a, b| p[*a].total_cmp(&p[*b]));
            let adjusted = holm(&p);
            let mut stopped = false;
            for (rank, place) in order.into_iter().enumerate() {
                stopped |= p[place] > alpha / (p.len() - rank) as f64;
                prop_assert_eq!(adjusted[place] <= alpha * (1.0 + 1e-12), !stopped);
            }
        }
    }

    /// Splits of one set of users into halves that do not differ: how often some difference is found, at the planned end and at
    /// any of ten looks. Bounds: the binomial's own interval at three deviations; the sequential level is an upper bound.
    #[test]
    fn splits_that_do_not_differ_are_told_apart_no_more_often_than_said() {
        const SPLITS: usize = 400;
        const LOOKS: usize = 10;
        let all = users(4_000, 0.0, &mut Random::new(3));
        let (mut fixed, mut always, mut peeking) = (0, 0, 0);
        for split in 0..SPLITS {
            let mut random = Random::new(numbered(17, split as u64));
            let halves = [vec![], vec![]];
            let mut halves = all.iter().fold(halves, |mut halves, part| {
                halves[random.below(2)].push(*part);
                halves
            });
            halves.iter_mut().for_each(|half| random.shuffle(half));
            let mut found = (false, false, false);
            for look in 1..=LOOKS {
                let seen = |half: &Vec<_>| half[..half.len() * look / LOOKS].to_vec();
                let both = estimates(&[seen(&halves[0]), seen(&halves[1])]);
                let difference = Difference::of(&both[1].unwrap(), &both[0].unwrap()).unwrap();
                found.0 = difference.p < MISS;
                found.1 |= difference.always_p < MISS;
                found.2 |= difference.p < MISS;
            }
            fixed += usize::from(found.0);
            always += usize::from(found.1);
            peeking += usize::from(found.2);
        }
        let share = |found: usize| found as f64 / SPLITS as f64;
        let bound = 3.0 * (MISS * (1.0 - MISS) / SPLITS as f64).sqrt();
        assert!((share(fixed) - MISS).abs() <= bound, "{}", share(fixed));
        assert!(share(always) <= MISS + bound, "{}", share(always));
        // What the second interval is for.
        assert!(share(peeking) > MISS + bound, "{}", share(peeking));
    }
}
