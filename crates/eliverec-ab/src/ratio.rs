//! A metric of a bucket: the ratio of two sums over its users, with users as the unit.
//!
//! Impressions of one user depend on each other, so the variance of a click-through rate is not that of its impressions. The
//! delta method takes the users' sums x and y instead (Deng, Knoblich and Lu, "Applying the Delta Method in Metric
//! Analytics", KDD 2018): R = sum x / sum y, and each user moves R by z / n with z = (x - R y) / mean(y).
//!
//! CUPED (Deng et al., "Improving the Sensitivity of Online Controlled Experiments by Utilizing Pre-Experiment Data", WSDM
//! 2013, appendix B for ratios) takes off what the same users' ratio before the experiment foretells: R - theta mean(w), w as z
//! of the days before over all buckets together, theta = cov(z, w) / var(w) within buckets.

/// A user's part in a metric.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Part {
    /// Added to the numerator.
    pub numerator: f64,
    /// Added to the denominator.
    pub denominator: f64,
    /// The same of the days before the experiment.
    pub before: (f64, f64),
}

/// A metric of a bucket.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimate {
    /// Users of the bucket.
    pub users: u64,
    /// The ratio; as if all buckets had been alike before, with CUPED.
    pub value: f64,
    /// Variance of the value over the choice of users; `None` of fewer than two users.
    pub variance: Option<f64>,
}

/// The metric of each bucket; `None` where the denominator is 0.
pub fn estimates(buckets: &[Vec<Part>]) -> Vec<Option<Estimate>> {
    let values = buckets.iter().map(|parts| {
        let ratio = Line::of(parts, |part| (part.numerator, part.denominator))?;
        let squares =
            parts.iter().map(|part| ratio.moves(part.numerator, part.denominator).powi(2));
        Some(estimate(parts.len(), ratio.value, squares.sum()))
    });
    values.collect()
}

/// The same with CUPED, and the share of variance that it takes off; as [`estimates`] where nothing is known of the days before.
pub fn adjusted(buckets: &[Vec<Part>]) -> (Vec<Option<Estimate>>, f64) {
    let all: Vec<Part> = buckets.iter().flatten().copied().collect();
    let Some(before) = Line::of(&all, |part| part.before) else { return (estimates(buckets), 0.0) };
    let of_bucket = |parts: &Vec<Part>| {
        let ratio = Line::of(parts, |part| (part.numerator, part.denominator))?;
        let moves = parts.iter().map(|part| {
            let before = before.moves(part.before.0, part.before.1);
            (ratio.moves(part.numerator, part.denominator), before)
        });
        let moves: Vec<(f64, f64)> = moves.collect();
        let mean = moves.iter().map(|(_, w)| w).sum::<f64>() / moves.len() as f64;
        Some(Moved { value: ratio.value, moves, mean })
    };
    let moved: Vec<Option<Moved>> = buckets.iter().map(of_bucket).collect();
    let (mut cross, mut square, mut total) = (0.0, 0.0, 0.0);
    for Moved { moves, mean, .. } in moved.iter().flatten() {
        for (z, w) in moves {
            cross += z * (w - mean);
            square += (w - mean).powi(2);
            total += z * z;
        }
    }
    if square <= 0.0 || total <= 0.0 {
        return (estimates(buckets), 0.0);
    }
    let theta = cross / square;
    let estimates = moved.iter().map(|bucket| {
        let Moved { value, moves, mean } = bucket.as_ref()?;
        let squares = moves.iter().map(|(z, w)| (z - theta * (w - mean)).powi(2)).sum();
        Some(estimate(moves.len(), value - theta * mean, squares))
    });
    (estimates.collect(), cross * cross / (square * total))
}

/// A bucket's ratio, z and w of each of its users, and the mean of w.
struct Moved {
    value: f64,
    moves: Vec<(f64, f64)>,
    mean: f64,
}

fn estimate(users: usize, value: f64, squares: f64) -> Estimate {
    let n = users as f64;
    let variance = (users > 1).then(|| squares / (n * (n - 1.0)));
    Estimate { users: users as u64, value, variance }
}

/// A ratio and how each user moves it.
struct Line {
    value: f64,
    mean_denominator: f64,
}

impl Line {
    fn of(parts: &[Part], sums: impl Fn(&Part) -> (f64, f64)) -> Option<Self> {
        let (x, y) = parts.iter().map(sums).fold((0.0, 0.0), |(a, b), (x, y)| (a + x, b + y));
        (y > 0.0).then(|| Self { value: x / y, mean_denominator: y / parts.len() as f64 })
    }

    fn moves(&self, x: f64, y: f64) -> f64 {
        (x - self.value * y) / self.mean_denominator
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use eliverec_core::seed::{Random, numbered};
    use proptest::prelude::*;

    /// Users of different activity and taste, whose taste shows before the experiment, too. `lift` is how much more they watch.
    pub(crate) fn users(count: usize, lift: f64, random: &mut Random) -> Vec<Part> {
        let user = |_| {
            let shown = 1 + random.below(20);
            let taste = (0.02 + 0.2 * random.uniform() * random.uniform()) * (1.0 + lift);
            let mut watched = |taste: f64| (0..shown).filter(|_| random.uniform() < taste).count();
            let before = watched(taste / (1.0 + lift));
            Part {
                numerator: watched(taste) as f64,
                denominator: shown as f64,
                before: (before as f64, shown as f64),
            }
        };
        (0..count).map(user).collect()
    }

    /// NumPy 2.4.6: `x, y = np.array([[3, 10], [0, 4], [5, 9], [1, 1], [2, 20.]]).T; R = x.sum() / y.sum();`
    /// `z = (x - R * y) / y.mean(); (R, z.var(ddof=1) / 5)`.
    #[test]
    fn figures_are_those_of_numpy() {
        let sums = [(3.0, 10.0), (0.0, 4.0), (5.0, 9.0), (1.0, 1.0), (2.0, 20.0)];
        let parts =
            sums.map(|(numerator, denominator)| Part { numerator, denominator, ..Part::default() });
        let found = estimates(&[parts.to_vec()])[0].unwrap();
        assert!((found.value - GOLDEN.0).abs() < 1e-15, "{found:?}");
        assert!((found.variance.unwrap() / GOLDEN.1 - 1.0).abs() < 1e-12, "{found:?}");
    }

    const GOLDEN: (f64, f64) = (0.25, 0.011_864_023_760_330_578);

    #[test]
    fn nobody_and_one_user() {
        assert_eq!(estimates(&[vec![]]), [None]);
        let one = Part { numerator: 1.0, denominator: 4.0, ..Part::default() };
        let found = estimates(&[vec![one], vec![Part::default(); 3]]);
        assert_eq!(found, [Some(Estimate { users: 1, value: 0.25, variance: None }), None]);
        assert_eq!(adjusted(&[vec![one], vec![]]).0, [found[0], None]);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(12))]
        /// The variance is that of users drawn with replacement.
        #[test]
        fn the_delta_method_agrees_with_the_bootstrap(count in 200_usize..600, seed in any::<u64>()) {
            let parts = users(count, 0.0, &mut Random::new(seed));
            let found = estimates(std::slice::from_ref(&parts))[0].unwrap();
            let drawn: Vec<f64> = (0..800_u64).map(|draw| {
                let mut random = Random::new(numbered(seed, draw + 1));
                let (x, y) = (0..count).map(|_| parts[random.below(count)])
                    .fold((0.0, 0.0), |(x, y), part| (x + part.numerator, y + part.denominator));
                x / y
            }).collect();
            let (_, deviation) = eliverec_metrics::table::mean_and_deviation(&drawn);
            // The bootstrap's own deviation is 1 / sqrt(1600) of its figure.
            prop_assert!((deviation / found.variance.unwrap().sqrt() - 1.0).abs() < 0.15, "{} {:?}", deviation, found);
        }

        #[test]
        fn adjusting_changes_nothing_without_days_before(count in 2_usize..50, seed in any::<u64>()) {
            let mut parts = users(count, 0.0, &mut Random::new(seed));
            parts.iter_mut().for_each(|part| part.before = (0.0, 0.0));
            let buckets = [parts.clone(), parts];
            prop_assert_eq!(adjusted(&buckets), (estimates(&buckets), 0.0));
        }
    }

    /// Over many splits of users into halves the adjusted differences spread less, as their variance says, around the same mean.
    #[test]
    fn adjusted_estimates_spread_as_they_say() {
        const SPLITS: usize = 300;
        let mut random = Random::new(11);
        let all = users(3_000, 0.0, &mut random);
        let (mut plain, mut cuped, mut said, mut share) = (vec![], vec![], 0.0, 0.0);
        for _ in 0..SPLITS {
            let mut halves = [vec![], vec![]];
            all.iter().for_each(|part| halves[random.below(2)].push(*part));
            let difference =
                |found: &[Option<Estimate>]| found[1].unwrap().value - found[0].unwrap().value;
            plain.push(difference(&estimates(&halves)));
            let (found, taken) = adjusted(&halves);
            cuped.push(difference(&found));
            said +=
                found.iter().flatten().map(|e| e.variance.unwrap()).sum::<f64>() / SPLITS as f64;
            share += taken / SPLITS as f64;
        }
        let spread = |values: &[f64]| eliverec_metrics::table::mean_and_deviation(values).1;
        let (plain, cuped) = (spread(&plain), spread(&cuped));
        assert!((cuped / said.sqrt() - 1.0).abs() < 0.12, "{cuped} {}", said.sqrt());
        assert!(((cuped / plain).powi(2) - (1.0 - share)).abs() < 0.15, "{cuped} {plain} {share}");
        assert!(share > 0.05, "{share}");
    }
}
