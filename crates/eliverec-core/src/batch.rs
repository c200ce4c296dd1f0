//! A batch: whole feeds as columns, with offsets from feed to entities. Shapes are checked here, once, and trusted after.
//!
//! Everything is packed: entity rows of all feeds one after the other, no padding. A history of three events costs
//! three rows; whoever needs rectangles pads them.

use crate::error::Error;
use crate::feed::{Column, Feed};
use crate::normalize::Normalization;
use crate::schema::{Field, Group, Kind, Schema};

/// Where each feed's entities start: feed i owns rows `starts[i]..starts[i + 1]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offsets(Vec<usize>);

impl Default for Offsets {
    fn default() -> Self {
        Self(vec![0])
    }
}

impl Offsets {
    /// Offsets of feeds with the given numbers of entities.
    pub fn from_lengths(lengths: impl IntoIterator<Item = usize>) -> Self {
        let mut offsets = Self::default();
        lengths.into_iter().for_each(|length| offsets.push(length));
        offsets
    }

    /// Adds a feed of `length` entities.
    pub fn push(&mut self, length: usize) {
        self.0.push(self.total() + length);
    }

    /// Feeds.
    pub fn feeds(&self) -> usize {
        self.0.len() - 1
    }

    /// Entities of all feeds.
    pub fn total(&self) -> usize {
        *self.0.last().expect("offsets start with 0")
    }

    /// The rows of feed `i`.
    pub fn range(&self, i: usize) -> std::ops::Range<usize> {
        self.0[i]..self.0[i + 1]
    }

    /// The rows of every feed, in order.
    pub fn ranges(&self) -> impl ExactSizeIterator<Item = std::ops::Range<usize>> + '_ {
        self.0.windows(2).map(|pair| pair[0]..pair[1])
    }

    /// Entities of the longest feed.
    pub fn longest(&self) -> usize {
        self.ranges().map(|range| range.len()).max().unwrap_or(0)
    }

    /// The feed of every row.
    pub fn owners(&self) -> Vec<u32> {
        let mut owners = Vec::with_capacity(self.total());
        for (i, range) in self.ranges().enumerate() {
            owners.extend(range.map(|_| i as u32));
        }
        owners
    }
}

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
    /// Seconds, NaN where unknown `[n]`.
    pub stay_s: Vec<f32>,
    /// 1, 0 or NaN `[n]`.
    pub bag_click: Vec<f32>,
    /// 1, 0 or NaN `[n]`.
    pub product_click: Vec<f32>,
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
    /// Of every impression.
    pub labels: BatchLabels,
    values: [Vec<Values>; Group::ALL.len()],
}

impl Batch {
    /// The values of a group's fields, in schema order.
    pub fn values(&self, group: Group) -> &[Values] {
        &self.values[group as usize]
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
    normalization: &'a Normalization,
    lengths: Lengths,
    batch: Batch,
}

impl<'a> BatchBuilder<'a> {
    /// An empty batch. `normalization` standardises dense numbers, `lengths` truncates the histories.
    pub fn new(schema: &'a Schema, normalization: &'a Normalization, lengths: Lengths) -> Self {
        let values = Group::ALL.map(|group| {
            schema.fields(group).iter().map(|field| empty_values(&field.kind)).collect()
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
            labels: BatchLabels::default(),
            values,
        };
        Self { schema, normalization, lengths, batch }
    }

    /// Impressions so far.
    pub fn impressions(&self) -> usize {
        self.batch.impressions()
    }

    /// Adds a feed.
    ///
    /// # Errors
    /// What [`Feed::check`] refuses.
    pub fn push(&mut self, feed: &Feed) -> Result<(), Error> {
        feed.check(self.schema)?;
        let kept = |age_s: &[f32], length: usize| age_s.len().saturating_sub(length)..age_s.len();
        let products = kept(&feed.products.age_s, self.lengths.products);
        let channels = kept(&feed.channels.age_s, self.lengths.channels);
        let batch = &mut self.batch;
        batch.request_ids.push(feed.request_id);
        batch.user_ids.push(feed.user_id);
        batch.ts_ms.push(feed.ts_ms);
        batch.products.push(products.len());
        batch.product_age_s.extend(&feed.products.age_s[products.clone()]);
        batch.channels.push(channels.len());
        batch.channel_age_s.extend(&feed.channels.age_s[channels.clone()]);
        batch.candidates.push(feed.impressions());
        let labels = &feed.candidates.labels;
        let number = |label: &Option<bool>| label.map_or(f32::NAN, |b| f32::from(u8::from(b)));
        batch.labels.watched.extend(labels.watched.iter().map(|w| f32::from(u8::from(*w))));
        batch.labels.stay_s.extend(labels.stay_s.iter().map(|s| s.unwrap_or(f32::NAN)));
        batch.labels.bag_click.extend(labels.bag_click.iter().map(number));
        batch.labels.product_click.extend(labels.product_click.iter().map(number));
        for group in Group::ALL {
            let rows = match group {
                Group::Product | Group::ProductEvent => products.clone(),
                Group::Channel | Group::ChannelEvent => channels.clone(),
                _ => 0..feed.entities(group),
            };
            let fields = self.schema.fields(group).iter();
            let values = &mut batch.values[group as usize];
            for ((field, column), values) in fields.zip(feed.columns(group)).zip(values) {
                append(values, column, rows.clone(), group, field, self.normalization);
            }
        }
        Ok(())
    }

    /// The batch. `None` if no feed was added.
    pub fn finish(self) -> Option<Batch> {
        (self.batch.feeds() > 0).then_some(self.batch)
    }
}

fn empty_values(kind: &Kind) -> Values {
    match kind {
        Kind::Categorical { .. } | Kind::Bucket { .. } => Values::Ids(Vec::new()),
        Kind::Dense { .. } => Values::Numbers(Vec::new()),
        Kind::Multi { .. } => Values::Lists { offsets: Offsets::default(), ids: Vec::new() },
    }
}

fn append(
    to: &mut Values,
    from: &Column,
    rows: std::ops::Range<usize>,
    group: Group,
    field: &Field,
    normal: &Normalization,
) {
    match (to, from, &field.kind) {
        (Values::Ids(to), Column::Ids(from), _) => to.extend(&from[rows]),
        (Values::Ids(to), Column::Numbers(from), Kind::Bucket { boundaries, .. }) => {
            to.extend(from[rows].iter().map(|x| boundaries.partition_point(|b| b <= x) as u64));
        }
        (Values::Numbers(to), Column::Numbers(from), Kind::Dense { transform }) => {
            let moments = normal.dense(group, &field.name);
            to.extend(from[rows].iter().map(|x| moments.standardise(transform.apply(*x))));
        }
        (Values::Lists { offsets, ids }, Column::Lists { ends, ids: from }, _) => {
            let mut start = if rows.start == 0 { 0 } else { ends[rows.start - 1] as usize };
            for end in &ends[rows] {
                ids.extend(&from[start..*end as usize]);
                offsets.push(*end as usize - start);
                start = *end as usize;
            }
        }
        _ => unreachable!("Feed::check compared the columns with the schema"),
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
    fn owners_name_the_feed_of_every_row() {
        let offsets = Offsets::from_lengths([2, 0, 3]);
        assert_eq!(offsets.owners(), [0, 0, 2, 2, 2]);
        assert_eq!(offsets.longest(), 3);
        assert_eq!(offsets.range(1), 2..2);
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
