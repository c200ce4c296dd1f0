//! Mean and standard deviation of dense fields and of durations, taken once over the training set and kept with the run.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::feed::{Column, Feed};
use crate::matching::Matcher;
use crate::no_row::is_no_number;
use crate::schema::{Group, Kind, Schema};
use crate::task::TaskKind;

/// Mean and standard deviation of one quantity.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Moments {
    /// Mean.
    pub mean: f32,
    /// Standard deviation; 1 for a quantity that never varied.
    pub sd: f32,
}

impl Default for Moments {
    fn default() -> Self {
        Self { mean: 0.0, sd: 1.0 }
    }
}

impl Moments {
    /// `(x - mean) / sd`
    pub fn standardise(&self, x: f32) -> f32 {
        (x - self.mean) / self.sd
    }

    /// The inverse of [`Moments::standardise`].
    pub fn restore(&self, standardised: f32) -> f32 {
        standardised * self.sd + self.mean
    }
}

/// What standardises the numbers of a batch; the identity by default.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Normalization {
    /// By `group.field`, match features by `match.name`.
    pub dense: BTreeMap<String, Moments>,
    /// By duration task: of ln(1 + seconds) over the watched impressions.
    pub durations: BTreeMap<String, Moments>,
}

impl Normalization {
    /// The moments of a dense field; the identity where none were taken.
    pub fn dense(&self, group: Group, field: &str) -> Moments {
        // Schemas have a handful of dense fields, and this is asked once per column and feed.
        self.dense.get(&key(group, field)).copied().unwrap_or_default()
    }

    /// The moments of ln(1 + count) of a match feature; the identity where none were taken.
    pub fn matching(&self, name: &str) -> Moments {
        self.dense.get(&match_key(name)).copied().unwrap_or_default()
    }

    /// The moments of ln(1 + seconds) of the duration task called `name`; the identity where none were taken.
    pub fn duration(&self, name: &str) -> Moments {
        self.durations.get(name).copied().unwrap_or_default()
    }
}

fn key(group: Group, field: &str) -> String {
    format!("{}.{field}", group.name())
}

fn match_key(name: &str) -> String {
    format!("match.{name}")
}

/// Takes the moments feed by feed (Welford), in memory that does not grow with the set.
#[derive(Debug)]
pub struct Normalizer<'a> {
    schema: &'a Schema,
    matchers: Vec<Matcher>,
    dense: BTreeMap<String, Running>,
    durations: BTreeMap<String, Running>,
}

impl<'a> Normalizer<'a> {
    /// Of feeds of `schema`.
    pub fn new(schema: &'a Schema) -> Self {
        let (dense, durations) = (BTreeMap::new(), BTreeMap::new());
        Self { schema, matchers: schema.matchers(), dense, durations }
    }

    /// Takes in one feed of the training set, which must fit the schema. Without labels it tells nothing of the stay.
    pub fn add(&mut self, feed: &Feed) {
        let schema = self.schema;
        let dense = &mut self.dense;
        each_dense(schema, &self.matchers, feed, None, |name, values| {
            let running = dense.entry(name).or_default();
            values.for_each(|x| running.add(f64::from(x)));
        });
        if let Some(labels) = &feed.candidates.labels {
            for (task, durations) in schema.task.iter().zip(&labels.tasks) {
                if task.kind != TaskKind::Duration {
                    continue;
                }
                let running = self.durations.entry(task.name.clone()).or_default();
                for (watched, seconds) in labels.watched.iter().zip(durations) {
                    if let (true, Some(seconds)) = (*watched, seconds) {
                        running.add(f64::from(*seconds).ln_1p());
                    }
                }
            }
        }
    }

    /// The moments of what was taken in.
    pub fn finish(&self) -> Normalization {
        let moments = |all: &BTreeMap<String, Running>| {
            all.iter().map(|(name, running)| (name.clone(), running.moments())).collect()
        };
        Normalization { dense: moments(&self.dense), durations: moments(&self.durations) }
    }
}

/// Hands the dense quantities of a feed to `each`: their names as in [`Normalization::dense`], and their values as they are
/// standardised: transformed, without those of entities that have none. Of the candidates those in `rows` count, or all.
pub fn each_dense(
    schema: &Schema,
    matchers: &[Matcher],
    feed: &Feed,
    rows: Option<&[usize]>,
    mut each: impl FnMut(String, &mut dyn Iterator<Item = f32>),
) {
    /// Hands on the chosen ones of some numbers.
    fn chosen<'a>(numbers: &'a [f32], rows: Option<&'a [usize]>) -> impl Iterator<Item = f32> + 'a {
        let all = if rows.is_none() { numbers } else { &[] };
        let some = rows.into_iter().flatten().filter_map(|row| numbers.get(*row));
        all.iter().chain(some).copied()
    }
    for (of, matcher) in schema.matches.iter().zip(matchers) {
        let counts = matcher.counts(feed);
        each(match_key(&of.name), &mut chosen(&counts, rows).map(Matcher::transform));
    }
    for group in Group::ALL {
        let is_of_candidates = matches!(group, Group::Candidate | Group::Target | Group::Dynamic);
        let rows = rows.filter(|_| is_of_candidates);
        for (field, column) in schema.fields(group).iter().zip(feed.columns(group)) {
            if let (Kind::Dense { transform }, Column::Numbers(numbers)) = (&field.kind, column) {
                let known = chosen(numbers, rows).filter(|x| !is_no_number(*x));
                each(key(group, &field.name), &mut known.map(|x| transform.apply(x)));
            }
        }
    }
}

/// Mean and spread of numbers that come one by one (Welford).
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Running {
    count: u64,
    mean: f64,
    squares: f64,
}

impl Running {
    /// Takes in a number.
    pub fn add(&mut self, x: f64) {
        self.count += 1;
        let from_old = x - self.mean;
        self.mean += from_old / self.count as f64;
        self.squares += from_old * (x - self.mean);
    }

    /// Takes in what another has taken in (Chan, Golub and LeVeque).
    pub fn merge(&mut self, other: &Self) {
        let count = self.count + other.count;
        if count == 0 {
            return;
        }
        let (between, of_other) = (other.mean - self.mean, other.count as f64 / count as f64);
        self.squares += other.squares + between * between * self.count as f64 * of_other;
        self.mean += between * of_other;
        self.count = count;
    }

    /// How many numbers it has taken in.
    pub const fn count(&self) -> u64 {
        self.count
    }

    /// Their moments.
    pub fn moments(&self) -> Moments {
        let sd = (self.squares / self.count.max(1) as f64).sqrt();
        Moments { mean: self.mean as f32, sd: if sd > 1e-6 { sd as f32 } else { 1.0 } }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::toy;

    #[test]
    fn moments_equal_the_two_pass_ones() {
        let (schema, feeds) = (toy::schema(), toy::feeds(50, 2));
        let mut normalizer = Normalizer::new(&schema);
        feeds.iter().for_each(|feed| normalizer.add(feed));
        let moments = normalizer.finish().dense(Group::Target, "clicks_60m");
        let all: Vec<f64> = feeds
            .iter()
            .flat_map(|feed| match &feed.candidates.target[0] {
                Column::Numbers(x) => x.iter().map(|x| f64::from(x.ln_1p())).collect::<Vec<_>>(),
                _ => panic!("dense"),
            })
            .collect();
        let mean = all.iter().sum::<f64>() / all.len() as f64;
        let variance = all.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / all.len() as f64;
        assert!((f64::from(moments.mean) - mean).abs() < 1e-5);
        assert!((f64::from(moments.sd) - variance.sqrt()).abs() < 1e-5);
    }

    #[test]
    fn parts_together_have_the_moments_of_the_whole() {
        let numbers = [3.0, -1.5, 8.25, 0.0, 4.0, 4.0, -7.0];
        let of = |numbers: &[f64]| {
            let mut running = Running::default();
            numbers.iter().for_each(|x| running.add(*x));
            running
        };
        for end in 0..=numbers.len() {
            let (mut whole, rest) = (of(&numbers[..end]), of(&numbers[end..]));
            whole.merge(&rest);
            assert_eq!(whole.count(), numbers.len() as u64);
            let (found, expected) = (whole.moments(), of(&numbers).moments());
            assert!((found.mean - expected.mean).abs() < 1e-6);
            assert!((found.sd - expected.sd).abs() < 1e-6);
        }
    }

    #[test]
    fn of_candidates_the_chosen_count() {
        let (schema, feeds) = (toy::schema(), toy::feeds(1, 2));
        let matchers = schema.matchers();
        let of = |rows: Option<&[usize]>| {
            let mut all = BTreeMap::new();
            each_dense(&schema, &matchers, &feeds[0], rows, |name, values| {
                all.insert(name, values.collect::<Vec<_>>());
            });
            all
        };
        let (all, last) = (of(None), of(Some(&[feeds[0].impressions() - 1])));
        let name = key(Group::Target, "clicks_60m");
        assert_eq!(all[&name].len(), feeds[0].impressions());
        assert_eq!(last[&name], all[&name][all[&name].len() - 1..]);
        assert!(all.keys().eq(last.keys()));
    }

    #[test]
    fn a_constant_is_only_centred() {
        let mut running = Running::default();
        (0..10).for_each(|_| running.add(3.0));
        assert_eq!(running.moments(), Moments { mean: 3.0, sd: 1.0 });
    }
}
