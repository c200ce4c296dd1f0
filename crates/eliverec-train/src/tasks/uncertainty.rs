//! Weights from learned variances: a task whose labels the model cannot fit is noise, and noise should not steer.
//!
//! A. Kendall, Y. Gal, R. Cipolla, "Multi-Task Learning Using Uncertainty to Weigh Losses for Scene Geometry and Semantics",
//! CVPR 2018 (the paper's reference 44). Differences: the main task keeps weight 1, since here it is not one among equals.

use eliverec_core::{Task, TaskKind};

use super::adam::Adam;
use super::signal::{Signal, State};
use eliverec_run::tasks::TasksConfig;

/// s_i = ln sigma_i^2 of every task.
#[derive(Clone, Debug, PartialEq)]
pub struct Uncertainty {
    log_variances: Vec<f32>,
    kinds: Vec<TaskKind>,
    adam: Adam,
    rate: f32,
}

impl Uncertainty {
    pub(super) fn new(config: &TasksConfig, tasks: &[Task]) -> Self {
        Self {
            log_variances: vec![0.0; tasks.len()],
            kinds: tasks.iter().map(|task| task.kind).collect(),
            adam: Adam::new(tasks.len()),
            rate: config.weight_rate,
        }
    }

    /// `L = sum_i k_i exp(-s_i) L_i + s_i / 2`, k = 1/2 for the regression and 1 for the clicks; the weights are
    /// `k_i exp(-s_i)`, and s descends L.
    pub(super) fn weigh(&mut self, signals: &[Option<Signal>]) -> Vec<f32> {
        let (mut weights, mut gradient) = (vec![0.0; signals.len()], vec![0.0; signals.len()]);
        for (i, signal) in signals.iter().enumerate() {
            let Some(signal) = signal else { continue };
            let scale = if self.kinds[i] == TaskKind::Duration { 0.5 } else { 1.0 };
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
        let mut uncertainty = Uncertainty::new(&config, &Task::paper());
        let signal = |loss| Some(Signal { loss, cosine: 0.0, norms: [1.0; 2] });
        let signals = [signal(0.8), signal(0.2), None];
        for _ in 0..3_000 {
            uncertainty.weigh(&signals);
        }
        let weights = uncertainty.weigh(&signals);
        let [stay, bag, product] = weights[..] else { panic!("three tasks") };
        assert!((stay - 0.5 / 0.8).abs() < 1e-2, "{stay}");
        assert!((bag - 0.5 / 0.2).abs() < 2e-2, "{bag}");
        assert_eq!(product, 0.0);
        assert_eq!(uncertainty.log_variances[2], 0.0);
    }
}
