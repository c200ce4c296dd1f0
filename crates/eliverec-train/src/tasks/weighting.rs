//! What balances the tasks, chosen by the config.

use super::TASKS;
use super::adaptive::Adaptive;
use super::balance::Balance;
use super::signal::{Signal, State};
use super::uncertainty::Uncertainty;
use eliverec_run::tasks::Mode;
use eliverec_run::tasks::TasksConfig;

/// From signals to weights, learning on the way.
#[derive(Clone, Debug, PartialEq)]
pub enum Weighting {
    /// The config's weights.
    Fixed([f32; TASKS]),
    /// Eq. 14-15.
    Adaptive(Adaptive),
    /// Learned variances.
    Uncertainty(Uncertainty),
    /// Norms of gradients.
    Balance(Balance),
}

impl Weighting {
    /// As the config asks; `None` without inter-channel tasks.
    pub fn new(config: &TasksConfig, seed: u64) -> Option<Self> {
        Some(match config.mode {
            Mode::Single => return None,
            Mode::Vanilla => Self::Fixed(config.fixed()),
            Mode::Adaptive => Self::Adaptive(Adaptive::new(config, seed)),
            Mode::Uncertainty => Self::Uncertainty(Uncertainty::new(config)),
            Mode::MetaBalance => Self::Balance(Balance::default()),
        })
    }

    /// The weights of one update. A task without labels in the batch has no signal, and its weight counts for nothing.
    pub fn weigh(&mut self, signals: &[Option<Signal>; TASKS]) -> [f32; TASKS] {
        match self {
            Self::Fixed(weights) => *weights,
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
