//! Whether two models differ by more than the choice of users and the luck of a seed: a hierarchical bootstrap.
//!
//! Impressions of one user depend on each other, and so do the users of one training run. So both are drawn with replacement:
//! seeds, each of which brings both models (the same seed gives them the same initial rows and the same order of feeds), and
//! users, the same ones for both models and for all seeds of a draw.
//!
//! Percentiles of such draws are too narrow where seeds are few: among three, one draw in nine is one seed three times, and what
//! three seeds say about their own spread is itself uncertain. So the draws give the standard error, in which the seeds'
//! part is enlarged by what drawing S from S loses, `sqrt(S / (S - 1))`, and the interval is that of Student's t with the degrees
//! of freedom that the two parts have together (Satterthwaite): S - 1 where seeds decide, the users' where users do.

use eliverec_core::seed::{Random, numbered};

use crate::{Error, student};

/// Two models under the seeds that both have.
#[derive(Clone, Debug)]
pub struct Paired {
    /// `[units]`, weights of users or of groups of users; not negative, some positive.
    pub weights: Vec<f64>,
    /// One per seed, at least two.
    pub seeds: Vec<SeedDifference>,
    /// How far the metric moves where the units' weighted mean moves by one ([`leverage`](crate::shares::leverage)).
    pub leverage: f64,
}

/// First model minus second under one seed.
#[derive(Clone, Debug)]
pub struct SeedDifference {
    /// Of the metric over all users.
    pub whole: f64,
    /// `[units]`, of each unit's value.
    pub units: Vec<f64>,
}

/// What the draws say.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Interval {
    /// Mean of the seeds' differences.
    pub difference: f64,
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
    /// Of the difference, over users and seeds.
    pub standard_error: f64,
    /// Degrees of freedom of the interval.
    pub degrees: f64,
}

/// The interval that misses the true difference with probability `miss`: 0.05 for one comparison at 95 %, a part of it for one
/// of several. Costs `replicates * units * seeds` operations; the same arguments give the same interval.
///
/// # Errors
/// [`Error::NothingToResample`] with fewer than two seeds, units of positive weight or replicates; [`Error::BadUnit`] for a
/// weight that is negative or a number that is not finite; [`Error::UnitsDiffer`] where a seed has another number of units.
pub fn interval(
    paired: &Paired,
    miss: f64,
    replicates: usize,
    seed: u64,
) -> Result<Interval, Error> {
    check(paired)?;
    let places: Vec<usize> =
        (0..paired.weights.len()).filter(|i| paired.weights[*i] > 0.0).collect();
    let (units, seeds) = (places.len(), paired.seeds.len());
    if units < 2 || seeds < 2 || replicates < 2 {
        return Err(Error::NothingToResample { units, seeds, replicates });
    }
    let n = seeds as f64;
    let difference = paired.seeds.iter().map(|seed| seed.whole).sum::<f64>() / n;
    let over_all: Vec<f64> =
        paired.seeds.iter().map(|seed| paired.mean(seed, places.iter().copied())).collect();
    let enlarged = (n / (n - 1.0)).sqrt();
    let mut drawn = vec![0; units];
    let mut of_users = Vec::with_capacity(replicates);
    let mut of_seeds = Vec::with_capacity(replicates);
    for replicate in 0..replicates {
        let mut random = Random::new(numbered(seed, replicate as u64));
        drawn.fill_with(|| places[random.below(units)]);
        // The seeds' differences among these users.
        let here: Vec<f64> = paired
            .seeds
            .iter()
            .zip(&over_all)
            .map(|(seed, all)| {
                let moved = paired.mean(seed, drawn.iter().copied()) - all;
                seed.whole + paired.leverage * moved
            })
            .collect();
        let mean = here.iter().sum::<f64>() / n;
        let of_drawn = (0..seeds).map(|_| here[random.below(seeds)]).sum::<f64>() / n;
        of_users.push(mean - difference);
        of_seeds.push(enlarged * (of_drawn - mean));
    }
    let both: Vec<f64> =
        of_users.iter().zip(&of_seeds).map(|(users, seeds)| users + seeds).collect();
    let parts =
        variance(&of_users).powi(2) / (units - 1) as f64 + variance(&of_seeds).powi(2) / (n - 1.0);
    let standard_error = variance(&both).sqrt();
    let degrees = (variance(&of_users) + variance(&of_seeds)).powi(2) / parts;
    // Two models that are one differ nowhere, and no degree of freedom is defined.
    let half = if parts > 0.0 { student::two_sided(miss, degrees) * standard_error } else { 0.0 };
    Ok(Interval {
        difference,
        low: difference - half,
        high: difference + half,
        standard_error,
        degrees,
    })
}

impl Paired {
    /// The weighted mean of a seed's differences over units.
    fn mean(&self, seed: &SeedDifference, units: impl Iterator<Item = usize>) -> f64 {
        let (sum, weight) = units.fold((0.0, 0.0), |(sum, weight), unit| {
            (sum + self.weights[unit] * seed.units[unit], weight + self.weights[unit])
        });
        sum / weight
    }
}

fn check(paired: &Paired) -> Result<(), Error> {
    let units = paired.weights.len();
    for seed in &paired.seeds {
        if seed.units.len() != units {
            return Err(Error::UnitsDiffer { units, found: seed.units.len() });
        }
        for (position, (&weight, &difference)) in paired.weights.iter().zip(&seed.units).enumerate()
        {
            let usable = weight >= 0.0
                && [weight, difference, seed.whole].iter().all(|number| number.is_finite());
            if !usable {
                return Err(Error::BadUnit { position, weight, difference });
            }
        }
    }
    Ok(())
}

fn variance(values: &[f64]) -> f64 {
    crate::table::mean_and_deviation(values).1.powi(2)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// How much seeds, users and both together vary around the true difference.
    #[derive(Clone, Copy, Debug)]
    struct Spread {
        seeds: f64,
        users: f64,
        both: f64,
    }

    const TRUE: f64 = 0.01;

    /// A table of units under seeds with weights, drawn from the model that the intervals are for.
    fn simulated(seeds: usize, units: usize, spread: Spread, seed: u64) -> Paired {
        let mut random = Random::new(seed);
        let weights: Vec<f64> = (0..units).map(|_| 1.0 + random.below(4) as f64).collect();
        let of_units: Vec<f64> = (0..units).map(|_| spread.users * random.normal()).collect();
        let all: f64 = weights.iter().sum();
        let seeds = (0..seeds).map(|_| {
            let luck = TRUE + spread.seeds * random.normal();
            let values: Vec<f64> =
                of_units.iter().map(|unit| luck + unit + spread.both * random.normal()).collect();
            let whole = weights.iter().zip(&values).map(|(w, v)| w * v).sum::<f64>() / all;
            SeedDifference { whole, units: values }
        });
        let seeds = seeds.collect();
        Paired { weights, seeds, leverage: 1.0 }
    }

    /// How many of `trials` intervals hold the true difference.
    fn covered(trials: u64, seeds: usize, miss: f64, spread: Spread) -> f64 {
        let holds = |trial: &u64| {
            let paired = simulated(seeds, 60, spread, numbered(17, *trial));
            let found = interval(&paired, miss, 300, *trial).unwrap();
            (found.low..=found.high).contains(&TRUE)
        };
        (0..trials).filter(holds).count() as f64
    }

    /// Where users decide, where seeds do, and where both do, with three seeds and with five, at one comparison's level and at
    /// one of nine's. Bounds: three binomial deviations. Between the extremes Satterthwaite's degrees are an approximation.
    #[test]
    fn intervals_hold_the_true_difference_as_often_as_they_say() {
        const TRIALS: u64 = 600;
        let spreads = [
            Spread { seeds: 0.0, users: 0.1, both: 0.02 },
            Spread { seeds: 0.01, users: 0.01, both: 0.01 },
            Spread { seeds: 0.01, users: 0.1, both: 0.02 },
        ];
        for spread in spreads {
            for (seeds, miss) in [(3, 0.05), (5, 0.05), (3, 0.05 / 9.0), (5, 0.05 / 9.0)] {
                let share = covered(TRIALS, seeds, miss, spread) / TRIALS as f64;
                let bound = 3.0 * (miss * (1.0 - miss) / TRIALS as f64).sqrt();
                assert!(
                    (share - (1.0 - miss)).abs() <= bound + 0.01,
                    "{share} of {} with {seeds} seeds, {spread:?}",
                    1.0 - miss
                );
            }
        }
    }

    /// Users alone, as one run has them: the standard error is that of a weighted mean.
    #[test]
    fn the_standard_error_is_that_of_a_mean() {
        let spread = Spread { seeds: 0.0, users: 0.1, both: 0.0 };
        let paired = Paired { weights: vec![1.0; 400], ..simulated(3, 400, spread, 5) };
        let found = interval(&paired, 0.05, 2000, 1).unwrap();
        let (_, deviation) = crate::table::mean_and_deviation(&paired.seeds[0].units);
        let expected = deviation / 20.0;
        assert!((found.standard_error / expected - 1.0).abs() < 0.06, "{found:?}");
        let twice = interval(&Paired { leverage: 2.0, ..paired }, 0.05, 2000, 1).unwrap();
        assert!((twice.standard_error / found.standard_error - 2.0).abs() < 1e-9, "{twice:?}");
        assert!(found.degrees > 390.0, "{found:?}");
    }

    /// Seeds alone: the interval is that of a t-test.
    #[test]
    fn with_equal_users_the_interval_is_the_t_test_of_the_seeds() {
        let whole = [0.012, 0.009, 0.018];
        let seeds = whole.map(|whole| SeedDifference { whole, units: vec![whole; 30] });
        let paired = Paired { weights: vec![1.0; 30], seeds: seeds.into(), leverage: 1.0 };
        let found = interval(&paired, 0.05, 20_000, 1).unwrap();
        let (mean, deviation) = crate::table::mean_and_deviation(&whole);
        let half = 4.302_652_730 * deviation / 3.0_f64.sqrt();
        assert!((found.difference - mean).abs() < 1e-12 && (found.degrees - 2.0).abs() < 1e-9);
        assert!(((found.high - mean) / half - 1.0).abs() < 0.02, "{found:?} {half}");
    }

    #[test]
    fn models_that_are_one_differ_by_nothing() {
        let spread = Spread { seeds: 0.0, users: 0.0, both: 0.0 };
        let mut paired = simulated(3, 20, spread, 1);
        for seed in &mut paired.seeds {
            *seed = SeedDifference { whole: 0.0, units: vec![0.0; 20] };
        }
        let found = interval(&paired, 0.05, 100, 1).unwrap();
        assert_eq!((found.difference, found.low, found.high), (0.0, 0.0, 0.0));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn swapping_the_models_turns_the_sign(seeds in 2_usize..6, units in 2_usize..30, seed in any::<u64>()) {
            let paired = simulated(seeds, units, Spread { seeds: 0.1, users: 0.1, both: 0.1 }, seed);
            let mut swapped = paired.clone();
            for seed in &mut swapped.seeds {
                seed.whole = -seed.whole;
                seed.units.iter_mut().for_each(|value| *value = -*value);
            }
            let (a, b) = (interval(&paired, 0.05, 50, seed)?, interval(&swapped, 0.05, 50, seed)?);
            prop_assert_eq!((a.difference, a.low, a.high), (-b.difference, -b.high, -b.low));
            prop_assert_eq!(a.standard_error, b.standard_error);
            prop_assert_eq!(a, interval(&paired, 0.05, 50, seed)?);
            let corrected = interval(&paired, 0.05 / 9.0, 50, seed)?;
            prop_assert!(corrected.low < a.low && corrected.high > a.high);
        }
    }

    #[test]
    fn refuses_what_cannot_be_drawn() {
        let spread = Spread { seeds: 0.1, users: 0.1, both: 0.1 };
        let good = simulated(3, 10, spread, 1);
        assert!(interval(&good, 0.05, 1, 1).is_err());
        let one = Paired { seeds: good.seeds[..1].to_vec(), ..good.clone() };
        assert!(matches!(
            interval(&one, 0.05, 10, 1),
            Err(Error::NothingToResample { seeds: 1, .. })
        ));
        let nobody = Paired { weights: vec![0.0; 10], ..good.clone() };
        assert!(interval(&nobody, 0.05, 10, 1).is_err());
        let fewer = Paired { weights: vec![1.0; 9], ..good.clone() };
        assert_eq!(interval(&fewer, 0.05, 10, 1), Err(Error::UnitsDiffer { units: 9, found: 10 }));
        let mut bad = good;
        bad.seeds[1].units[4] = f64::NAN;
        assert!(matches!(interval(&bad, 0.05, 10, 1), Err(Error::BadUnit { position: 4, .. })));
    }
}
