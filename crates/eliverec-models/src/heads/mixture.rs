//! Multi-gate mixture of experts (Eq. 13): the tasks share experts and each mixes them in its own way.
//!
//! J. Ma et al., "Modeling Task Relationships in Multi-task Learning with Multi-gate Mixture-of-Experts", KDD 2018.

use burn::module::{Module, Param};
use burn::tensor::{Tensor, activation};

use super::config::HeadsConfig;
use crate::blocks::Dense;
use crate::builder::Builder;
use crate::trace::Trace;

/// Experts of one layer, and a gate and a tower per task.
#[derive(Module, Debug)]
pub(super) struct Mixture {
    /// All experts side by side, `[inputs, experts * width]`.
    experts: Dense,
    tasks: Vec<TaskTower>,
    #[module(skip)]
    count: usize,
    #[module(skip)]
    names: Vec<String>,
}

#[derive(Module, Debug)]
struct TaskTower {
    gate: Param<Tensor<2>>,
    hidden: Dense,
    output: Dense,
}

impl Mixture {
    pub(super) fn new(
        config: &HeadsConfig,
        inputs: usize,
        names: &[String],
        builder: &Builder,
    ) -> Self {
        let tower = || TaskTower {
            gate: builder.matrix(inputs, config.experts),
            hidden: Dense::rectified(config.expert_width, config.tower_hidden, builder),
            output: Dense::new(config.tower_hidden, 1, builder),
        };
        Self {
            experts: Dense::rectified_parts(
                inputs,
                config.experts * config.expert_width,
                config.experts,
                builder,
            ),
            tasks: names.iter().map(|_| tower()).collect(),
            count: config.experts,
            names: names.to_vec(),
        }
    }

    /// eq. 13: f_e(x) = ReLU(x W_e + b_e), g_k(x) = softmax(x G_k), y_k = tower_k(sum_e g_k,e f_e)
    ///
    /// Records `experts` `[rows, experts, w]` and each task's gate as `mixture.{task}` `[rows, experts]`.
    pub(super) fn forward(&self, x: Tensor<2>, trace: &mut Trace) -> Vec<Tensor<1>> {
        let experts = activation::relu(self.experts.forward(x.clone()));
        let [rows, all] = experts.dims();
        let experts = experts.reshape([rows, self.count, all / self.count]);
        trace.record("experts", &experts);
        let mut output = |(task, name): (&TaskTower, &String)| {
            let gate = activation::softmax(x.clone().matmul(task.gate.val()), 1); //   [rows, experts]
            trace.record(&format!("mixture.{name}"), &gate);
            let mixed = (experts.clone() * gate.unsqueeze_dim(2)).sum_dim(1).squeeze_dim(1);
            let hidden = activation::relu(task.hidden.forward(mixed));
            task.output.forward(hidden).squeeze_dim(1)
        };
        self.tasks.iter().zip(&self.names).map(&mut output).collect()
    }
}
