//! Whether probabilities mean what they say: expected calibration error over fifteen bins, and PCOC.
//!
//! Ranking metrics do not notice when all predictions are twice too high; a utility that multiplies probabilities does.

/// Bins of equal width over `[0, 1]`, the usual number in the literature; bin i holds `[i / 15, (i + 1) / 15)`, the last also 1.
pub const BINS: usize = 15;

/// Accumulates both metrics in constant memory.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Calibration {
    bins: [Bin; BINS],
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Bin {
    predicted: f64,
    watched: u64,
    impressions: u64,
}

impl Calibration {
    /// Nothing seen.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds one impression with a probability in `[0, 1]`.
    pub fn add(&mut self, probability: f32, label: bool) {
        let probability = f64::from(probability);
        let bin = &mut self.bins[((probability * BINS as f64) as usize).min(BINS - 1)];
        bin.predicted += probability;
        bin.watched += u64::from(label);
        bin.impressions += 1;
    }

    /// Mean predicted, share watched and impressions of every bin that has any, from low to high.
    pub fn bins(&self) -> Vec<(f64, f64, u64)> {
        let filled = self.bins.iter().filter(|bin| bin.impressions > 0);
        let share = |bin: &Bin, sum: f64| sum / bin.impressions as f64;
        filled
            .map(|bin| (share(bin, bin.predicted), share(bin, bin.watched as f64), bin.impressions))
            .collect()
    }

    /// Expected calibration error: the mean over impressions of |mean predicted - share watched| of their bin, in `[0, 1]`,
    /// 0 for perfect calibration; `None` before the first impression.
    pub fn expected_error(&self) -> Option<f64> {
        // n_i |mean predicted - share watched| is |sum predicted - watched|.
        let errors: f64 =
            self.bins.iter().map(|bin| (bin.predicted - bin.watched as f64).abs()).sum();
        let impressions: u64 = self.bins.iter().map(|bin| bin.impressions).sum();
        (impressions > 0).then(|| errors / impressions as f64)
    }

    /// PCOC, mean predicted / mean observed: 1 for no bias, 2 for predictions twice too high; `None` before the first watch.
    pub fn predicted_over_observed(&self) -> Option<f64> {
        let predicted: f64 = self.bins.iter().map(|bin| bin.predicted).sum();
        let watched: u64 = self.bins.iter().map(|bin| bin.watched).sum();
        (watched > 0).then(|| predicted / watched as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn calibration(impressions: &[(f32, bool)]) -> Calibration {
        let mut calibration = Calibration::new();
        impressions.iter().for_each(|&(p, label)| calibration.add(p, label));
        calibration
    }

    fn mean(values: impl Iterator<Item = f64> + Clone) -> f64 {
        values.clone().sum::<f64>() / values.count() as f64
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn equals_the_definition(
            impressions in prop::collection::vec(
                (prop_oneof![0.0_f32..=1.0, Just(0.0), Just(1.0), Just(0.2)], any::<bool>()),
                1..60,
            ),
        ) {
            let mut oracle = 0.0;
            for bin in 0..BINS {
                let (low, high) = (bin as f64 / 15.0, (bin as f64 + 1.0) / 15.0);
                let inside: Vec<_> = impressions.iter()
                    .map(|&(p, label)| (f64::from(p), f64::from(u8::from(label))))
                    .filter(|&(p, _)| low <= p && (p < high || bin == BINS - 1))
                    .collect();
                if !inside.is_empty() {
                    let gap = mean(inside.iter().map(|i| i.0)) - mean(inside.iter().map(|i| i.1));
                    oracle += gap.abs() * inside.len() as f64 / impressions.len() as f64;
                }
            }
            let calibration = calibration(&impressions);
            prop_assert!((calibration.expected_error().unwrap() - oracle).abs() < 1e-12);

            let observed = mean(impressions.iter().map(|i| f64::from(u8::from(i.1))));
            let predicted = mean(impressions.iter().map(|i| f64::from(i.0)));
            match calibration.predicted_over_observed() {
                None => prop_assert_eq!(observed, 0.0),
                Some(pcoc) => prop_assert!((pcoc - predicted / observed).abs() < 1e-9),
            }
        }
    }

    #[test]
    fn known_values() {
        let nothing = Calibration::new();
        assert_eq!((nothing.expected_error(), nothing.predicted_over_observed()), (None, None));
        let high = calibration(&[(0.5, true), (0.5, false), (0.5, false), (0.5, false)]);
        assert_eq!(high.expected_error(), Some(0.25));
        assert_eq!(high.predicted_over_observed(), Some(2.0));
        assert_eq!(calibration(&[(1.0, true), (0.0, false)]).expected_error(), Some(0.0));
        assert_eq!(calibration(&[(0.5, false)]).predicted_over_observed(), None);
    }
}
