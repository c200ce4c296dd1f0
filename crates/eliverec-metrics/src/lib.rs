//! The numbers the paper reports, exact, each in one file and each compared with its slow definition in tests.
//!
//! [`Evaluation`] takes one feed at a time and ends in a [`Report`]; the other types are its parts, for tasks of other shapes
//! (clicks, stay seconds) and for comparisons. Sums are `f64` in the order of arrival; nothing depends on a hash order.
//!
//! | file | metric | memory |
//! | --- | --- | --- |
//! | [`auc`] | AUC, ties averaged | 4 bytes per impression |
//! | [`gauc`] | gAUC per user and per feed | per user: AUC's, and 32 bytes per feed; per feed: constant |
//! | [`ranking`] | what a feed's top holds, ties by expectation | one feed |
//! | [`precision`] | `precision@10`, and the paper's `prec@10` | constant |
//! | [`recall`] | `recall@10` | constant |
//! | [`ndcg`] | `ndcg@10` | constant |
//! | [`logloss`] | mean negative log-likelihood | constant |
//! | [`calibration`] | expected calibration error, PCOC | constant |
//! | [`regression`] | MAE and RMSE, for stay seconds | constant |
//! | [`change`] | how far two scores of the same candidates are apart | constant |
//! | [`shares`] | each user's part in AUC and gAUC, users in groups | 56 bytes per user |
//! | [`significance`] | intervals of a difference over users and seeds | - |
//! | [`student`] | quantiles of Student's t | - |
//! | [`tasks`] | the inter-channel tasks: AUC of clicks, errors of the stay | 4 bytes per label |
//! | [`evaluation`] | all of the above that watch predictions have | the sum: 4 bytes per impression, 32 per feed |
//! | [`report`] | the result, and the list of metrics with their definitions | - |
//! | [`table`] | reports as text or Markdown, mean and spread over seeds | - |

pub mod auc;
pub mod calibration;
pub mod change;
pub mod error;
pub mod evaluation;
pub mod feed_mean;
pub mod gauc;
pub mod logloss;
pub mod ndcg;
pub mod precision;
pub mod ranking;
pub mod recall;
pub mod regression;
pub mod report;
pub mod shares;
pub mod significance;
pub mod student;
pub mod table;
pub mod tasks;

pub use auc::Auc;
pub use change::{Change, ScoreChange};
pub use error::Error;
pub use evaluation::Evaluation;
pub use report::{METRICS, Metric, Report, task_metrics};
pub use shares::UserShares;
pub use tasks::{TaskEvaluation, TaskReport};
