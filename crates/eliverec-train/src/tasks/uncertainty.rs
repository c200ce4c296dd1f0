//! Weights from learned variances: a task whose labels the model cannot fit is noise, and noise should not steer.
//!
//! A. Kendall, Y. Gal, R. Cipolla, "Multi-Task Learning Using Uncertainty to Weigh Losses for Scene Geometry and Semantics",
//! CVPR 2018 (the paper's reference 44). Differences: the main task keeps weight 1, since here it is not one among equals.

use eliverec_models::heads::Task;

use super::TASKS;
use super::adam::Adam;
use super::signal::{Signal, State};
use eliverec_run::tasks::TasksConfig;

/// s_i = ln sigma_i^2 of every task.
#[derive(Clone, Debug, PartialEq)]
pub struct Uncertainty {
    log_variances: [f32; TASKS],
    adam: Adam,
    rate: f32,
}

impl Uncertainty {
    pub(super) fn new(config: &TasksConfig) -> Self {
        Self { log_variances: [0.0; TASKS], adam: Adam::new(TASKS), rate: config.weight_rate }
    }

    /// `L = sum_i k_i exp(-s_i) L_i + s_i / 2`, k = 1/2 for the regression and 1 for the clicks; the weights are
    /// `k_i exp(-s_i)`, and s descends L.
    pub(super) fn weigh(&mut self, signals: &[Option<Signal>; TASKS]) -> [f32; TASKS] {
        let (mut weights, mut gradient) = ([0.0; TASKS], [0.0; TASKS]);
        for (i, signal) in signals.iter().enumerate() {
            let Some(signal) = signal else { continue };
            let scale = if Task::ALL[i] == Task::Stay { 0.5 } else { 1.0 };
            weights[i] = scale * (-self.log_variances[i]).exp();
            gradient[i] = 0.5 - weights[i] * signal.loss;
        }
        self.adam.update(&mut self.log_variances, &gradient, self.rate);
        weights
    }

    pub(super) fn state<'a>(&'a mut self, to: &mut State<'a>) {
        self.adam.state("log_variances", to);
        to.insert("log_variances".into(), &mut self.log_variances);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// At the optimum the regression's variance equals its loss, and a click's is twice its loss.
    #[test]
    fn variances_settle_where_the_likelihood_is_largest() {
        let config = TasksConfig { weight_rate: 0.01, ..TasksConfig::default() };
        let mut uncertainty = Uncertainty::new(&config);
        let signal = |loss| Some(Signal { loss, cosine: 0.0, norms: [1.0; 2] });
        let signals = [signal(0.8), signal(0.2), None];
        for _ in 0..3_000 {
            uncertainty.weigh(&signals);
        }
        let [stay, bag, product] = uncertainty.weigh(&signals);
        assert!((stay - 0.5 / 0.8).abs() < 1e-2, "{stay}");
        assert!((bag - 0.5 / 0.2).abs() < 2e-2, "{bag}");
        assert_eq!(product, 0.0);
        assert_eq!(uncertainty.log_variances[2], 0.0);
    }
}
