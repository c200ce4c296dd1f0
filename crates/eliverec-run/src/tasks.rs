//! The `[tasks]` table of an experiment file: whether there are inter-channel tasks, and how they share the model.

use std::collections::BTreeMap;

use eliverec_core::Task;
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::suggestion::suggestion;

/// `[tasks]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TasksConfig {
    /// What balances the tasks; `single` trains the prediction of watching alone.
    pub mode: Mode,
    /// Impressions whose labels the tasks learn from.
    pub labels: LabelSpace,
    /// Where the gradients of two tasks are compared.
    pub gradient_scope: GradientScope,
    /// What the weighting network descends in mode `adaptive`.
    pub weight_update: WeightUpdate,
    /// Learning rate (Adam) of what learns the weights in modes `adaptive` and `uncertainty`.
    pub weight_rate: f32,
    /// Whether L_reg shares its updates with the tasks.
    pub schedule: Schedule,
    /// By name, weights of tasks' losses in mode `vanilla`, in place of those that the schema gives.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub weights: BTreeMap<String, f32>,
}

impl Default for TasksConfig {
    fn default() -> Self {
        Self {
            mode: Mode::Single,
            labels: LabelSpace::Watched,
            weights: BTreeMap::new(),
            gradient_scope: GradientScope::Representation,
            weight_update: WeightUpdate::Meta,
            weight_rate: 0.001,
            schedule: Schedule::Joint,
        }
    }
}

/// Rows "MTL" of Table IV, and two well-known strategies beside them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// No inter-channel tasks.
    #[default]
    Single,
    /// Fixed weights.
    Vanilla,
    /// A network per task weighs it by its gradient and its loss (Eq. 14-15).
    Adaptive,
    /// Learned variances: the paper's reference 44.
    Uncertainty,
    /// Gradients brought to the norm of the main task's: the paper's reference 31.
    MetaBalance,
}

/// Which impressions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LabelSpace {
    /// The watched ones: what happens inside a channel happens to those who are in it.
    #[default]
    Watched,
    /// All; nobody clicks in a channel that was not entered, and the stay there is 0 s.
    Impressions,
}

/// Where gradients are compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GradientScope {
    /// At F, the concatenated fields, over the watched impressions: the trunk runs once, forward and backward.
    #[default]
    Representation,
    /// At the dense parameters that all tasks share: the trunk runs once per task.
    Parameters,
}

/// What the weighting network descends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WeightUpdate {
    /// Eq. 15 as it stands: the weighted loss, whose derivative by a weight is the task's loss.
    Joint,
    /// The main task's loss after one step along the weighted gradients; its derivative by a weight goes with
    /// -cos(g_rec, g_i).
    #[default]
    Meta,
}

/// Sec. IV-D, last paragraph.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Schedule {
    /// Every update minimises all terms.
    #[default]
    Joint,
    /// Every update has two steps: L_reg moves the encoder alone, then the other terms move everything.
    Alternating,
}

impl TasksConfig {
    /// The weights of mode `vanilla`, by task of the schema.
    ///
    /// # Errors
    /// A weight for a task that the schema does not have.
    pub fn fixed(&self, tasks: &[Task]) -> Result<Vec<f32>, Error> {
        let known = |name: &String| tasks.iter().any(|task| task.name == *name);
        if let Some(unknown) = self.weights.keys().find(|name| !known(name)) {
            let names = tasks.iter().map(|task| task.name.as_str());
            let reason = format!("there is no such task; {}", suggestion(unknown, names));
            return Err(Error::Config { place: format!("tasks.weights.{unknown}"), reason });
        }
        let weight = |task: &Task| self.weights.get(&task.name).copied().unwrap_or(task.weight);
        Ok(tasks.iter().map(weight).collect())
    }

    /// Whether the gradients can be compared where batches are cut into so many shards.
    pub(crate) fn check_shards(&self, shards: usize) -> Result<(), String> {
        if shards > 1 && self.gradient_scope == GradientScope::Parameters {
            return Err("tasks.gradient_scope = \"parameters\" compares gradients of batches in one piece; set training.shards=1, or compare them at the representation".into());
        }
        Ok(())
    }

    pub(crate) fn check(&self) -> Result<(), String> {
        let weights = self.weights.iter().map(|(name, weight)| (format!("weights.{name}"), weight));
        if self.mode != Mode::Vanilla && !self.weights.is_empty() {
            return Err(
                "tasks.weights is read in mode vanilla only; other modes find the weights".into()
            );
        }
        let mut all = weights.chain([("weight_rate".into(), &self.weight_rate)]);
        match all.find(|(_, value)| !value.is_finite() || **value < 0.0) {
            Some((key, value)) => {
                Err(format!("tasks.{key} is {value}; it must be a number that is not negative"))
            }
            None => Ok(()),
        }
    }
}
