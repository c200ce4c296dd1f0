//! What an experiment needs: how small the standard error must be for an effect to be found, and how many users and days that takes
//! by what was seen.

use serde::Serialize;
use statrs::distribution::{ContinuousCDF, Normal};

use crate::difference::{MISS, always_half};

/// What is to be found, and how surely.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Goal {
    /// Relative difference of the treatment: 0.05 for 5 %.
    pub effect: f64,
    /// Probability that it is found if it is there.
    pub power: f64,
}

impl Default for Goal {
    fn default() -> Self {
        Self { effect: 0.05, power: 0.8 }
    }
}

/// What finding it in a metric takes.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Need {
    /// The metric's name for programs.
    pub metric: &'static str,
    /// The bucket that is compared with the control.
    pub bucket: String,
    /// Of the relative difference, as it is now.
    pub standard_error: f64,
    /// The variance falls with the days to this power, as seen; 1 where it was not seen on several days.
    pub falls_by: f64,
    /// Users of both buckets, each seen for as long as now, for a look that was planned.
    pub users: f64,
    /// Days with users as they came, for a look that was planned; `None` where more days bring nothing.
    pub days: Option<f64>,
    /// Days with users as they came, for looks at any time.
    pub always_days: Option<f64>,
}

impl Goal {
    /// Checks that it can be meant.
    ///
    /// # Errors
    /// The option and what it may be.
    pub fn check(&self) -> Result<(), crate::Error> {
        let wrong =
            |asked: String, reason: &str| Err(crate::Error::Asked { asked, reason: reason.into() });
        if !(self.effect > 0.0 && self.effect <= 1.0) {
            return wrong(
                format!("--effect {}", self.effect),
                "is a relative difference above 0 and up to 1, such as 0.05 for 5 %",
            );
        }
        if !(0.5..=0.999).contains(&self.power) {
            return wrong(format!("--power {}", self.power), "is a probability from 0.5 to 0.999");
        }
        Ok(())
    }

    /// The standard error of the relative difference at which a planned look finds the effect: effect / (z(1 - alpha / 2) + z(power)).
    pub fn standard_error(&self) -> f64 {
        self.effect / (normal_quantile(1.0 - MISS / 2.0) + normal_quantile(self.power))
    }

    /// The standard error at which one look finds the effect by the interval that holds at any time: effect = half + z(power) s.
    pub fn always_standard_error(&self) -> f64 {
        let needed = |error: f64| always_half(error, MISS) + normal_quantile(self.power) * error;
        // Half the interval grows with the standard error.
        let (mut low, mut high) = (0.0, self.effect);
        for _ in 0..100 {
            let middle = 0.5 * (low + high);
            if needed(middle) < self.effect { low = middle } else { high = middle }
        }
        low
    }

    /// The probability that a planned look finds the effect, be it taken for the wrong sign, at a standard error of the relative
    /// difference: Phi(effect / error - z) + Phi(-effect / error - z), z = z(1 - alpha / 2).
    pub fn power_at(effect: f64, standard_error: f64) -> f64 {
        let (shift, edge) = (effect / standard_error, normal_quantile(1.0 - MISS / 2.0));
        let normal = Normal::standard();
        normal.cdf(shift - edge) + normal.cdf(-shift - edge)
    }

    /// What a metric takes whose variance, of the relative difference, was `variances` after so many days; the last is now.
    pub fn need(
        &self,
        metric: &'static str,
        bucket: &str,
        users: u64,
        variances: &[(f64, f64)],
    ) -> Option<Need> {
        let (days_now, now) = *variances.last()?;
        let falls_by = falls_by(variances);
        let days = |error: f64| {
            let days = days_now * (now / error.powi(2)).powf(1.0 / falls_by);
            (falls_by > FLAT).then_some(days)
        };
        Some(Need {
            metric,
            bucket: bucket.into(),
            standard_error: now.sqrt(),
            falls_by,
            users: users as f64 * now / self.standard_error().powi(2),
            days: days(self.standard_error()),
            always_days: days(self.always_standard_error()),
        })
    }
}

/// A variance that falls more slowly than this power of the days is as good as constant.
const FLAT: f64 = 0.05;

/// The power of the days with which a variance falls: least squares in logarithms, within 0 and 1.
fn falls_by(variances: &[(f64, f64)]) -> f64 {
    let points: Vec<(f64, f64)> = variances.iter().map(|(day, v)| (day.ln(), v.ln())).collect();
    let n = points.len() as f64;
    let mean = points.iter().fold((0.0, 0.0), |(a, b), (x, y)| (a + x / n, b + y / n));
    let (cross, square) = points.iter().fold((0.0, 0.0), |(cross, square), (x, y)| {
        (cross + (x - mean.0) * (y - mean.1), square + (x - mean.0).powi(2))
    });
    if square > 0.0 { (-cross / square).clamp(0.0, 1.0) } else { 1.0 }
}

/// The value that a standard normal stays below with probability `p`.
fn normal_quantile(p: f64) -> f64 {
    Normal::standard().inverse_cdf(p)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::difference::Difference;
    use crate::ratio::estimates;
    use crate::ratio::tests::users;
    use eliverec_core::seed::{Random, numbered};

    const GOAL: Goal = Goal { effect: 0.05, power: 0.8 };

    /// SciPy 1.17.1: `0.05 / (norm.ppf(0.975) + norm.ppf(0.8))`, and `brentq` of the second.
    #[test]
    fn standard_errors_are_those_of_scipy() {
        assert!((GOAL.standard_error() / GOLDEN.0 - 1.0).abs() < 1e-8);
        assert!((GOAL.always_standard_error() / GOLDEN.1 - 1.0).abs() < 1e-8);
    }

    const GOLDEN: (f64, f64) = (0.017_847_038_768_172_088, 0.012_319_383_762_730_745);

    #[test]
    fn the_power_at_the_standard_error_of_a_goal_is_the_goal_s() {
        let power = Goal::power_at(GOAL.effect, GOAL.standard_error());
        assert!((power - GOAL.power).abs() < 1e-5, "{power}");
        assert!((Goal::power_at(0.0, 0.3) - MISS).abs() < 1e-8);
    }

    #[test]
    fn days_follow_the_way_the_variance_fell() {
        let now = 4.0 * GOAL.standard_error().powi(2);
        let need = |variances: &[(f64, f64)]| GOAL.need("ctr", "b", 1_000, variances).unwrap();
        let halves = need(&[(1.0, 4.0 * now), (2.0, 2.0 * now), (4.0, now)]);
        assert!(
            (halves.days.unwrap() - 16.0).abs() < 1e-9 && (halves.users - 4_000.0).abs() < 1e-9
        );
        let slower = need(&[(1.0, 2.0 * now), (4.0, now)]);
        assert!(
            (slower.falls_by - 0.5).abs() < 1e-12 && (slower.days.unwrap() - 64.0).abs() < 1e-9
        );
        assert_eq!(need(&[(1.0, now), (4.0, now)]).days, None);
        assert!((need(&[(4.0, now)]).days.unwrap() - 16.0).abs() < 1e-9);
        assert_eq!(GOAL.need("ctr", "b", 1, &[]), None);
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        assert!(GOAL.check().is_ok());
        for goal in [
            Goal { effect: 0.0, ..GOAL },
            Goal { power: 1.0, ..GOAL },
            Goal { effect: f64::NAN, ..GOAL },
        ] {
            assert!(goal.check().unwrap_err().to_string().starts_with("--"));
        }
    }

    /// From one pilot without a difference the number of users follows; then the effect is planted many times, and found as often as
    /// said: within three deviations of the binomial, and of the pilot's own luck.
    #[test]
    fn a_planted_effect_is_found_at_the_power_that_was_said() {
        let pilot = [1, 2].map(|seed| users(4_000, 0.0, &mut Random::new(seed)));
        let pilot = estimates(&pilot);
        let seen = Difference::of(&pilot[1].unwrap(), &pilot[0].unwrap()).unwrap();
        let variance = seen.standard_error.powi(2);
        for (error, always) in
            [(GOAL.standard_error(), false), (GOAL.always_standard_error(), true)]
        {
            const TRIALS: u64 = 240;
            let each = (4_000.0 * variance / error.powi(2)).ceil() as usize;
            let found = (0..TRIALS).filter(|trial| {
                let mut random = Random::new(numbered(23 + u64::from(always), *trial));
                let both = [users(each, 0.0, &mut random), users(each, GOAL.effect, &mut random)];
                let both = estimates(&both);
                let difference = Difference::of(&both[1].unwrap(), &both[0].unwrap()).unwrap();
                let p = if always { difference.always_p } else { difference.p };
                p < MISS && difference.relative > 0.0
            });
            let share = found.count() as f64 / TRIALS as f64;
            let bound = 3.0 * (GOAL.power * (1.0 - GOAL.power) / TRIALS as f64).sqrt();
            assert!((share - GOAL.power).abs() < bound + 0.02, "{share} always {always} of {each}");
        }
    }
}
