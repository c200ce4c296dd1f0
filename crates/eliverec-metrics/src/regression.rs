//! Mean absolute error and root mean squared error, in the unit of the target: seconds for stay time.

use crate::Error;

/// Accumulates both metrics in constant memory.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Regression {
    absolute: f64,
    squared: f64,
    count: u64,
}

impl Regression {
    /// Nothing seen.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds one prediction and what was observed.
    ///
    /// # Errors
    /// [`Error::NotFinite`] for NaN and infinities; the pair is then not counted.
    pub fn add(&mut self, predicted: f32, observed: f32) -> Result<(), Error> {
        for (what, value) in [("prediction", predicted), ("target", observed)] {
            if !value.is_finite() {
                return Err(Error::NotFinite { what, position: self.count, value });
            }
        }
        let difference = f64::from(predicted) - f64::from(observed);
        self.absolute += difference.abs();
        self.squared += difference * difference;
        self.count += 1;
        Ok(())
    }

    /// Mean absolute error; `None` before the first pair.
    pub fn mean_absolute_error(&self) -> Option<f64> {
        (self.count > 0).then(|| self.absolute / self.count as f64)
    }

    /// Root of the mean squared error; `None` before the first pair.
    pub fn root_mean_squared_error(&self) -> Option<f64> {
        (self.count > 0).then(|| (self.squared / self.count as f64).sqrt())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn equals_the_definition(
            pairs in prop::collection::vec((-500.0_f32..500.0, 0.0_f32..500.0), 1..30),
        ) {
            let mut regression = Regression::new();
            let mut errors = Vec::new();
            for &(predicted, observed) in &pairs {
                regression.add(predicted, observed).unwrap();
                errors.push(f64::from(predicted) - f64::from(observed));
            }
            let n = errors.len() as f64;
            let mae = errors.iter().map(|e| e.abs()).sum::<f64>() / n;
            // RMSE^2 = mean^2 + variance.
            let mean = errors.iter().sum::<f64>() / n;
            let variance = errors.iter().map(|e| (e - mean).powi(2)).sum::<f64>() / n;
            let rmse = (mean * mean + variance).sqrt();
            prop_assert!((regression.mean_absolute_error().unwrap() - mae).abs() < 1e-9);
            prop_assert!((regression.root_mean_squared_error().unwrap() - rmse).abs() < 1e-9);
        }
    }

    #[test]
    fn nothing_and_not_a_number() {
        let mut regression = Regression::new();
        assert_eq!(regression.mean_absolute_error(), None);
        assert_eq!(regression.root_mean_squared_error(), None);
        regression.add(3.0, 1.0).unwrap();
        let error = regression.add(1.0, f32::NAN).unwrap_err();
        assert!(error.to_string().starts_with("target number 1 is NaN"), "{error}");
        assert!(regression.add(f32::INFINITY, 1.0).is_err());
        assert_eq!(regression.mean_absolute_error(), Some(2.0));
    }
}
