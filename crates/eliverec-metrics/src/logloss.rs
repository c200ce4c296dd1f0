//! Mean negative log-likelihood of binary labels, in nats: the watch task's training loss (Eq. 11) on held-out impressions.

/// The nearest that a probability may come to 0 or 1: a 32-bit sigmoid reaches both, and one such miss would make the mean infinite.
/// One impression then costs at most 15.9 nats.
pub const MARGIN: f64 = f32::EPSILON as f64;

/// Accumulates the loss in constant memory.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct LogLoss {
    sum: f64,
    impressions: u64,
}

impl LogLoss {
    /// Nothing seen.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a probability in `[0, 1]`, moved to `[MARGIN, 1 - MARGIN]`.
    pub fn add_probability(&mut self, probability: f32, label: bool) {
        let watched = f64::from(probability).clamp(MARGIN, 1.0 - MARGIN);
        self.sum -= if label { watched } else { 1.0 - watched }.ln();
        self.impressions += 1;
    }

    /// The mean; `None` before the first impression.
    pub fn finish(self) -> Option<f64> {
        (self.impressions > 0).then(|| self.sum / self.impressions as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn mean(impressions: &[(f32, bool)]) -> Option<f64> {
        let mut loss = LogLoss::new();
        impressions.iter().for_each(|&(value, label)| loss.add_probability(value, label));
        loss.finish()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn equals_the_definition(
            logits in prop::collection::vec((-12.0_f32..12.0, any::<bool>()), 1..30),
        ) {
            let sigmoid = |x: f32| 1.0 / (1.0 + (-f64::from(x)).exp());
            let likelihood = |p: f64, label: bool| if label { p } else { 1.0 - p };
            let probabilities: Vec<_> =
                logits.iter().map(|&(x, label)| (sigmoid(x) as f32, label)).collect();
            let oracle = probabilities.iter()
                .map(|&(p, label)| -likelihood(f64::from(p), label).ln())
                .sum::<f64>() / probabilities.len() as f64;
            let value = mean(&probabilities).unwrap();
            prop_assert!((value - oracle).abs() < 1e-9, "{} {}", value, oracle);
        }
    }

    #[test]
    fn extremes_stay_finite() {
        assert_eq!(mean(&[]), None);
        for miss in [(0.0, true), (1.0, false)] {
            let loss = mean(&[miss]).unwrap();
            assert!((loss + MARGIN.ln()).abs() < 1e-8, "{loss}");
        }
    }

    #[test]
    fn a_coin_costs_ln_2() {
        let coin = mean(&[(0.5, true), (0.5, false)]).unwrap();
        assert!((coin - std::f64::consts::LN_2).abs() < 1e-15);
    }
}
