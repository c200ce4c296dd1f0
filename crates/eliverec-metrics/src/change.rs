//! How far two scores of the same candidates are apart.

use serde::{Deserialize, Serialize};

/// Of the differences between two scores.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Change {
    /// Mean of their magnitudes.
    pub mean: f64,
    /// The largest magnitude.
    pub max: f64,
}

/// Takes pairs of scores.
#[derive(Clone, Copy, Debug, Default)]
pub struct ScoreChange {
    sum: f64,
    max: f64,
    pairs: u64,
}

impl ScoreChange {
    /// Takes in what two systems say of the same candidates, in one order.
    pub fn add(&mut self, before: &[f32], after: &[f32]) {
        for (before, after) in before.iter().zip(after) {
            let difference = (f64::from(*after) - f64::from(*before)).abs();
            self.sum += difference;
            self.max = self.max.max(difference);
            self.pairs += 1;
        }
    }

    /// Mean and maximum; 0 of no pairs.
    pub fn finish(&self) -> Change {
        Change { mean: self.sum / self.pairs.max(1) as f64, max: self.max }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mean_and_maximum_are_of_magnitudes() {
        let mut change = ScoreChange::default();
        assert_eq!(change.finish(), Change::default());
        change.add(&[0.5, 0.25], &[0.25, 0.25]);
        change.add(&[0.0], &[0.5]);
        assert_eq!(change.finish(), Change { mean: 0.25, max: 0.5 });
    }
}
