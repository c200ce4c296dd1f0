//! The `[heads]` table of an experiment file.

use serde::{Deserialize, Serialize};

use crate::error::Error;

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
