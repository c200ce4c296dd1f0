//! Adagrad with accumulator decay (Sec. V-D of the paper; DeepRec's `AdagradDecay`), on slices.
//!
//! The one rule of dense parameters and of sparse rows. A row that is touched rarely catches up on the
//! decays that it missed, and so ends with the numbers of the dense rule.

use serde::{Deserialize, Serialize};

/// Constants of the rule. Learning rates are arguments, since tables and dense layers differ in them.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AdagradConfig {
    /// Initial value and floor of every accumulator element.
    pub initial_accumulator: f32,
    /// Updates between two decays; 0 never decays.
    pub decay_steps: u64,
    /// Factor of a decay, in (0, 1].
    pub decay_rate: f32,
}

impl Default for AdagradConfig {
    fn default() -> Self {
        Self { initial_accumulator: 0.1, decay_steps: 100_000, decay_rate: 0.9 }
    }
}

/// Added to the root of the accumulator.
pub const EPSILON: f32 = 1e-10;

impl AdagradConfig {
    /// How many decays have happened by the time update number `step` (from 0) is applied.
    /// The first one comes right before update number `decay_steps`.
    pub fn periods(&self, step: u64) -> u64 {
        step.checked_div(self.decay_steps).unwrap_or(0)
    }

    /// `periods` decays at once: `max(acc * rate^periods, initial)`, which equals decaying and flooring one by one.
    pub fn decay(&self, accumulator: &mut [f32], periods: u64) {
        // One by one, since a power rounds differently; a row at the floor stays there.
        for a in accumulator {
            for _ in 0..periods {
                let decayed = (*a * self.decay_rate).max(self.initial_accumulator);
                if decayed == *a {
                    break;
                }
                *a = decayed;
            }
        }
    }

    /// `acc += g^2; x -= rate * g / (sqrt(acc) + 1e-10)`, element by element. The slices have one length.
    pub fn update(&self, values: &mut [f32], accumulator: &mut [f32], gradient: &[f32], rate: f32) {
        assert!(
            values.len() == accumulator.len() && values.len() == gradient.len(),
            "values, accumulator and gradient have one length"
        );
        for ((x, a), g) in values.iter_mut().zip(accumulator).zip(gradient) {
            *a += g * g;
            *x -= rate * g / (a.sqrt() + EPSILON);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_update_follows_the_formula() {
        let rule = AdagradConfig::default();
        let (mut x, mut a) = ([1.0_f32], [0.1_f32]);
        rule.update(&mut x, &mut a, &[0.5], 0.05);
        assert!((a[0] - 0.35).abs() < 1e-7);
        assert!((x[0] - (1.0 - 0.05 * 0.5 / 0.35_f32.sqrt())).abs() < 1e-7);
    }

    #[test]
    fn first_decay_comes_before_update_number_decay_steps() {
        let rule = AdagradConfig { decay_steps: 3, ..AdagradConfig::default() };
        assert_eq!([0, 2, 3, 5, 6].map(|s| rule.periods(s)), [0, 0, 1, 1, 2]);
        assert_eq!(AdagradConfig { decay_steps: 0, ..rule }.periods(10), 0);
    }

    #[test]
    fn decay_stops_at_the_floor() {
        let rule = AdagradConfig::default();
        let mut a = [10.0, 0.1];
        rule.decay(&mut a, 1_000);
        assert_eq!(a, [0.1, 0.1]);
    }
}
