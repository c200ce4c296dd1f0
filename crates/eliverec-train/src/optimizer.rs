//! The optimiser of the dense parameters: the rule of `eliverec_core::adagrad`, one accumulator per parameter, by name.

use std::collections::BTreeMap;

use eliverec_core::adagrad::AdagradConfig;
use eliverec_models::{Model, parameters};

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
        self.update_besides(model, gradients, rate)
    }

    /// A further change in the same update: accumulators do not decay again.
    pub fn update_besides(
        &mut self,
        model: Model,
        gradients: &BTreeMap<String, Vec<f32>>,
        rate: f32,
    ) -> Model {
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
    use burn::tensor::Device;
    use eliverec_models::ModelSettings;
    use eliverec_models::registry::ModelConfig;

    use super::*;

    /// Against the rule of model.md, one number at a time, over a decay.
    #[test]
    fn updates_follow_the_rule() {
        let settings =
            ModelSettings { model: ModelConfig::of("din").unwrap(), ..Default::default() };
        let model = Model::new(&settings, &eliverec_core::toy::schema(), 1, &Device::flex());
        let mut model = model.unwrap();
        let rule = AdagradConfig { decay_steps: 2, decay_rate: 0.5, ..AdagradConfig::default() };
        let before = parameters::export(&model);
        let mut optimizer = DenseOptimizer::new(rule);
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
