//! Adaptive weights (Eq. 14-15): a small network per task reads how well the task's gradient agrees with the main one's and how
//! its loss stands, and gives its weight.
//!
//! Written on plain numbers: 133 parameters a task, whose gradient is a few lines.

use eliverec_core::seed::{Random, stream};
use eliverec_models::heads::Task;

use super::TASKS;
use super::adam::Adam;
use super::signal::{Signal, State};
use eliverec_run::tasks::TasksConfig;
use eliverec_run::tasks::WeightUpdate;

/// Numbers that describe a task's kind, learned.
const KIND: usize = 4;
const INPUTS: usize = 2 + KIND;
const HIDDEN: usize = 16;
/// The running mean of a loss moves by this share per update.
const PACE: f32 = 0.01;

/// A network per task and the running means of their losses.
#[derive(Clone, Debug, PartialEq)]
pub struct Adaptive {
    networks: Vec<Network>,
    /// 0 before a task's first loss.
    means: [f32; TASKS],
    update: WeightUpdate,
    rate: f32,
}

impl Adaptive {
    pub(super) fn new(config: &TasksConfig, seed: u64) -> Self {
        Self {
            networks: Task::ALL.iter().map(|task| Network::new(seed, task.name())).collect(),
            means: [0.0; TASKS],
            update: config.weight_update,
            rate: config.weight_rate,
        }
    }

    /// eq. 14: w_i = MLP_i([cos(g_rec, g_i), L_i / mean L_i, type_i]); then one step of eq. 15's descent.
    pub(super) fn weigh(&mut self, signals: &[Option<Signal>; TASKS]) -> [f32; TASKS] {
        let mut weights = [0.0; TASKS];
        for (i, signal) in signals.iter().enumerate() {
            let Some(signal) = signal else { continue };
            let mean = &mut self.means[i];
            *mean = if *mean == 0.0 { signal.loss } else { *mean + PACE * (signal.loss - *mean) };
            let relative = if *mean > 0.0 { signal.loss / *mean } else { 1.0 };
            let slope = match self.update {
                WeightUpdate::Joint => signal.loss,
                WeightUpdate::Meta => -signal.cosine,
            };
            weights[i] = self.networks[i].step([signal.cosine, relative], slope, self.rate);
        }
        weights
    }

    pub(super) fn state<'a>(&'a mut self, to: &mut State<'a>) {
        to.insert("means".into(), &mut self.means);
        for (task, network) in Task::ALL.iter().zip(&mut self.networks) {
            network.adam.state(task.name(), to);
            to.insert(task.name().into(), &mut network.parameters);
        }
    }
}

/// `sigmoid(ReLU([inputs, kind] W + b) v + c)`, all parameters one after the other: kind, W by rows, b, v, c.
#[derive(Clone, Debug, PartialEq)]
pub struct Network {
    parameters: Vec<f32>,
    adam: Adam,
}

const W: usize = KIND;
const B: usize = W + INPUTS * HIDDEN;
const V: usize = B + HIDDEN;
const C: usize = V + HIDDEN;

impl Network {
    fn new(seed: u64, task: &str) -> Self {
        let mut random = Random::new(stream(seed, &format!("init/weighting/{task}")));
        let mut parameters = vec![0.0; C + 1];
        let mut fill = |range: std::ops::Range<usize>, bound: f64| {
            parameters[range].fill_with(|| ((2.0 * random.uniform() - 1.0) * bound) as f32);
        };
        fill(0..KIND, 1.0);
        fill(W..B, 1.0 / (INPUTS as f64).sqrt());
        fill(V..C, 1.0 / (HIDDEN as f64).sqrt());
        Self::of(parameters)
    }

    /// A network of given parameters that was never updated.
    fn of(parameters: Vec<f32>) -> Self {
        let adam = Adam::new(parameters.len());
        Self { parameters, adam }
    }

    /// The weight for `inputs`; the parameters then move against `slope`, the derivative of what is minimised by the weight.
    fn step(&mut self, inputs: [f32; 2], slope: f32, rate: f32) -> f32 {
        let p = &self.parameters;
        let mut x = [0.0; INPUTS];
        x[..2].copy_from_slice(&inputs);
        x[2..].copy_from_slice(&p[..KIND]);
        let hidden: [f32; HIDDEN] = std::array::from_fn(|j| {
            let sum = x.iter().enumerate().map(|(i, x)| x * p[W + i * HIDDEN + j]).sum::<f32>();
            (sum + p[B + j]).max(0.0)
        });
        let z = hidden.iter().zip(&p[V..C]).map(|(h, v)| h * v).sum::<f32>() + p[C];
        let weight = 1.0 / (1.0 + (-z).exp());

        let by_z = slope * weight * (1.0 - weight);
        let mut gradient = vec![0.0; p.len()];
        gradient[C] = by_z;
        for (j, h) in hidden.iter().enumerate() {
            gradient[V + j] = by_z * h;
            let by_hidden = if *h > 0.0 { by_z * p[V + j] } else { 0.0 };
            gradient[B + j] = by_hidden;
            for (i, x) in x.iter().enumerate() {
                gradient[W + i * HIDDEN + j] = by_hidden * x;
                if i >= 2 {
                    gradient[i - 2] += by_hidden * p[W + i * HIDDEN + j];
                }
            }
        }
        self.adam.update(&mut self.parameters, &gradient, rate);
        weight
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tasks::reference::Reference;

    fn weight(network: &Network, inputs: [f32; 2]) -> f32 {
        network.clone().step(inputs, 0.0, 0.0)
    }

    /// Adam's first step is rate * sign(gradient), so it shows every derivative's sign; differences show where one is 0.
    #[test]
    fn the_gradient_is_that_of_the_weight() {
        let network = Network::new(3, "stay");
        let inputs = [0.4, 1.2];
        let mut stepped = network.clone();
        stepped.step(inputs, 1.0, 1.0);
        for i in 0..network.parameters.len() {
            let mut moved = network.clone();
            moved.parameters[i] += 1e-2;
            let difference = weight(&moved, inputs) - weight(&network, inputs);
            let step = stepped.parameters[i] - network.parameters[i];
            if difference.abs() < 1e-6 {
                assert!(step == 0.0 || step.abs() > 0.5, "{i}");
            } else {
                assert_eq!(step.signum(), -difference.signum(), "{i}: {difference} {step}");
            }
        }
    }

    fn signal(loss: f32, cosine: f32) -> Signal {
        Signal { loss, cosine, norms: [1.0; 2] }
    }

    #[test]
    fn joint_weights_fall_and_meta_weights_follow_the_cosine() {
        let run = |update, cosine| {
            let config = TasksConfig { weight_update: update, ..TasksConfig::default() };
            let mut adaptive = Adaptive::new(&config, 1);
            let signals = [Some(signal(0.7, cosine)), None, None];
            let first = adaptive.weigh(&signals)[0];
            for _ in 0..200 {
                adaptive.weigh(&signals);
            }
            adaptive.weigh(&signals)[0] - first
        };
        assert!(run(WeightUpdate::Joint, 0.5) < -0.01);
        assert!(run(WeightUpdate::Meta, 0.5) > 0.01);
        assert!(run(WeightUpdate::Meta, -0.5) < -0.01);
    }

    /// Ten updates from the same parameters, in both ways.
    #[test]
    fn weights_and_parameters_equal_the_reference_values() {
        let r = Reference::read("weighting.safetensors");
        let steps =
            r.values("input.loss").chunks(TASKS).zip(r.values("input.cosine").chunks(TASKS));
        for (update, name) in [(WeightUpdate::Joint, "joint"), (WeightUpdate::Meta, "meta")] {
            let config = TasksConfig { weight_update: update, ..TasksConfig::default() };
            let mut adaptive = Adaptive::new(&config, 1);
            let parts = ["kind", "hidden_weight", "hidden_bias", "output_weight", "output_bias"];
            for (network, task) in adaptive.networks.iter_mut().zip(Task::ALL) {
                let stored = parts.map(|part| r.values(&format!("param.{}.{part}", task.name())));
                *network = Network::of(stored.concat());
            }
            let mut weights = Vec::new();
            for (losses, cosines) in steps.clone() {
                // A loss of -1 stands for a batch without labels of the task.
                weights.extend(adaptive.weigh(&std::array::from_fn(|i| {
                    (losses[i] >= 0.0).then(|| signal(losses[i], cosines[i]))
                })));
            }
            r.check(&format!("output.{name}.weight"), &weights);
            for (network, task) in adaptive.networks.iter().zip(Task::ALL) {
                let mut from = 0;
                for part in parts {
                    let part = format!("output.{name}.{}.{part}", task.name());
                    let count = r.values(&part).len();
                    r.check(&part, &network.parameters[from..from + count]);
                    from += count;
                }
            }
        }
    }

    #[test]
    fn a_task_without_rows_changes_nothing() {
        let mut adaptive = Adaptive::new(&TasksConfig::default(), 1);
        let before = adaptive.clone();
        assert_eq!(adaptive.weigh(&[None; TASKS]), [0.0; TASKS]);
        assert_eq!(adaptive, before);
    }
}
