//! The result of an evaluation, and the list of metrics: name, definition and place in the report, the source of tables and help.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::tasks::{TASK_KINDS, TaskReport};

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
#[derive(Clone, Debug)]
pub struct Metric {
    /// The report's field, or the key of its tasks.
    pub name: Cow<'static, str>,
    /// The head of a table column.
    pub title: Cow<'static, str>,
    /// What exactly is computed, printed under a table.
    pub definition: Cow<'static, str>,
    place: Place,
}

/// Where a metric stands in a report.
#[derive(Clone, Copy, Debug)]
enum Place {
    Field(fn(&Report) -> Option<f64>),
    /// Under its name among the tasks.
    Task,
}

impl Metric {
    const fn field(
        name: &'static str,
        title: &'static str,
        definition: &'static str,
        value: fn(&Report) -> Option<f64>,
    ) -> Self {
        let place = Place::Field(value);
        Self {
            name: Cow::Borrowed(name),
            title: Cow::Borrowed(title),
            definition: Cow::Borrowed(definition),
            place,
        }
    }

    /// The metric's value in a report; `None` where it is undefined.
    pub fn of(&self, report: &Report) -> Option<f64> {
        match self.place {
            Place::Field(value) => value(report),
            Place::Task => *report.tasks.as_ref()?.get(self.name.as_ref())?,
        }
    }
}

/// All metrics, in the order of tables. A new metric is a file, a field of [`Report`], and an entry here.
pub static METRICS: &[Metric] = &[
    Metric::field(
        "auc",
        "AUC",
        "share of (watched, unwatched) pairs of impressions in the right order, a tie counting one half",
        |report| report.auc,
    ),
    Metric::field(
        "gauc_user",
        "gAUC",
        "AUC inside each user's impressions, mean weighted by impressions, users with one class left out",
        |report| report.gauc_user,
    ),
    Metric::field(
        "gauc_feed",
        "gAUC feed",
        "AUC inside each feed, mean weighted by impressions, feeds with one class left out",
        |report| report.gauc_feed,
    ),
    Metric::field(
        "paper_prec_at_10",
        "Prec@10",
        "the paper's, as we read it: share of a feed's watched channels in its first 10 places, feeds without a watch counting 0 (equal to Recall@10)",
        |report| report.paper_prec_at_10,
    ),
    Metric::field(
        "ndcg_at_10",
        "NDCG@10",
        "discounted gain of the first 10 places over that of the best order, ties by expectation, feeds without a watch counting 0",
        |report| report.ndcg_at_10,
    ),
    Metric::field(
        "ndcg_at_10_watched_feeds",
        "NDCG@10 w",
        "NDCG@10 over feeds with a watch",
        |report| report.ndcg_at_10_watched_feeds,
    ),
    Metric::field(
        "recall_at_10",
        "Recall@10",
        "share of a feed's watched channels in its first 10 places, ties by expectation, feeds without a watch counting 0",
        |report| report.recall_at_10,
    ),
    Metric::field(
        "recall_at_10_watched_feeds",
        "Recall@10 w",
        "Recall@10 over feeds with a watch",
        |report| report.recall_at_10_watched_feeds,
    ),
    Metric::field(
        "precision_at_10",
        "hits/10",
        "standard precision: watched channels in a feed's first 10 places over 10, ties by expectation, feeds without a watch counting 0",
        |report| report.precision_at_10,
    ),
    Metric::field(
        "precision_at_10_watched_feeds",
        "hits/10 w",
        "hits/10 over feeds with a watch",
        |report| report.precision_at_10_watched_feeds,
    ),
    Metric::field(
        "logloss",
        "logloss",
        "mean negative log-likelihood in nats, probabilities kept 1.2e-7 away from 0 and 1",
        |report| report.logloss,
    ),
    Metric::field(
        "ece",
        "ECE",
        "expected calibration error: mean |mean predicted - share watched| over 15 bins of equal width",
        |report| report.ece,
    ),
    Metric::field("pcoc", "PCOC", "mean predicted / mean observed", |report| report.pcoc),
];

/// The metrics of the tasks of some reports, by name: what a schema calls its tasks decides which there are.
pub fn task_metrics<'a>(reports: impl IntoIterator<Item = &'a Report>) -> Vec<Metric> {
    let tasks = reports.into_iter().filter_map(|report| report.tasks.as_ref());
    let names: BTreeSet<&String> = tasks.flat_map(BTreeMap::keys).collect();
    names.into_iter().filter_map(|name| of_task(name)).collect()
}

/// The metric of a key that [`TaskEvaluation`](crate::TaskEvaluation) makes.
fn of_task(name: &str) -> Option<Metric> {
    let (task, kind) = TASK_KINDS
        .iter()
        .find_map(|kind| Some((name.strip_suffix(kind.suffix)?.replace('_', " "), kind)))?;
    Some(Metric {
        name: name.to_owned().into(),
        title: format!("{task} {}", kind.title).into(),
        definition: format!(
            "{} of {task}, over watched impressions where it is known",
            kind.definition
        )
        .into(),
        place: Place::Task,
    })
}

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
            assert_eq!(json[metric.name.as_ref()].as_f64(), metric.of(&report), "{}", metric.name);
        }
        let counts = ["impressions", "feeds", "watched_feeds", "watched"];
        for field in json.as_object().unwrap().keys() {
            assert!(metric(field).is_some() != counts.contains(&field.as_str()), "{field}");
        }
        assert!(metric("gauc").is_none());
    }

    #[test]
    fn metrics_of_the_tasks_read_their_part() {
        let values = [("bag_click_auc", 0.5), ("stay_mae_s", 3.0), ("stay_rmse_s", 4.0)];
        let tasks = values.map(|(name, value)| (name.to_owned(), Some(value))).into();
        let report = distinct(0.1).with_tasks(Some(tasks));
        let json = serde_json::to_value(&report).unwrap();
        let metrics = task_metrics([&report, &distinct(0.2)]);
        let titles: Vec<&str> = metrics.iter().map(|metric| metric.title.as_ref()).collect();
        assert_eq!(titles, ["bag click AUC", "stay MAE s", "stay RMSE s"]);
        for metric in metrics {
            assert_eq!(json["tasks"][metric.name.as_ref()].as_f64(), metric.of(&report));
            assert_eq!(metric.of(&distinct(0.1)), None);
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
