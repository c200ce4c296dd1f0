//! How exposure is spread over channels: the Gini coefficient, the curve it is of, and how many channels a bucket of another
//! size would have shown.

use serde::Serialize;
use statrs::function::gamma::ln_gamma;

/// Points of a curve between its ends.
const POINTS: usize = 50;

/// How the impressions of a bucket are spread.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Spread {
    /// 0: every channel has as many; 1: one has all. `None` without impressions.
    pub gini: Option<f64>,
    /// Points (share of channels, the least shown first; their share of the impressions), from (0, 0) to (1, 1): Lorenz's curve.
    pub curve: Vec<(f64, f64)>,
}

impl Spread {
    /// Of the impressions of each channel, channels without any among them.
    pub fn of(mut counts: Vec<u64>) -> Self {
        counts.sort_unstable();
        let all: u64 = counts.iter().sum();
        if all == 0 {
            return Self { gini: None, curve: Vec::new() };
        }
        let n = counts.len();
        // G = sum (2 i - n - 1) x_i / (n sum x), i from 1 in the order of x
        let weighted = |(i, x): (usize, &u64)| (2.0 * (i + 1) as f64 - n as f64 - 1.0) * *x as f64;
        let gini = counts.iter().enumerate().map(weighted).sum::<f64>() / (n as f64 * all as f64);
        let mut sums = Vec::with_capacity(n + 1);
        sums.push(0_u64);
        counts.iter().for_each(|x| sums.push(sums[sums.len() - 1] + x));
        let steps = POINTS.min(n);
        let point = |step: usize| {
            let place = step * n / steps;
            (place as f64 / n as f64, sums[place] as f64 / all as f64)
        };
        Self { gini: Some(gini), curve: (0..=steps).map(point).collect() }
    }
}

/// How many of the channels with `counts` impressions are among `drawn` of `all` impressions, drawn without replacement: the
/// expectation (Hurlbert, "The Nonconcept of Species Diversity", 1971). Makes buckets of different sizes comparable.
pub fn rarefied(counts: impl Iterator<Item = u64>, all: u64, drawn: u64) -> f64 {
    // ln of all! / (all - drawn)!, and the same without a channel's impressions.
    let ways = |n: u64| ln_gamma(n as f64 + 1.0) - ln_gamma((n - drawn) as f64 + 1.0);
    let whole =
        if drawn <= all { ways(all) } else { return counts.filter(|x| *x > 0).count() as f64 };
    counts
        .filter(|x| *x > 0)
        .map(|x| if all - x < drawn { 1.0 } else { 1.0 - (ways(all - x) - whole).exp() })
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use eliverec_core::seed::Random;
    use proptest::prelude::*;

    proptest! {
        /// Half the mean absolute difference of all pairs, over the mean.
        #[test]
        fn gini_is_its_definition(counts in prop::collection::vec(0_u64..50, 1..40)) {
            let n = counts.len() as f64;
            let mean = counts.iter().sum::<u64>() as f64 / n;
            let pairs = counts.iter().flat_map(|a| counts.iter().map(move |b| a.abs_diff(*b) as f64)).sum::<f64>();
            let found = Spread::of(counts);
            match found.gini {
                None => prop_assert_eq!(mean, 0.0),
                Some(gini) => {
                    prop_assert!((gini - pairs / (2.0 * n * n * mean)).abs() < 1e-12);
                    // 1 less twice the area below the curve; exact where every channel is a point.
                    let area = found.curve.windows(2).map(|p| (p[1].0 - p[0].0) * (p[0].1 + p[1].1) / 2.0).sum::<f64>();
                    prop_assert!((gini - (1.0 - 2.0 * area)).abs() < 1e-9);
                    prop_assert_eq!((found.curve[0], *found.curve.last().unwrap()), ((0.0, 0.0), (1.0, 1.0)));
                }
            }
        }
    }

    #[test]
    fn a_rarefied_number_is_the_mean_of_draws() {
        let counts = [40_u64, 30, 20, 5, 3, 1, 1, 0];
        let channels: Vec<usize> =
            counts.iter().enumerate().flat_map(|(i, x)| vec![i; *x as usize]).collect();
        let mut random = Random::new(5);
        for drawn in [1_u64, 10, 60, 100] {
            const TRIALS: usize = 4_000;
            let mut sum = 0;
            for _ in 0..TRIALS {
                let mut order = channels.clone();
                random.shuffle(&mut order);
                let mut seen = order[..drawn as usize].to_vec();
                seen.sort_unstable();
                seen.dedup();
                sum += seen.len();
            }
            let found = rarefied(counts.into_iter(), 100, drawn);
            assert!((found - sum as f64 / TRIALS as f64).abs() < 0.06, "{drawn}: {found}");
        }
        assert_eq!(rarefied(counts.into_iter(), 100, 101), 7.0);
    }
}
