//! Inter-channel modelling (Sec. IV-C): what a user does once inside a channel, predicted from the fields F of any trunk and
//! the channel's dynamic context e_d.
//!
//! A gate per field lets e_d decide what of F counts ([`gate`]), then experts are mixed anew for every task ([`mixture`]).

mod gate;
mod mixture;
mod task;

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use serde::{Deserialize, Serialize};

use self::gate::Gate;
use self::mixture::Mixture;
use crate::error::Error;
use crate::trace::Trace;

pub use task::Task;

/// `[heads]` of an experiment file; read only where there are inter-channel tasks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HeadsConfig {
    /// Experts that the tasks share.
    pub experts: usize,
    /// Units of an expert's one layer.
    pub expert_width: usize,
    /// Units of the hidden layer of each field's gate.
    pub gate_hidden: usize,
    /// Units of the hidden layer of each task's tower.
    pub tower_hidden: usize,
}

impl Default for HeadsConfig {
    fn default() -> Self {
        Self { experts: 4, expert_width: 64, gate_hidden: 32, tower_hidden: 32 }
    }
}

impl HeadsConfig {
    pub(crate) fn check(&self) -> Result<(), Error> {
        let sizes = [
            ("heads.experts", self.experts),
            ("heads.expert_width", self.expert_width),
            ("heads.gate_hidden", self.gate_hidden),
            ("heads.tower_hidden", self.tower_hidden),
        ];
        match sizes.into_iter().find(|(_, size)| *size == 0) {
            Some((key, _)) => Err(Error::Config { key, reason: "must be positive".into() }),
            None => Ok(()),
        }
    }
}

/// Eq. 12-13 for the three tasks.
#[derive(Module, Debug)]
pub struct Heads {
    /// Without a dynamic context there is nothing to gate by.
    gate: Option<Gate>,
    mixture: Mixture,
}

impl Heads {
    /// Heads over `fields` fields of width d, and e_d of the same width if `dynamic`.
    pub(crate) fn new(
        config: &HeadsConfig,
        fields: usize,
        width: usize,
        dynamic: bool,
        device: &Device,
    ) -> Self {
        let inputs = (fields + usize::from(dynamic)) * width;
        Self {
            gate: dynamic.then(|| Gate::new(config, fields, width, device)),
            mixture: Mixture::new(config, inputs, device),
        }
    }

    /// From F, `[rows, d]` each, and e_d `[rows, d]` to one output `[rows]` per task, in the order of [`Task::ALL`]: the
    /// standardised log1p of the stay in seconds, and the logits of the two clicks.
    ///
    /// Records each field's gate as `gate.{field}` `[rows]`.
    pub(crate) fn forward(
        &self,
        fields: &[(&'static str, Tensor<2>)],
        dynamic: Option<&Tensor<2>>,
        trace: &mut Trace,
    ) -> [Tensor<1>; Task::ALL.len()] {
        let mut inputs = match (&self.gate, dynamic) {
            (Some(gate), Some(dynamic)) => gate.forward(fields, dynamic.clone(), trace),
            _ => fields.iter().map(|(_, field)| field.clone()).collect(),
        };
        inputs.extend(dynamic.cloned());
        self.mixture.forward(Tensor::cat(inputs, 1))
    }
}
