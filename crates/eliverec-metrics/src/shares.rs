//! What each user has in a metric, so that users can be drawn again without their scores.
//!
//! A metric of [`BY_USER`] is a mean over users, `sum of weight * value / sum of weight`, whose weights follow from the labels
//! alone and are the same under every model. For gAUC a user's value is their own AUC, or the mean over their feeds.
//!
//! The AUC over all impressions is no such mean: a user's positives are compared with everybody's negatives. What stands here is
//! its first-order part: each positive counts with the share of all negatives below it, each negative with the share of all
//! positives above it (its placement; Obuchowski 1997 has the variance of a clustered AUC from them). The mean of both is the
//! AUC, and if other users are drawn it moves half as far as the AUC does, since there both sides move at once:
//! [`leverage`].

use eliverec_core::seed::numbered;

/// The metrics that users have shares in, by their names in a report.
pub const BY_USER: [&str; 3] = ["auc", "gauc_user", "gauc_feed"];

/// One user's weight and value in one metric.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Share {
    /// From the labels alone; 0 for a user who has no part in the metric, as one who watched nothing has in gAUC.
    pub weight: u64,
    /// Between 0 and 1.
    pub value: f64,
}

/// One user's shares in the metrics of [`BY_USER`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct UserShares {
    /// Who.
    pub user: u64,
    /// In the order of [`BY_USER`].
    pub shares: [Share; BY_USER.len()],
}

/// How far a metric moves where the mean of its shares moves by one.
pub fn leverage(metric: &str) -> f64 {
    if metric == "auc" { 2.0 } else { 1.0 }
}

/// The sorted keys of all impressions, to place single ones in.
pub(crate) struct Placements {
    positives: Vec<u32>,
    negatives: Vec<u32>,
}

impl Placements {
    pub(crate) fn new(positives: &[u32], negatives: &[u32]) -> Self {
        let sorted = |keys: &[u32]| {
            let mut keys = keys.to_vec();
            keys.sort_unstable();
            keys
        };
        Self { positives: sorted(positives), negatives: sorted(negatives) }
    }

    /// The share in the AUC of a user with these keys.
    pub(crate) fn share(&self, positives: &[u32], negatives: &[u32]) -> Share {
        let (p, n) = (self.positives.len() as u64, self.negatives.len() as u64);
        // In halves of pairs: twice those in order, and the ties.
        let above = |key: &u32| {
            let below = self.negatives.partition_point(|other| other < key);
            (below + self.negatives.partition_point(|other| other <= key)) as u128
        };
        let below = |key: &u32| {
            let not_above = self.positives.partition_point(|other| other <= key);
            let not_below = self.positives.partition_point(|other| other < key);
            (2 * self.positives.len() - not_above - not_below) as u128
        };
        // A positive has n pairs and a negative p, so that both sides weigh p * n.
        let weight = positives.len() as u64 * n + negatives.len() as u64 * p;
        let halves: u128 = positives.iter().map(above).chain(negatives.iter().map(below)).sum();
        if p == 0 || n == 0 || weight == 0 {
            return Share::default();
        }
        Share { weight, value: halves as f64 / (2 * u128::from(weight)) as f64 }
    }
}

/// Users in groups, to be drawn as one: a few hundred of them say as much about an interval as all users do and stay small
/// however many users there are.
#[derive(Clone, Debug, PartialEq)]
pub struct Grouped {
    /// `[metrics of BY_USER][groups]`.
    pub weights: Vec<Vec<u64>>,
    /// Likewise; 0 where the weight is.
    pub values: Vec<Vec<f64>>,
}

/// Puts users into at most `groups` groups of equal numbers, by their ids alone: the same users are in the same groups under
/// every model and in every order.
pub fn grouped(users: &[UserShares], groups: usize) -> Grouped {
    let mut order: Vec<(u64, &UserShares)> =
        users.iter().map(|user| (numbered(0, user.user), user)).collect();
    order.sort_unstable_by_key(|(hash, user)| (*hash, user.user));
    let groups = groups.clamp(1, order.len().max(1));
    let place = |group: usize| group * order.len() / groups;
    let members: Vec<_> = (0..groups).map(|group| &order[place(group)..place(group + 1)]).collect();
    let weight = |metric: usize, members: &[(u64, &UserShares)]| -> u64 {
        members.iter().map(|(_, user)| user.shares[metric].weight).sum()
    };
    let value = |metric: usize, members: &[(u64, &UserShares)]| {
        let shares = members.iter().map(|(_, user)| user.shares[metric]);
        let sum: f64 = shares.map(|share| share.weight as f64 * share.value).sum();
        match weight(metric, members) {
            0 => 0.0,
            all => sum / all as f64,
        }
    };
    let metrics = 0..BY_USER.len();
    Grouped {
        weights: metrics.clone().map(|m| members.iter().map(|g| weight(m, g)).collect()).collect(),
        values: metrics.map(|m| members.iter().map(|g| value(m, g)).collect()).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Evaluation;
    use crate::report::metric;
    use eliverec_core::seed::Random;
    use proptest::prelude::*;

    /// Users with feeds of one to six impressions, some of them without a watch, scores with ties.
    fn feeds(users: u64, seed: u64) -> Vec<(u64, Vec<f32>, Vec<bool>)> {
        let mut random = Random::new(seed);
        let mut feeds = Vec::new();
        for user in 0..users {
            let taste = 0.3 * random.normal();
            for _ in 0..=random.below(3) {
                let n = 1 + random.below(6);
                let scores: Vec<f32> = (0..n)
                    .map(|_| {
                        ((0.3 + 0.2 * (random.normal() + taste)).clamp(0.0, 1.0) * 64.0).round()
                            as f32
                            / 64.0
                    })
                    .collect();
                let watched =
                    scores.iter().map(|score| random.uniform() < f64::from(*score)).collect();
                feeds.push((user, scores, watched));
            }
        }
        feeds
    }

    fn evaluate<'a>(
        feeds: impl Iterator<Item = &'a (u64, Vec<f32>, Vec<bool>)>,
    ) -> (crate::Report, Vec<UserShares>) {
        let mut evaluation = Evaluation::new();
        for (user, scores, watched) in feeds {
            evaluation.add_feed(*user, scores, watched).unwrap();
        }
        evaluation.finish_with_users()
    }

    fn mean(weights: &[u64], values: &[f64]) -> f64 {
        let sum: f64 = weights.iter().zip(values).map(|(w, v)| *w as f64 * v).sum();
        sum / weights.iter().sum::<u64>() as f64
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn shares_add_up_to_their_metrics(users in 1_u64..40, groups in 1_usize..60, seed in any::<u64>()) {
            let feeds = feeds(users, seed);
            let (report, shares) = evaluate(feeds.iter());
            let all = grouped(&shares, groups);
            prop_assert_eq!(all.weights[0].len(), groups.min(users as usize));
            for (place, name) in BY_USER.into_iter().enumerate() {
                let value = metric(name).unwrap().of(&report);
                let weight: u64 = all.weights[place].iter().sum();
                prop_assert_eq!(value.is_some(), weight > 0);
                if let Some(value) = value {
                    prop_assert!((mean(&all.weights[place], &all.values[place]) - value).abs() < 1e-12);
                }
            }
            let mut reversed = shares.clone();
            reversed.reverse();
            prop_assert_eq!(grouped(&reversed, groups), all);
        }
    }

    /// Users drawn again and all their impressions compared anew, against the shares alone and against groups of users.
    #[test]
    fn drawing_shares_moves_metrics_as_drawing_users_does() {
        let feeds = feeds(600, 7);
        let (report, shares) = evaluate(feeds.iter());
        let groups = grouped(&shares, 300);
        let alone = grouped(&shares, usize::MAX);
        let deviation = |values: &[f64]| crate::table::mean_and_deviation(values).1;
        let mut exact = vec![Vec::new(); BY_USER.len()];
        let mut by_share = exact.clone();
        let mut by_group = exact.clone();
        for replicate in 0..400 {
            let mut random = Random::new(numbered(3, replicate));
            let drawn: Vec<u64> = (0..600).map(|_| random.below(600) as u64).collect();
            // A user who was drawn twice is two users.
            let again: Vec<_> = (0_u64..)
                .zip(&drawn)
                .flat_map(|(copy, user)| {
                    let own = feeds.iter().filter(move |feed| feed.0 == *user);
                    own.map(move |(_, scores, watched)| (copy, scores.clone(), watched.clone()))
                })
                .collect();
            let drawn_report = evaluate(again.iter()).0;
            for (place, name) in BY_USER.into_iter().enumerate() {
                let metric = metric(name).unwrap();
                let whole = metric.of(&report).unwrap();
                exact[place].push(metric.of(&drawn_report).unwrap() - whole);
                for (grouped, moved) in [(&alone, &mut by_share), (&groups, &mut by_group)] {
                    let n = grouped.weights[0].len();
                    let drawn: Vec<usize> = (0..n).map(|_| random.below(n)).collect();
                    let weights: Vec<u64> =
                        drawn.iter().map(|i| grouped.weights[place][*i]).collect();
                    let values: Vec<f64> =
                        drawn.iter().map(|i| grouped.values[place][*i]).collect();
                    moved[place].push(leverage(name) * (mean(&weights, &values) - whole));
                }
            }
        }
        for (place, name) in BY_USER.into_iter().enumerate() {
            let expected = deviation(&exact[place]);
            for found in [deviation(&by_share[place]), deviation(&by_group[place])] {
                // Each deviation is known to a twentieth.
                assert!((found / expected - 1.0).abs() < 0.15, "{name}: {found} {expected}");
            }
        }
    }
}
