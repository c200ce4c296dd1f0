//! The `[tasks]` table of an experiment file: whether there are inter-channel tasks, and how they share the model.

use serde::{Deserialize, Serialize};

use eliverec_models::heads::Task;

/// `[tasks]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TasksConfig {
    /// What balances the tasks; `single` trains the prediction of watching alone.
    pub mode: Mode,
    /// Impressions whose labels the tasks learn from.
    pub labels: LabelSpace,
    /// Weight of the stay time's loss in mode `vanilla`; 0.3 in the paper.
    pub stay_weight: f32,
    /// Weight of the goods bag's loss in mode `vanilla`; 0.3 in the paper.
    pub bag_click_weight: f32,
    /// Weight of the product click's loss in mode `vanilla`; 0.1 in the paper.
    pub product_click_weight: f32,
    /// Where the gradients of two tasks are compared.
    pub gradient_scope: GradientScope,
    /// Rows of the representation that take part in the comparison.
    pub cosine_rows: LabelSpace,
    /// What the weighting network descends in mode `adaptive`.
    pub weight_update: WeightUpdate,
    /// Learning rate (Adam) of what learns the weights in modes `adaptive` and `uncertainty`.
    pub weight_rate: f32,
    /// Whether L_reg shares its updates with the tasks.
    pub schedule: Schedule,
}

impl Default for TasksConfig {
    fn default() -> Self {
        Self {
            mode: Mode::Single,
            labels: LabelSpace::Watched,
            stay_weight: 0.3,
            bag_click_weight: 0.3,
            product_click_weight: 0.1,
            gradient_scope: GradientScope::Representation,
            cosine_rows: LabelSpace::Watched,
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
    #[serde(alias = "all")]
    Impressions,
}

/// Where gradients are compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GradientScope {
    /// At F, the concatenated fields: the trunk runs once, forward and backward.
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
    /// Updates take turns: one for L_reg, one for the tasks.
    Alternating,
}

impl TasksConfig {
    /// The weights of mode `vanilla`.
    pub const fn fixed(&self) -> [f32; Task::ALL.len()] {
        [self.stay_weight, self.bag_click_weight, self.product_click_weight]
    }

    pub(crate) fn check(&self) -> Result<(), String> {
        let weights = [
            ("stay_weight", self.stay_weight),
            ("bag_click_weight", self.bag_click_weight),
            ("product_click_weight", self.product_click_weight),
            ("weight_rate", self.weight_rate),
        ];
        match weights.into_iter().find(|(_, value)| !value.is_finite() || *value < 0.0) {
            Some((key, value)) => {
                Err(format!("tasks.{key} is {value}; it must be a number that is not negative"))
            }
            None => Ok(()),
        }
    }
}
