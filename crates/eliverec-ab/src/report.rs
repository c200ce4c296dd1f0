//! The report: what is compared with what, and what can be said of it.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::assignment::Population;
use crate::channels::{Exposure, Hidden};
use crate::comparison::{Comparison, Row, Table, Value, Verdict, correct};
use crate::difference::Difference;
use crate::error::Error;
use crate::metrics::{METRICS, Metric, Sum};
use crate::mismatch::Mismatch;
use crate::power::{Goal, Need};
use crate::ratio::{Estimate, adjusted, estimates};
use crate::tally::{DAY_MS, Rules, Tally};

/// The table of all users.
pub const ALL_USERS: &str = "all users";
/// That of users who watched at most as much as the median in the days before.
pub const LOW_ACTIVE: &str = "low-active users";
/// That of the others.
pub const HIGH_ACTIVE: &str = "high-active users";

/// What was asked of the report.
#[derive(Clone, Debug)]
pub struct Asked<'a> {
    /// The bucket that the others are compared with; the first if it is not given.
    pub control: Option<&'a str>,
    /// What an experiment should find.
    pub goal: Goal,
}

/// A layer's buckets compared.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The layer.
    pub layer: String,
    /// Its buckets, in the order of every list of the report.
    pub buckets: Vec<String>,
    /// The bucket that the others are compared with.
    pub control: String,
    /// What counts.
    pub rules: Rules,
    /// Answers in the layer.
    pub answers: u64,
    /// Who is compared.
    pub population: Population,
    /// Whether users are in the buckets in the right shares.
    pub mismatch: Mismatch,
    /// Why nothing is compared; no table is there then.
    pub refused: Option<String>,
    /// All users, then those of each activity.
    pub tables: Vec<Table>,
    /// The differences as they were at the end of each day.
    pub running: Vec<Running>,
    /// Channels without exposure before, and what became of them.
    pub hidden: Vec<Hidden>,
    /// Channels on offer.
    pub channels: u64,
    /// How exposure is spread over them.
    pub exposure: Vec<Exposure>,
    /// What an experiment should find.
    pub goal: Goal,
    /// What finding it takes.
    pub needs: Vec<Need>,
    /// Events that were not used, by reason.
    pub left_out: BTreeMap<String, u64>,
    /// What a reader must know: rows that are left out, days that are missing, shares that changed.
    pub told: Vec<String>,
}

/// A difference as it was at the end of a day.
#[derive(Clone, Debug, Serialize)]
pub struct Running {
    /// Days since the first, which is 1.
    pub day: u32,
    /// The metric's name for programs.
    pub metric: &'static str,
    /// The bucket that is compared with the control.
    pub bucket: String,
    /// As in the table, without CUPED.
    pub difference: Difference,
}

impl Report {
    /// What finding each effect that was seen, of all users, takes with this probability. What was seen is what there is and chance;
    /// so these are days for an effect of that size, and not for whatever there is.
    pub fn needs_of_seen(&self, power: f64) -> Vec<(Goal, Need)> {
        self.needs_by(|seen| {
            Some(Goal { effect: seen?.abs(), power }).filter(|goal| goal.effect > 0.0)
        })
    }

    /// What it takes to find what `goal` makes of the difference that was seen, for each metric and bucket.
    fn needs_by(&self, goal: impl Fn(Option<f64>) -> Option<Goal>) -> Vec<(Goal, Need)> {
        let rows = self.tables.first().into_iter().flat_map(|table| &table.rows);
        let all = rows.flat_map(|row| row.comparisons.iter().map(|of| (row.metric, of)));
        let need = |(metric, of): (&'static str, &Comparison)| {
            let goal = goal(of.difference.map(|difference| difference.relative))?;
            Some((
                goal,
                goal.need(
                    metric,
                    &of.bucket,
                    self.users_of(&of.bucket),
                    &self.variances(metric, &of.bucket),
                )?,
            ))
        };
        all.filter_map(need).collect()
    }

    /// Users of a bucket and of the control.
    fn users_of(&self, bucket: &str) -> u64 {
        let users = self.buckets.iter().zip(&self.population.in_bucket);
        users
            .filter(|(name, _)| **name == bucket || **name == self.control)
            .map(|(_, users)| users)
            .sum()
    }

    /// By days the variance of a relative difference.
    fn variances(&self, metric: &str, bucket: &str) -> Vec<(f64, f64)> {
        let of = |running: &&Running| running.metric == metric && running.bucket == bucket;
        let running = self.running.iter().filter(of);
        running
            .map(|running| (f64::from(running.day), running.difference.standard_error.powi(2)))
            .collect()
    }
}

/// Takes in a log day by day and ends in a report.
#[derive(Debug)]
pub struct Builder {
    tally: Tally,
    control: usize,
    goal: Goal,
    running: Vec<Running>,
    mismatch: Mismatch,
}

impl Builder {
    /// A report of events that come in the order of their days.
    ///
    /// # Errors
    /// A control that is no bucket, and a goal that cannot be meant.
    pub fn new(tally: Tally, asked: &Asked<'_>) -> Result<Self, Error> {
        asked.goal.check()?;
        let shares = tally.assignment().shares();
        let control = asked.control.map_or(Ok(0), |name| {
            shares.bucket(name).ok_or_else(|| Error::Asked {
                asked: format!("--control {name}"),
                reason: format!(
                    "the layer {} has no such bucket; it has {}",
                    shares.layer,
                    shares.buckets.join(", ")
                ),
            })
        })?;
        let mismatch = Mismatch::test(shares, &tally.assignment().first_answers());
        Ok(Self { tally, control, goal: asked.goal, running: Vec::new(), mismatch })
    }

    /// Where events go.
    pub const fn tally(&mut self) -> &mut Tally {
        &mut self.tally
    }

    /// Keeps how buckets differ after what arrived on the n-th day, from 1.
    pub fn end_day(&mut self, day: u32) {
        if self.mismatch.is_found() {
            return;
        }
        let until_ms = self.tally.assignment().days_ms().start + i64::from(day) * DAY_MS;
        for metric in self.metrics() {
            let found = estimates(&self.tally.parts(metric, until_ms, |_| true));
            for (bucket, difference) in self.differences(&found) {
                if let Some(difference) = difference {
                    let bucket = self.bucket(bucket).to_owned();
                    self.running.push(Running { day, metric: metric.name, bucket, difference });
                }
            }
        }
    }

    /// The metrics that the log can know.
    fn metrics(&self) -> Vec<&'static Metric> {
        let known = self.tally.channels.known();
        let (_, with_value) = self.tally.orders();
        let is_known = |metric: &&Metric| match metric.numerator {
            Sum::Revenue => with_value > 0,
            Sum::Found7 | Sum::FoundWatched7 => known[0],
            Sum::Found14 | Sum::FoundWatched14 => known[1],
            Sum::Found30 | Sum::FoundWatched30 => known[2],
            _ => true,
        };
        METRICS.iter().filter(is_known).collect()
    }

    fn bucket(&self, place: usize) -> &str {
        &self.tally.assignment().shares().buckets[place]
    }

    /// The buckets other than the control, each against it.
    fn differences(&self, found: &[Option<Estimate>]) -> Vec<(usize, Option<Difference>)> {
        let control = found[self.control].as_ref();
        let others = (0..found.len()).filter(|place| *place != self.control);
        let of = |place: usize| Difference::of(found[place].as_ref()?, control?);
        others.map(|place| (place, of(place))).collect()
    }

    /// The metrics of the users that `chosen` takes.
    fn table(&self, group: &str, rule: String, chosen: impl Fn(u32) -> bool + Copy) -> Table {
        let cuped = self.tally.rules().days_before > 0;
        let mut users = Vec::new();
        let mut rows = Vec::new();
        for metric in self.metrics() {
            let parts = self.tally.parts(metric, i64::MAX, chosen);
            users = parts.iter().map(|parts| parts.len() as u64).collect();
            let (found, taken_off) = if cuped {
                let (found, taken_off) = adjusted(&parts);
                (found, Some(taken_off))
            } else {
                (estimates(&parts), None)
            };
            let value = |found: &Option<Estimate>| {
                found.map(|found| Value {
                    value: found.value,
                    standard_error: found.variance.map(f64::sqrt),
                })
            };
            let compared = |(place, difference): (usize, Option<Difference>)| Comparison {
                bucket: self.bucket(place).to_owned(),
                difference,
                p_corrected: None,
                always_p_corrected: None,
                verdict: Verdict::Unknown,
            };
            let comparisons = self.differences(&found).into_iter().map(compared).collect();
            let values = found.iter().map(value).collect();
            rows.push(Row { metric: metric.name, values, taken_off, comparisons });
        }
        correct(&mut rows);
        Table { group: group.into(), rule, users, rows }
    }

    /// All users, and those of each activity if days before tell it.
    fn tables(&self) -> Vec<Table> {
        let days = self.tally.rules().days_before;
        let all = self.table(ALL_USERS, "every user of one bucket".into(), |_| true);
        if days == 0 {
            return vec![all];
        }
        let assignment = self.tally.assignment();
        let users = 0..assignment.users() as u32;
        let compared = users.filter(|user| assignment.bucket_of(*user).is_some());
        let mut watches: Vec<f64> = compared.map(|user| self.tally.watches_before(user)).collect();
        watches.sort_by(f64::total_cmp);
        let median = watches.get(watches.len().saturating_sub(1) / 2).copied().unwrap_or_default();
        let rule = |sign: &str| {
            format!(
                "users with {sign} {median:.0} watches, the median over all buckets, in the {days} days before"
            )
        };
        let is_low = |user: u32| self.tally.watches_before(user) <= median;
        vec![
            all,
            self.table(LOW_ACTIVE, rule("at most"), is_low),
            self.table(HIGH_ACTIVE, rule("more than"), |user| !is_low(user)),
        ]
    }

    /// The report of all that was taken in.
    pub fn finish(self) -> Report {
        let assignment = self.tally.assignment();
        let shares = assignment.shares();
        let (refused, population) = (self.refused(), assignment.population());
        let is_refused = refused.is_some();
        let goal = self.goal;
        let mut report = Report {
            layer: shares.layer.clone(),
            buckets: shares.buckets.clone(),
            control: self.bucket(self.control).to_owned(),
            rules: self.tally.rules(),
            answers: assignment.answers(),
            told: self.told(&population),
            population,
            mismatch: self.mismatch.clone(),
            tables: if is_refused { Vec::new() } else { self.tables() },
            hidden: self.tally.channels.hidden_channels(&shares.buckets),
            channels: self.tally.channels.count(),
            exposure: self.tally.channels.exposure(&shares.buckets),
            goal: self.goal,
            needs: Vec::new(),
            left_out: self.tally.left_out(),
            refused,
            running: self.running,
        };
        report.needs = report.needs_by(|_| Some(goal)).into_iter().map(|(_, need)| need).collect();
        report
    }

    fn refused(&self) -> Option<String> {
        let p = self.mismatch.p.filter(|_| self.mismatch.is_found())?;
        let counts = self.mismatch.buckets.iter().map(|counted| {
            format!("{} {} of {:.0} expected", counted.bucket, counted.users, counted.expected)
        });
        Some(format!(
            "users are not in the buckets by their shares ({}; p = {p:.1e}), so that what differs may be who is in them: find what \
             loses users of a bucket, such as answers that are not logged, before comparing anything",
            counts.collect::<Vec<_>>().join(", ")
        ))
    }

    fn told(&self, population: &Population) -> Vec<String> {
        let mut told = Vec::new();
        let mut tell = |count: u64, sentence: &str| {
            if count > 0 {
                told.push(format!("{count} {sentence}"));
            }
        };
        tell(
            population.in_several,
            "users were in several buckets, by overrides or changed shares, and are left out",
        );
        tell(population.outside, "users were in no bucket");
        tell(
            self.mismatch.untested,
            "users are not in the sample-ratio test: too few in their period, or in buckets whose share was 0",
        );
        let (orders, with_value) = self.tally.orders();
        if with_value == 0 {
            told.push(format!("revenue is not known: {orders} orders, none with a value"));
        } else {
            tell(orders - with_value, "orders have no value and count as 0 in the revenue");
        }
        if self.mismatch.periods > 1 {
            told.push(format!(
                "shares changed: users came first in {} periods of other shares, and buckets that grew later have more of the later \
                 days; a comparison within one period has no such difference (--from, --to)",
                self.mismatch.periods
            ));
        }
        let known = self.tally.channels.known();
        let days = crate::metrics::HIDDEN_DAYS.iter().zip(known).filter(|(_, known)| !known);
        let days: Vec<String> = days.map(|(days, _)| days.to_string()).collect();
        if !days.is_empty() {
            told.push(format!(
                "the log does not reach back far enough to know channels without exposure for {} days",
                days.join(" and ")
            ));
        }
        if self.tally.rules().days_before == 0 {
            told.push("without days before (--pre) nothing is known of users' activity".into());
        }
        told
    }
}
