//! Whether two runs differ by more than the choice of users: a paired bootstrap over users.
//!
//! Impressions of one user depend on each other, so users are drawn, with replacement, and each brings its values under both
//! runs. Draws come from a seed; the same seed and users give the same interval.

use eliverec_core::seed::{Random, numbered};

use crate::{Error, UserAuc};

/// One user under two runs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PairedUser {
    /// Weight of the user in the mean: impressions for gAUC. Positive.
    pub weight: f64,
    /// The metric under the first run.
    pub first: f64,
    /// The metric under the second run.
    pub second: f64,
}

/// The difference of two weighted means, first minus second.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Comparison {
    /// The difference over all users.
    pub difference: f64,
    /// Lower end of the 95 % percentile interval.
    pub low: f64,
    /// Upper end of the 95 % percentile interval.
    pub high: f64,
    /// Standard deviation of the difference over replicates.
    pub standard_error: f64,
    /// Two-sided: twice the share of replicates on the rarer side of zero, both counts and the number of replicates raised by
    /// one, at most 1. Never below 2 / (replicates + 1).
    pub p_value: f64,
}

/// Pairs the users of two runs by id, for gAUC per user; both slices as
/// [`Evaluation::finish_with_users`](crate::Evaluation::finish_with_users) returns them.
///
/// # Errors
/// [`Error::Unpaired`] names the first user who is missing in one run or has another number of impressions there.
pub fn pair(first: &[UserAuc], second: &[UserAuc]) -> Result<Vec<PairedUser>, Error> {
    let mut paired = Vec::with_capacity(first.len());
    for (a, b) in first.iter().zip(second) {
        if (a.user, a.impressions) != (b.user, b.impressions) {
            return Err(Error::Unpaired { user: a.user.min(b.user) });
        }
        paired.push(PairedUser { weight: a.impressions as f64, first: a.auc, second: b.auc });
    }
    let longer = if first.len() > second.len() { first } else { second };
    match longer.get(paired.len()) {
        Some(unpaired) => Err(Error::Unpaired { user: unpaired.user }),
        None => Ok(paired),
    }
}

/// Compares the weighted means of two runs over the same users. Costs `replicates * users` draws; 1,000 replicates are usual.
///
/// # Errors
/// [`Error::NothingToResample`] without users or with fewer than two replicates; [`Error::BadUser`] for a weight that is not
/// positive or a value that is not finite.
pub fn paired_bootstrap(
    users: &[PairedUser],
    replicates: usize,
    seed: u64,
) -> Result<Comparison, Error> {
    if users.is_empty() || replicates < 2 {
        return Err(Error::NothingToResample { users: users.len(), replicates });
    }
    for (position, &PairedUser { weight, first, second }) in users.iter().enumerate() {
        let usable = weight > 0.0 && [weight, first, second].iter().all(|x| x.is_finite());
        if !usable {
            return Err(Error::BadUser { position, weight, first, second });
        }
    }
    let mut differences: Vec<f64> = (0..replicates)
        .map(|replicate| {
            let mut random = Random::new(numbered(seed, replicate as u64));
            weighted_difference((0..users.len()).map(|_| &users[random.below(users.len())]))
        })
        .collect();
    differences.sort_unstable_by(f64::total_cmp);

    let n = replicates as f64;
    let mean = differences.iter().sum::<f64>() / n;
    let variance = differences.iter().map(|d| (d - mean).powi(2)).sum::<f64>() / (n - 1.0);
    let not_above = differences.iter().filter(|&&d| d <= 0.0).count();
    let not_below = differences.iter().filter(|&&d| d >= 0.0).count();
    let rarer = not_above.min(not_below) as f64;
    Ok(Comparison {
        difference: weighted_difference(users.iter()),
        low: quantile(&differences, 0.025),
        high: quantile(&differences, 0.975),
        standard_error: variance.sqrt(),
        p_value: (2.0 * (rarer + 1.0) / (n + 1.0)).min(1.0),
    })
}

fn weighted_difference<'a>(users: impl Iterator<Item = &'a PairedUser>) -> f64 {
    let (sum, weight) = users.fold((0.0, 0.0), |(sum, weight), user| {
        (sum + user.weight * (user.first - user.second), weight + user.weight)
    });
    sum / weight
}

/// Linear between the two nearest of the sorted values.
fn quantile(sorted: &[f64], share: f64) -> f64 {
    let place = share * (sorted.len() - 1) as f64;
    let (below, above) = (sorted[place.floor() as usize], sorted[place.ceil() as usize]);
    below + (above - below) * place.fract()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn normal_users(n: usize, shift: f64) -> Vec<PairedUser> {
        let mut random = Random::new(5);
        (0..n)
            .map(|_| {
                let second = random.uniform();
                PairedUser { weight: 1.0, first: second + shift + 0.1 * random.normal(), second }
            })
            .collect()
    }

    #[test]
    fn the_standard_error_is_that_of_a_mean() {
        let users = normal_users(400, 0.02);
        let comparison = paired_bootstrap(&users, 2000, 1).unwrap();
        let differences: Vec<f64> = users.iter().map(|u| u.first - u.second).collect();
        let mean = differences.iter().sum::<f64>() / 400.0;
        let variance = differences.iter().map(|d| (d - mean).powi(2)).sum::<f64>() / 400.0;
        let expected = (variance / 400.0).sqrt();
        assert!((comparison.difference - mean).abs() < 1e-12);
        assert!((comparison.standard_error / expected - 1.0).abs() < 0.06, "{comparison:?}");
        let width = comparison.high - comparison.low;
        assert!((width / (2.0 * 1.96 * expected) - 1.0).abs() < 0.1, "{comparison:?}");
        assert!(comparison.p_value < 0.01, "{comparison:?}");
    }

    #[test]
    fn no_difference_is_not_significant() {
        let users: Vec<_> =
            normal_users(50, 0.0).iter().map(|u| PairedUser { first: u.second, ..*u }).collect();
        let comparison = paired_bootstrap(&users, 100, 1).unwrap();
        assert_eq!((comparison.low, comparison.high, comparison.p_value), (0.0, 0.0, 1.0));
    }

    #[test]
    fn a_difference_everywhere_is_as_significant_as_the_replicates_allow() {
        let one = PairedUser { weight: 3.0, first: 0.75, second: 0.5 };
        let comparison = paired_bootstrap(&[one; 7], 99, 1).unwrap();
        assert_eq!((comparison.difference, comparison.low, comparison.high), (0.25, 0.25, 0.25));
        assert_eq!((comparison.standard_error, comparison.p_value), (0.0, 0.02));
    }

    #[test]
    fn weights_count() {
        let users = [
            PairedUser { weight: 3.0, first: 1.0, second: 0.0 },
            PairedUser { weight: 1.0, first: 0.0, second: 1.0 },
        ];
        let comparison = paired_bootstrap(&users, 4000, 1).unwrap();
        assert_eq!((comparison.difference, comparison.low, comparison.high), (0.5, -1.0, 1.0));
        // Both draws are the second user in a quarter of the replicates.
        assert!((comparison.p_value - 0.5).abs() < 0.05, "{comparison:?}");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn swapping_the_runs_turns_the_sign(
            users in prop::collection::vec((1_u8..9, 0.0..1.0, 0.0..1.0), 1..20),
            seed in any::<u64>(),
        ) {
            let users: Vec<_> = users.iter().map(|&(weight, first, second)| {
                PairedUser { weight: f64::from(weight), first, second }
            }).collect();
            let swapped: Vec<_> = users.iter().map(|u| {
                PairedUser { weight: u.weight, first: u.second, second: u.first }
            }).collect();
            let a = paired_bootstrap(&users, 50, seed).unwrap();
            let b = paired_bootstrap(&swapped, 50, seed).unwrap();
            prop_assert_eq!(a.difference, -b.difference);
            prop_assert!((a.low + b.high).abs() < 1e-12 && (a.high + b.low).abs() < 1e-12);
            prop_assert_eq!(a.p_value, b.p_value);
            prop_assert_eq!(a, paired_bootstrap(&users, 50, seed).unwrap());
        }
    }

    #[test]
    fn pairs_by_user_and_names_the_odd_one() {
        let user = |user, impressions, auc| UserAuc { user, impressions, auc };
        let first = [user(1, 4, 0.5), user(3, 2, 1.0)];
        let paired = pair(&first, &[user(1, 4, 0.25), user(3, 2, 0.0)]).unwrap();
        assert_eq!(paired[0], PairedUser { weight: 4.0, first: 0.5, second: 0.25 });
        assert_eq!(paired.len(), 2);
        assert_eq!(pair(&first, &first[..1]), Err(Error::Unpaired { user: 3 }));
        let other = [user(1, 4, 0.5), user(2, 2, 1.0), user(3, 2, 1.0)];
        assert_eq!(pair(&first, &other), Err(Error::Unpaired { user: 2 }));
        assert_eq!(pair(&first, &[user(1, 5, 0.5)]), Err(Error::Unpaired { user: 1 }));
    }

    #[test]
    fn refuses_what_cannot_be_drawn() {
        let user = PairedUser { weight: 1.0, first: 0.5, second: 0.5 };
        assert!(paired_bootstrap(&[], 100, 1).is_err());
        assert!(paired_bootstrap(&[user], 1, 1).is_err());
        for bad in [PairedUser { weight: 0.0, ..user }, PairedUser { first: f64::NAN, ..user }] {
            let error = paired_bootstrap(&[user, bad], 100, 1).unwrap_err();
            assert!(matches!(error, Error::BadUser { position: 1, .. }), "{error}");
        }
    }
}
