//! What balances the tasks, chosen by the config.

use super::adaptive::Adaptive;
use super::balance::Balance;
use super::signal::{Signal, State};
use super::uncertainty::Uncertainty;
use crate::error::Error;
use eliverec_core::Task;
use eliverec_run::tasks::{Mode, TasksConfig};

/// From signals to weights, learning on the way.
#[derive(Clone, Debug, PartialEq)]
pub enum Weighting {
    /// The config's weights.
    Fixed(Vec<f32>),
    /// Eq. 14-15.
    Adaptive(Adaptive),
    /// Learned variances.
    Uncertainty(Uncertainty),
    /// Norms of gradients.
    Balance(Balance),
}

impl Weighting {
    /// As the config asks, for the tasks of a schema; `None` without inter-channel tasks.
    ///
    /// # Errors
    /// A weight for a task that the schema does not have.
    pub fn new(config: &TasksConfig, tasks: &[Task], seed: u64) -> Result<Option<Self>, Error> {
        Ok(Some(match config.mode {
            Mode::Single => return Ok(None),
            Mode::Vanilla => Self::Fixed(config.fixed(tasks)?),
            Mode::Adaptive => Self::Adaptive(Adaptive::new(config, tasks, seed)),
            Mode::Uncertainty => Self::Uncertainty(Uncertainty::new(config, tasks)),
            Mode::MetaBalance => Self::Balance(Balance::new(tasks.len())),
        }))
    }

    /// The weights of one update. A task without labels in the batch has no signal, and its weight counts for nothing.
    pub fn weigh(&mut self, signals: &[Option<Signal>]) -> Vec<f32> {
        match self {
            Self::Fixed(weights) => weights.clone(),
            Self::Adaptive(adaptive) => adaptive.weigh(signals),
            Self::Uncertainty(uncertainty) => uncertainty.weigh(signals),
            Self::Balance(balance) => balance.weigh(signals),
        }
    }

    /// What a checkpoint keeps.
    pub fn state(&mut self) -> State<'_> {
        let mut state = State::new();
        match self {
            Self::Fixed(_) => {}
            Self::Adaptive(adaptive) => adaptive.state(&mut state),
            Self::Uncertainty(uncertainty) => uncertainty.state(&mut state),
            Self::Balance(balance) => balance.state(&mut state),
        }
        state
    }
}
