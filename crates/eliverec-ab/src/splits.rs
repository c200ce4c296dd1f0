//! One log split into two buckets many times, by nothing but chance: nothing differs, so differences must be found as often as the
//! level says; and what is planted must be found as often as the power says, or refused.
//!
//! An effect on CTR is planted by what the control loses: each of its watched impressions stays with probability 1 / (1 + effect), so that the
//! treatment's rate is higher by the effect. A sample-ratio mismatch is planted by users of the treatment whose answers are lost.

use std::ops::Range;

use eliverec_core::id::mix;
use eliverec_core::{Event, EventKind};
use serde::Serialize;
use statrs::distribution::{Binomial, DiscreteCDF};

use crate::assignment::{Answered, Assignment};
use crate::difference::{Difference, MISS};
use crate::error::Error;
use crate::power::Goal;
use crate::report::{Asked, Builder, Report};
use crate::shares::{Bucket, Layer, Shares};
use crate::tally::{DAY_MS, Rules, Tally};

/// The metric that an effect is planted in.
pub const PLANTED_IN: &str = "ctr";

/// A log in memory. Answers are those that brought the impressions.
#[derive(Clone, Debug)]
pub struct SplitLog {
    events: Vec<Event>,
    days_ms: Range<i64>,
    rules: Rules,
}

/// What is changed in the log.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Planted {
    /// Nothing.
    Nothing,
    /// A higher CTR of the treatment, relative.
    Effect(f64),
    /// So large a share of the treatment's users without answers.
    Loss(f64),
}

impl SplitLog {
    /// A log of which the days from the first to the last moment of `days_ms` are compared; events of other kinds than those that
    /// count are left out.
    pub fn new(mut events: Vec<Event>, days_ms: Range<i64>, rules: Rules) -> Self {
        events.retain(|event| counts(event.kind));
        events.sort_by_key(|event| event.available_at_ms);
        Self { events, days_ms, rules }
    }

    /// The report of a split: users for whom `is_treated` says so are in the bucket `b`, the others in the control, `a`.
    ///
    /// # Errors
    /// A goal that cannot be meant.
    pub fn report(
        &self,
        is_treated: impl Fn(u64) -> bool,
        planted: Planted,
        goal: Goal,
    ) -> Result<Report, Error> {
        let bucket = |name: &str| Bucket { name: name.into(), share: 0.5 };
        let layer = Layer { name: LAYER.into(), buckets: BUCKETS.map(bucket).into() };
        let mut assignment = Assignment::new(Shares::constant(&layer), self.days_ms.clone());
        for event in &self.events {
            let (EventKind::Impression, Some(request_id), Some(user_id), Some(0)) =
                (event.kind, event.request_id, event.user_id, event.position)
            else {
                continue;
            };
            let is_treated = is_treated(user_id);
            let is_lost =
                matches!(planted, Planted::Loss(share) if is_treated && uniform(user_id) < share);
            if !is_lost {
                let bucket = Some((LAYER, BUCKETS[usize::from(is_treated)]));
                assignment.take(Answered { request_id, user_id, at_ms: event.ts_ms, bucket })?;
            }
        }
        let mut builder =
            Builder::new(Tally::new(assignment, self.rules), &Asked { control: None, goal })?;
        let mut day = 1;
        for event in &self.events {
            while event.available_at_ms >= self.days_ms.start + i64::from(day) * DAY_MS
                && self.days_ms.start + i64::from(day) * DAY_MS < self.days_ms.end
            {
                builder.end_day(day);
                day += 1;
            }
            if event.ts_ms < self.days_ms.start || !is_missed(event, planted, &is_treated) {
                builder.tally().take(event);
            }
        }
        builder.end_day(day);
        Ok(builder.finish())
    }
}

const LAYER: &str = "split";
const BUCKETS: [&str; 2] = ["a", "b"];

/// Whether a report counts events of that kind.
pub const fn counts(kind: EventKind) -> bool {
    matches!(
        kind,
        EventKind::Impression
            | EventKind::Leave
            | EventKind::BagClick
            | EventKind::ProductClick
            | EventKind::Order
    )
}

/// Whether a planted effect takes a stay away; not on the days before, or CUPED would take the effect off.
fn is_missed(event: &Event, planted: Planted, is_treated: impl Fn(u64) -> bool) -> bool {
    let Planted::Effect(effect) = planted else { return false };
    let (EventKind::Leave, Some(request), Some(user)) =
        (event.kind, event.request_id, event.user_id)
    else {
        return false;
    };
    let pair = mix(request) ^ event.channel_id.unwrap_or_default();
    !is_treated(user) && uniform(pair) >= 1.0 / (1.0 + effect)
}

/// A number of a hash, evenly from 0 to 1.
fn uniform(id: u64) -> f64 {
    (mix(id) >> 11) as f64 / (1_u64 << 53) as f64
}

/// How often a metric differed between buckets that do not differ.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Found {
    /// The metric's name for programs.
    pub metric: String,
    /// Splits in which the interval of a planned look had not 0 in it.
    pub planned: u64,
    /// Splits in which the interval for any time had not 0 in it at the end of some day.
    pub always: u64,
}

/// What many splits say.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Splits {
    /// How many.
    pub splits: u64,
    /// Where the count of planned looks that find a difference lies with a probability of 95 %, if each does so with 5 %.
    pub expected: (u64, u64),
    /// By metric.
    pub found: Vec<Found>,
    /// Splits in which any metric differed after the correction for all metrics.
    pub corrected: u64,
    /// Splits that were refused for their sample ratio.
    pub refused: u64,
    /// The effect that was planted.
    pub effect: f64,
    /// Splits in which a planned look found it.
    pub effect_found: u64,
    /// The share of splits in which it should be found, by the standard errors without it.
    pub power: f64,
    /// Where the count of these splits lies with a probability of 95 %.
    pub effect_expected: (u64, u64),
    /// The share of the treatment's users whose answers were lost.
    pub lost: f64,
    /// Splits that were refused for it.
    pub lost_refused: u64,
}

/// The reports of a split: as it is, with an effect, with a loss.
#[derive(Clone, Debug)]
pub struct Reports {
    /// Of the log as it is.
    pub plain: Report,
    /// With [`Planted::Effect`].
    pub effect: Report,
    /// With [`Planted::Loss`].
    pub loss: Report,
}

impl Splits {
    /// Counts over the splits of a log, with this effect and this loss planted.
    pub fn of(reports: &[Reports], effect: f64, lost: f64) -> Self {
        let splits = reports.len() as u64;
        let count = |is_so: &dyn Fn(&Reports) -> bool| {
            reports.iter().filter(|reports| is_so(reports)).count() as u64
        };
        let rows = reports.iter().filter_map(|of| of.plain.tables.first());
        let mut metrics: Vec<&str> = Vec::new();
        for row in rows.flat_map(|table| &table.rows) {
            if !metrics.contains(&row.metric) {
                metrics.push(row.metric);
            }
        }
        let found = metrics.into_iter().map(|metric| Found {
            metric: metric.into(),
            planned: count(&|of| {
                difference(&of.plain, metric).is_some_and(|difference| difference.p < MISS)
            }),
            always: count(&|of| {
                let mut looks = of.plain.running.iter().filter(|of| of.metric == metric);
                looks.any(|look| look.difference.always_p < MISS)
            }),
        });
        let errors = reports.iter().filter_map(|of| difference(&of.plain, PLANTED_IN));
        let powers: Vec<f64> =
            errors.map(|seen| Goal::power_at(effect, seen.standard_error)).collect();
        let power = powers.iter().sum::<f64>() / powers.len().max(1) as f64;
        Self {
            splits,
            expected: expected(splits, MISS),
            found: found.collect(),
            corrected: count(&|of| {
                let rows = of.plain.tables.first().into_iter().flat_map(|table| &table.rows);
                let mut all = rows.flat_map(|row| &row.comparisons);
                all.any(|of| of.p_corrected.is_some_and(|p| p < MISS))
            }),
            refused: count(&|of| of.plain.refused.is_some()),
            effect,
            effect_found: count(&|of| {
                difference(&of.effect, PLANTED_IN)
                    .is_some_and(|seen| seen.p < MISS && seen.relative > 0.0)
            }),
            power,
            effect_expected: expected(splits, power),
            lost,
            lost_refused: count(&|of| of.loss.refused.is_some()),
        }
    }
}

/// The difference of all users in a metric.
fn difference(report: &Report, metric: &str) -> Option<Difference> {
    let rows = &report.tables.first()?.rows;
    rows.iter().find(|row| row.metric == metric)?.comparisons.first()?.difference
}

/// Where a count of `n` lies with a probability of at least 95 %, each side apart.
fn expected(n: u64, p: f64) -> (u64, u64) {
    Binomial::new(p, n).map_or((0, n), |count| (count.inverse_cdf(0.025), count.inverse_cdf(0.975)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// SciPy 1.17.1: `scipy.stats.binom.ppf([0.025, 0.975], 200, 0.05)`.
    #[test]
    fn counts_are_expected_as_by_scipy() {
        assert_eq!(expected(200, 0.05), (4, 16));
        assert_eq!(expected(200, 1.0), (200, 200));
    }
}
