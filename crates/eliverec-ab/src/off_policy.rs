//! What another policy would have earned, from rows that one policy logged with the probability of what it showed.
//!
//! With logged rows (a, x, r, p), p the probability that the logging policy showed a at x, a target policy pi and a model q(a, x)
//! of the reward:
//!
//! - inverse propensity: mean of w r with w = pi(a | x) / p; no bias where every action of the target can be logged;
//! - self-normalised: sum of w r / sum of w; a bias that vanishes, and far less spread;
//! - direct method: mean of v(x) = sum over a of pi(a | x) q(a, x); little spread, and the model's bias;
//! - doubly robust: mean of v(x) + w (r - q(a, x)) (Dudík, Langford and Li, "Doubly Robust Policy Evaluation and Learning", ICML
//!   2011); its correction of the direct method is what the propensities say of the model's bias.
//!
//! Here x is the place on the page, and q is the mean reward of an action, drawn towards the mean of all by as many rows as bring one
//! reward. Each row is judged by a model of the other folds. Rows are the unit: the log knows no users.

use std::collections::BTreeMap;

use eliverec_core::seed::{Random, numbered};
use serde::Serialize;

use crate::Error;

/// A model is fitted on all folds but that of the row.
const FOLDS: usize = 5;
/// Draws of rows that say how far the direct method spreads.
const DRAWS: u64 = 400;
/// Half a 95 % interval in standard errors.
const HALF: f64 = 1.959_963_984_540_054;
/// With fewer effective rows intervals are not to be trusted: they rest on some rows of great weight.
pub const FEWEST_EFFECTIVE: f64 = 100.0;
/// Logged probabilities of a policy add up to 1 within this, else frequencies stand for them.
const ROUNDING: f64 = 1e-3;

/// A logged row.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Logged {
    /// Where it was shown.
    pub position: u32,
    /// What was shown.
    pub action: u32,
    /// What it brought: 1 for a click.
    pub reward: f64,
    /// The probability with which it was chosen there.
    pub propensity: f64,
}

/// What a policy shows at each place, with which probability.
#[derive(Clone, Debug, PartialEq)]
pub struct Policy {
    probabilities: BTreeMap<(u32, u32), f64>,
    /// Whether the probabilities are those that it logged; else they are how often it showed what.
    pub is_logged: bool,
}

impl Policy {
    /// The policy that logged these rows: its own probabilities if they never changed, else how often it showed each action.
    pub fn of(rows: &[Logged]) -> Self {
        let mut shown: BTreeMap<u32, f64> = BTreeMap::new();
        let mut pairs: BTreeMap<(u32, u32), (f64, f64)> = BTreeMap::new();
        let mut constant = true;
        for row in rows {
            *shown.entry(row.position).or_default() += 1.0;
            let pair = pairs.entry((row.position, row.action)).or_insert((0.0, row.propensity));
            constant &= pair.1 == row.propensity;
            pair.0 += 1.0;
        }
        let mut sums: BTreeMap<u32, f64> = BTreeMap::new();
        for ((position, _), (_, propensity)) in &pairs {
            *sums.entry(*position).or_default() += propensity;
        }
        let is_logged = constant && sums.values().all(|sum| (sum - 1.0).abs() < ROUNDING);
        let probability = |(position, action), (count, propensity): (f64, f64)| {
            let share = if is_logged { propensity } else { count / shown[&position] };
            ((position, action), share)
        };
        let probabilities = pairs.into_iter().map(|(pair, of)| probability(pair, of)).collect();
        Self { probabilities, is_logged }
    }

    fn probability(&self, position: u32, action: u32) -> f64 {
        self.probabilities.get(&(position, action)).copied().unwrap_or_default()
    }
}

/// A figure with its spread.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Figure {
    /// The estimate.
    pub value: f64,
    /// Its standard error over rows.
    pub standard_error: f64,
    /// 95 % interval.
    pub interval: (f64, f64),
}

impl Figure {
    fn of(value: f64, standard_error: f64) -> Self {
        let half = HALF * standard_error;
        Self { value, standard_error, interval: (value - half, value + half) }
    }

    fn mean(values: &[f64]) -> Self {
        let (mean, deviation) = eliverec_metrics::table::mean_and_deviation(values);
        Self::of(mean, deviation / (values.len() as f64).sqrt())
    }

    /// The mean reward of a policy's own rows.
    pub fn on_policy(rows: &[Logged]) -> Self {
        Self::mean(&rows.iter().map(|row| row.reward).collect::<Vec<_>>())
    }

    /// Whether two independent figures differ by no more than their spread, at 95 %.
    pub fn agrees(&self, other: &Self) -> bool {
        (self.value - other.value).abs() <= HALF * self.standard_error.hypot(other.standard_error)
    }
}

/// What is estimated of a target policy.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct OffPolicy {
    /// Rows of the logging policy.
    pub rows: u64,
    /// What it earned itself.
    pub logged: Figure,
    /// By inverse propensity.
    pub inverse_propensity: Figure,
    /// The same, self-normalised.
    pub self_normalised: Figure,
    /// By the model alone; the interval knows nothing of the model's bias.
    pub direct: Figure,
    /// Doubly robust.
    pub doubly_robust: Figure,
    /// Direct method less the truth, as the propensities say.
    pub direct_bias: Figure,
    /// Rows that as much could be said of if all had one weight: (sum w)^2 / sum w^2.
    pub effective_rows: f64,
    /// The largest weight.
    pub largest_weight: f64,
    /// Mean weight: 1 but for chance where every action of the target can be logged.
    pub mean_weight: f64,
    /// Probability of the target on what the logging policy never showed at that place.
    pub unseen: f64,
}

impl OffPolicy {
    /// Estimates the mean reward of `target` from rows of another policy.
    ///
    /// # Errors
    /// [`Error::Policy`] with fewer than two rows per fold, and for a propensity that is none.
    pub fn estimate(rows: &[Logged], target: &Policy) -> Result<Self, Error> {
        check(rows)?;
        let n = rows.len() as f64;
        let models: Vec<Model> = (0..FOLDS)
            .map(|fold| {
                let others = rows.iter().enumerate().filter(|(i, _)| i % FOLDS != fold);
                Model::fit(others.map(|(_, row)| (row, 1.0)))
            })
            .collect();
        let values: Vec<BTreeMap<u32, f64>> =
            models.iter().map(|model| model.values(target)).collect();
        let weight = |row: &Logged| target.probability(row.position, row.action) / row.propensity;
        let weights: Vec<f64> = rows.iter().map(weight).collect();
        let sum: f64 = weights.iter().sum();
        let squares: f64 = weights.iter().map(|w| w * w).sum();
        let weighted: Vec<f64> = rows.iter().zip(&weights).map(|(row, w)| w * row.reward).collect();
        let normalised = if sum > 0.0 { weighted.iter().sum::<f64>() / sum } else { 0.0 };
        let moved =
            rows.iter().zip(&weights).map(|(row, w)| (w * (row.reward - normalised)).powi(2));
        let value =
            |i: usize| values[i % FOLDS].get(&rows[i].position).copied().unwrap_or_default();
        let left: Vec<f64> = (0..rows.len())
            .map(|i| weights[i] * (rows[i].reward - models[i % FOLDS].reward(rows[i].action)))
            .collect();
        let robust: Vec<f64> = left.iter().enumerate().map(|(i, left)| value(i) + left).collect();
        let mut unseen = target.clone();
        rows.iter().for_each(|row| {
            unseen.probabilities.remove(&(row.position, row.action));
        });
        let places: f64 = {
            let mut places: Vec<u32> = target.probabilities.keys().map(|pair| pair.0).collect();
            places.dedup();
            places.len() as f64
        };
        let bias: Vec<f64> = left.iter().map(|left| -left).collect();
        Ok(Self {
            rows: rows.len() as u64,
            logged: Figure::on_policy(rows),
            inverse_propensity: Figure::mean(&weighted),
            self_normalised: Figure::of(
                normalised,
                if sum > 0.0 { moved.sum::<f64>().sqrt() / sum } else { 0.0 },
            ),
            direct: direct(rows, target),
            doubly_robust: Figure::mean(&robust),
            direct_bias: Figure::mean(&bias),
            effective_rows: if squares > 0.0 { sum * sum / squares } else { 0.0 },
            largest_weight: weights.iter().copied().fold(0.0, f64::max),
            mean_weight: sum / n,
            // Not `sum`, which is -0 of nothing.
            unseen: unseen.probabilities.values().fold(0.0, |sum, p| sum + p) / places.max(1.0),
        })
    }

    /// Whether enough rows carry the weighted estimates.
    pub fn is_sound(&self) -> bool {
        self.effective_rows >= FEWEST_EFFECTIVE
    }
}

fn check(rows: &[Logged]) -> Result<(), Error> {
    let wrong = |place: String, reason: String| Err(Error::Policy { place, reason });
    if rows.len() < 2 * FOLDS {
        let reason = format!("{} rows; at least {} are needed", rows.len(), 2 * FOLDS);
        return wrong("the logged rows".into(), reason);
    }
    for (i, row) in rows.iter().enumerate() {
        if !(row.propensity > 0.0 && row.propensity <= 1.0) {
            let reason = format!("{} is no probability above 0", row.propensity);
            return wrong(format!("row {i}: propensity"), reason);
        }
    }
    Ok(())
}

/// The direct method, and how far it spreads over draws of rows.
fn direct(rows: &[Logged], target: &Policy) -> Figure {
    let of = |counts: &[f64]| {
        let weighted = || rows.iter().zip(counts.iter().copied());
        let values = Model::fit(weighted()).values(target);
        let value = |row: &Logged| values.get(&row.position).copied().unwrap_or_default();
        weighted().map(|(row, count)| count * value(row)).sum::<f64>() / rows.len() as f64
    };
    let whole = of(&vec![1.0; rows.len()]);
    let draws: Vec<f64> = (0..DRAWS)
        .map(|draw| {
            let mut random = Random::new(numbered(1, draw));
            let mut counts = vec![0.0; rows.len()];
            (0..rows.len()).for_each(|_| counts[random.below(rows.len())] += 1.0);
            of(&counts)
        })
        .collect();
    Figure::of(whole, eliverec_metrics::table::mean_and_deviation(&draws).1)
}

/// The mean reward of each action.
struct Model {
    rewards: BTreeMap<u32, f64>,
    mean: f64,
}

impl Model {
    fn fit<'a>(rows: impl Iterator<Item = (&'a Logged, f64)>) -> Self {
        let mut sums: BTreeMap<u32, (f64, f64)> = BTreeMap::new();
        for (row, count) in rows {
            let sum = sums.entry(row.action).or_default();
            *sum = (sum.0 + count * row.reward, sum.1 + count);
        }
        let all = sums.values().fold((0.0, 0.0), |all, sum| (all.0 + sum.0, all.1 + sum.1));
        let mean = if all.1 > 0.0 { all.0 / all.1 } else { 0.0 };
        // As many rows as bring one reward: q = (sum r + 1) / (n + 1 / mean)
        let drawn = |(reward, count): (f64, f64)| {
            if mean > 0.0 { (reward + 1.0) / (count + 1.0 / mean) } else { 0.0 }
        };
        let rewards = sums.into_iter().map(|(action, sum)| (action, drawn(sum))).collect();
        Self { rewards, mean }
    }

    fn reward(&self, action: u32) -> f64 {
        self.rewards.get(&action).copied().unwrap_or(self.mean)
    }

    /// v of each place.
    fn values(&self, target: &Policy) -> BTreeMap<u32, f64> {
        let mut values = BTreeMap::new();
        for ((position, action), probability) in &target.probabilities {
            *values.entry(*position).or_insert(0.0) += probability * self.reward(*action);
        }
        values
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rewards of ten actions; a policy shows the k-th in proportion to `lean^k`.
    fn probabilities(lean: f64) -> Vec<f64> {
        let shares: Vec<f64> = (0..10).map(|k| lean.powi(k)).collect();
        let sum: f64 = shares.iter().sum();
        shares.into_iter().map(|share| share / sum).collect()
    }

    fn reward(action: u32, position: u32) -> f64 {
        0.05 + 0.03 * f64::from(action) + 0.1 * f64::from(position)
    }

    fn rows(count: usize, lean: f64, random: &mut Random) -> Vec<Logged> {
        let probabilities = probabilities(lean);
        let row = |_| {
            let position = random.below(3) as u32;
            let mut left = random.uniform();
            let action = probabilities.iter().position(|share| {
                left -= share;
                left < 0.0
            });
            let action = action.unwrap_or(9) as u32;
            let clicked = random.uniform() < reward(action, position);
            Logged {
                position,
                action,
                reward: f64::from(u8::from(clicked)),
                propensity: probabilities[action as usize],
            }
        };
        (0..count).map(row).collect()
    }

    /// The intervals of the weighted estimates hold what the target earns as often as they say; the direct method, whose model knows no
    /// places, is off where the two policies choose differently by place.
    #[test]
    fn intervals_hold_what_the_target_earns() {
        const TRIALS: u64 = 150;
        let target = Policy::of(&rows(50_000, 1.25, &mut Random::new(9)));
        assert!(target.is_logged);
        let truth = probabilities(1.25)
            .iter()
            .zip(0_u32..)
            .map(|(share, action)| share * (0..3).map(|p| reward(action, p)).sum::<f64>() / 3.0)
            .sum::<f64>();
        let mut held = [0_u32; 3];
        for trial in 0..TRIALS {
            let logged = rows(1_000, 0.9, &mut Random::new(numbered(4, trial)));
            let found = OffPolicy::estimate(&logged, &target).unwrap();
            let figures = [found.inverse_propensity, found.self_normalised, found.doubly_robust];
            for (held, figure) in held.iter_mut().zip(figures) {
                *held += u32::from((figure.interval.0..=figure.interval.1).contains(&truth));
            }
            assert!(found.is_sound() && found.unseen < 1e-9);
        }
        for held in held {
            let share = f64::from(held) / TRIALS as f64;
            assert!(
                (share - 0.95).abs() < 3.0 * (0.95_f64 * 0.05 / TRIALS as f64).sqrt() + 0.01,
                "{share}"
            );
        }
    }

    #[test]
    fn a_policy_that_changes_is_known_by_what_it_showed() {
        let row = |action, propensity| Logged { position: 0, action, reward: 0.0, propensity };
        let changing = Policy::of(&[row(0, 0.5), row(0, 0.9), row(1, 0.5), row(1, 0.1)]);
        assert_eq!((changing.is_logged, changing.probability(0, 1)), (false, 0.5));
        let constant = Policy::of(&[row(0, 0.75), row(1, 0.25)]);
        assert_eq!((constant.is_logged, constant.probability(0, 1)), (true, 0.25));
        assert_eq!(constant.probability(1, 1), 0.0);
    }

    #[test]
    fn what_the_log_cannot_say_is_told() {
        let logged = rows(1_000, 1.0, &mut Random::new(1));
        let elsewhere = Policy { probabilities: [((0, 99), 1.0)].into(), is_logged: true };
        let found = OffPolicy::estimate(&logged, &elsewhere).unwrap();
        assert_eq!((found.unseen, found.effective_rows, found.is_sound()), (1.0, 0.0, false));
        let error = OffPolicy::estimate(&logged[..9], &elsewhere).unwrap_err().to_string();
        assert_eq!(error, "the logged rows: 9 rows; at least 10 are needed");
        let mut bad = logged;
        bad[3].propensity = 0.0;
        let error = OffPolicy::estimate(&bad, &elsewhere).unwrap_err().to_string();
        assert_eq!(error, "row 3: propensity: 0 is no probability above 0");
    }
}
