//! What passes between the tasks' gradients, their weights and the log.

use std::collections::BTreeMap;

use eliverec_models::heads::Task;

/// What weighting knows of a task in one batch.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Signal {
    /// L_i, a mean over its labels.
    pub loss: f32,
    /// Of g_rec and g_i; 0 if either vanishes.
    pub cosine: f32,
    /// |g_rec| and |g_i|.
    pub norms: [f32; 2],
}

/// A task in one update.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Weighed {
    /// Which.
    pub task: Task,
    /// What weighting knew.
    pub signal: Signal,
    /// w_i
    pub weight: f32,
}

/// Every number that changes from update to update, by name.
pub type State<'a> = BTreeMap<String, &'a mut [f32]>;
