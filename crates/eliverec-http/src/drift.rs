//! What was served in the last hour beside what the model was trained on: moments of each dense quantity of the requests and of the
//! channels answered, and of their scores, by bundle.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use eliverec_core::Feed;
use eliverec_core::normalize::{Moments, Running, each_dense};
use eliverec_core::task::P_WATCH;
use serde::Serialize;
use utoipa::ToSchema;

use crate::answer::Answer;
use crate::ring::Ring;
use crate::served::Served;

/// Answers of a second that are taken in at most, so that the cost is bounded: the first that come.
const MOST_PER_S: u64 = 100;

/// Further than this the mean has moved, in standard deviations of training.
const FAR_SHIFT: f32 = 0.5;
/// Wider or narrower than by this factor.
const FAR_SPREAD: f32 = 2.0;

/// See the module.
#[derive(Debug)]
pub(crate) struct Drift(Ring<Minute>);

#[derive(Debug, Default)]
struct Minute {
    /// The second whose answers are counted, and how many of it were taken in.
    second: (u64, u64),
    by_version: BTreeMap<Arc<str>, Taken>,
}

/// Of the answers of one bundle.
#[derive(Clone, Debug, Default)]
struct Taken {
    answers: u64,
    left_out: u64,
    features: BTreeMap<String, Running>,
    scores: BTreeMap<String, Running>,
}

impl Default for Drift {
    fn default() -> Self {
        Self(Ring::new(Duration::from_mins(1), 60))
    }
}

/// What the answers of the last hour by a bundle were computed from, beside what it was trained on.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct DriftReport {
    /// The bundle whose answers these are.
    pub model: String,
    /// Answers that were taken in.
    pub answers: u64,
    /// Answers beyond those of a second that are taken in at most.
    pub left_out: u64,
    /// Each dense quantity by its name in the bundle's `normalization.json`, as it is standardised, of the user, the histories and the
    /// channels answered; the bundle's moments are those of the training split, over the channels shown.
    pub features: Vec<Moved>,
    /// Each score of the channels answered; the bundle's moments are those of its golden requests, over the channels shown.
    pub scores: Vec<Moved>,
}

/// One quantity as served and as trained.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct Moved {
    /// Which one.
    pub name: String,
    /// Values that were served.
    pub values: u64,
    /// Mean and standard deviation as served; `null` where nothing was.
    #[schema(value_type = Option<Object>)]
    pub served: Option<Moments>,
    /// The same of the bundle.
    #[schema(value_type = Object)]
    pub trained: Moments,
    /// By how many standard deviations of training the mean has moved.
    pub shift: Option<f32>,
    /// Served standard deviation over that of training.
    pub spread: Option<f32>,
    /// Whether the mean has moved by more than half a standard deviation, or the spread more than doubled or halved: a rule of thumb.
    pub is_far: bool,
}

impl Moved {
    fn of(name: &str, trained: Moments, running: Option<&Running>) -> Self {
        let running = running.filter(|running| running.count() > 0);
        let served = running.map(Running::moments);
        // A quantity that never varied has a spread of 1 by convention, which compares with nothing.
        let varies = |moments: &Moments| moments.sd != 1.0;
        let shift = served.map(|served| (served.mean - trained.mean) / trained.sd);
        let spread = served
            .filter(|served| varies(served) && varies(&trained))
            .map(|served| served.sd / trained.sd);
        let is_far = shift.is_some_and(|shift| shift.abs() > FAR_SHIFT)
            || spread.is_some_and(|spread| !(1.0 / FAR_SPREAD..=FAR_SPREAD).contains(&spread));
        let values = running.map_or(0, Running::count);
        Self { name: name.into(), values, served, trained, shift, spread, is_far }
    }
}

impl Taken {
    fn add(&mut self, served: &Served, feed: &Feed, answer: &Answer) {
        self.answers += 1;
        let (schema, rows) = (&served.bundle.model.schema, Some(&*answer.rows));
        each_dense(schema, &served.matchers, feed, rows, |name, values| {
            let running = self.features.entry(name).or_default();
            values.for_each(|x| running.add(f64::from(x)));
        });
        for scored in &answer.channels {
            let tasks = answer.tasks.iter().map(String::as_str).zip(&scored.tasks);
            for (name, score) in std::iter::once((P_WATCH, &scored.p_watch)).chain(tasks) {
                let score = f64::from(*score);
                if let Some(running) = self.scores.get_mut(name) {
                    running.add(score);
                } else {
                    self.scores.entry(name.into()).or_default().add(score);
                }
            }
        }
    }

    fn merge(&mut self, other: &Self) {
        self.answers += other.answers;
        self.left_out += other.left_out;
        for (to, of) in [(&mut self.features, &other.features), (&mut self.scores, &other.scores)] {
            for (name, running) in of {
                to.entry(name.clone()).or_default().merge(running);
            }
        }
    }
}

impl Drift {
    /// Takes in an answer that is given.
    pub(crate) fn add(&self, answer: &Answer) {
        let Some(served) = answer.served.upgrade().filter(|_| !answer.channels.is_empty()) else {
            return;
        };
        let at = self.0.elapsed();
        self.0.change(at, |minute| {
            if minute.second.0 != at.as_secs() {
                minute.second = (at.as_secs(), 0);
            }
            let taken = minute.by_version.entry(Arc::clone(&answer.model)).or_default();
            if minute.second.1 == MOST_PER_S {
                taken.left_out += 1;
            } else {
                minute.second.1 += 1;
                taken.add(&served, &answer.feed, answer);
            }
        });
    }

    /// What was taken in of the answers of a bundle.
    pub(crate) fn report(&self, served: &Served) -> DriftReport {
        let mut sum = Taken::default();
        self.0.read(self.0.elapsed(), |minutes| {
            let of_version = |(_, minute): &(u64, Minute)| {
                minute.by_version.get(&served.version).into_iter().for_each(|of| sum.merge(of));
            };
            minutes.iter().for_each(of_version);
        });
        let bundle = &served.bundle;
        let dense = &bundle.model.normalization.dense;
        let features =
            dense.iter().map(|(name, trained)| Moved::of(name, *trained, sum.features.get(name)));
        let outputs = std::iter::once(P_WATCH).chain(served.tasks.iter().map(String::as_str));
        let scores = outputs
            .zip(&bundle.golden_scores)
            .map(|(name, golden)| Moved::of(name, *golden, sum.scores.get(name)));
        DriftReport {
            model: served.version.to_string(),
            answers: sum.answers,
            left_out: sum.left_out,
            features: features.collect(),
            scores: scores.collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_moved_is_told() {
        let trained = Moments { mean: 2.0, sd: 0.5 };
        let of = |numbers: &[f64]| {
            let mut running = Running::default();
            numbers.iter().for_each(|x| running.add(*x));
            Moved::of("target.viewers", trained, Some(&running))
        };
        let near = of(&[1.5, 2.5, 2.0, 1.6, 2.4]);
        assert_eq!((near.values, near.is_far), (5, false));
        let away = of(&[2.8, 3.6, 3.2]);
        assert!((away.shift.unwrap() - 2.4).abs() < 1e-4 && away.is_far);
        let narrow = of(&[2.0, 2.01, 1.99]);
        assert!(narrow.spread.unwrap() < 0.1 && narrow.is_far);
        let constant = of(&[2.0, 2.0]);
        assert_eq!((constant.spread, constant.is_far), (None, false));
        let none = Moved::of("p_watch", trained, None);
        assert_eq!((none.values, none.served, none.is_far), (0, None, false));
    }
}
