//! A batch: whole feeds as a model takes them, with offsets from feed to entities. The contract was checked when the feeds
//! became [`FeedColumns`]; a batch only takes over the slices that it needs.
//!
//! Everything is packed: entity rows of all feeds one after the other, no padding. A history of three events costs
//! three rows; whoever needs rectangles pads them.

use crate::columns::FeedColumns;
use crate::contract::check_alike;
use crate::error::Error;
use crate::feed::{Column, Feed, Labels};
use crate::matching::{History, Matcher};
use crate::no_row::{bucket, is_no_number};
use crate::normalize::{Moments, Normalization};
pub use crate::offsets::Offsets;
use crate::schema::{Group, Kind, Schema};

/// A field's values over all entities of a batch, ready for the model.
#[derive(Clone, Debug, PartialEq)]
pub enum Values {
    /// One id each (categorical, or the bucket's number).
    Ids(Vec<u64>),
    /// Any number of ids each.
    Lists {
        /// From entity to its ids.
        offsets: Offsets,
        /// All lists, one after the other.
        ids: Vec<u64>,
    },
    /// One transformed, standardised number each.
    Numbers(Vec<f32>),
}

/// Labels of all impressions of a batch; NaN where unknown.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct BatchLabels {
    /// 1 for watched, 0 for not `[n]`.
    pub watched: Vec<f32>,
    /// By task of the schema: seconds of a duration, 1 or 0 of what happens or not, NaN where unknown `[n]`.
    pub tasks: Vec<Vec<f32>>,
}

/// Whole feeds, column by column. Made by [`BatchBuilder`] only.
#[derive(Clone, Debug)]
pub struct Batch {
    /// `[b]`
    pub request_ids: Vec<u64>,
    /// `[b]`
    pub user_ids: Vec<u64>,
    /// `[b]`
    pub ts_ms: Vec<i64>,
    /// From feed to its product clicks.
    pub products: Offsets,
    /// Age in seconds of every product click.
    pub product_age_s: Vec<f32>,
    /// From feed to its watches.
    pub channels: Offsets,
    /// Age in seconds of every watch.
    pub channel_age_s: Vec<f32>,
    /// From feed to its impressions.
    pub candidates: Offsets,
    /// Of every impression; `None` for feeds without labels.
    pub labels: Option<BatchLabels>,
    pub(crate) values: [Vec<Values>; Group::ALL.len()],
}

impl Batch {
    /// The values of a group's fields, in schema order; those of the target are followed by the match features.
    pub fn values(&self, group: Group) -> &[Values] {
        &self.values[group as usize]
    }

    /// The labels, for what is done only with feeds that have them.
    ///
    /// # Panics
    /// If the batch has none: whoever reads batches to train or to evaluate has asked their split for labels.
    pub fn known_labels(&self) -> &BatchLabels {
        self.labels.as_ref().expect("the split was asked for labels before its batches were read")
    }

    /// Feeds, `b`.
    pub fn feeds(&self) -> usize {
        self.request_ids.len()
    }

    /// Impressions, `n`.
    pub fn impressions(&self) -> usize {
        self.candidates.total()
    }

    /// Entities of a group: feeds for user and context.
    pub fn entities(&self, group: Group) -> usize {
        match group {
            Group::User | Group::Context => self.feeds(),
            Group::Product | Group::ProductEvent => self.products.total(),
            Group::Channel | Group::ChannelEvent => self.channels.total(),
            Group::Candidate | Group::Target | Group::Dynamic => self.candidates.total(),
        }
    }
}

/// How many of the newest events of each history a batch keeps; 0 leaves the domain out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lengths {
    /// Product clicks, n.
    pub products: usize,
    /// Watches, l.
    pub channels: usize,
}

impl Default for Lengths {
    /// The paper's truncation, Sec. V-A.
    fn default() -> Self {
        Self { products: 50, channels: 50 }
    }
}

/// Gathers whole feeds into a [`Batch`].
#[derive(Debug)]
pub struct BatchBuilder<'a> {
    schema: &'a Schema,
    /// How the raw values of every field become those of the batch, by group.
    conversions: [Vec<Conversion<'a>>; Group::ALL.len()],
    matchers: Vec<(Matcher, Moments)>,
    lengths: Lengths,
    batch: Batch,
}

impl<'a> BatchBuilder<'a> {
    /// An empty batch. `normalization` standardises dense numbers, `lengths` truncates the histories.
    pub fn new(schema: &'a Schema, normalization: &Normalization, lengths: Lengths) -> Self {
        let conversions = Group::ALL.map(|group| {
            let fields = schema.fields(group).iter();
            fields
                .map(|field| Conversion {
                    kind: &field.kind,
                    moments: normalization.dense(group, &field.name),
                })
                .collect()
        });
        let moments = schema.matches.iter().map(|of| normalization.matching(&of.name));
        let values = Group::ALL.map(|group| {
            let values = schema.fields(group).iter().map(|field| empty_values(&field.kind));
            let extra = (0..schema.extra_numbers(group)).map(|_| Values::Numbers(Vec::new()));
            values.chain(extra).collect()
        });
        let batch = Batch {
            request_ids: Vec::new(),
            user_ids: Vec::new(),
            ts_ms: Vec::new(),
            products: Offsets::default(),
            product_age_s: Vec::new(),
            channels: Offsets::default(),
            channel_age_s: Vec::new(),
            candidates: Offsets::default(),
            labels: None,
            values,
        };
        let matchers = schema.matchers().into_iter().zip(moments).collect();
        Self { schema, conversions, matchers, lengths, batch }
    }

    /// Impressions so far.
    pub fn impressions(&self) -> usize {
        self.batch.impressions()
    }

    /// Adds a feed that nobody has checked yet.
    ///
    /// # Errors
    /// What [`FeedColumns::push`] and [`BatchBuilder::append`] refuse.
    pub fn push(&mut self, feed: &Feed) -> Result<(), Error> {
        let mut columns = FeedColumns::empty(self.schema);
        columns.push(self.schema, feed)?;
        self.append(&columns, 0)
    }

    /// Adds one of some feeds of the schema.
    ///
    /// # Errors
    /// [`Error::Feed`] if it has labels and the feeds before it have none, or the other way round.
    pub fn append(&mut self, feeds: &FeedColumns, feed: usize) -> Result<(), Error> {
        let (batch, from) = (&mut self.batch, feeds.parts());
        check_alike(batch.feeds(), batch.labels.is_some(), feeds.labelled())?;
        let newest = |rows: std::ops::Range<usize>, length: usize| {
            rows.end - rows.len().min(length)..rows.end
        };
        let products = newest(from.products.offsets.range(feed), self.lengths.products);
        let channels = newest(from.channels.offsets.range(feed), self.lengths.channels);
        let candidates = from.candidates.range(feed);
        batch.request_ids.push(from.request_ids[feed]);
        batch.user_ids.push(from.user_ids[feed]);
        batch.ts_ms.push(from.ts_ms[feed]);
        batch.products.push(products.len());
        batch.product_age_s.extend_from_slice(&from.products.age_s[products.clone()]);
        batch.channels.push(channels.len());
        batch.channel_age_s.extend_from_slice(&from.channels.age_s[channels.clone()]);
        batch.candidates.push(candidates.len());
        if let Some(labels) = &from.labels {
            batch.labels.get_or_insert_default().extend(labels, candidates);
        }
        for group in Group::ALL {
            let rows = match group {
                Group::Product | Group::ProductEvent => products.clone(),
                Group::Channel | Group::ChannelEvent => channels.clone(),
                _ => from.rows(group, feed),
            };
            let conversions = &self.conversions[group as usize];
            let values = batch.values[group as usize].iter_mut();
            for ((values, column), conversion) in values.zip(from.columns(group)).zip(conversions) {
                conversion.append(values, column, rows.clone());
            }
        }
        let columns = self.schema.fields(Group::Target).len();
        let extra = &mut batch.values[Group::Target as usize][columns..];
        for ((matcher, moments), values) in self.matchers.iter().zip(extra) {
            let Values::Numbers(values) = values else { unreachable!("made so above") };
            // A model that reads no products knows nothing of them.
            if matcher.history == History::Products && self.lengths.products == 0 {
                values.resize(batch.candidates.total(), 0.0);
                continue;
            }
            let counts = matcher.counts(&feeds.rows_of(feed)).into_iter();
            values.extend(counts.map(|count| moments.standardise(Matcher::transform(count))));
        }
        Ok(())
    }

    /// The batch. `None` if no feed was added.
    pub fn finish(self) -> Option<Batch> {
        (self.batch.feeds() > 0).then_some(self.batch)
    }
}

impl BatchLabels {
    fn extend(&mut self, labels: &Labels, rows: std::ops::Range<usize>) {
        let watched = labels.watched[rows.clone()].iter();
        self.watched.extend(watched.map(|w| f32::from(u8::from(*w))));
        self.tasks.resize_with(labels.tasks.len(), Vec::new);
        for (to, from) in self.tasks.iter_mut().zip(&labels.tasks) {
            to.extend(from[rows.clone()].iter().map(|label| label.unwrap_or(f32::NAN)));
        }
    }
}

fn empty_values(kind: &Kind) -> Values {
    match kind {
        Kind::Categorical { .. } | Kind::Bucket { .. } => Values::Ids(Vec::new()),
        Kind::Dense { .. } => Values::Numbers(Vec::new()),
        Kind::Multi { .. } => Values::Lists { offsets: Offsets::default(), ids: Vec::new() },
    }
}

/// How the raw values of a field become those of a batch.
#[derive(Debug)]
struct Conversion<'a> {
    kind: &'a Kind,
    /// Of a dense field.
    moments: Moments,
}

impl Conversion<'_> {
    fn append(&self, to: &mut Values, from: &Column, rows: std::ops::Range<usize>) {
        match (to, from, self.kind) {
            (Values::Ids(to), Column::Ids(from), _) => to.extend_from_slice(&from[rows]),
            (Values::Ids(to), Column::Numbers(from), Kind::Bucket { boundaries, .. }) => {
                to.extend(from[rows].iter().map(|x| bucket(boundaries, *x)));
            }
            (Values::Numbers(to), Column::Numbers(from), Kind::Dense { transform }) => {
                let number = |x: &f32| {
                    // The mean, standardised, for what has no value.
                    let known = (!is_no_number(*x)).then(|| transform.apply(*x));
                    known.map_or(0.0, |x| self.moments.standardise(x))
                };
                to.extend(from[rows].iter().map(number));
            }
            (Values::Lists { offsets, ids }, Column::Lists { ends, ids: from }, _) => {
                let mut start = if rows.start == 0 { 0 } else { ends[rows.start - 1] as usize };
                for end in &ends[rows] {
                    ids.extend_from_slice(&from[start..*end as usize]);
                    offsets.push(*end as usize - start);
                    start = *end as usize;
                }
            }
            _ => unreachable!("FeedColumns compared the columns with the schema"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::toy;

    #[test]
    fn feeds_keep_their_rows() {
        let (schema, normalization) = (toy::schema(), Normalization::default());
        let feeds = toy::feeds(5, 3);
        let mut builder = BatchBuilder::new(&schema, &normalization, Lengths::default());
        feeds.iter().for_each(|feed| builder.push(feed).unwrap());
        let batch = builder.finish().unwrap();
        assert_eq!(batch.feeds(), 5);
        assert_eq!(batch.impressions(), feeds.iter().map(Feed::impressions).sum::<usize>());
        for group in Group::ALL {
            for values in batch.values(group) {
                let length = match values {
                    Values::Ids(ids) => ids.len(),
                    Values::Numbers(numbers) => numbers.len(),
                    Values::Lists { offsets, .. } => offsets.feeds(),
                };
                assert_eq!(length, batch.entities(group), "{group:?}");
            }
        }
        let Values::Ids(ids) = &batch.values(Group::Candidate)[0] else { panic!("ids") };
        let Column::Ids(expected) = &feeds[3].candidates.channel[0] else { panic!("ids") };
        assert_eq!(&ids[batch.candidates.range(3)], expected);
    }

    #[test]
    fn histories_keep_their_newest_events() {
        let (schema, normalization) = (toy::schema(), Normalization::default());
        let feed = toy::feeds(1, 3).remove(0);
        let mut builder =
            BatchBuilder::new(&schema, &normalization, Lengths { products: 0, channels: 1 });
        builder.push(&feed).unwrap();
        let batch = builder.finish().unwrap();
        assert_eq!((batch.products.total(), batch.channels.total()), (0, 1));
        assert_eq!(batch.channel_age_s[0], *feed.channels.age_s.last().unwrap());
        let Values::Ids(ids) = &batch.values(Group::Channel)[0] else { panic!("ids") };
        let Column::Ids(all) = &feed.channels.entity[0] else { panic!("ids") };
        assert_eq!(ids[..], all[all.len() - 1..]);
    }

    #[test]
    fn feeds_with_and_without_labels_make_no_batch() {
        let (schema, normalization) = (toy::schema(), Normalization::default());
        let mut feeds = toy::feeds(2, 3);
        feeds.iter_mut().for_each(|feed| feed.candidates.labels = None);
        let mut builder = BatchBuilder::new(&schema, &normalization, Lengths::default());
        feeds.iter().for_each(|feed| builder.push(feed).unwrap());
        assert!(builder.push(&toy::feeds(1, 3)[0]).unwrap_err().to_string().contains("labels"));
        let batch = builder.finish().unwrap();
        assert_eq!((batch.labels.is_some(), batch.feeds()), (false, 2));
        assert_eq!(batch.impressions(), feeds.iter().map(Feed::impressions).sum::<usize>());
    }

    #[test]
    fn no_feed_makes_no_batch() {
        assert!(
            BatchBuilder::new(&toy::schema(), &Normalization::default(), Lengths::default())
                .finish()
                .is_none()
        );
    }
}
