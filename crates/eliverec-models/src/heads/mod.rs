//! Inter-channel modelling (Sec. IV-C): what a user does once inside a channel, predicted from the fields F of any trunk and
//! the channel's dynamic context e_d.
//!
//! A gate per field lets e_d decide what of F counts ([`gate`]), then experts are mixed anew for every task ([`mixture`]).

mod config;
mod gate;
mod mixture;
mod task;

use burn::module::Module;
use burn::tensor::Tensor;

use self::gate::Gate;
use self::mixture::Mixture;
use crate::builder::Builder;
use crate::trace::Trace;

pub use config::HeadsConfig;
pub use task::Task;

/// Eq. 12-13 for the three tasks.
#[derive(Module, Debug)]
pub struct Heads {
    /// Without a dynamic context there is nothing to gate by.
    gate: Option<Gate>,
    mixture: Mixture,
}

impl Heads {
    /// Heads over fields of the given widths, and e_d of width `dynamic`, if there is one.
    pub(crate) fn new(
        config: &HeadsConfig,
        fields: &[usize],
        dynamic: Option<usize>,
        builder: &Builder,
    ) -> Self {
        let inputs = fields.iter().sum::<usize>() + dynamic.unwrap_or(0);
        Self {
            gate: dynamic.map(|width| Gate::new(config, fields.len(), width, builder)),
            mixture: Mixture::new(config, inputs, builder),
        }
    }

    /// From F, `[rows, w]` each, and e_d `[rows, d]` to one output `[rows]` per task, in the order of [`Task::ALL`]: the
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
