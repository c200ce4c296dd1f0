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
        for (of, matcher) in schema.matches.iter().zip(&self.matchers) {
            let running = self.dense.entry(match_key(&of.name)).or_default();
            let counts = matcher.counts(feed).into_iter();
            counts.for_each(|count| running.add(f64::from(Matcher::transform(count))));
        }
        for group in Group::ALL {
            for (field, column) in schema.fields(group).iter().zip(feed.columns(group)) {
                if let (Kind::Dense { transform }, Column::Numbers(numbers)) = (&field.kind, column)
                {
                    let running = self.dense.entry(key(group, &field.name)).or_default();
                    let known = numbers.iter().filter(|x| !is_no_number(**x));
                    known.for_each(|x| running.add(f64::from(transform.apply(*x))));
                }
            }
        }
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

#[derive(Debug, Default)]
struct Running {
    count: u64,
    mean: f64,
    squares: f64,
}

impl Running {
    fn add(&mut self, x: f64) {
        self.count += 1;
        let from_old = x - self.mean;
        self.mean += from_old / self.count as f64;
        self.squares += from_old * (x - self.mean);
    }

    fn moments(&self) -> Moments {
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
    fn a_constant_is_only_centred() {
        let mut running = Running::default();
        (0..10).for_each(|_| running.add(3.0));
        assert_eq!(running.moments(), Moments { mean: 3.0, sd: 1.0 });
    }
}
