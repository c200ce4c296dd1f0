//! Predictions of what happens inside a channel, over watched impressions: AUC of the clicks, errors of the stay in seconds.

use serde::{Deserialize, Serialize};

use crate::auc::Auc;
use crate::error::Error;
use crate::regression::Regression;

/// The inter-channel tasks of one split. A metric that is undefined there is `None`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TaskReport {
    /// AUC of opening the goods bag.
    pub bag_click_auc: Option<f64>,
    /// AUC of clicking a product.
    pub product_click_auc: Option<f64>,
    /// Mean absolute error of the stay, seconds.
    pub stay_mae_s: Option<f64>,
    /// Root mean squared error of the stay, seconds.
    pub stay_rmse_s: Option<f64>,
}

/// Takes watched impressions one at a time, ends in a [`TaskReport`].
#[derive(Clone, Debug, Default)]
pub struct TaskEvaluation {
    bag_click: Auc,
    product_click: Auc,
    stay: Regression,
}

impl TaskEvaluation {
    /// A prediction of opening the bag, and whether it happened.
    ///
    /// # Errors
    /// A score that is NaN.
    pub fn add_bag_click(&mut self, score: f32, clicked: bool) -> Result<(), Error> {
        self.bag_click.add(score, clicked)
    }

    /// A prediction of clicking a product, and whether it happened.
    ///
    /// # Errors
    /// A score that is NaN.
    pub fn add_product_click(&mut self, score: f32, clicked: bool) -> Result<(), Error> {
        self.product_click.add(score, clicked)
    }

    /// A predicted and an observed stay, seconds.
    ///
    /// # Errors
    /// A number that is not finite.
    pub fn add_stay(&mut self, predicted_s: f32, observed_s: f32) -> Result<(), Error> {
        self.stay.add(predicted_s, observed_s)
    }

    /// The metrics of all that was added.
    pub fn finish(self) -> TaskReport {
        TaskReport {
            bag_click_auc: self.bag_click.finish(),
            product_click_auc: self.product_click.finish(),
            stay_mae_s: self.stay.mean_absolute_error(),
            stay_rmse_s: self.stay.root_mean_squared_error(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_task_is_measured_by_itself() {
        let mut evaluation = TaskEvaluation::default();
        for (score, clicked) in [(0.9, true), (0.2, false), (0.4, false)] {
            evaluation.add_bag_click(score, clicked).unwrap();
            evaluation.add_product_click(-score, clicked).unwrap();
        }
        evaluation.add_stay(10.0, 13.0).unwrap();
        let report = evaluation.finish();
        assert_eq!(report.bag_click_auc, Some(1.0));
        assert_eq!(report.product_click_auc, Some(0.0));
        assert_eq!((report.stay_mae_s, report.stay_rmse_s), (Some(3.0), Some(3.0)));
    }
}
