//! Predictions of what happens inside a channel, over watched impressions: AUC of what happens or not, errors of durations.

use std::collections::BTreeMap;

use crate::auc::Auc;
use crate::error::Error;
use crate::regression::Regression;

/// The metrics of the inter-channel tasks of one split by name: `NAME_auc` of a task that happens or not, `NAME_mae_s` and
/// `NAME_rmse_s` of a duration. A metric that is undefined there is `None`.
pub type TaskReport = BTreeMap<String, Option<f64>>;

/// A metric that a task of some kind has.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TaskKind {
    /// Behind the task's name.
    pub(crate) suffix: &'static str,
    /// Behind the task's name in the head of a column.
    pub(crate) title: &'static str,
    /// Before the task's name in the definition.
    pub(crate) definition: &'static str,
}

const AUC: &str = "_auc";
const MAE: &str = "_mae_s";
const RMSE: &str = "_rmse_s";

/// All of them.
pub(crate) const TASK_KINDS: [TaskKind; 3] = [
    TaskKind { suffix: AUC, title: "AUC", definition: "AUC" },
    TaskKind { suffix: MAE, title: "MAE s", definition: "mean absolute error in seconds" },
    TaskKind {
        suffix: RMSE,
        title: "RMSE s",
        definition: "root of the mean squared error in seconds",
    },
];

/// Takes the predictions of one task for watched impressions, one at a time.
#[derive(Clone, Debug)]
pub enum TaskEvaluation {
    /// Something happens or not.
    Binary(Auc),
    /// Something takes a time.
    Duration(Regression),
}

impl TaskEvaluation {
    /// Of a task that happens or not.
    pub fn binary() -> Self {
        Self::Binary(Auc::default())
    }

    /// Of a duration.
    pub fn duration() -> Self {
        Self::Duration(Regression::default())
    }

    /// A prediction, and what was: a score and 0 or 1, or predicted and observed seconds.
    ///
    /// # Errors
    /// A number that is not finite.
    pub fn add(&mut self, predicted: f32, observed: f32) -> Result<(), Error> {
        match self {
            Self::Binary(auc) => auc.add(predicted, observed > 0.5),
            Self::Duration(regression) => regression.add(predicted, observed),
        }
    }

    /// The metrics of all that was added, for the task called `name`.
    pub fn finish(self, name: &str) -> TaskReport {
        let of = |suffix: &str, value| (format!("{name}{suffix}"), value);
        match self {
            Self::Binary(auc) => [of(AUC, auc.finish())].into(),
            Self::Duration(regression) => [
                of(MAE, regression.mean_absolute_error()),
                of(RMSE, regression.root_mean_squared_error()),
            ]
            .into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_has_its_metrics() {
        let (mut visit, mut stay) = (TaskEvaluation::binary(), TaskEvaluation::duration());
        for (score, happened) in [(0.9, 1.0), (0.2, 0.0), (0.4, 0.0)] {
            visit.add(score, happened).unwrap();
        }
        stay.add(10.0, 13.0).unwrap();
        assert_eq!(visit.finish("visit"), [("visit_auc".to_owned(), Some(1.0))].into());
        let stay = stay.finish("stay");
        assert_eq!((stay["stay_mae_s"], stay["stay_rmse_s"]), (Some(3.0), Some(3.0)));
        assert_eq!(TaskEvaluation::binary().finish("x")["x_auc"], None);
    }
}
