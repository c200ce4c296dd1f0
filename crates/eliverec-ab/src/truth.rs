//! The truth of an experiment on simulated users: what each bucket would have earned with every user in it, beside what the experiment
//! saw.
//!
//! The same users live the same days once for each bucket, all of them in it, with the same random numbers. By the same metrics over
//! the same users, the true difference is
//!
//! D = R_bucket(all users) / R_control(all users) - 1
//!
//! It is the effect on these very users, each of whom the experiment sees in one bucket alone. The experiment's interval is over the
//! choice of users from many, which is as wide as the interval for D would have to be, or wider (Imbens and Rubin, "Causal Inference",
//! 2015, ch. 6). Beside chance the two differ by what users do to each other: in the experiment, what is trending is so among the users of all
//! buckets.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::report::Report;

/// A metric of a bucket against the control.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TrueDifference {
    /// Which users.
    pub group: String,
    /// The metric's name for programs.
    pub metric: String,
    /// The bucket that is compared with the control.
    pub bucket: String,
    /// The metric with every user of the group in the control.
    pub control_value: Option<f64>,
    /// The metric with every user of the group in the bucket.
    pub bucket_value: Option<f64>,
    /// The true relative difference; `None` where the control's value is 0.
    pub relative: Option<f64>,
    /// What the experiment saw.
    pub seen: Option<f64>,
    /// Its standard error.
    pub standard_error: Option<f64>,
    /// Whether the truth lies in the interval of a planned look.
    pub is_inside: Option<bool>,
    /// Whether it lies in the interval that holds at any time.
    pub is_inside_always: Option<bool>,
}

/// The truth of each comparison of a report, of which `alone` has, for each bucket by its name, a report of the same users all in it.
pub fn truth(report: &Report, alone: &BTreeMap<String, Report>) -> Vec<TrueDifference> {
    let value = |bucket: &str, group: &str, metric: &str| {
        let table = alone.get(bucket)?.tables.iter().find(|table| table.group == group)?;
        let row = table.rows.iter().find(|row| row.metric == metric)?;
        row.values.first().copied().flatten().map(|value| value.value)
    };
    let mut found = Vec::new();
    for table in &report.tables {
        for row in &table.rows {
            for of in &row.comparisons {
                let [control, bucket] = [&report.control, &of.bucket]
                    .map(|bucket| value(bucket, &table.group, row.metric));
                let of_control = control.filter(|control| *control > 0.0);
                let relative =
                    bucket.zip(of_control).map(|(bucket, control)| bucket / control - 1.0);
                let both = relative.zip(of.difference);
                let is_in =
                    |interval: (f64, f64), truth| (interval.0..=interval.1).contains(&truth);
                found.push(TrueDifference {
                    group: table.group.clone(),
                    metric: row.metric.into(),
                    bucket: of.bucket.clone(),
                    control_value: control,
                    bucket_value: bucket,
                    relative,
                    seen: of.difference.map(|seen| seen.relative),
                    standard_error: of.difference.map(|seen| seen.standard_error),
                    is_inside: both.map(|(truth, seen)| is_in(seen.interval, truth)),
                    is_inside_always: both.map(|(truth, seen)| is_in(seen.always_interval, truth)),
                });
            }
        }
    }
    found
}

/// In how many experiments the truth lay within the intervals of a metric.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Coverage {
    /// Which users.
    pub group: String,
    /// The metric's name for programs.
    pub metric: String,
    /// Experiments that have the difference and its truth.
    pub experiments: u64,
    /// Those in whose interval of a planned look the truth lay.
    pub inside: u64,
    /// Those in whose interval for any time it lay.
    pub inside_always: u64,
    /// Mean of the true relative differences.
    pub mean_truth: f64,
    /// Mean of those that were seen.
    pub mean_seen: f64,
    /// Mean of the standard errors.
    pub mean_standard_error: f64,
}

/// Counts over experiments, metric by metric in the order of the first.
pub fn coverage(experiments: &[Vec<TrueDifference>]) -> Vec<Coverage> {
    let mut found: Vec<Coverage> = Vec::new();
    for of in experiments.iter().flatten() {
        let (Some(inside), Some(always)) = (of.is_inside, of.is_inside_always) else { continue };
        let is_same = |known: &Coverage| known.group == of.group && known.metric == of.metric;
        let place = found.iter().position(is_same).unwrap_or_else(|| {
            let (group, metric) = (of.group.clone(), of.metric.clone());
            found.push(Coverage { group, metric, ..Coverage::default() });
            found.len() - 1
        });
        let known = &mut found[place];
        known.experiments += 1;
        known.inside += u64::from(inside);
        known.inside_always += u64::from(always);
        for (mean, value) in [
            (&mut known.mean_truth, of.relative),
            (&mut known.mean_seen, of.seen),
            (&mut known.mean_standard_error, of.standard_error),
        ] {
            *mean += (value.unwrap_or_default() - *mean) / known.experiments as f64;
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(metric: &str, relative: f64, is_inside: Option<bool>) -> TrueDifference {
        TrueDifference {
            group: "all users".into(),
            metric: metric.into(),
            bucket: "b".into(),
            control_value: Some(1.0),
            bucket_value: Some(1.0 + relative),
            relative: Some(relative),
            seen: Some(0.1),
            standard_error: Some(0.2),
            is_inside,
            is_inside_always: is_inside,
        }
    }

    #[test]
    fn coverage_counts_what_has_a_truth() {
        let first = vec![of("ctr", 0.1, Some(true)), of("stay", 0.3, None)];
        let second = vec![of("ctr", 0.3, Some(false))];
        let [ctr] = &coverage(&[first, second])[..] else { panic!("one metric has a truth") };
        assert_eq!((ctr.experiments, ctr.inside, ctr.inside_always), (2, 1, 1));
        assert!((ctr.mean_truth - 0.2).abs() < 1e-12 && (ctr.mean_seen - 0.1).abs() < 1e-12);
        assert!((ctr.mean_standard_error - 0.2).abs() < 1e-12);
    }
}
