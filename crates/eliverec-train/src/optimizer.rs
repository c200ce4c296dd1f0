//! The optimiser of the dense parameters: the rule of `eliverec_core::adagrad`, one accumulator per parameter, by name.
//!
//! Also the norm over dense and row gradients together, which clipping and the log use.

use std::collections::BTreeMap;

use eliverec_core::adagrad::AdagradConfig;
use eliverec_models::{Model, parameters};
use rayon::prelude::*;

use crate::tasks::gradient::add_dense;

/// Gradients of one update: of the dense parameters by name, of the row blocks by vocabulary.
#[derive(Debug)]
pub struct Gradient {
    /// By parameter name; a parameter that took no part is absent.
    pub dense: BTreeMap<String, Vec<f32>>,
    /// By vocabulary, `[u * width]`.
    pub rows: Vec<Vec<f32>>,
}

impl Gradient {
    /// The global 2-norm, summed in a fixed order: chunks in parallel, then one after the other.
    pub fn norm(&self) -> f64 {
        const CHUNK: usize = 1 << 14;
        let chunks: Vec<&[f32]> =
            self.dense.values().chain(&self.rows).flat_map(|values| values.chunks(CHUNK)).collect();
        let squares: Vec<f64> = chunks.par_iter().map(|chunk| sum_of_squares(chunk)).collect();
        squares.iter().sum::<f64>().sqrt()
    }

    /// Adds `weight` times another gradient of the same batch.
    pub(crate) fn add(&mut self, other: &Self, weight: f32) {
        add_dense(&mut self.dense, &other.dense, weight);
        for (to, from) in self.rows.iter_mut().zip(&other.rows) {
            to.iter_mut().zip(from).for_each(|(to, from)| *to += weight * from);
        }
    }

    /// Scales everything down so that the norm is at most `limit`.
    pub fn clip(&mut self, norm: f64, limit: f32) {
        if norm > f64::from(limit) {
            let factor = (f64::from(limit) / norm) as f32;
            let all = self.dense.values_mut().chain(&mut self.rows);
            all.flatten().for_each(|g| *g *= factor);
        }
    }

    /// The first parameter or vocabulary with a gradient that is no number, and that value.
    pub fn not_finite(&self, vocabularies: &[&str]) -> Option<(String, f32)> {
        let bad = |values: &[f32]| values.iter().copied().find(|g| !g.is_finite());
        let dense =
            self.dense.iter().filter_map(|(name, values)| Some((name.clone(), bad(values)?)));
        let rows = vocabularies.iter().zip(&self.rows);
        let rows =
            rows.filter_map(|(name, values)| Some((format!("vocabulary {name}"), bad(values)?)));
        dense.chain(rows).next()
    }
}

/// In lanes: one running sum would wait for each addition to end.
fn sum_of_squares(values: &[f32]) -> f64 {
    let mut lanes = [0.0_f64; 16];
    let (whole, rest) = values.as_chunks::<16>();
    for chunk in whole {
        for (lane, value) in lanes.iter_mut().zip(chunk) {
            *lane += f64::from(*value).powi(2);
        }
    }
    lanes.iter().sum::<f64>() + rest.iter().map(|value| f64::from(*value).powi(2)).sum::<f64>()
}

/// Accumulators of the dense parameters.
#[derive(Clone, Debug, PartialEq)]
pub struct DenseOptimizer {
    rule: AdagradConfig,
    accumulators: BTreeMap<String, Vec<f32>>,
}

impl DenseOptimizer {
    /// An optimiser that has seen nothing.
    pub fn new(rule: AdagradConfig) -> Self {
        Self { rule, accumulators: BTreeMap::new() }
    }

    /// An optimiser with the accumulators of a checkpoint.
    pub fn resume(rule: AdagradConfig, accumulators: BTreeMap<String, Vec<f32>>) -> Self {
        Self { rule, accumulators }
    }

    /// By parameter name; a parameter that never had a gradient has none.
    pub fn accumulators(&self) -> &BTreeMap<String, Vec<f32>> {
        &self.accumulators
    }

    /// Update number `step` (from 0) with learning rate `rate`.
    pub fn update(
        &mut self,
        model: Model,
        gradients: &BTreeMap<String, Vec<f32>>,
        step: u64,
        rate: f32,
    ) -> Model {
        let decays = self.rule.periods(step) - self.rule.periods(step.saturating_sub(1));
        if decays > 0 {
            self.accumulators.values_mut().for_each(|a| self.rule.decay(a, decays));
        }
        parameters::update(model, |name, values| {
            if let Some(gradient) = gradients.get(name) {
                let initial = self.rule.initial_accumulator;
                let accumulator = self
                    .accumulators
                    .entry(name.to_string())
                    .or_insert_with(|| vec![initial; values.len()]);
                self.rule.update(values, accumulator, gradient, rate);
            }
        })
    }
}

/// The learning rate of update number `step`: linear from `rate / warmup_steps` to `rate`.
pub fn warmed_up(rate: f32, step: u64, warmup_steps: u64) -> f32 {
    if step >= warmup_steps { rate } else { rate * (step + 1) as f32 / warmup_steps as f32 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use eliverec_core::normalize::Moments;

    fn gradient() -> Gradient {
        Gradient { dense: [("w".to_string(), vec![3.0, 0.0])].into(), rows: vec![vec![0.0, 4.0]] }
    }

    #[test]
    fn clipping_keeps_the_direction_and_bounds_the_norm() {
        let mut gradient = gradient();
        assert_eq!(gradient.norm(), 5.0);
        gradient.clip(5.0, 1.0);
        assert!((gradient.norm() - 1.0).abs() < 1e-6);
        assert!((gradient.dense["w"][0] - 0.6).abs() < 1e-6);
        let before = gradient.norm();
        gradient.clip(before, 2.0);
        assert_eq!(gradient.norm(), before);
    }

    #[test]
    fn the_parameter_with_a_broken_gradient_is_named() {
        let names = ["channel"];
        let mut gradient = gradient();
        assert_eq!(gradient.not_finite(&names), None);
        gradient.rows[0][1] = f32::INFINITY;
        assert_eq!(gradient.not_finite(&names), Some(("vocabulary channel".into(), f32::INFINITY)));
    }

    /// Against the rule of model.md, one number at a time, over a decay.
    #[test]
    fn updates_follow_the_rule() {
        let text = "seed = 1\n[model]\nname = \"din\"\n[input]\nwidth = 4\n[tower]\nwidths = [3]\n";
        let config = eliverec_run::Config::parse(text, "test", &[]).unwrap();
        let (schema, stay) = (eliverec_core::toy::schema(), Moments::default());
        let learner = crate::learner::Learner::new(&config, &schema, stay).unwrap();
        let rule = AdagradConfig { decay_steps: 2, decay_rate: 0.5, ..AdagradConfig::default() };
        let before = parameters::export(&learner.model);
        let mut optimizer = DenseOptimizer::new(rule);
        let mut model = learner.model;
        let untouched = before.keys().next().unwrap().clone();
        for step in 0..5 {
            let gradient = |p: &eliverec_models::trace::Recorded| vec![0.3; p.values.len()];
            let gradients = before.iter().filter(|(name, _)| **name != untouched);
            let gradients = gradients.map(|(name, p)| (name.clone(), gradient(p))).collect();
            model = optimizer.update(model, &gradients, step, 0.1);
        }
        let (mut change, mut accumulator) = (0.0_f32, 0.1_f32);
        for step in 0..5 {
            if step > 0 && step % 2 == 0 {
                accumulator = (accumulator * 0.5).max(0.1);
            }
            accumulator += 0.3 * 0.3;
            change -= 0.1 * 0.3 / (accumulator.sqrt() + 1e-10);
        }
        for (name, parameter) in parameters::export(&model) {
            let change = if name == untouched { 0.0 } else { change };
            for (after, before) in parameter.values.iter().zip(&before[&name].values) {
                assert!((after - before - change).abs() < 1e-6, "{name}: {before} to {after}");
            }
        }
        assert!(!optimizer.accumulators().contains_key(&untouched));
    }

    #[test]
    fn warm_up_is_linear_and_ends() {
        assert_eq!(warmed_up(0.1, 0, 0), 0.1);
        assert_eq!(warmed_up(1.0, 0, 4), 0.25);
        assert_eq!(warmed_up(1.0, 3, 4), 1.0);
        assert_eq!(warmed_up(1.0, 9, 4), 1.0);
    }
}
