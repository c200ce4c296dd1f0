//! The result of an evaluation, and the list of metrics: name, definition and place in the report, the source of tables and help.

use serde::{Deserialize, Serialize};

use crate::tasks::TaskReport;

/// Every metric of watch predictions over a set of feeds. A metric that is undefined there (one class only, nothing seen) is
/// `None`, in JSON `null`. `METRICS` has the definitions as they are printed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// AUC over all impressions ([`auc`](crate::auc)).
    pub auc: Option<f64>,
    /// AUC per user, weighted by impressions ([`gauc`](crate::gauc)): the paper's gAUC.
    pub gauc_user: Option<f64>,
    /// AUC per feed, weighted by impressions.
    pub gauc_feed: Option<f64>,
    /// NDCG of the first ten places, feeds without a watch counting 0 ([`ndcg`](crate::ndcg)).
    pub ndcg_at_10: Option<f64>,
    /// The same over feeds with a watch.
    pub ndcg_at_10_watched_feeds: Option<f64>,
    /// Share of a feed's watched channels in its first ten places, feeds without a watch counting 0 ([`recall`](crate::recall)).
    pub recall_at_10: Option<f64>,
    /// The same over feeds with a watch.
    pub recall_at_10_watched_feeds: Option<f64>,
    /// Standard precision, hits / 10, feeds without a watch counting 0 ([`precision`](crate::precision)).
    pub precision_at_10: Option<f64>,
    /// The same over feeds with a watch.
    pub precision_at_10_watched_feeds: Option<f64>,
    /// The `Prec@10` of the paper's tables as we read it: equal to `recall_at_10`, see [`precision`](crate::precision).
    pub paper_prec_at_10: Option<f64>,
    /// Mean negative log-likelihood in nats ([`logloss`](crate::logloss)).
    pub logloss: Option<f64>,
    /// Expected calibration error ([`calibration`](crate::calibration)).
    pub ece: Option<f64>,
    /// Mean predicted / mean observed.
    pub pcoc: Option<f64>,
    /// Impressions seen.
    pub impressions: u64,
    /// Feeds seen.
    pub feeds: u64,
    /// Feeds with at least one watched channel.
    pub watched_feeds: u64,
    /// Watched impressions.
    pub watched: u64,
    /// Predictions of what happens inside a channel, of a model that makes them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tasks: Option<TaskReport>,
}

impl Report {
    /// The same with the metrics of the inter-channel tasks.
    #[must_use]
    pub fn with_tasks(self, tasks: Option<TaskReport>) -> Self {
        Self { tasks, ..self }
    }
}

/// One metric of a [`Report`].
#[derive(Clone, Copy, Debug)]
pub struct Metric {
    /// The report's field.
    pub name: &'static str,
    /// The head of a table column.
    pub title: &'static str,
    /// What exactly is computed, printed under a table.
    pub definition: &'static str,
    /// The metric's value in a report.
    pub value: fn(&Report) -> Option<f64>,
}

/// All metrics, in the order of tables. A new metric is a file, a field of [`Report`], and an entry here.
pub static METRICS: &[Metric] = &[
    Metric {
        name: "auc",
        title: "AUC",
        definition: "share of (watched, unwatched) pairs of impressions in the right order, a tie counting one half",
        value: |report| report.auc,
    },
    Metric {
        name: "gauc_user",
        title: "gAUC",
        definition: "AUC inside each user's impressions, mean weighted by impressions, users with one class left out",
        value: |report| report.gauc_user,
    },
    Metric {
        name: "gauc_feed",
        title: "gAUC feed",
        definition: "AUC inside each feed, mean weighted by impressions, feeds with one class left out",
        value: |report| report.gauc_feed,
    },
    Metric {
        name: "paper_prec_at_10",
        title: "Prec@10",
        definition: "the paper's, as we read it: share of a feed's watched channels in its first 10 places, feeds without a watch counting 0 (equal to Recall@10)",
        value: |report| report.paper_prec_at_10,
    },
    Metric {
        name: "ndcg_at_10",
        title: "NDCG@10",
        definition: "discounted gain of the first 10 places over that of the best order, ties by expectation, feeds without a watch counting 0",
        value: |report| report.ndcg_at_10,
    },
    Metric {
        name: "ndcg_at_10_watched_feeds",
        title: "NDCG@10 w",
        definition: "NDCG@10 over feeds with a watch",
        value: |report| report.ndcg_at_10_watched_feeds,
    },
    Metric {
        name: "recall_at_10",
        title: "Recall@10",
        definition: "share of a feed's watched channels in its first 10 places, ties by expectation, feeds without a watch counting 0",
        value: |report| report.recall_at_10,
    },
    Metric {
        name: "recall_at_10_watched_feeds",
        title: "Recall@10 w",
        definition: "Recall@10 over feeds with a watch",
        value: |report| report.recall_at_10_watched_feeds,
    },
    Metric {
        name: "precision_at_10",
        title: "hits/10",
        definition: "standard precision: watched channels in a feed's first 10 places over 10, ties by expectation, feeds without a watch counting 0",
        value: |report| report.precision_at_10,
    },
    Metric {
        name: "precision_at_10_watched_feeds",
        title: "hits/10 w",
        definition: "hits/10 over feeds with a watch",
        value: |report| report.precision_at_10_watched_feeds,
    },
    Metric {
        name: "logloss",
        title: "logloss",
        definition: "mean negative log-likelihood in nats, probabilities kept 1.2e-7 away from 0 and 1",
        value: |report| report.logloss,
    },
    Metric {
        name: "ece",
        title: "ECE",
        definition: "expected calibration error: mean |mean predicted - share watched| over 15 bins of equal width",
        value: |report| report.ece,
    },
    Metric {
        name: "pcoc",
        title: "PCOC",
        definition: "mean predicted / mean observed",
        value: |report| report.pcoc,
    },
];

/// The metrics of a [`TaskReport`], for tables.
pub static TASK_METRICS: &[Metric] = &[
    Metric {
        name: "bag_click_auc",
        title: "bag AUC",
        definition: "AUC of opening the goods bag, over watched impressions where it is known",
        value: |report| report.tasks.as_ref()?.bag_click_auc,
    },
    Metric {
        name: "product_click_auc",
        title: "product AUC",
        definition: "AUC of clicking a product, over watched impressions where it is known",
        value: |report| report.tasks.as_ref()?.product_click_auc,
    },
    Metric {
        name: "stay_mae_s",
        title: "stay MAE s",
        definition: "mean absolute error of the stay in seconds, over watched impressions where it is known",
        value: |report| report.tasks.as_ref()?.stay_mae_s,
    },
    Metric {
        name: "stay_rmse_s",
        title: "stay RMSE s",
        definition: "root of the mean squared error of the stay in seconds, over watched impressions where it is known",
        value: |report| report.tasks.as_ref()?.stay_rmse_s,
    },
];

/// The metric of that report field, for example `gauc_feed`.
pub fn metric(name: &str) -> Option<&'static Metric> {
    METRICS.iter().find(|metric| metric.name == name)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A report in which every metric differs: the n-th has value n / 16 + `shift`.
    pub(crate) fn distinct(shift: f64) -> Report {
        let value = |n: u8| Some(f64::from(n) / 16.0 + shift);
        Report {
            auc: value(0),
            gauc_user: value(1),
            gauc_feed: value(2),
            ndcg_at_10: value(3),
            ndcg_at_10_watched_feeds: value(4),
            recall_at_10: value(5),
            recall_at_10_watched_feeds: value(6),
            precision_at_10: value(7),
            precision_at_10_watched_feeds: value(8),
            paper_prec_at_10: value(9),
            logloss: value(10),
            ece: value(11),
            pcoc: value(12),
            impressions: 100,
            feeds: 20,
            watched_feeds: 9,
            watched: 12,
            tasks: None,
        }
    }

    #[test]
    fn each_entry_reads_the_field_that_it_names_and_none_is_missing() {
        let report = distinct(0.5);
        let json = serde_json::to_value(&report).unwrap();
        for metric in METRICS {
            assert_eq!(json[metric.name].as_f64(), (metric.value)(&report), "{}", metric.name);
        }
        let counts = ["impressions", "feeds", "watched_feeds", "watched"];
        for field in json.as_object().unwrap().keys() {
            assert!(metric(field).is_some() != counts.contains(&field.as_str()), "{field}");
        }
        assert!(metric("gauc").is_none());
    }

    #[test]
    fn metrics_of_the_tasks_read_their_part() {
        let tasks = TaskReport {
            bag_click_auc: Some(0.5),
            product_click_auc: Some(0.25),
            stay_mae_s: Some(3.0),
            stay_rmse_s: Some(4.0),
        };
        let report = distinct(0.1).with_tasks(Some(tasks));
        let json = serde_json::to_value(&report).unwrap();
        for metric in TASK_METRICS {
            let found = json["tasks"][metric.name].as_f64();
            assert_eq!(found, (metric.value)(&report), "{}", metric.name);
            assert_eq!((metric.value)(&distinct(0.1)), None);
        }
    }

    #[test]
    fn json_round_trips_with_null_for_undefined() {
        let report = Report { auc: None, ..distinct(0.1) };
        let text = serde_json::to_string(&report).unwrap();
        assert!(text.starts_with(r#"{"auc":null,"gauc_user":0.1"#), "{text}");
        assert_eq!(serde_json::from_str::<Report>(&text).unwrap(), report);
    }
}
