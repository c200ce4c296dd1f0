//! Do the intents of Eq. 5 find what they are meant to find? On a log whose truth is known, how well p_c tells behaviours that
//! came from an interest shared by both domains from those of one domain's own, and where the attention of z_c and z_s falls.

use std::collections::BTreeMap;
use std::path::Path;

use eliverec_core::feed::Column;
use eliverec_core::schema::Group;
use eliverec_core::{BatchBuilder, Feed};
use eliverec_metrics::Auc;
use eliverec_models::trace::{Recorded, Trace};
use eliverec_run::{Prepared, RunDirectory, Scorer};
use eliverec_tables::{FeedDirectory, Split};
use serde::Serialize;

use crate::error::Error;
use crate::feeds_read::check_fit;

/// Feeds scored at a time; every intermediate of theirs is kept.
const FEEDS: usize = 64;

/// An event of a history, as a log's truth knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Behaviour {
    /// Whose.
    pub user_id: u64,
    /// A watch, of this channel, or a product click, of this product.
    pub what: What,
    /// When it was known, milliseconds since 1970 UTC, to half a second: the click, the end of the watch.
    pub ts_ms: i64,
}

/// What a behaviour was about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum What {
    /// A watch.
    Channel(u64),
    /// A click.
    Product(u64),
}

/// One domain of a run.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Disentangling {
    /// Events whose cause is one of the two, over all feeds: shared or the domain's own.
    pub behaviours: u64,
    /// Of them, those with a shared cause: what attention without a preference would give.
    pub shared: f64,
    /// Of the mean over the elements of p_c, as a score for "shared"; 0.5 knows nothing.
    pub auc: Option<f64>,
    /// Share of z_c's attention that falls on shared behaviours, of what falls on either, mean over impressions.
    pub consistent_attention: Option<f64>,
    /// The same of z_s.
    pub specific_attention: Option<f64>,
}

impl Disentangling {
    /// All but the count, by name.
    pub fn figures(&self) -> [(&'static str, Option<f64>); 4] {
        [
            ("shared", Some(self.shared)),
            ("auc_of_p_c", self.auc),
            ("z_c_on_shared", self.consistent_attention),
            ("z_s_on_shared", self.specific_attention),
        ]
    }
}

/// Measures `scorer`, of the run at `path`, on a split, by domain (`live`, `product`). `is_shared` knows the truth: `None` for
/// behaviours of any other cause. Empty for models without intent weights.
///
/// # Errors
/// What reading the feeds gives; a schema without `channel_id` or `product_id`.
pub fn measure(
    scorer: &Scorer,
    path: &Path,
    feeds: &FeedDirectory,
    split: Split,
    is_shared: impl Fn(Behaviour) -> Option<bool>,
) -> Result<BTreeMap<&'static str, Disentangling>, Error> {
    check_fit(&RunDirectory::at(path), feeds)?;
    let mut sums: BTreeMap<&'static str, Sums> = BTreeMap::new();
    let mut waiting = Vec::with_capacity(FEEDS);
    for feed in feeds.read(split)? {
        waiting.push(feed?);
        if waiting.len() == FEEDS {
            add(path, scorer, &waiting, &is_shared, &mut sums)?;
            waiting.clear();
        }
    }
    add(path, scorer, &waiting, &is_shared, &mut sums)?;
    Ok(sums.into_iter().map(|(domain, sums)| (domain, sums.finish())).collect())
}

/// A domain: its name, and where its events and their ids stand in a feed.
type Domain = (&'static str, Group, &'static str);

const DOMAINS: [Domain; 2] =
    [("live", Group::Channel, "channel_id"), ("product", Group::Product, "product_id")];

fn add(
    run: &Path,
    scorer: &Scorer,
    feeds: &[Feed],
    is_shared: &impl Fn(Behaviour) -> Option<bool>,
    sums: &mut BTreeMap<&'static str, Sums>,
) -> Result<(), Error> {
    let lengths = scorer.config.settings().lengths();
    let mut builder = BatchBuilder::new(&scorer.schema, &scorer.normalization, lengths);
    for feed in feeds {
        builder.push(feed)?;
    }
    let Some(batch) = builder.finish() else { return Ok(()) };
    let prepared = Prepared::of(&scorer.schema, batch);
    let mut trace = Trace::on();
    scorer.scoring().trace(&prepared, &mut trace);
    let batch = &prepared.batch;
    let recorded = trace.into_recorded();
    for (domain, group, id) in DOMAINS {
        let of = |kind: &str| recorded.get(&format!("{domain}.{kind}"));
        let (Some(intention), Some(consistent), Some(specific)) =
            (of("intention"), of("consistent_attention"), of("specific_attention"))
        else {
            continue;
        };
        let field = scorer.schema.fields(group).iter().position(|field| field.name == id);
        let field = field.ok_or_else(|| eliverec_run::Error::Run {
            path: run.into(),
            reason: format!("the schema has no field {id}, by which behaviours are known"),
        })?;
        let sums = sums.entry(domain).or_default();
        let offsets = if group == Group::Channel { &batch.channels } else { &batch.products };
        let width = intention.values.len() / offsets.total().max(1);
        for (i, (feed, range)) in feeds.iter().zip(offsets.ranges()).enumerate() {
            let causes: Vec<Option<bool>> =
                behaviours(feed, group, field, range.len()).map(is_shared).collect();
            for (cause, event) in causes.iter().zip(range) {
                if let Some(shared) = cause {
                    let p = &intention.values[event * width..(event + 1) * width];
                    sums.auc.add(p.iter().sum::<f32>() / width as f32, *shared)?;
                    sums.shared += u64::from(*shared);
                }
            }
            for impression in 0..feed.impressions() {
                sums.consistent.add(&causes, weights(consistent, i, impression));
                sums.specific.add(&causes, weights(specific, i, impression));
            }
        }
    }
    Ok(())
}

/// The newest `kept` events of a feed's history, oldest first.
fn behaviours(
    feed: &Feed,
    group: Group,
    field: usize,
    kept: usize,
) -> impl Iterator<Item = Behaviour> + '_ {
    let events = if group == Group::Channel { &feed.channels } else { &feed.products };
    let first = events.age_s.len() - kept;
    (first..events.age_s.len()).map(move |i| {
        let id = match &events.entity[field] {
            Column::Ids(ids) => ids[i],
            Column::Numbers(_) | Column::Lists { .. } => 0,
        };
        let what = if group == Group::Channel { What::Channel(id) } else { What::Product(id) };
        let age_ms = (f64::from(events.age_s[i]) * 1_000.0).round() as i64;
        Behaviour { user_id: feed.user_id, what, ts_ms: feed.ts_ms - age_ms }
    })
}

/// The weights over the events of feed `i` for one of its impressions, of attention `[b, c, l]`.
fn weights(attention: &Recorded, i: usize, impression: usize) -> &[f32] {
    let (candidates, events) = (attention.shape[1], attention.shape[2]);
    let start = (i * candidates + impression) * events;
    &attention.values[start..start + events]
}

#[derive(Debug, Default)]
struct Sums {
    auc: Auc,
    shared: u64,
    consistent: Share,
    specific: Share,
}

impl Sums {
    fn finish(self) -> Disentangling {
        let behaviours = self.auc.impressions();
        Disentangling {
            behaviours,
            shared: self.shared as f64 / behaviours.max(1) as f64,
            auc: self.auc.finish(),
            consistent_attention: self.consistent.mean(),
            specific_attention: self.specific.mean(),
        }
    }
}

/// Mean share of an attention that falls on shared behaviours.
#[derive(Debug, Default)]
struct Share {
    sum: f64,
    impressions: u64,
}

impl Share {
    /// One impression; it says something only where the history has behaviours of both kinds.
    fn add(&mut self, causes: &[Option<bool>], weights: &[f32]) {
        let of = |kind: bool| -> Option<f64> {
            let found = causes.iter().zip(weights).filter(|(cause, _)| **cause == Some(kind));
            found.map(|(_, weight)| f64::from(*weight)).reduce(|sum, weight| sum + weight)
        };
        if let (Some(shared), Some(own)) = (of(true), of(false))
            && shared + own > 0.0
        {
            self.sum += shared / (shared + own);
            self.impressions += 1;
        }
    }

    fn mean(&self) -> Option<f64> {
        (self.impressions > 0).then(|| self.sum / self.impressions as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_count_known_causes_and_need_both_kinds() {
        let mut share = Share::default();
        share.add(&[Some(true), None, Some(false)], &[0.3, 0.6, 0.1]);
        share.add(&[Some(true), Some(true)], &[0.5, 0.5]);
        share.add(&[Some(false), Some(true)], &[0.5, 0.5]);
        assert!((share.mean().unwrap() - 0.625).abs() < 1e-6);
        assert_eq!(Share::default().mean(), None);
    }
}
