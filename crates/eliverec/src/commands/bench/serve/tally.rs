//! What came of calls: counts and times, in memory that does not grow with their number.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::percentiles::Histogram;

/// One call.
#[derive(Clone, Debug)]
pub(super) struct Answered {
    /// 0 without an answer.
    pub(super) status: u16,
    /// From when it was due to the answer's last byte.
    pub(super) took: Duration,
    /// What the service says of its own times.
    pub(super) stages: Vec<(Box<str>, Duration)>,
    /// Whether the answer says when to come again.
    pub(super) retry_after: bool,
}

/// From when to when bundles were loaded; the last one may still be.
#[derive(Debug, Default)]
pub(super) struct Loads(Mutex<Vec<(Instant, Option<Instant>)>>);

impl Loads {
    pub(super) fn begin(&self, from: Instant) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push((from, None));
    }

    pub(super) fn end(&self, to: Instant) {
        if let Some(last) = self.0.lock().unwrap_or_else(PoisonError::into_inner).last_mut() {
            last.1 = Some(to);
        }
    }

    /// Whether a bundle was loaded at any time of a call that has just been answered.
    fn meet(&self, due: Instant, answered: Instant) -> bool {
        let loads = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // The newest first: what was over before the call was due is most of them.
        loads.iter().rev().any(|(from, to)| *from < answered && to.is_none_or(|to| due < to))
    }
}

/// What came of some calls.
#[derive(Clone, Debug, Default)]
pub(super) struct Tally {
    /// By status; 0 where there was no answer.
    pub(super) statuses: BTreeMap<u16, u64>,
    /// Calls that were due and not made, for those before them took too long.
    pub(super) not_made: u64,
    /// Refusals (429, 503) that do not say when to come again.
    pub(super) without_retry_after: u64,
    /// From when a call was due to its answer, of those answered with 200, as all that follow.
    pub(super) latency: Histogram,
    /// The service's own times.
    pub(super) stages: BTreeMap<Box<str>, Histogram>,
    /// The latency without the stage `rank`.
    pub(super) beyond_rank: Histogram,
    /// The latency of calls that were due or answered while a bundle was loaded, and of the others.
    pub(super) loading: [Histogram; 2],
}

impl Tally {
    pub(super) fn add(&mut self, answered: &Answered, due: Instant, loads: &Loads) {
        let Answered { status, took, stages, retry_after } = answered;
        *self.statuses.entry(*status).or_default() += 1;
        if matches!(*status, 429 | 503) && !retry_after {
            self.without_retry_after += 1;
        }
        if *status != 200 {
            return;
        }
        self.latency.add(*took);
        self.loading[usize::from(!loads.meet(due, due + *took))].add(*took);
        for (stage, time) in stages {
            self.stages.entry(stage.clone()).or_default().add(*time);
            if &**stage == "rank" {
                self.beyond_rank.add(took.saturating_sub(*time));
            }
        }
    }

    /// Takes what came of other calls in.
    pub(super) fn merge(&mut self, other: &Self) {
        for (status, count) in &other.statuses {
            *self.statuses.entry(*status).or_default() += count;
        }
        self.not_made += other.not_made;
        self.without_retry_after += other.without_retry_after;
        self.latency.merge(&other.latency);
        for (stage, times) in &other.stages {
            self.stages.entry(stage.clone()).or_default().merge(times);
        }
        self.beyond_rank.merge(&other.beyond_rank);
        self.loading.iter_mut().zip(&other.loading).for_each(|(here, there)| here.merge(there));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_that_met_a_load_are_told_apart() {
        let (begun, ms) = (Instant::now(), Duration::from_millis);
        let (loads, mut tally) = (Loads::default(), Tally::default());
        let mut call = |loads: &Loads, due: u64, took: u64, status: u16| {
            let stages = vec![("rank".into(), ms(took / 2))];
            let answered = Answered { status, took: ms(took), stages, retry_after: false };
            tally.add(&answered, begun + ms(due), loads);
            tally.loading.each_ref().map(Histogram::count)
        };
        assert_eq!(call(&loads, 0, 10, 200), [0, 1]);
        loads.begin(begun + ms(20));
        assert_eq!(call(&loads, 15, 4, 200), [0, 2], "before");
        assert_eq!(call(&loads, 15, 10, 200), [1, 2], "into it");
        loads.end(begun + ms(30));
        assert_eq!(call(&loads, 29, 10, 200), [2, 2], "out of it");
        assert_eq!(call(&loads, 30, 10, 200), [2, 3], "after");
        assert_eq!(call(&loads, 30, 10, 503), [2, 3]);
        let mut both = tally.clone();
        both.merge(&tally);
        assert_eq!(both.statuses, BTreeMap::from([(200, 10), (503, 2)]));
        assert_eq!(
            (both.without_retry_after, both.latency.count(), both.beyond_rank.count()),
            (2, 10, 10)
        );
        assert_eq!(both.stages["rank"].count(), 10);
    }
}
