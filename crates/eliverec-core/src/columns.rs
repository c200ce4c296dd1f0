//! Many feeds as columns: the form in which feeds are read, shuffled, put into batches and written. Their contract
//! ([`crate::contract`]) is checked when feeds get this form, and nowhere else; whoever holds [`FeedColumns`] may trust it.

use crate::contract::{Breach, View, check_alike};
use crate::error::Error;
use crate::feed::{Column, Feed, Labels};
use crate::offsets::Offsets;
use crate::schema::{Group, Schema};

/// The histories of some feeds in one domain, oldest event first.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Histories {
    /// From feed to its events.
    pub offsets: Offsets,
    /// Seconds from each event to its request, not negative.
    pub age_s: Vec<f32>,
}

/// What [`FeedColumns`] are made of; by itself, nothing has been checked.
#[derive(Clone, Debug, PartialEq)]
pub struct Parts {
    /// `[b]`
    pub request_ids: Vec<u64>,
    /// `[b]`
    pub user_ids: Vec<u64>,
    /// `[b]`, as [`Feed::ts_ms`].
    pub ts_ms: Vec<i64>,
    /// The columns of every group in the order of [`Group::ALL`], by the schema's fields, over the entities of all feeds.
    pub groups: [Vec<Column>; Group::ALL.len()],
    /// Product clicks.
    pub products: Histories,
    /// Watches.
    pub channels: Histories,
    /// From feed to its candidates.
    pub candidates: Offsets,
    /// Places of the candidates `[n]`.
    pub position: Vec<Option<u16>>,
    /// What the users did `[n]`.
    pub labels: Option<Labels>,
}

impl Parts {
    /// The columns of no feed.
    fn empty(groups: [Vec<Column>; Group::ALL.len()]) -> Self {
        Self {
            request_ids: Vec::new(),
            user_ids: Vec::new(),
            ts_ms: Vec::new(),
            groups,
            products: Histories::default(),
            channels: Histories::default(),
            candidates: Offsets::default(),
            position: Vec::new(),
            labels: None,
        }
    }

    /// Feeds, `b`.
    pub fn feeds(&self) -> usize {
        self.request_ids.len()
    }

    /// The columns of a group.
    pub fn columns(&self, group: Group) -> &[Column] {
        &self.groups[group as usize]
    }

    /// The rows that a feed has in the columns of a group: one for user and context.
    pub fn rows(&self, group: Group, feed: usize) -> std::ops::Range<usize> {
        match group {
            Group::User | Group::Context => feed..feed + 1,
            Group::Product | Group::ProductEvent => self.products.offsets.range(feed),
            Group::Channel | Group::ChannelEvent => self.channels.offsets.range(feed),
            Group::Candidate | Group::Target | Group::Dynamic => self.candidates.range(feed),
        }
    }
}

/// Many feeds of one schema that keep the contract.
#[derive(Clone, Debug, PartialEq)]
pub struct FeedColumns(Parts);

impl FeedColumns {
    /// No feeds yet, in the columns that `schema` declares.
    pub fn empty(schema: &Schema) -> Self {
        Self(Parts::empty(Group::ALL.map(|group| Column::empty_group(schema.fields(group)))))
    }

    /// No feeds yet, in the columns that these have.
    #[must_use]
    pub fn empty_like(&self) -> Self {
        let mut groups = self.0.groups.each_ref().map(|columns| Vec::with_capacity(columns.len()));
        for (columns, own) in groups.iter_mut().zip(&self.0.groups) {
            columns.extend(own.iter().map(|column| match column {
                Column::Ids(_) => Column::Ids(Vec::new()),
                Column::Numbers(_) => Column::Numbers(Vec::new()),
                Column::Lists { .. } => Column::Lists { ends: Vec::new(), ids: Vec::new() },
            }));
        }
        Self(Parts::empty(groups))
    }

    /// Takes columns that keep the contract.
    ///
    /// # Errors
    /// The first breach that is found.
    pub fn new(schema: &Schema, parts: Parts) -> Result<Self, Breach> {
        let view = View {
            groups: parts.groups.each_ref().map(Vec::as_slice),
            feeds: parts.request_ids.len(),
            products: (&parts.products.offsets, &parts.products.age_s),
            channels: (&parts.channels.offsets, &parts.channels.age_s),
            candidates: &parts.candidates,
            position: &parts.position,
            labels: parts.labels.as_ref(),
        };
        view.check(schema)?;
        Ok(Self(parts))
    }

    /// What they are made of.
    pub fn parts(&self) -> &Parts {
        &self.0
    }

    /// Feeds, `b`.
    pub fn feeds(&self) -> usize {
        self.0.feeds()
    }

    /// Whether their labels are known; of no feeds, they are not.
    pub fn labelled(&self) -> bool {
        self.0.labels.is_some()
    }

    /// Adds a feed.
    ///
    /// # Errors
    /// [`Error::Feed`] names what breaks the contract; nothing is added then.
    pub fn push(&mut self, schema: &Schema, feed: &Feed) -> Result<(), Error> {
        let offsets = |length: usize| Offsets::from_lengths([length]);
        let products = offsets(feed.products.age_s.len());
        let channels = offsets(feed.channels.age_s.len());
        let candidates = offsets(feed.impressions());
        let view = View {
            groups: Group::ALL.map(|group| feed.columns(group)),
            feeds: 1,
            products: (&products, &feed.products.age_s),
            channels: (&channels, &feed.channels.age_s),
            candidates: &candidates,
            position: &feed.candidates.position,
            labels: feed.candidates.labels.as_ref(),
        };
        view.check(schema)?;
        let labels = feed.candidates.labels.as_ref();
        self.check_labels(labels)?;
        let to = &mut self.0;
        to.request_ids.push(feed.request_id);
        to.user_ids.push(feed.user_id);
        to.ts_ms.push(feed.ts_ms);
        to.products.offsets.push(products.total());
        to.products.age_s.extend_from_slice(&feed.products.age_s);
        to.channels.offsets.push(channels.total());
        to.channels.age_s.extend_from_slice(&feed.channels.age_s);
        to.candidates.push(candidates.total());
        to.position.extend_from_slice(&feed.candidates.position);
        if let Some(labels) = labels {
            to.labels.get_or_insert_default().extend(labels, 0..candidates.total());
        }
        for group in Group::ALL {
            let columns = &mut to.groups[group as usize];
            for (column, from) in columns.iter_mut().zip(feed.columns(group)) {
                column.extend(from, 0..from.len());
            }
        }
        Ok(())
    }

    /// Adds one of other feeds of the same schema.
    ///
    /// # Errors
    /// [`Error::Feed`] if these have labels and that has none, or the other way round.
    pub fn append(&mut self, from: &Self, feed: usize) -> Result<(), Error> {
        self.check_labels(from.0.labels.as_ref())?;
        let (to, from) = (&mut self.0, &from.0);
        to.request_ids.push(from.request_ids[feed]);
        to.user_ids.push(from.user_ids[feed]);
        to.ts_ms.push(from.ts_ms[feed]);
        for (to, from) in [(&mut to.products, &from.products), (&mut to.channels, &from.channels)] {
            let rows = from.offsets.range(feed);
            to.offsets.push(rows.len());
            to.age_s.extend_from_slice(&from.age_s[rows]);
        }
        let rows = from.candidates.range(feed);
        to.candidates.push(rows.len());
        to.position.extend_from_slice(&from.position[rows.clone()]);
        if let Some(labels) = &from.labels {
            to.labels.get_or_insert_default().extend(labels, rows);
        }
        for group in Group::ALL {
            let rows = from.rows(group, feed);
            let columns = &mut to.groups[group as usize];
            for (column, from) in columns.iter_mut().zip(from.columns(group)) {
                column.extend(from, rows.clone());
            }
        }
        Ok(())
    }

    fn check_labels(&self, labels: Option<&Labels>) -> Result<(), Error> {
        check_alike(self.feeds(), self.labelled(), labels.is_some())
    }

    /// Takes all feeds out and keeps the memory of their columns.
    pub fn clear(&mut self) {
        let parts = &mut self.0;
        parts.request_ids.clear();
        parts.user_ids.clear();
        parts.ts_ms.clear();
        for histories in [&mut parts.products, &mut parts.channels] {
            histories.offsets.clear();
            histories.age_s.clear();
        }
        parts.candidates.clear();
        parts.position.clear();
        parts.labels = None;
        parts.groups.iter_mut().flatten().for_each(Column::clear);
    }

    /// Gives back the memory that holds nothing.
    pub fn shrink_to_fit(&mut self) {
        self.0.groups.iter_mut().flatten().for_each(Column::shrink_to_fit);
        self.0.products.age_s.shrink_to_fit();
        self.0.channels.age_s.shrink_to_fit();
    }

    /// One of them with values of its own.
    pub fn feed(&self, i: usize) -> Feed {
        let parts = &self.0;
        let mut feed = Feed {
            request_id: parts.request_ids[i],
            user_id: parts.user_ids[i],
            ts_ms: parts.ts_ms[i],
            ..Feed::default()
        };
        let own = |group: Group| -> Vec<Column> {
            let rows = parts.rows(group, i);
            let part = |column: &Column| {
                let mut own = match column {
                    Column::Ids(_) => Column::Ids(Vec::with_capacity(rows.len())),
                    Column::Numbers(_) => Column::Numbers(Vec::with_capacity(rows.len())),
                    Column::Lists { .. } => Column::Lists { ends: Vec::new(), ids: Vec::new() },
                };
                own.extend(column, rows.clone());
                own
            };
            parts.columns(group).iter().map(part).collect()
        };
        (feed.user, feed.context) = (own(Group::User), own(Group::Context));
        (feed.products.entity, feed.products.event) =
            (own(Group::Product), own(Group::ProductEvent));
        (feed.channels.entity, feed.channels.event) =
            (own(Group::Channel), own(Group::ChannelEvent));
        feed.products.age_s = parts.products.age_s[parts.products.offsets.range(i)].to_vec();
        feed.channels.age_s = parts.channels.age_s[parts.channels.offsets.range(i)].to_vec();
        let (rows, candidates) = (parts.candidates.range(i), &mut feed.candidates);
        candidates.channel = own(Group::Candidate);
        candidates.target = own(Group::Target);
        candidates.dynamic = own(Group::Dynamic);
        candidates.position = parts.position[rows.clone()].to_vec();
        candidates.labels = parts.labels.as_ref().map(|labels| {
            let mut own = Labels::default();
            own.extend(labels, rows);
            own
        });
        feed
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::toy;

    fn columns_of(feeds: &[Feed]) -> Result<FeedColumns, Error> {
        let schema = toy::schema();
        let mut columns = FeedColumns::empty(&schema);
        feeds.iter().try_for_each(|feed| columns.push(&schema, feed))?;
        Ok(columns)
    }

    #[test]
    fn feeds_come_back_however_they_were_added() {
        let feeds = toy::feeds(20, 1);
        let columns = columns_of(&feeds).unwrap();
        let mut backwards = columns.empty_like();
        (0..20).rev().for_each(|i| backwards.append(&columns, i).unwrap());
        for (i, feed) in feeds.iter().enumerate() {
            assert_eq!(columns.feed(i), *feed);
            assert_eq!(backwards.feed(19 - i), *feed);
        }
        let again = FeedColumns::new(&toy::schema(), columns.parts().clone()).unwrap();
        assert_eq!(again, columns);
        let mut cleared = columns.clone();
        cleared.clear();
        assert_eq!(cleared, FeedColumns::empty(&toy::schema()));
    }

    /// A change to feed 1 of three is named alike when feeds come one by one and when they come as columns.
    #[test]
    fn each_breach_is_named() {
        let feeds = toy::feeds(3, 1);
        let one_by_one = |change: &dyn Fn(&mut Feed)| {
            let mut feeds = feeds.clone();
            change(&mut feeds[1]);
            columns_of(&feeds).unwrap_err().to_string()
        };
        let schema = toy::schema();
        assert!(
            one_by_one(&|f| f.candidates = Feed::empty(&schema).candidates)
                .starts_with("candidates: the list is empty")
        );
        let message = one_by_one(&|f| {
            f.candidates.labels.get_or_insert_default().watched.pop();
        });
        assert!(message.starts_with("candidates.watched:"), "{message}");
        assert!(one_by_one(&|f| f.candidates.position.clear()).contains("candidates.position: 0"));
        assert!(one_by_one(&|f| f.candidates.labels = None).contains("labels for all"));

        let columns = columns_of(&feeds).unwrap();
        let as_columns = |change: &dyn Fn(&mut Parts)| {
            let mut parts = columns.parts().clone();
            change(&mut parts);
            let breach = FeedColumns::new(&schema, parts).unwrap_err();
            assert_eq!(breach.feed, 1);
            Error::from(breach).to_string()
        };
        let nan = |column: &mut Column, i: usize| {
            let Column::Numbers(x) = column else { panic!("dense") };
            x[i] = f32::NAN;
        };
        let first = columns.parts().candidates.range(1).start;
        let expected = one_by_one(&|f| nan(&mut f.candidates.target[0], 1));
        assert!(expected.contains("candidates[1].clicks_60m: NaN"), "{expected}");
        let target = Group::Target as usize;
        assert_eq!(as_columns(&|p| nan(&mut p.groups[target][0], first + 1)), expected);
        let stay = |labels: &mut Option<Labels>, i: usize| {
            labels.as_mut().unwrap().tasks[0][i] = Some(-1.0);
        };
        let expected = one_by_one(&|f| stay(&mut f.candidates.labels, 1));
        assert!(expected.contains("candidates[1].stay_s: -1"), "{expected}");
        assert_eq!(as_columns(&|p| stay(&mut p.labels, first + 1)), expected);
        let expected = one_by_one(&|f| f.channels.age_s[0] = -1.0);
        assert!(expected.contains("channels[0].age_s"), "{expected}");
        let first = columns.parts().channels.offsets.range(1).start;
        assert_eq!(as_columns(&|p| p.channels.age_s[first] = -1.0), expected);
    }

    #[test]
    fn a_feed_that_breaks_the_contract_is_not_added() {
        let (schema, feeds) = (toy::schema(), toy::feeds(2, 1));
        let mut columns = columns_of(&feeds[..1]).unwrap();
        let mut broken = feeds[1].clone();
        broken.channels.age_s[0] = f32::NAN;
        assert!(columns.push(&schema, &broken).is_err());
        assert_eq!(columns, columns_of(&feeds[..1]).unwrap());
    }

    #[test]
    fn feeds_need_no_labels() {
        let mut feeds = toy::feeds(4, 1);
        feeds.iter_mut().for_each(|feed| feed.candidates.labels = None);
        let columns = columns_of(&feeds).unwrap();
        assert!(!columns.labelled());
        assert_eq!(columns.feed(3), feeds[3]);
    }
}
