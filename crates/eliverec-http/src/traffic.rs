//! The last minutes of a service: answers by call, refusals by code, times by stage.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use serde::Serialize;
use utoipa::ToSchema;

use crate::ring::Ring;
use crate::stage::{Stage, Stages};

/// Seconds of a bucket.
const BUCKET_S: u64 = 5;
/// Buckets that are kept: a quarter of an hour.
const BUCKETS: usize = 180;

/// The calls that are traffic.
pub(crate) const CALLS: [&str; 3] = ["/v1/recommend", "/v1/rank", "/v1/events"];

/// See the module. Memory: at most 2 MiB.
#[derive(Debug)]
pub(crate) struct Traffic(Ring<Bucket>);

#[derive(Debug, Default)]
struct Bucket {
    answers: BTreeMap<&'static str, u64>,
    refusals: BTreeMap<&'static str, u64>,
    stages: BTreeMap<Stage, Times>,
}

impl Default for Traffic {
    fn default() -> Self {
        Self(Ring::new(Duration::from_secs(BUCKET_S), BUCKETS))
    }
}

/// Times by intervals of a part in eleven, from 10 microseconds to 5 seconds.
#[derive(Clone, Debug)]
struct Times {
    counts: Vec<u32>,
    count: u64,
}

/// Intervals of an octave.
const PARTS: f64 = 8.0;
const OCTAVES: usize = 19;
const LEAST_S: f64 = 10e-6;

impl Default for Times {
    fn default() -> Self {
        Self { counts: vec![0; PARTS as usize * OCTAVES], count: 0 }
    }
}

impl Times {
    fn add(&mut self, time: Duration) {
        let place = (time.as_secs_f64() / LEAST_S).max(1.0).log2() * PARTS;
        let last = self.counts.len() - 1;
        self.counts[(place as usize).min(last)] += 1;
        self.count += 1;
    }

    fn merge(&mut self, other: &Self) {
        self.counts.iter_mut().zip(&other.counts).for_each(|(to, of)| *to += of);
        self.count += other.count;
    }

    /// The time that a share of the requests did not exceed, milliseconds: the middle of its interval, at most a part in 22 away.
    fn quantile_ms(&self, share: f64) -> Option<f64> {
        let rank = (share * self.count as f64).ceil().max(1.0) as u64;
        let mut seen = 0;
        let place = self.counts.iter().position(|count| {
            seen += u64::from(*count);
            seen >= rank
        })?;
        Some(LEAST_S * 1e3 * ((place as f64 + 0.5) / PARTS).exp2())
    }
}

/// The last quarter of an hour in steps of some seconds.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct TrafficReport {
    /// Seconds of a step.
    pub step_s: u64,
    /// By step, the oldest first: seconds from its end to now; the last goes on, and has a negative age.
    pub ages_s: Vec<f64>,
    /// By call and step: answers that were no refusals, per second.
    pub answers_per_s: BTreeMap<&'static str, Vec<f64>>,
    /// By code and step: refusals of any call, per second; codes that occurred.
    pub refusals_per_s: BTreeMap<&'static str, Vec<f64>>,
    /// By stage that occurred.
    pub stages: BTreeMap<&'static str, StageTimes>,
    /// Of the last minute.
    pub last_minute: LastMinute,
    /// Requests that wait for a worker now.
    pub waiting: usize,
    /// Age of the newest event that the features know, seconds; `null` before the first.
    pub newest_event_age_s: Option<f64>,
}

/// What a stage took, by step; `null` where nobody came.
#[derive(Clone, Debug, Default, PartialEq, Serialize, ToSchema)]
pub struct StageTimes {
    /// Median, milliseconds.
    pub p50_ms: Vec<Option<f64>>,
    /// What 99 of 100 did not exceed, milliseconds.
    pub p99_ms: Vec<Option<f64>>,
}

/// The last minute as one.
#[derive(Clone, Debug, Default, PartialEq, Serialize, ToSchema)]
pub struct LastMinute {
    /// Seconds that it has, fewer after a start.
    pub seconds: f64,
    /// By call: answers that were no refusals.
    pub answers: BTreeMap<&'static str, u64>,
    /// By code: refusals.
    pub refusals: BTreeMap<&'static str, u64>,
    /// By stage: median and what 99 of 100 did not exceed, milliseconds.
    #[schema(value_type = Object)]
    pub stages_ms: BTreeMap<&'static str, [Option<f64>; 2]>,
}

impl Traffic {
    /// An answer of a call.
    pub(crate) fn answered(&self, call: &str, status: u16) {
        let call =
            CALLS.into_iter().find(|of| *of == call).filter(|_| (200..300).contains(&status));
        if let Some(call) = call {
            self.change(|bucket| *bucket.answers.entry(call).or_default() += 1);
        }
    }

    /// A refusal.
    pub(crate) fn refused(&self, code: &'static str) {
        self.change(|bucket| *bucket.refusals.entry(code).or_default() += 1);
    }

    /// What the stages of a request took.
    pub(crate) fn took(&self, stages: &Stages) {
        let add = |bucket: &mut Bucket| {
            stages.0.iter().for_each(|(stage, time)| {
                bucket.stages.entry(*stage).or_default().add(*time);
            });
        };
        self.change(add);
    }

    fn change(&self, with: impl FnOnce(&mut Bucket)) {
        self.0.change(self.0.elapsed(), with);
    }

    /// What happened; `waiting` requests and the age of the newest event are those of now.
    pub(crate) fn report(&self, waiting: usize, newest_event_age_s: Option<f64>) -> TrafficReport {
        let now = self.0.elapsed();
        self.0.read(now, |buckets| TrafficReport {
            waiting,
            newest_event_age_s,
            ..Self::of(buckets, now, self.0.number(now))
        })
    }

    fn of(buckets: &VecDeque<(u64, Bucket)>, now: Duration, current: u64) -> TrafficReport {
        let first = (current + 1).saturating_sub(BUCKETS as u64);
        let steps = (current + 1 - first) as usize;
        let place = |number: u64| number.checked_sub(first).map(|place| place as usize);
        let rate = |of: fn(&Bucket) -> &BTreeMap<&'static str, u64>, name: &str| {
            let mut rates = vec![0.0; steps];
            for (number, bucket) in buckets {
                let count = of(bucket).get(name).copied().unwrap_or(0);
                if let Some(rate) = place(*number).and_then(|place| rates.get_mut(place)) {
                    // The last one is not over.
                    let seconds = now.as_secs_f64() - (*number * BUCKET_S) as f64;
                    *rate = count as f64 / seconds.clamp(1.0, BUCKET_S as f64);
                }
            }
            rates
        };
        let codes: BTreeSet<&'static str> =
            buckets.iter().flat_map(|(_, bucket)| bucket.refusals.keys().copied()).collect();
        let mut stages: BTreeMap<&'static str, StageTimes> = BTreeMap::new();
        for (number, bucket) in buckets {
            let Some(place) = place(*number).filter(|place| *place < steps) else { continue };
            for (stage, times) in &bucket.stages {
                let of = stages.entry(stage.name()).or_insert_with(|| StageTimes {
                    p50_ms: vec![None; steps],
                    p99_ms: vec![None; steps],
                });
                of.p50_ms[place] = times.quantile_ms(0.5);
                of.p99_ms[place] = times.quantile_ms(0.99);
            }
        }
        let age = |number: u64| now.as_secs_f64() - ((number + 1) * BUCKET_S) as f64;
        TrafficReport {
            step_s: BUCKET_S,
            ages_s: (first..=current).map(age).collect(),
            answers_per_s: CALLS.map(|call| (call, rate(|of| &of.answers, call))).into(),
            refusals_per_s: codes.into_iter().map(|c| (c, rate(|of| &of.refusals, c))).collect(),
            stages,
            last_minute: Self::last_minute(buckets, now, current),
            waiting: 0,
            newest_event_age_s: None,
        }
    }

    fn last_minute(buckets: &VecDeque<(u64, Bucket)>, now: Duration, current: u64) -> LastMinute {
        let first = (current + 1).saturating_sub(60 / BUCKET_S);
        let mut minute = LastMinute {
            seconds: now.as_secs_f64() - (first * BUCKET_S) as f64,
            answers: CALLS.map(|call| (call, 0)).into(),
            ..LastMinute::default()
        };
        let mut all: BTreeMap<Stage, Times> = BTreeMap::new();
        for (_, bucket) in buckets.iter().filter(|(number, _)| *number >= first) {
            for (call, count) in &bucket.answers {
                *minute.answers.entry(call).or_default() += count;
            }
            for (code, count) in &bucket.refusals {
                *minute.refusals.entry(code).or_default() += count;
            }
            for (stage, times) in &bucket.stages {
                all.entry(*stage).or_default().merge(times);
            }
        }
        let quantiles = |times: &Times| [times.quantile_ms(0.5), times.quantile_ms(0.99)];
        minute.stages_ms =
            all.iter().map(|(stage, times)| (stage.name(), quantiles(times))).collect();
        minute
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_those_of_the_times() {
        let mut times = Times::default();
        assert_eq!(times.quantile_ms(0.5), None);
        (1..=1_000).for_each(|n| times.add(Duration::from_micros(100 * n)));
        for (share, expected) in [(0.001, 0.1), (0.5, 50.0), (0.99, 99.0), (1.0, 100.0)] {
            let found = times.quantile_ms(share).unwrap();
            assert!((found / expected - 1.0).abs() < 1.0 / 22.0, "{share}: {found}");
        }
        times.add(Duration::ZERO);
        times.add(Duration::from_hours(1));
        assert!(times.quantile_ms(1.0).unwrap() > 4_000.0);
    }

    #[test]
    fn what_was_counted_is_told_by_step_and_of_the_last_minute() {
        let traffic = Traffic::default();
        let seconds = Duration::from_secs;
        let answer = |bucket: &mut Bucket| {
            *bucket.answers.entry(CALLS[0]).or_default() += 5;
            bucket.stages.entry(Stage::Total).or_default().add(Duration::from_millis(3));
        };
        [0, 902, 906].into_iter().for_each(|at| traffic.0.change(seconds(at), answer));
        traffic.0.change(seconds(906), |bucket| {
            bucket.refusals.insert("overloaded", 2);
        });
        let now = seconds(908);
        let report = traffic.0.read(now, |of| Traffic::of(of, now, traffic.0.number(now)));
        assert_eq!((report.ages_s.len(), report.ages_s[179]), (180, -2.0));
        let rates = &report.answers_per_s[CALLS[0]];
        assert_eq!((rates[178], rates[0]), (1.0, 0.0), "the first bucket has left");
        assert!((rates[179] - 5.0 / 3.0).abs() < 1e-9, "{}", rates[179]);
        assert_eq!(report.stages["total"].p50_ms.iter().flatten().count(), 2);
        assert_eq!(report.last_minute.answers[CALLS[0]], 10);
        assert_eq!(report.last_minute.refusals["overloaded"], 2);
        assert!(report.last_minute.stages_ms["total"][0].is_some());
    }

    #[test]
    fn calls_that_are_no_traffic_do_not_count() {
        let traffic = Traffic::default();
        traffic.answered("/healthz", 200);
        traffic.answered(CALLS[1], 429);
        traffic.answered(CALLS[1], 200);
        let counts = traffic.report(0, None).last_minute.answers;
        assert_eq!(counts.values().sum::<u64>(), 1);
    }
}
